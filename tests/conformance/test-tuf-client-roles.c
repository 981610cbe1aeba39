/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kinds of the public suite that are about who may sign what: keys, rollback, delegation
 * graphs, key rotations. From the specification; the others are in test-tuf-client.
 */
#include "client.h"
#include "trust/key.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <stdio.h>
#include <string.h>

#define repo (world.repo)

/* --- keys --- */

/* Each kind of key signs root beside the first one; then a signature of it is over something else.
 */
START_TEST(test_key_kinds)
{
	char id[65];

	ck_assert_int_eq(init(), 0);
	EVP_PKEY_free(repo->keys[8]);
	repo->keys[8] = key_make(_i);
	repo_keys(repo, "root", 2, LIST(0, 8));
	repo_bump(repo, "root");
	ck_assert_int_eq(refresh(), 0);
	ck_assert_uint_eq(version("root"), 2);
	repo_set_version(repo, "root", 3);
	_cleanup_json_ json_t *e = repo_envelope(repo, "root");
	json_t *s = key_signature(repo_key(repo, 8), repo_body(repo, "targets"));
	ck_assert_str_eq(json_string_value(json_object_get(s, "keyid")), repo_key_id(repo, 8, id));
	json_array_set_new(json_object_get(e, "signatures"), 1, s);
	repo_put_json(repo, "3.root.json", e);
	ck_assert_int_eq(refresh(), 1);
	ck_assert_uint_eq(version("root"), 2);
}
END_TEST

START_TEST(test_below_threshold)
{
	ck_assert_int_eq(init(), 0);
	repo_keys(repo, "snapshot", 3, LIST(5, 6, 7));
	repo_bump(repo, "root");
	publish_all();
	ck_assert_int_eq(refresh(), 0);
	repo_signers(repo, "snapshot", LIST(5, 7));
	publish_all();
	ck_assert_int_eq(refresh(), 1);
	assert_versions(2, 3, 2, 2);
	/* A threshold that the keys of the role cannot reach. */
	repo_keys(repo, "snapshot", 4, LIST(5, 6, 7));
	repo_bump(repo, "root");
	publish_all();
	ck_assert_int_eq(refresh(), 1);
	ck_assert_uint_eq(version("root"), 3);
	ck_assert_uint_eq(version("snapshot"), 0);
}
END_TEST

static json_t *signatures(json_t *envelope)
{
	return json_object_get(envelope, "signatures");
}

/* One key that the role names nine times, and one signature that stands there nine times. */
START_TEST(test_duplicates)
{
	char id[65];

	ck_assert_int_eq(init(), 0);
	if (_i == 0) {
		repo_keys(repo, "snapshot", 6, LIST(5));
		json_t *role = json_object_get(
			json_object_get(repo_body(repo, "root"), "roles"), "snapshot");
		for (int i = 0; i < 8; i++)
			json_array_append_new(json_object_get(role, "keyids"),
				json_string(repo_key_id(repo, 5, id)));
		repo_bump(repo, "root");
	}
	if (_i != 1) {
		_cleanup_json_ json_t *e = repo_envelope(repo, "snapshot");
		for (int i = 0; i < 8; i++)
			json_array_append(signatures(e), json_array_get(signatures(e), 0));
		repo_put_json(repo, "1.snapshot.json", e);
	}
	ck_assert_int_eq(refresh(), _i == 1 ? 0 : 1);
	ck_assert_uint_eq(version("snapshot"), _i == 1);
}
END_TEST

/* One good signature is enough where one is asked for, whatever stands beside it. */
START_TEST(test_bad_beside_good)
{
	static const char *const sigs[] = {"", "00", "no hex", "abc"};

	ck_assert_int_eq(init(), 0);
	repo_keys(repo, "timestamp", 1, LIST(1, 5));
	repo_bump(repo, "root");
	repo_set_version(repo, "timestamp", 2);
	_cleanup_json_ json_t *e = repo_envelope(repo, "timestamp");
	json_t *first = json_array_get(signatures(e), 0);
	if (_i < 4)
		json_object_set_new(first, "sig", json_string(sigs[_i]));
	else /* a real one, of something else */
		json_array_set_new(signatures(e), 0,
			key_signature(repo_key(repo, 1), repo_body(repo, "targets")));
	repo_put_json(repo, "timestamp.json", e);
	ck_assert_int_eq(refresh(), 0);
	assert_versions(2, 2, 1, 1);
}
END_TEST

