/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_SIZE 32
#define DIGEST_HEX_MAX 65 /* 64 digits and NUL */

/* Lower case, NUL-terminated; out holds 2 * size + 1. Returns out. */
char *hex_encode(const void *data, size_t size, char *out);

/*
 * Exactly 2 * size lower-case digits and nothing else; false otherwise (S-06: a short, padded or
 * upper-case digest is an error).
 */
bool hex_decode(const char *text, void *out, size_t size);

static inline char *digest_hex(const uint8_t digest[DIGEST_SIZE], char out[DIGEST_HEX_MAX])
{
	return hex_encode(digest, DIGEST_SIZE, out);
}
