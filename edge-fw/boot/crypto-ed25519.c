/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/crypto.h"
#include <crypto_sign_ed25519.h>
#include <string.h>

/* RFC 8032, 5.1.7 wants s below the order of the group; the library would take it with the order
 * added as well. */
static bool s_in_range(const uint8_t s[32])
{
	static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6,
		0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
	int i = 31;

	while (i && s[i] == order[i])
		i--;
	return s[i] < order[i];
}

static int ed25519_verify(
	void *ctx, const uint8_t key[32], const uint8_t digest[32], const uint8_t sig[64])
{
	uint8_t message[64 + 32], opened[64 + 32];
	unsigned long long size;

	(void)ctx;
	memcpy(message, sig, 64);
	memcpy(message + 64, digest, 32);
	return s_in_range(sig + 32) &&
	       crypto_sign_ed25519_open(opened, &size, message, sizeof(message), key) == 0;
}

int (*const crypto_ed25519_verify)(void *ctx, const uint8_t key[32], const uint8_t digest[32],
	const uint8_t sig[64]) = ed25519_verify;
