/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: their names on a server, their bytes (S-06). */
#include "trust/tuf-target.h"
#include "unit.h"
#include "util/hex.h"
#include "util/json.h"
#include <string.h>

#define SHA256_A "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
#define SHA512_A                                                                                   \
	"1f40fc92da241694750979ee6cf582f2d5d7d28e18335de05abc54d0560e0f5302860c652bf08d560252aa5e" \
	"74210546"                                                                                 \
	"f369fbbbce8c12cfc7957b2652fe9a75"

static enum ef_reason fill(
	struct tuf_target *t, const char *path, const char *entry, bool consistent)
{
	struct error e = {0};
	_cleanup_json_ json_t *o = json_loads(entry, 0, NULL);

	ck_assert_ptr_nonnull(o);
	tuf_target_fill(t, path, o, consistent, &e);
	t->custom = NULL;
	return e.reason;
}

START_TEST(test_file)
{
	static const struct {
		const char *path, *hashes, *want;
		bool consistent;
	} t[] = {
		{"a/b/c.json", "\"sha256\":\"" SHA256_A "\"", "a/b/" SHA256_A ".c.json", true},
		{"c.json", "\"sha256\":\"" SHA256_A "\"", SHA256_A ".c.json", true},
		{"a/b/c.json", "\"sha256\":\"" SHA256_A "\"", "a/b/c.json", false},
		{"a/c", "\"sha512\":\"" SHA512_A "\"", "a/" SHA512_A ".c", true},
		{"a/c", "\"sha512\":\"" SHA512_A "\",\"sha256\":\"" SHA256_A "\"",
			"a/" SHA256_A ".c", true},
		{"a/", "\"sha256\":\"" SHA256_A "\"", "a/" SHA256_A ".", true},
	};
	char entry[400], out[TUF_TARGET_FILE_MAX];
	struct tuf_target target;

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		snprintf(entry, sizeof(entry), "{\"length\":1,\"hashes\":{%s}}", t[i].hashes);
		ck_assert_int_eq(fill(&target, t[i].path, entry, t[i].consistent), EF_REASON_OK);
		tuf_target_file(&target, out, sizeof(out));
		ck_assert_str_eq(out, t[i].want);
		tuf_target_file(&target, out, strlen(t[i].want) + 1);
		ck_assert_str_eq(out, t[i].want);
		tuf_target_file(&target, out, strlen(t[i].want)); /* cut names are no names */
		ck_assert_str_eq(out, "");
	}
}
END_TEST

START_TEST(test_file_longest)
{
	char path[513], out[TUF_TARGET_FILE_MAX];
	struct tuf_target target;

	memset(path, 'p', sizeof(path));
	path[512] = 0;
	ck_assert_int_eq(fill(&target, path,
				 "{\"length\":1,\"hashes\":{\"sha512\":\"" SHA512_A "\"}}", true),
		EF_REASON_BAD_FORMAT);
	path[511] = 0;
	ck_assert_int_eq(fill(&target, path,
				 "{\"length\":1,\"hashes\":{\"sha512\":\"" SHA512_A "\"}}", true),
		EF_REASON_OK);
	tuf_target_file(&target, out, sizeof(out));
	ck_assert_uint_eq(strlen(out), 511 + 129);
}
END_TEST

