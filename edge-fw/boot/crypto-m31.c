/* SPDX-License-Identifier: Apache-2.0 */
/* 9 KiB of code, several times faster; needs a 32x32 -> 64 multiplier. */
#include "boot/crypto.h"
#include <bearssl_ec.h>

int crypto_p256_verify_raw(
	const uint8_t point[65], const uint8_t digest[32], const uint8_t *sig, size_t sig_size)
{
	const br_ec_public_key key = {
		.curve = BR_EC_secp256r1,
		.q = (unsigned char *)(uintptr_t)point,
		.qlen = 65,
	};

	return br_ecdsa_i31_vrfy_raw(&br_ec_p256_m31, digest, 32, &key, sig, sig_size) == 1;
}
