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

bool codec_digest(struct codec *c, const void *data, size_t size, uint8_t digest[CHUNK_DIGEST_SIZE])
{
	uint8_t got[EVP_MAX_MD_SIZE];

	if (EVP_DigestInit_ex2(c->md, c->sha256, NULL) != 1 ||
		EVP_DigestUpdate(c->md, data, size) != 1 ||
		EVP_DigestFinal_ex(c->md, got, NULL) != 1)
		return false;
	memcpy(digest, got, CHUNK_DIGEST_SIZE);
	return true;
}

bool codec_matches(
	struct codec *c, const void *data, size_t size, const uint8_t digest[CHUNK_DIGEST_SIZE])
{
	uint8_t got[CHUNK_DIGEST_SIZE];

	/* A failing library call is a mismatch, never a match (S-03). */
	return codec_digest(c, data, size, got) && memcmp(got, digest, CHUNK_DIGEST_SIZE) == 0;
}

static enum ef_reason bad(
	const struct chunk *x, enum ef_reason reason, const char *what, struct error *e)
{
	return error_set(e, reason, "chunk at byte %llu: %s", (unsigned long long)x->offset, what);
}

enum ef_reason codec_unpack(
	struct codec *c, const struct chunk *x, const void *in, void *out, struct error *e)
{
	if (!codec_matches(c, in, x->pack_size, x->pack_digest))
		return bad(x, EF_REASON_BAD_DIGEST, "compressed bytes", e);
	/*
	 * One frame, no more, that says the signed size: into a buffer of just that size, so that
	 * neither output nor window can grow (S-28).
	 */
	if (ZSTD_getFrameContentSize(in, x->pack_size) != x->size ||
		ZSTD_findFrameCompressedSize(in, x->pack_size) != x->pack_size)
		return bad(x, EF_REASON_BAD_SIZE, "not one frame of its size", e);
	size_t got = ZSTD_decompressDCtx(c->zstd, out, x->size, in, x->pack_size);
	if (ZSTD_isError(got))
		return bad(x, EF_REASON_BAD_DIGEST, ZSTD_getErrorName(got), e);
	if (got != x->size)
		return bad(x, EF_REASON_BAD_SIZE, "fewer bytes than its size", e);
	return EF_REASON_OK;
}
