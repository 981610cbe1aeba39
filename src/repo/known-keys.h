/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Keys whose private halves are published (trust/published-keys.h) are refused (S-32). */
#include "util/reason.h"
#include <openssl/evp.h>
#include <stdbool.h>

/* Only a build for development can be told to use them. */
bool known_keys_may_be_allowed(void);

/* USAGE when it is one of them; name is for the message. */
enum ef_reason known_key_refuse(EVP_PKEY *key, const char *name, bool allowed, struct error *e);
/* IMAGE_KEY when the trailer of an MCUboot image, behind offset, names one of them. */
enum ef_reason known_key_refuse_image(const uint8_t *image, size_t size, size_t offset,
	const char *name, bool allowed, struct error *e);
