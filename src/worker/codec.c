/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/codec.h"
#include <errno.h>
#include <string.h>

int codec_open(struct codec *c)
{
	*c = (struct codec){
		.sha256 = EVP_MD_fetch(NULL, "SHA256", NULL),
		.md = EVP_MD_CTX_new(),
		.zstd = ZSTD_createDCtx(),
	};
	return c->sha256 && c->md && c->zstd ? 0 : -ENOMEM;
}

void codec_close(struct codec *c)
{
	ZSTD_freeDCtx(c->zstd);
	EVP_MD_CTX_free(c->md);
	EVP_MD_free(c->sha256);
	*c = (struct codec){0};
}

bool codec_matches(
	struct codec *c, const void *data, size_t size, const uint8_t digest[CHUNK_DIGEST_SIZE])
{
	uint8_t got[EVP_MAX_MD_SIZE];

	/* A failing library call is a mismatch, never a match (S-03). */
	return EVP_DigestInit_ex2(c->md, c->sha256, NULL) == 1 &&
	       EVP_DigestUpdate(c->md, data, size) == 1 &&
	       EVP_DigestFinal_ex(c->md, got, NULL) == 1 &&
	       memcmp(got, digest, CHUNK_DIGEST_SIZE) == 0;
}

enum ef_reason codec_unpack(struct codec *c, const struct chunk *x, size_t n, const void *in,
	void *out, struct error *e)
{
	if (!codec_matches(c, in, x->pack_size, x->pack_digest))
		return error_set(e, EF_REASON_BAD_DIGEST, "chunk %zu, compressed", n);
	/*
	 * One frame, no more, that says the signed size: into a buffer of just that size, so that
	 * neither output nor window can grow (S-28).
	 */
	if (ZSTD_getFrameContentSize(in, x->pack_size) != x->size ||
		ZSTD_findFrameCompressedSize(in, x->pack_size) != x->pack_size)
		return error_set(e, EF_REASON_BAD_SIZE, "chunk %zu is not one frame of %u bytes", n,
			x->size);
	size_t got = ZSTD_decompressDCtx(c->zstd, out, x->size, in, x->pack_size);
	if (ZSTD_isError(got))
		return error_set(
			e, EF_REASON_BAD_DIGEST, "chunk %zu: %s", n, ZSTD_getErrorName(got));
	if (got != x->size)
		return error_set(e, EF_REASON_BAD_SIZE, "chunk %zu: %zu bytes instead of %u", n,
			got, x->size);
	if (!codec_matches(c, out, x->size, x->digest))
		return error_set(e, EF_REASON_BAD_DIGEST, "chunk %zu", n);
	return EF_REASON_OK;
}