/* --- rollback --- */

START_TEST(test_rollback)
{
	static const char *const roles[] = {"timestamp", "snapshot", "targets"};

	repo->meta_hashes = _i >= 3;
	ck_assert_int_eq(init(), 0);
	publish_all();
	ck_assert_int_eq(refresh(), 0);
	assert_versions(1, 2, 2, 2);
	if (_i % 3 == 0) {
		repo_set_version(repo, "timestamp", 1);
		repo_publish(repo, "timestamp");
	} else {
		repo_set_version(repo, roles[_i % 3], _i % 3 == 1 ? 0 : 1);
		repo_update(repo);
	}
	ck_assert_int_eq(refresh(), 1);
	assert_asked_last(_i % 3 == 2 ? " 3.snapshot.json " : " timestamp.json ");
	assert_versions(1, _i % 3 == 2 ? 3 : 2, 2, 2);
}
END_TEST

/* What a snapshot listed it goes on listing. */
START_TEST(test_role_removed)
{
	ck_assert_int_eq(init(), 0);
	delegate("targets", "role", 5, "dir/*");
	publish_all();
	ck_assert_int_eq(refresh(), 0);
	json_object_del(json_object_get(repo_body(repo, "snapshot"), "meta"), "role.json");
	repo_bump(repo, "snapshot");
	json_object_set_new(json_object_get(repo_body(repo, "timestamp"), "meta"), "snapshot.json",
		json_pack("{s:i}", "version", 3));
	repo_bump(repo, "timestamp");
	ck_assert_int_eq(refresh(), 1);
	ck_assert_uint_eq(version("snapshot"), 2);
}
END_TEST

/* S-17: versions that a thief pushed far ahead, cured by new keys for who signed the lists. */
START_TEST(test_fast_forward)
{
	static const char *const roles[] = {"timestamp", "snapshot", "targets"};
	const char *role = roles[_i];

	ck_assert_int_eq(init(), 0);
	repo_set_version(repo, role, 9000000000000000000u);
	if (_i == 0)
		repo_publish(repo, role);
	else
		repo_update(repo);
	ck_assert_int_eq(refresh(), 0);
	ck_assert_uint_gt(version(role), 8999999999999999999u);
	repo_set_version(repo, role, 1);
	repo_update(repo);
	ck_assert_int_eq(refresh(), 1);
	repo_keys(repo, "timestamp", 1, LIST(8));
	if (_i > 0)
		repo_keys(repo, "snapshot", 1, LIST(9));
	repo_bump(repo, "root");
	repo_set_version(repo, "timestamp", 1);
	repo_update(repo);
	ck_assert_int_eq(refresh(), 0);
	ck_assert_uint_lt(version(role), 10);
}
END_TEST

/* --- delegation graphs --- */

static const struct {
	const char *edges; /* "AB" A delegates to B; "-" instead of A: targets; "!" terminating,
			      "." for paths that do not match */
	const char *asked;
} graphs[] = {
	{"-A", "A"},
	{"-A -B", "AB"},
	{"-A -B BC", "ABC"},
	{"-A -B AC AD", "ACDB"},
	{"-A -B AC CD", "ACDB"},
	{"-A -B AC! AD", "AC"},
	{"-A -B AC! CD", "ACD"},
	{"-A! -B AC", "AC"},
	{"-A. -B AC", "B"},
	{"-A -B AC. CD", "AB"},
	{"-A!. -B", "B"},
	{"-A -B BC CD DB", "ABCD"},
	{"-A AA", "A"},
	{"-A -B BC AC", "ACB"},
	{"-A -B BC AC.", "ABC"},
};
#define GRAPHS ((int)(sizeof(graphs) / sizeof(graphs[0])))

START_TEST(test_graph)
{
	const char *p = graphs[_i].edges;
	char want[200] = "2.root.json timestamp.json 2.snapshot.json 2.targets.json ";

	ck_assert_int_eq(init(), 0);
	while (*p) {
		char from[2] = {p[0]}, to[2] = {p[1]};
		size_t n = strcspn(p, " ");
		json_t *d = delegate(*from == '-' ? "targets" : from, to, 5 + *to - 'A',
			memchr(p, '.', n) ? "*.py" : "*");
		json_object_set_new(d, "terminating", json_boolean(memchr(p, '!', n)));
		p += n + (p[n] == ' ');
	}
	publish_all();
	for (p = graphs[_i].asked; *p; p++)
		sprintf(want + strlen(want), "1.%c.json ", *p);
	ck_assert_int_eq(download("missing"), 1);
	assert_asked(want);
	ck_assert_int_eq(count(world.metadata), 4 + (int)strlen(graphs[_i].asked));
}
END_TEST

