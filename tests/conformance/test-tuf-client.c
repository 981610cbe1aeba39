/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of the public suite, from the specification: basic, expiration, file download, quoting,
 * static repositories. Keys, rollback, delegation graphs and rotations are in
 * test-tuf-client-roles, what expires while a client runs in test-tuf-client-clock.
 */
#include "client.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include "util/json.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define repo (world.repo)

static const char *const roles[] = {"root", "timestamp", "snapshot", "targets"};

/* --- basic --- */

START_TEST(test_refresh)
{
	ck_assert_int_eq(init(), 0);
	ck_assert_str_eq(world.requests, "");
	ck_assert_int_eq(refresh(), 0);
	assert_asked("2.root.json timestamp.json 1.snapshot.json 1.targets.json ");
	ck_assert_int_eq(count(world.metadata), 4);
	for (int i = 0; i < 4; i++)
		assert_held(roles[i]);
	ck_assert_int_eq(refresh(), 0);
	assert_asked("2.root.json timestamp.json ");
	repo_bump(repo, "root");
	publish_all();
	ck_assert_int_eq(refresh(), 0);
	assert_asked("2.root.json 3.root.json timestamp.json 2.snapshot.json 2.targets.json ");
	assert_versions(2, 2, 2, 2);
}
END_TEST

START_TEST(test_implicit_refresh)
{
	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(download("nonexistent artifact"), 1);
	assert_asked("2.root.json timestamp.json 1.snapshot.json 1.targets.json ");
	assert_versions(1, 1, 1, 1);
	ck_assert_int_eq(count(world.targets), 0);
}
END_TEST

START_TEST(test_bad_initial_root)
{
	_cleanup_json_ json_t *v = repo_envelope(repo, "root");

	if (_i == 0)
		json_object_del(json_object_get(v, "signed"), "version");
	else if (_i == 1)
		json_array_clear(json_object_get(v, "signatures"));
	else
		json_object_set_new(json_array_get(json_object_get(v, "signatures"), 0), "sig",
			json_string("00"));
	_cleanup_free_ char *text = json_dumps(v, 0);
	ck_assert_int_eq(init_with(text, strlen(text)), 1);
	ck_assert_int_eq(refresh(), 1);
	ck_assert_str_eq(world.requests, "");
}
END_TEST

/* Which role is signed by a stranger, and what is trusted afterwards. */
START_TEST(test_unsigned)
{
	static const int after[][4] = {{1, 0, 0, 0}, {2, 0, 0, 0}, {2, 2, 0, 0}, {2, 2, 2, 0}};

	ck_assert_int_eq(init(), 0);
	repo_signers(repo, roles[_i], LIST(20));
	repo_bump(repo, "root");
	publish_all();
	ck_assert_int_eq(refresh(), 1);
	assert_versions(after[_i][0], after[_i][1], after[_i][2], after[_i][3]);
}
END_TEST

/* A version in the name of the file, and another one in it. */
START_TEST(test_version_mismatch)
{
	static const char *const files[] = {"2.root.json", "2.snapshot.json", "2.targets.json"};
	static const char *const names[] = {"root", "snapshot", "targets"};
	static const int after[][4] = {{1, 0, 0, 0}, {1, 2, 0, 0}, {1, 2, 2, 0}};

	ck_assert_int_eq(init(), 0);
	publish_all();
	repo_set_version(repo, names[_i], 3);
	_cleanup_json_ json_t *v = repo_envelope(repo, names[_i]);
	repo_put_json(repo, files[_i], v);
	ck_assert_int_eq(refresh(), 1);
	assert_versions(after[_i][0], after[_i][1], after[_i][2], after[_i][3]);
}
END_TEST

/* The same version with other content is no news: what is trusted stays, nothing is fetched. */
START_TEST(test_timestamp_changed_in_place)
{
	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(refresh(), 0);
	json_t *meta = json_object_get(repo_body(repo, "timestamp"), "meta");
	json_object_set_new(json_object_get(meta, "snapshot.json"), "version", json_integer(100));
	repo_publish(repo, "timestamp");
	ck_assert_int_eq(refresh(), 0);
	assert_asked("2.root.json timestamp.json ");
	assert_versions(1, 1, 1, 1);
	_cleanup_json_ json_t *v = repo_envelope(repo, "timestamp");
	char path[200];
	snprintf(path, sizeof(path), "%s/timestamp.json", world.metadata);
	_cleanup_json_ json_t *held = json_load_file(path, 0, NULL);
	ck_assert(!json_equal(held, v));
}
END_TEST

