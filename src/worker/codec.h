/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Digests, and one chunk from its compressed bytes to plain ones in private memory. */
#include "bundle/chunks.h"
#include "util/reason.h"
#include <openssl/evp.h>
#include <zstd.h>

struct codec {
	EVP_MD *sha256;
	EVP_MD_CTX *md;
	ZSTD_DCtx *zstd;
};

int codec_open(struct codec *c);
void codec_close(struct codec *c);

/* False: the library failed (S-03). */
bool codec_digest(
	struct codec *c, const void *data, size_t size, uint8_t digest[CHUNK_DIGEST_SIZE]);
bool codec_matches(
	struct codec *c, const void *data, size_t size, const uint8_t digest[CHUNK_DIGEST_SIZE]);
/* in: x->pack_size bytes, checked before anything parses them; out: room for x->size, whose digest
 * is the caller's to check. BAD_DIGEST or BAD_SIZE names its place. */
enum ef_reason codec_unpack(
	struct codec *c, const struct chunk *x, const void *in, void *out, struct error *e);