/* Who is asked for a path in a tree of paths, and whether it is there. */
static const struct {
	const char *path, *asked;
	bool found;
} searches[] = {
	{"top", "", true}, {"README.md", "1.A.json ", true}, {"README.MD", "", false},
	{"dir/README.md", "", false}, /* a wildcard stands for no slash */
	{"foo-1.tgz", "1.A.json ", true}, {"foo-alpha.tgz", "", false},
	{"releases/x/1", "1.B.json 1.C.json ", true},
	{"releases/y/1.zip", "1.B.json 1.D.json ", true},
	{"releases/z/1.zip", "1.B.json ", false}, /* not all on the way delegate it */
	{"bins", "1.bin.json ", true},		  /* SHA-256: f8bd… */
};

START_TEST(test_search)
{
	static const char *const files[][2] = {{"targets", "top"}, {"A", "README.md"},
		{"A", "README.MD"}, {"A", "dir/README.md"}, {"A", "foo-1.tgz"},
		{"A", "foo-alpha.tgz"}, {"C", "releases/x/1"}, {"D", "releases/y/1.zip"},
		{"D", "releases/z/1.zip"}, {"bin", "bins"}};
	char want[200];

	ck_assert_int_eq(init(), 0);
	json_t *d = delegate("targets", "A", 5, "*.md");
	json_array_append_new(json_object_get(d, "paths"), json_string("foo-?.tgz"));
	delegate("targets", "B", 6, "releases/*/*");
	delegate("B", "C", 7, "releases/x/*");
	delegate("B", "D", 8, "releases/y/*.zip");
	d = delegate("targets", "bin", 9, "*");
	json_object_del(d, "paths");
	json_object_set_new(d, "path_hash_prefixes", json_pack("[s,s]", "00", "f8b"));
	for (int i = 0; i < 10; i++)
		publish_target(files[i][0], files[i][1], "content", "content");
	for (int i = 0; i < 10; i++)
		repo_set_version(repo, files[i][0], 1);
	publish_all();
	ck_assert_int_eq(download(searches[_i].path), searches[_i].found ? 0 : 1);
	ck_assert_int_eq(count(world.targets), searches[_i].found ? 1 : 0);
	snprintf(want, sizeof(want), " 2.targets.json %s", searches[_i].asked);
	assert_asked_last(want);
}
END_TEST

/* TAP 15: of all bins, the one that the path hashes to is asked; in it, the file is there or not.
 */
static const struct {
	int bits;
	const char *path, *bin;
} bins[] = {
	{1, "file", "bin-0"},
	{1, "app", "bin-1"}, /* SHA-256: 3b9c…, a172… */
	{2, "four", "bin-0"},
	{2, "one", "bin-1"}, /* 04ef…, 7692… */
	{2, "app", "bin-2"},
	{2, "zero", "bin-3"}, /* f919… */
	{4, "zero", "bin-f"},
	{8, "zero", "bin-f9"},
	{8, "four", "bin-04"},
	{9, "four", "bin-009"},
};

START_TEST(test_bins)
{
	unsigned all = bins[_i].bits < 4 ? 1u << bins[_i].bits : 0; /* else the one is enough */
	char name[20], want[100];

	ck_assert_int_eq(init(), 0);
	repo_delegate_bins(repo, "targets", "bin", bins[_i].bits, 5);
	repo_targets_role(repo, bins[_i].bin, 5);
	for (unsigned i = 0; i < all; i++) {
		sprintf(name, "bin-%x", i);
		repo_targets_role(repo, name, 5);
		repo_expire(repo, name, FAR);
	}
	repo_expire(repo, bins[_i].bin, FAR);
	publish_all();
	ck_assert_int_eq(refresh(), 0);
	ck_assert_int_eq(count(world.metadata), 4);
	ck_assert_int_eq(download(bins[_i].path), 1);
	snprintf(want, sizeof(want), "2.root.json timestamp.json 1.%s.json ", bins[_i].bin);
	assert_asked(want);
	ck_assert_int_eq(count(world.metadata), 5);
	assert_held(bins[_i].bin);
	publish_target(bins[_i].bin, bins[_i].path, "content", "content");
	ck_assert_int_eq(download(bins[_i].path), 0);
	assert_target(bins[_i].path, "content");
}
END_TEST