/* Targets that no snapshot lists yet do not exist. */
START_TEST(test_newer_than_listed)
{
	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(refresh(), 0);
	repo_bump(repo, "targets");
	ck_assert_int_eq(refresh(), 0);
	assert_asked_last(" timestamp.json ");
	assert_versions(1, 1, 1, 1);
}
END_TEST

START_TEST(test_metadata_digests)
{
	ck_assert_int_eq(init(), 0);
	repo->meta_hashes = true;
	publish_all();
	ck_assert_int_eq(refresh(), 0);
	publish_all();
	json_t *meta = json_object_get(
		json_object_get(repo_body(repo, "snapshot"), "meta"), "targets.json");
	json_object_set_new(meta, "hashes",
		json_pack("{s:s}", "sha256",
			"46419349341cfb2d95f6ae3d4cd5c3d3dd7f4673985dad42a45130be5e0531a0"));
	repo->meta_hashes = false; /* of this snapshot */
	repo_bump(repo, "snapshot");
	json_object_set_new(json_object_get(repo_body(repo, "timestamp"), "meta"), "snapshot.json",
		json_pack("{s:I}", "version", (json_int_t)repo_version(repo, "snapshot")));
	repo_bump(repo, "timestamp");
	ck_assert_int_eq(refresh(), 1);
	assert_versions(1, 4, 4, 2);
}
END_TEST

/* The bytes that came are the bytes that are kept. */
START_TEST(test_bytes_kept)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_json_ json_t *v = repo_envelope(repo, "timestamp");

	ck_assert_int_eq(init(), 0);
	text = json_dumps(v, JSON_INDENT(7) | JSON_SORT_KEYS);
	repo_put(repo, "timestamp.json", text, strlen(text));
	ck_assert_int_eq(refresh(), 0);
	assert_held("timestamp");
}
END_TEST

/* Fields that nobody knows are signed like all others, and no obstacle. */
START_TEST(test_unknown_fields)
{
	json_t *root = repo_body(repo, "root");

	ck_assert_int_eq(init(), 0);
	json_object_set_new(root, "custom-field", json_pack("{s:[i,b,n]}", "a", 1, 1));
	json_object_set_new(json_object_get(json_object_get(root, "roles"), "root"), "another",
		json_string("value"));
	const char *id;
	json_t *key;
	json_object_foreach (json_object_get(root, "keys"), id, key)
		json_object_set_new(key, "keyid_hash_algorithms", json_pack("[s]", "md5"));
	repo_bump(repo, "root");
	publish_all();
	ck_assert_int_eq(refresh(), 0);
	assert_versions(2, 2, 2, 2);
}
END_TEST

START_TEST(test_missing_file)
{
	static const char *const names[] = {"timestamp.json", "2.snapshot.json", "2.targets.json"};
	static const int after[][4] = {{1, 1, 1, 1}, {1, 2, 1, 1}, {1, 2, 2, 1}};

	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(refresh(), 0);
	publish_all();
	repo_remove(repo, names[_i]);
	ck_assert_int_eq(refresh(), 1);
	assert_asked_last(
		(const char *[]){" timestamp.json ", " 2.snapshot.json ", " 2.targets.json "}[_i]);
	assert_versions(after[_i][0], after[_i][1], after[_i][2], after[_i][3]);
}
END_TEST

/* S-04: a snapshot in the place of a timestamp, were it signed by the timestamp's key. */
START_TEST(test_wrong_type)
{
	ck_assert_int_eq(init(), 0);
	json_object_set_new(json_object_get(repo_body(repo, "snapshot"), "meta"), "snapshot.json",
		json_pack("{s:i}", "version", 1));
	repo_keys(repo, "snapshot", 1, LIST(1, 2));
	repo_bump(repo, "root");
	repo_set_version(repo, "snapshot", 2);
	_cleanup_json_ json_t *v = repo_envelope(repo, "snapshot");
	repo_put_json(repo, "timestamp.json", v);
	ck_assert_int_eq(refresh(), 1);
	assert_versions(2, 0, 0, 0);
}
END_TEST

