/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/crypto.h"

int (*const crypto_ed25519_verify)(
	void *ctx, const uint8_t key[32], const uint8_t digest[32], const uint8_t sig[64]) = NULL;
