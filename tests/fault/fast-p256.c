/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bootloader's own signature check with a memory: enumerating power cuts asks for the same few
 * signatures a million times. An answer is remembered with everything that it depends on.
 */
#define crypto_p256_verify_raw computed
#include "../../edge-fw/boot/crypto-m31.c"
#undef crypto_p256_verify_raw
#include <string.h>

struct question {
	uint8_t point[65], digest[32], sig[64];
};

int crypto_p256_verify_raw(
	const uint8_t point[65], const uint8_t digest[32], const uint8_t *sig, size_t sig_size);

int crypto_p256_verify_raw(
	const uint8_t point[65], const uint8_t digest[32], const uint8_t *sig, size_t sig_size)
{
	static struct question asked[64];
	static int answer[64];
	static unsigned known, next;
	struct question q;
	unsigned i;

	if (sig_size != sizeof(q.sig))
		return computed(point, digest, sig, sig_size);
	memcpy(q.point, point, sizeof(q.point));
	memcpy(q.digest, digest, sizeof(q.digest));
	memcpy(q.sig, sig, sizeof(q.sig));
	for (i = 0; i < known; i++)
		if (memcmp(&asked[i], &q, sizeof(q)) == 0)
			return answer[i];
	i = next++ % 64;
	asked[i] = q;
	answer[i] = computed(point, digest, sig, sig_size);
	if (known < 64)
		known++;
	return answer[i];
}