/* An error of the server is no "there is no newer root". */
START_TEST(test_http_status)
{
	ck_assert_int_eq(init(), 0);
	world.status = (int[]){500, 503, 204, 301, 410, 403}[_i];
	ck_assert_int_eq(refresh(), 1);
	assert_asked(_i == 5 ? "2.root.json timestamp.json " : "2.root.json ");
	world.status = 0;
	ck_assert_int_eq(refresh(), 0);
}
END_TEST

START_TEST(test_endless_data)
{
	ck_assert_int_eq(init(), 0);
	uint8_t *big = calloc(1, 1 << 20);
	repo_put(repo, "timestamp.json", big, 1 << 20);
	free(big);
	ck_assert_int_eq(refresh(), 1);
	ck_assert_uint_eq(version("timestamp"), 0);
}
END_TEST

/* Without consistent snapshots no file but the root has a version or a digest in its name. */
START_TEST(test_not_consistent)
{
	ck_assert_int_eq(init(), 0);
	json_object_set_new(repo_body(repo, "root"), "consistent_snapshot", json_boolean(_i));
	if (_i == 2)
		json_object_del(repo_body(repo, "root"), "consistent_snapshot");
	repo_bump(repo, "root");
	delegate("targets", "..", 5, "dir/*");
	publish_target("..", "dir/file", "content", "content");
	repo_put(repo, "targets/dir/file", "content", 7);
	publish_all();
	ck_assert_int_eq(download("dir/file"), 0);
	assert_target("dir%2Ffile", "content");
	assert_asked(_i == 1 ? "2.root.json 3.root.json timestamp.json 3.snapshot.json "
			       "2.targets.json 2....json "
			     : "2.root.json 3.root.json timestamp.json snapshot.json "
			       "targets.json ...json ");
}
END_TEST

START_TEST(test_usage)
{
	ck_assert_int_eq(RUN("refresh"), 1);
	ck_assert_int_eq(RUN("--metadata-dir", world.metadata, "refresh"), 1);
	ck_assert_int_eq(RUN("--metadata-dir", world.metadata, "init"), 1);
	ck_assert_int_eq(RUN("--metadata-dir", world.metadata, "init", "/nonexistent"), 1);
	ck_assert_int_eq(RUN("--metadata-dir", world.metadata, "--metadata-url", world.metadata_url,
				 "download"),
		1);
	ck_assert_int_eq(RUN("--nonsense"), 1);
	ck_assert_int_eq(RUN("--metadata-dir", world.metadata, "--metadata-url", world.metadata_url,
				 "erase"),
		1);
	ck_assert_str_eq(world.requests, "");
}
END_TEST

/* --- expiration --- */

/* A root that has expired is taken, and then nothing more; of others not even that. */
START_TEST(test_expired)
{
	static const int first[][4] = {{2, 0, 0, 0}, {1, 0, 0, 0}, {1, 2, 0, 0}, {1, 2, 2, 0}};
	bool seen = _i >= 4; /* the client has been here before */
	int i = _i % 4, n = seen ? 1 : 0;

	ck_assert_int_eq(init(), 0);
	if (seen)
		ck_assert_int_eq(refresh(), 0);
	repo_expire(repo, roles[i], PAST);
	if (i == 0)
		repo_bump(repo, "root");
	publish_all();
	ck_assert_int_eq(refresh(), 1);
	assert_versions(
		first[i][0], first[i][1] ? first[i][1] : n, first[i][2] ? first[i][2] : n, n);
}
END_TEST

START_TEST(test_expired_delegated)
{
	ck_assert_int_eq(init(), 0);
	delegate("targets", "role", 5, "*");
	repo_expire(repo, "role", PAST);
	publish_target("role", "file", "content", "content");
	publish_all();
	ck_assert_int_eq(refresh(), 0);
	ck_assert_int_eq(download("file"), 1);
	ck_assert_uint_eq(version("role"), 0);
	ck_assert_int_eq(count(world.targets), 0);
}
END_TEST

/* --- file download --- */

