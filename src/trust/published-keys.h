/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Keys whose private halves are published: samples of bootloaders, and those in tests/vectors. What
 * they sign, anybody can sign (S-32).
 */
#include <stdint.h>

struct published_key {
	const char *whose;
	const char *sha256; /* of the SubjectPublicKeyInfo; for P-256, MCUboot's key hash too */
};

extern const struct published_key published_keys[]; /* ends with whose NULL */

/* Whose it is; NULL: none of them. */
const char *published_key_name(const uint8_t sha256[32]);