/* A bin that signs for a path of another one, and bins that are no bins. */
START_TEST(test_bad_bins)
{
	ck_assert_int_eq(init(), 0);
	json_t *s = repo_delegate_bins(repo, "targets", "bin", 1, 5);
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "bin-1" : "bin-0";
		repo_targets_role(repo, name, 5);
		repo_expire(repo, name, FAR);
	}
	publish_target("bin-1", "file", "content", "content");
	publish_all();
	ck_assert_int_eq(download("file"), 1);
	assert_asked_last(" 1.bin-0.json ");
	json_object_set_new(s, "bit_length", json_integer(33));
	publish_all();
	ck_assert_int_eq(refresh(), 1);
	ck_assert_uint_eq(version("targets"), 2);
	json_object_set_new(s, "bit_length", json_integer(1));
	json_object_set_new(
		json_object_get(repo_body(repo, "targets"), "delegations"), "roles", json_array());
	publish_all();
	ck_assert_int_eq(refresh(), 1);
	ck_assert_uint_eq(version("targets"), 2);
}
END_TEST

/* A role that is good on one way is not good on another because of that: two files in one go. */
START_TEST(test_two_ways)
{
	ck_assert_int_eq(init(), 0);
	delegate("targets", "A", 5, "a/*");
	delegate("targets", "B", 6, "b/*");
	delegate("B", "C", 7, "b/*");
	delegate("A", "C", 8, "a/*");
	publish_target("C", "a/file", "content", "content"); /* signed by key 8 */
	publish_target("C", "b/file", "content", "content");
	publish_all();
	ck_assert_int_eq(download_both("a/file", "b/file"), 1);
	ck_assert_int_eq(count(world.targets), 1);
	assert_target("a%2Ffile", "content");
	ck_assert_int_eq(download("b/file"), 1);
	repo_signers(repo, "C", LIST(7, 8));
	publish_target("C", "c", "content", "content");
	ck_assert_int_eq(download_both("a/file", "b/file"), 0);
}
END_TEST

START_TEST(test_role_not_listed)
{
	ck_assert_int_eq(init(), 0);
	delegate("targets", "role", 5, "dir/*");
	repo_publish(repo, "role");
	repo_bump(repo, "targets");
	json_object_set_new(json_object_get(repo_body(repo, "snapshot"), "meta"), "targets.json",
		json_pack("{s:i}", "version", 2));
	repo_bump(repo, "snapshot");
	json_object_set_new(json_object_get(repo_body(repo, "timestamp"), "meta"), "snapshot.json",
		json_pack("{s:i}", "version", 2));
	repo_bump(repo, "timestamp");
	ck_assert_int_eq(refresh(), 0);
	assert_versions(1, 2, 2, 2);
	ck_assert_int_eq(download("dir/file"), 1);
	assert_asked("2.root.json timestamp.json ");
	ck_assert_uint_eq(version("role"), 0);
}
END_TEST

/* --- key rotations --- */

/* "keys/threshold/signers" for each root in turn, in digits; the last one good or not. */
static const struct {
	const char *roots;
	bool good;
} chains[] = {
	{"1/1/1 2/1/12 2/1/2", true},
	{"1/1/314 2/1/3214 2/1/324", true},
	{"01234/3/024 01234/3/014 01234/3/013 01234/3/234", true},
	{"01234/3/024 01345/3/014", true},
	{"01234/3/024 01345/3/0245 01345/3/045", true},
	{"01234/3/024 56789/3/024567 56789/3/567", true},
	{"123/1/1 123/2/12", true},
	{"123/2/12 123/1/12 123/1/1", true},
	{"1/1/1 12/2/12", true},
	{"1/1/1 2/1/234", false},
	{"1/1/1 2/1/134", false},
	{"01234/3/024 01345/3/024", false},
	{"01234/3/024 01345/3/045", false},
	{"123/1/1 123/2/2", false},
	{"123/2/12 123/1/1", false},
	{"1/1/1 1/2/1", false},
};
#define CHAINS ((int)(sizeof(chains) / sizeof(chains[0])))

