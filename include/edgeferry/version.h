/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A firmware version as the MCUboot image header stores it (docs/SPEC-dfu.md,
 * "Image"). Freestanding: used by gateway and MCU alike.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ef_version {
	uint8_t major, minor;
	uint16_t revision;
	uint32_t build;
};

/* Longest text: "255.255.65535+4294967295" and its NUL. */
#define EF_VERSION_TEXT_MAX 25

/*
 * Reads "1.2.3" or "1.2.3+4", the whole string, decimal, no signs, no blanks.
 * False (and *v untouched) when it is anything else or a number is out of range.
 */
bool ef_version_parse(const char *text, struct ef_version *v);

/* Writes "1.2.3" or, when build is not 0, "1.2.3+4" into out. Returns its length. */
size_t ef_version_format(const struct ef_version *v, char out[EF_VERSION_TEXT_MAX]);

/* <0, 0, >0 as a is older than, equal to, newer than b; build counts last. */
int ef_version_compare(const struct ef_version *a, const struct ef_version *b);
