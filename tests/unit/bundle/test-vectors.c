/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of SPEC-repository: made by a script and by openssl and zstd, not by the code under
 * test. */
#include "bundle/chunks.h"
#include "trust/canonical.h"
#include "trust/key.h"
#include "unit.h"
#include "util/hex.h"
#include "util/json.h"
#include "vectors.h"
#include <openssl/evp.h>
#include <zstd.h>

#define FILE_NAME "repository.txt"

static uint8_t image[512], pack[512], input[512], want[512];

static void is_digest(const void *data, size_t size, const uint8_t *digest, size_t digest_size)
{
	uint8_t sum[32];

	ck_assert_int_eq(EVP_Digest(data, size, sum, NULL, EVP_sha256(), NULL), 1);
	ck_assert_mem_eq(sum, digest, digest_size);
}

START_TEST(documented)
{
	size_t size, n;
	char *spec = vector_file(SOURCE_ROOT "/docs/SPEC-repository.md", &size);

	vectors_documented(FILE_NAME, "SPEC-repository.md");
	/* and the two that can be read, as text */
	n = vector(FILE_NAME, "canonical-input", input, sizeof(input) - 1);
	input[n] = 0;
	ck_assert_ptr_nonnull(strstr(spec, (const char *)input));
	n = vector(FILE_NAME, "canonical-output", input, sizeof(input) - 1);
	input[n] = 0;
	ck_assert_ptr_nonnull(strstr(spec, (const char *)input));
	free(spec);
}
END_TEST

static void chunk_is(const struct chunk *c)
{
	memset(want, 0, sizeof(want));
	if (c->pack_size) {
		is_digest(image + c->offset, c->size, c->digest, CHUNK_DIGEST_SIZE);
		is_digest(pack + c->pack_offset, c->pack_size, c->pack_digest, CHUNK_DIGEST_SIZE);
		ck_assert_uint_eq(
			ZSTD_decompress(want, sizeof(want), pack + c->pack_offset, c->pack_size),
			c->size);
	}
	ck_assert_mem_eq(want, image + c->offset, c->size);
}

static void group_is(const struct chunk_group *g)
{
	static struct chunk chunks[CHUNK_LEAF_CHUNKS_MAX];
	struct error e = {0};
	uint8_t leaf[CHUNK_LEAF_MAX];
	size_t n;

	if (g->body.pack_size == 0) {
		chunk_is(&g->body);
		return;
	}
	is_digest(image + g->body.offset, g->body.size, g->body.digest, CHUNK_DIGEST_SIZE);
	is_digest(pack + g->leaf_offset, g->leaf_size, g->body.pack_digest, CHUNK_DIGEST_SIZE);
	ck_assert_int_eq(chunk_leaf_parse(g, pack + g->leaf_offset, chunks, &n, &e), EF_REASON_OK);
	for (size_t i = 0; i < n; i++)
		chunk_is(&chunks[i]);
	ck_assert_uint_eq(chunk_leaf_format(chunks, n, leaf), g->leaf_size);
	ck_assert_mem_eq(leaf, pack + g->leaf_offset, g->leaf_size);
}

START_TEST(chunk_index) /* S-07 */
{
	size_t image_size = vector(FILE_NAME, "chunk-image", image, sizeof(image));
	size_t pack_size = vector(FILE_NAME, "chunk-pack", pack, sizeof(pack));
	size_t n = vector(FILE_NAME, "chunk-index", input, sizeof(input)), size;
	struct chunk_index *x = NULL;
	struct error e = {0};
	uint8_t *bytes;

	ck_assert_int_eq(chunk_index_parse(input, n, &x, &e), EF_REASON_OK);
	ck_assert_uint_eq(x->n_groups, 3);
	ck_assert_uint_eq(x->image_size, image_size);
	ck_assert_uint_eq(x->pack_size, pack_size);
	is_digest(image, image_size, x->image_sha256, 32);
	is_digest(pack, pack_size, x->pack_sha256, 32);
	for (size_t i = 0; i < x->n_groups; i++)
		group_is(&x->groups[i]);
	ck_assert_int_eq(chunk_index_format(x, &bytes, &size), 0);
	ck_assert_uint_eq(size, n);
	ck_assert_mem_eq(bytes, input, n);
	free(bytes);
	chunk_index_free(x);
}
END_TEST

START_TEST(canonical_and_signature) /* S-01, S-02 */
{
	size_t n = vector(FILE_NAME, "canonical-input", input, sizeof(input)), size;
	size_t m = vector(FILE_NAME, "canonical-output", want, sizeof(want));
	uint8_t key_text[512], sig[64], id[32];
	char *bytes, text[65], key_id[65];
	struct error e = {0};
	json_t *doc, *key;
	struct tuf_key *k;

	doc = json_read(input, n, "input", &e);
	ck_assert_ptr_nonnull(doc);
	ck_assert_int_eq(canonical_json(doc, &bytes, &size), 0);
	ck_assert_uint_eq(size, m);
	ck_assert_mem_eq(bytes, want, m);

	n = vector(FILE_NAME, "key", key_text, sizeof(key_text));
	key = json_read(key_text, n, "key", &e);
	ck_assert_ptr_nonnull(key);
	ck_assert_uint_eq(vector(FILE_NAME, "key-id", id, sizeof(id)), 32);
	tuf_key_id(key, key_id);
	ck_assert_str_eq(key_id, digest_hex(id, text));
	k = tuf_key_from_json(key, &e);
	ck_assert_ptr_nonnull(k);
	ck_assert_uint_eq(vector(FILE_NAME, "signature", sig, sizeof(sig)), 64);
	ck_assert(tuf_key_verify(k, bytes, size, sig, 64));
	bytes[0] ^= 1;
	ck_assert(!tuf_key_verify(k, bytes, size, sig, 64));
	tuf_key_free(k);
	free(bytes);
	json_decref(doc);
	json_decref(key);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("vectors");
	TCase *t = tcase_create("repository");

	tcase_add_test(t, documented);
	tcase_add_test(t, chunk_index);
	tcase_add_test(t, canonical_and_signature);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