START_TEST(test_download)
{
	ck_assert_int_eq(init(), 0);
	publish_target("targets", "file.txt", "content", "content");
	publish_target("targets", "path/to/a/file.txt", "deeper", "deeper");
	publish_target("targets", "path", "", "");
	ck_assert_int_eq(refresh(), 0);
	ck_assert_int_eq(count(world.targets), 0);
	ck_assert_int_eq(download("file.txt"), 0);
	assert_target("file.txt", "content");
	ck_assert_int_eq(download("path/to/a/file.txt"), 0);
	assert_target("path%2Fto%2Fa%2Ffile.txt", "deeper");
	ck_assert_ptr_nonnull(strstr(world.requests, "/targets/path/to/a/"));
	ck_assert_int_eq(download("path"), 0);
	assert_target("path", "");
	/* What is there already is not fetched again. */
	ck_assert_int_eq(download("file.txt"), 0);
	ck_assert_ptr_null(strstr(world.requests, "/targets/"));
	/* A new version takes the place of the old one. */
	publish_target("targets", "file.txt", "news", "news");
	ck_assert_int_eq(download("file.txt"), 0);
	assert_target("file.txt", "news");
	ck_assert_int_eq(count(world.targets), 3);
}
END_TEST

/* Several in one go, in their order, up to the first that fails. */
START_TEST(test_download_several)
{
	ck_assert_int_eq(init(), 0);
	publish_target("targets", "one", "content", "content");
	publish_target("targets", "two", "more", "more");
	publish_target("targets", "bad", "content", "CONTENT");
	ck_assert_int_eq(download_both("one", "two"), 0);
	ck_assert_int_eq(count(world.targets), 2);
	ck_assert_int_eq(download_both("two", "bad"), 1);
	ck_assert_int_eq(download_both("bad", "one"), 1);
	ck_assert_ptr_null(strstr(world.requests, ".one "));
	ck_assert_int_eq(count(world.targets), 2);
}
END_TEST

START_TEST(test_substituted)
{
	ck_assert_int_eq(init(), 0);
	publish_target("targets", "good", "content", "content");
	ck_assert_int_eq(download("good"), 0);
	publish_target("targets", "shorter", "content", "conten");
	publish_target("targets", "longer", "content", "contents");
	publish_target("targets", "other", "content", "CONTENT");
	ck_assert_int_eq(download("shorter"), 1);
	ck_assert_int_eq(download("longer"), 1);
	ck_assert_int_eq(download("other"), 1);
	ck_assert_int_eq(count(world.targets), 1);
	/* What was good stays when the server has something else in its place. */
	publish_target("targets", "good", "content", "CONTENT");
	ck_assert_int_eq(download("good"), 0);
	assert_target("good", "content");
	publish_target("targets", "good", "contents", "CONTENTS");
	ck_assert_int_eq(download("good"), 1);
	assert_target("good", "content");
	/* A file that someone changed here is fetched anew. */
	publish_target("targets", "good", "content", "content");
	char path[200];
	snprintf(path, sizeof(path), "%s/good", world.targets);
	ck_assert_int_eq(truncate(path, 3), 0);
	ck_assert_int_eq(download("good"), 0);
	assert_target("good", "content");
}
END_TEST

/* sha256, sha512, both, and none that is known: by one of them in the name, checked by all. */
START_TEST(test_digests)
{
	uint8_t digest[64];
	char s256[129], s512[129], file[200];
	json_t *hashes;

	EVP_Digest("content", 7, digest, NULL, EVP_sha256(), NULL);
	hex_encode(digest, 32, s256);
	EVP_Digest("content", 7, digest, NULL, EVP_sha512(), NULL);
	hex_encode(digest, 64, s512);
	hashes = _i == 0   ? json_pack("{s:s}", "sha256", s256)
		 : _i == 1 ? json_pack("{s:s}", "sha512", s512)
		 : _i == 2 ? json_pack("{s:s, s:s}", "sha512", s512, "sha256", s256)
		 : _i == 3 ? json_pack("{s:s, s:s}", "blake2b", "00", "sha256", s256)
		 : _i == 4 ? json_pack("{s:s}", "unknown", s512)
			   : NULL;
	if (_i == 5) { /* one of two is wrong */
		s512[0] ^= 1;
		hashes = json_pack("{s:s, s:s}", "sha512", s512, "sha256", s256);
	}
	ck_assert_int_eq(init(), 0);
	json_object_set_new(json_object_get(repo_body(repo, "targets"), "targets"), "file",
		json_pack("{s:i, s:o}", "length", 7, "hashes", hashes));
	snprintf(file, sizeof(file), "targets/%s.file", s256);
	repo_put(repo, file, "content", 7);
	snprintf(file, sizeof(file), "targets/%s.file", s512);
	repo_put(repo, file, "content", 7);
	publish_all();
	ck_assert_int_eq(download("file"), _i < 4 ? 0 : 1);
	ck_assert_int_eq(count(world.targets), _i < 4 ? 1 : 0);
}
END_TEST

