/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * autoboot.txt of Raspberry Pi's firmware ("autoboot.txt" in its documentation), at most 512 bytes:
 *   [all]
 *   tryboot_a_b=1
 *   boot_partition=2
 *   [tryboot]
 *   boot_partition=3
 * Slot A is the one with the lower partition number.
 */
#include "slots/vars.h"
#include <stddef.h>
#include <stdint.h>

#define AUTOBOOT_MAX 512u

struct autoboot {
	uint32_t partition[2]; /* of slot A and B */
	enum slot_id primary;
	size_t at[2], digits; /* where the number of [all] and of [tryboot] stands */
};

/*
 * text need not end with NUL. BOOT_STATE unless both sections name a boot_partition, different
 * ones, of as many digits, once, and tryboot_a_b=1 stands in [all].
 */
enum ef_reason autoboot_parse(const char *text, size_t size, struct autoboot *ret, struct error *e);
/* Exchanges the numbers so that slot is primary; the length stays. a: as parsed from text. */
void autoboot_set(char *text, const struct autoboot *a, enum slot_id slot);

/* What the firmware does not remember: boot.json in the state directory. */
#define TRYBOOT_FILE "boot.json"
#define TRYBOOT_FILE_MAX 4096u

struct tryboot_memory {
	enum slot_id trial; /* or NONE */
	char asked[40];	    /* id of the boot that asked for the restart into it, or "" */
	enum slot_mark mark[2];
};

enum ef_reason tryboot_memory_parse(
	const void *data, size_t size, struct tryboot_memory *ret, struct error *e);
/* NUL-terminated; out holds TRYBOOT_FILE_MAX. */
size_t tryboot_memory_format(const struct tryboot_memory *m, char *out);
