/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bootloader's own signature check with a memory: enumerating power cuts asks for the same few
 * signatures a million times. An answer is remembered with everything that it depends on.
 */
#define crypto_p256_verify computed
#include "../../edge-fw/boot/crypto-m31.c"
#undef crypto_p256_verify
#include <string.h>

int crypto_p256_verify(void *ctx, const uint8_t point[65], const uint8_t digest[32],
	const uint8_t *sig, size_t sig_size);

struct question {
	uint8_t point[65], digest[32], sig[80];
	size_t sig_size;
};

int crypto_p256_verify(void *ctx, const uint8_t point[65], const uint8_t digest[32],
	const uint8_t *sig, size_t sig_size)
{
	static struct question asked[64];
	static int answer[64];
	static unsigned known, next;
	struct question q = {.sig_size = sig_size};

	if (sig_size > sizeof(q.sig))
		return 0;
	memcpy(q.point, point, sizeof(q.point));
	memcpy(q.digest, digest, sizeof(q.digest));
	memcpy(q.sig, sig, sig_size);
	for (unsigned i = 0; i < known; i++)
		if (memcmp(&asked[i], &q, sizeof(q)) == 0)
			return answer[i];
	asked[next] = q;
	answer[next] = computed(ctx, point, digest, sig, sig_size);
	next = (next + 1) % 64;
	if (known < 64)
		known++;
	return answer[(next + 63) % 64];
}