/* --- quoting --- */

/* Names of roles are quoted in requests, and stay in their folder here. */
START_TEST(test_quoting)
{
	static const struct {
		const char *role, *quoted;
	} t[] = {{"?", "%3F"}, {"#", "%23"}, {"/delegated", "%2Fdelegated"},
		{"../delegated", "..%2Fdelegated"}, {"..", ".."}, {"a b%20", "a%20b%2520"},
		{"\xc3\xa9\\\n", "%C3%A9%5C%0A"}};
	char want[64];

	ck_assert_int_eq(init(), 0);
	delegate("targets", t[_i].role, 5, "*");
	publish_all();
	ck_assert_int_eq(download("nonexistent"), 1);
	snprintf(want, sizeof(want), " 1.%s.json ", t[_i].quoted);
	assert_asked_last(want);
	ck_assert_uint_eq(version(t[_i].quoted), 1);
	ck_assert_int_eq(count(world.metadata), 5);
	ck_assert_int_eq(count(world.dir), 2); /* metadata and the root that was given */
}
END_TEST

START_TEST(test_target_names)
{
	static const struct {
		const char *name, *file;
	} t[] = {{"../up", "..%2Fup"}, {"/abs", "%2Fabs"}, {"a b", "a%20b"}, {"a%20b", "a%2520b"},
		{"\xc3\xa9?#", "%C3%A9%3F%23"}};

	ck_assert_int_eq(init(), 0);
	publish_target("targets", t[_i].name, "content", "content");
	/* As the server is asked for it. */
	for (size_t i = 0; i < repo->n_files; i++)
		if (strncmp(repo->files[i].name, "targets/", 8) == 0 && _i >= 2) {
			char *tail = strrchr(repo->files[i].name, '.') + 1;
			strcpy(tail, t[_i].file);
		}
	ck_assert_int_eq(download(t[_i].name), 0);
	assert_target(t[_i].file, "content");
	ck_assert_int_eq(count(world.dir), 3);
}
END_TEST

/* --- static repositories --- */

/* Bytes that another tool signed: static/README.md. The root that is given is not the last one. */
START_TEST(test_static)
{
	world.folder = STATIC;
	ck_assert_int_eq(
		RUN("--metadata-dir", world.metadata, "init", STATIC "/metadata/1.root.json"), 0);
	ck_assert_int_eq(refresh(), 0);
	assert_versions(3, 4, 4, 2);
	ck_assert_int_eq(download_both("notes.txt", "firmware/board.bin"), 0);
	assert_target("notes.txt", "Notes.\n");
	assert_target("firmware%2Fboard.bin", "\x01\x02\x03 firmware\n");
	ck_assert_int_eq(download("firmware/other"), 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-client");
	TCase *t = world_case("client");

	tcase_add_test(t, test_refresh);
	tcase_add_test(t, test_implicit_refresh);
	tcase_add_loop_test(t, test_bad_initial_root, 0, 3);
	tcase_add_loop_test(t, test_unsigned, 0, 4);
	tcase_add_loop_test(t, test_version_mismatch, 0, 3);
	tcase_add_test(t, test_timestamp_changed_in_place);
	tcase_add_test(t, test_newer_than_listed);
	tcase_add_test(t, test_metadata_digests);
	tcase_add_test(t, test_bytes_kept);
	tcase_add_test(t, test_unknown_fields);
	tcase_add_loop_test(t, test_missing_file, 0, 3);
	tcase_add_test(t, test_wrong_type);
	tcase_add_loop_test(t, test_http_status, 0, 6);
	tcase_add_test(t, test_endless_data);
	tcase_add_loop_test(t, test_not_consistent, 0, 3);
	tcase_add_test(t, test_usage);
	tcase_add_loop_test(t, test_expired, 0, 8);
	tcase_add_test(t, test_expired_delegated);
	tcase_add_test(t, test_download);
	tcase_add_test(t, test_download_several);
	tcase_add_test(t, test_substituted);
	tcase_add_loop_test(t, test_digests, 0, 6);
	tcase_add_loop_test(t, test_quoting, 0, 7);
	tcase_add_loop_test(t, test_target_names, 0, 5);
	tcase_add_test(t, test_static);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