START_TEST(test_check)
{
	static const struct {
		const char *entry, *content;
		enum ef_reason want;
	} t[] = {
		{"{\"length\":1,\"hashes\":{\"sha256\":\"" SHA256_A "\"}}", "a", EF_REASON_OK},
		{"{\"length\":1,\"hashes\":{\"sha512\":\"" SHA512_A "\"}}", "a", EF_REASON_OK},
		{"{\"length\":1,\"hashes\":{\"sha256\":\"" SHA256_A "\",\"sha512\":\"" SHA512_A
		 "\"}}",
			"a", EF_REASON_OK},
		{"{\"length\":1,\"hashes\":{\"sha256\":\"" SHA256_A "\",\"md5\":\"00\"}}", "a",
			EF_REASON_OK},
		{"{\"length\":1,\"hashes\":{\"sha256\":\"" SHA256_A "\"}}", "b",
			EF_REASON_BAD_DIGEST},
		{"{\"length\":1,\"hashes\":{\"sha512\":\"" SHA512_A "\"}}", "b",
			EF_REASON_BAD_DIGEST},
		{"{\"length\":1,\"hashes\":{\"sha256\":\"" SHA256_A "\"}}", "", EF_REASON_BAD_SIZE},
		{"{\"length\":1,\"hashes\":{\"sha256\":\"" SHA256_A "\"}}", "aa",
			EF_REASON_BAD_SIZE},
		{"{\"length\":2,\"hashes\":{\"sha256\":\"" SHA256_A "\"}}", "a",
			EF_REASON_BAD_SIZE},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct tuf_target target;
		struct error e = {0};
		ck_assert_int_eq(fill(&target, "a", t[i].entry, true), EF_REASON_OK);
		ck_assert_int_eq(tuf_target_check(&target, t[i].content, strlen(t[i].content), &e),
			t[i].want);
	}
}
END_TEST

/* Both digests are checked when both are signed. */
START_TEST(test_both)
{
	struct tuf_target target;
	struct error e = {0};

	ck_assert_int_eq(fill(&target, "a",
				 "{\"length\":1,\"hashes\":{\"sha256\":\"" SHA256_A
				 "\",\"sha512\":\"" SHA512_A "\"}}",
				 true),
		EF_REASON_OK);
	if (_i)
		target.sha512[63] ^= 1;
	else
		target.sha256[0] ^= 1;
	ck_assert_int_eq(tuf_target_check(&target, "a", 1, &e), EF_REASON_BAD_DIGEST);
}
END_TEST

/* A missing, short, long, upper-case or padded digest is an error, never "no check". */
START_TEST(test_digest_forms)
{
	static const char *const entries[] = {
		"{\"length\":1}",
		"{\"length\":1,\"hashes\":{}}",
		"{\"length\":1,\"hashes\":[]}",
		"{\"length\":1,\"hashes\":{\"md5\":\"0cc175b9c0f1b6a831c399e269772661\"}}",
		"{\"length\":1,\"hashes\":{\"sha256\":\"\"}}",
		"{\"length\":1,\"hashes\":{\"sha256\":null}}",
		"{\"length\":1,\"hashes\":{\"sha256\":\"ca978112\"}}",
		"{\"length\":1,\"hashes\":{\"sha256\":\"" SHA256_A "00\"}}",
		"{\"length\":1,\"hashes\":{\"sha256\":\" " SHA256_A "\"}}",
		"{\"length\":1,\"hashes\":{\"sha256\":\"" SHA256_A " \"}}",
		"{\"length\":1,\"hashes\":{\"sha256\":"
		"\"CA978112CA1BBDCAFAC231B39A23DC4DA786EFF8147C4E72B9807785AFEE48BB\"}}",
		"{\"length\":1,\"hashes\":{\"sha256\":\"" SHA256_A "\",\"sha512\":\"" SHA256_A
		"\"}}",
		"{\"length\":1,\"hashes\":{\"SHA256\":\"" SHA256_A "\"}}",
		"{\"length\":-1,\"hashes\":{\"sha256\":\"" SHA256_A "\"}}",
		"{\"length\":1.0,\"hashes\":{\"sha256\":\"" SHA256_A "\"}}",
		"{\"length\":\"1\",\"hashes\":{\"sha256\":\"" SHA256_A "\"}}",
		"{\"hashes\":{\"sha256\":\"" SHA256_A "\"}}",
	};
	struct tuf_target target;

	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
		ck_assert_msg(fill(&target, "a", entries[i], true) == EF_REASON_BAD_DIGEST, "%s",
			entries[i]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/target");
	TCase *t = tcase_create("target");

	tcase_add_test(t, test_file);
	tcase_add_test(t, test_file_longest);
	tcase_add_test(t, test_check);
	tcase_add_loop_test(t, test_both, 0, 2);
	tcase_add_test(t, test_digest_forms);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
