/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Builds a line of printable text in a fixed buffer: cut off at its end, always NUL-terminated. */
#include <edgeferry/version.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *buf;
	size_t size, used;
};

void text_init(struct text *t, char *buf, size_t size);
void text_add(struct text *t, const char *s);
void text_add_uint(struct text *t, uint32_t n);
void text_add_version(struct text *t, const struct ef_version *v);
void text_add_hex(struct text *t, uint8_t byte);
