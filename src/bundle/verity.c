/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/verity.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <endian.h>
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#define SALT_MAX 256u
#define DIGESTS (VERITY_BLOCK / 32) /* in a block of the tree */

/* As it lies on the medium, little-endian. */
struct superblock {
	uint8_t signature[8];
	uint32_t version;
	uint32_t hash_type; /* 1: the salt comes before the block */
	uint8_t uuid[16];
	char algorithm[32];
	uint32_t data_block_size, hash_block_size;
	uint64_t data_blocks;
	uint16_t salt_size;
	uint8_t pad[6];
	uint8_t salt[SALT_MAX];
	uint8_t pad2[168];
};
_Static_assert(sizeof(struct superblock) == 512, "superblock");

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

static uint64_t tree_blocks(uint64_t data_blocks)
{
	uint64_t sum = 0;

	for (uint64_t n = data_blocks; n > 1; sum += n)
		n = n / DIGESTS + (n % DIGESTS != 0);
	return sum;
}

bool verity_fits(uint64_t offset, uint64_t image_size)
{
	return offset >= 2 * VERITY_BLOCK && offset % VERITY_BLOCK == 0 && offset < image_size &&
	       (image_size - offset) / VERITY_BLOCK > tree_blocks(offset / VERITY_BLOCK);
}

static enum ef_reason check_superblock(
	const struct superblock *s, const struct verity *v, struct error *e)
{
	static const uint8_t signature[8] = "verity";
	static const char algorithm[32] = "sha256";

	if (memcmp(s->signature, signature, sizeof(signature)) != 0)
		return error_set(e, EF_REASON_BAD_FORMAT,
			"dm-verity: no superblock at byte %llu of the image",
			(unsigned long long)v->offset);
	if (le32toh(s->version) != 1 || le32toh(s->hash_type) != 1 ||
		memcmp(s->algorithm, algorithm, sizeof(algorithm)) != 0 ||
		le32toh(s->data_block_size) != VERITY_BLOCK ||
		le32toh(s->hash_block_size) != VERITY_BLOCK || le16toh(s->salt_size) > SALT_MAX)
		return error_set(e, EF_REASON_BAD_FORMAT,
			"dm-verity: other than version 1, SHA-256, blocks of 4096 bytes");
	if (le64toh(s->data_blocks) != v->offset / VERITY_BLOCK)
		return error_set(e, EF_REASON_BAD_SIZE,
			"dm-verity: the tree is over %llu blocks, %llu stand before it",
			(unsigned long long)le64toh(s->data_blocks),
			(unsigned long long)(v->offset / VERITY_BLOCK));
	return EF_REASON_OK;
}

enum ef_reason verity_check(int fd, const struct verity *v, uint64_t image_size, struct error *e)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t root[EVP_MAX_MD_SIZE], top[VERITY_BLOCK];
	struct superblock s;

	if (!verity_fits(v->offset, image_size))
		return error_set(e, EF_REASON_BAD_SIZE,
			"dm-verity: no room for a tree at byte %llu",
			(unsigned long long)v->offset);
	int r = fd_pread_full(fd, &s, sizeof(s), v->offset);
	if (r == 0)
		r = fd_pread_full(fd, top, sizeof(top), v->offset + VERITY_BLOCK);
	if (r < 0)
		return error_errno(e, r, "dm-verity");
	if (check_superblock(&s, v, e))
		return e->reason;
	/* A failing library call is a mismatch, never a match (S-03). */
	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1 ||
		EVP_DigestUpdate(md, s.salt, le16toh(s.salt_size)) != 1 ||
		EVP_DigestUpdate(md, top, sizeof(top)) != 1 ||
		EVP_DigestFinal_ex(md, root, NULL) != 1 ||
		memcmp(root, v->root, sizeof(v->root)) != 0)
		return error_set(e, EF_REASON_BAD_DIGEST,
			"dm-verity: the tree in the image has another root hash");
	return EF_REASON_OK;
}