/* Digits become numbers of keys from 10 on, which no role has otherwise; where they end. */
static const char *digits(const char *p, int *out)
{
	while (*p >= '0' && *p <= '9')
		*out++ = 10 + *p++ - '0';
	*out = -1;
	return p;
}

static const char *keys_of(const char *role, const char *p)
{
	int keys[16], signers[16];

	p = digits(p, keys);
	int threshold = p[1] - '0';
	p = digits(p + 3, signers);
	repo_keys(repo, role, threshold, keys);
	repo_signers(repo, role, signers);
	return *p ? p + 1 : p;
}

START_TEST(test_root_rotation)
{
	const char *p = chains[_i].roots;
	uint64_t n = 0;

	while (*p) {
		p = keys_of("root", p);
		repo_set_version(repo, "root", ++n);
		repo_publish(repo, "root");
	}
	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(refresh(), chains[_i].good ? 0 : 1);
	ck_assert_uint_eq(version("root"), chains[_i].good ? n : n - 1);
}
END_TEST

static const struct {
	const char *keys;
	bool good;
} rotations[] = {
	{"2/1/2", true},
	{"1/1/314", true},
	{"01234/3/024", true},
	{"01234/3/234", true},
	{"2/1/134", false},
	{"01345/3/024", false},
	{"01345/3/04", false},
};

/* The keys of timestamp, snapshot and targets change one after the other; then of a role. */
START_TEST(test_other_rotations)
{
	static const char *const roles[] = {"timestamp", "snapshot", "targets"};

	ck_assert_int_eq(init(), 0);
	ck_assert_int_eq(refresh(), 0);
	for (int i = 0; i < 3; i++) {
		keys_of(roles[i], rotations[_i].keys);
		repo_bump(repo, "root");
		publish_all();
		ck_assert_int_eq(refresh(), rotations[_i].good ? 0 : 1);
		if (rotations[_i].good)
			assert_held(roles[i]);
		else
			ck_assert_uint_le(version(roles[i]), 1);
		if (!rotations[_i].good)
			break;
	}
}
END_TEST

START_TEST(test_delegation_rotated)
{
	ck_assert_int_eq(init(), 0);
	json_t *d = delegate("targets", "role", 5, "*");
	publish_target("role", "one", "content", "content");
	publish_all();
	ck_assert_int_eq(download("one"), 0);
	/* The new key is there, the role is still signed by the old one. */
	_cleanup_json_ json_t *fresh = json_incref(delegate("targets", "role", 6, "*"));
	json_t *list = json_object_get(
		json_object_get(repo_body(repo, "targets"), "delegations"), "roles");
	json_array_remove(list, 1);
	json_object_set(d, "keyids", json_object_get(fresh, "keyids"));
	repo_signers(repo, "role", LIST(5));
	publish_target("role", "two", "content", "content");
	publish_all();
	ck_assert_int_eq(download("two"), 1);
	ck_assert_int_eq(count(world.targets), 1);
	repo_signers(repo, "role", LIST(6));
	publish_target("role", "two", "content", "content");
	ck_assert_int_eq(download("two"), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-client-roles");
	TCase *t = world_case("roles");

	tcase_add_loop_test(t, test_key_kinds, 0, 3);
	tcase_add_test(t, test_below_threshold);
	tcase_add_loop_test(t, test_duplicates, 0, 3);
	tcase_add_loop_test(t, test_bad_beside_good, 0, 5);
	tcase_add_loop_test(t, test_rollback, 0, 6);
	tcase_add_test(t, test_role_removed);
	tcase_add_loop_test(t, test_fast_forward, 0, 3);
	tcase_add_loop_test(t, test_graph, 0, GRAPHS);
	tcase_add_loop_test(t, test_search, 0, 10);
	tcase_add_loop_test(t, test_bins, 0, sizeof(bins) / sizeof(bins[0]));
	tcase_add_test(t, test_bad_bins);
	tcase_add_test(t, test_two_ways);
	tcase_add_test(t, test_role_not_listed);
	tcase_add_loop_test(t, test_root_rotation, 0, CHAINS);
	tcase_add_loop_test(t, test_other_rotations, 0, 7);
	tcase_add_test(t, test_delegation_rotated);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
