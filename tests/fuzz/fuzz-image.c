/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The image checker with primitives that a fuzzer can satisfy: the digest is a constant, a
 * signature is valid when it begins with 0x30. Reads stay inside; what check accepts, the weaker
 * looks accept too.
 */
#include <edgeferry/image.h>
#include <stdlib.h>
#include <string.h>

static int verify_ed25519(
	void *ctx, const uint8_t key[32], const uint8_t digest[32], const uint8_t sig[64])
{
	return sig[0] == 0x30 && sig[63] != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *data;
	size_t size;
	size_t read;
};

static int read_bytes(void *ctx, uint32_t offset, void *buf, size_t size)
{
	struct bytes *b = ctx;

	if (offset > b->size || size > b->size - offset)
		abort();
	b->read += size;
	memcpy(buf, b->data + offset, size);
	return 0;
}

static void sha_init(void *ctx)
{
}

static void sha_update(void *ctx, const void *data, size_t size)
{
}

static void sha_final(void *ctx, uint8_t digest[32])
{
	memset(digest, 'D', 32);
}

static void sha_resume(void *ctx, const uint8_t state[32], uint32_t hashed)
{
	if (hashed % 64)
		abort();
}

static int verify(void *ctx, const uint8_t point[65], const uint8_t digest[32], const uint8_t *sig,
	size_t size)
{
	return sig[0] == 0x30 && sig[size - 1] != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ef_image_crypto crypto = {
		NULL, sha_init, sha_update, sha_final, verify, verify_ed25519, sha_resume};
	static const uint8_t state[32], tail[64];
	static struct ef_image_key key;
	static uint8_t vendor[16];
	struct ef_image_policy policy = {.keys = &key, .n_keys = 1};
	struct bytes b = {data, size, 0};
	struct ef_image_source src = {&b, (uint32_t)size, read_bytes};
	struct ef_image_info full, early, bare;
	enum ef_reason r;

	memset(key.hash, 'D', 32); /* also what a full public key hashes to */
	key.point[0] = size & 2 ? EF_KEY_ED25519 : EF_KEY_P256;
	memset(vendor, 'V', sizeof vendor);
	if (size & 1)
		policy.vendor = vendor;
	r = ef_image_check(&src, &policy, &crypto, &full);
	if (b.read > size)
		abort(); /* a byte was read twice */
	if (r != EF_REASON_OK)
		return 0;
	if (full.total_size > size || full.total_size < EF_IMAGE_HEADER_SIZE)
		abort();
	if (ef_image_preflight(&src, &policy, &crypto, NULL, &early) ||
		memcmp(&full, &early, sizeof full))
		abort();
	/* one length of the middle's tail fits, and what is accepted with it is the same */
	unsigned fits = 0;
	for (size_t n = 0; n <= sizeof tail; n++) {
		struct ef_image_middle middle = {state, tail, n};
		if (ef_image_preflight(&src, &policy, &crypto, &middle, &early) == EF_REASON_OK)
			fits += memcmp(&full, &early, sizeof full) == 0;
	}
	if (fits != 1)
		abort();
	if (ef_image_inspect(&src, &bare) || memcmp(&full, &bare, sizeof full))
		abort();
	return 0;
}
