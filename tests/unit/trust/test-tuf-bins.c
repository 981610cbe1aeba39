/* SPDX-License-Identifier: Apache-2.0 */
/* TAP 15: "succinct_roles", which stands for 2^bit_length bins. */
#include "fixture.h"

/* Bins of paths, as Python's hashlib and format say. */
static const struct {
	int bits;
	const char *path, *name;
} bins[] = {
	{1, "file", "bin-0"}, /* SHA-256: 3b9c358f… */
	{1, "app", "bin-1"},  /* a172cedc… */
	{2, "app", "bin-2"},
	{3, "file", "bin-1"},
	{3, "app", "bin-5"},
	{4, "file", "bin-3"},
	{4, "app", "bin-a"},
	{5, "four", "bin-00"}, /* 04efaf08… */
	{5, "app", "bin-14"},
	{8, "file", "bin-3b"},
	{8, "four", "bin-04"},
	{9, "file", "bin-077"},
	{9, "four", "bin-009"},
	{9, "releases/gw/1.json", "bin-1d2"}, /* e955d6d2… */
	{16, "file", "bin-3b9c"},
	{16, "four", "bin-04ef"},
	{32, "file", "bin-3b9c358f"},
	{32, "four", "bin-04efaf08"},
	{32, "\xc3\xa9", "bin-4a99557e"},
};
#define BINS ((int)(sizeof(bins) / sizeof(bins[0])))

static json_t *succinct(int bits)
{
	return json_pack("{s:[], s:i, s:i, s:s}", "keyids", "threshold", 1, "bit_length", bits,
		"name_prefix", "bin");
}

START_TEST(test_bin)
{
	_cleanup_json_ json_t *s = succinct(bins[_i].bits);
	char hash[DIGEST_HEX_MAX], name[TUF_ROLE_NAME_SIZE];

	ck_assert(tuf_bins_ok(s));
	ck_assert(tuf_path_hash(bins[_i].path, hash));
	struct tuf_delegation d = tuf_bin_for(s, hash), next = d;
	tuf_role_name(&d, name);
	ck_assert_str_eq(name, bins[_i].name);
	ck_assert(tuf_delegation_allows(&d, bins[_i].path, hash));
	next.bin ^= 1;
	ck_assert(!tuf_delegation_allows(&next, bins[_i].path, hash));
	next = tuf_bin_named(s, name);
	ck_assert(next.role == s && next.is_bin && next.bin == d.bin);
}
END_TEST

static const struct {
	int bits;
	const char *name;
	bool is_bin;
} names[] = {
	{1, "bin-1", true},
	{1, "bin-2", false},
	{3, "bin-7", true},
	{3, "bin-8", false},
	{3, "bin-07", false},
	{8, "bin-ff", true},
	{8, "bin-FF", false},
	{8, "bin-f", false},
	{8, "bin-+f", false},
	{8, "bin--f", false},
	{8, "bin- f", false},
	{8, "bin-0x", false},
	{8, "bin-gg", false},
	{8, "bin-00.json", false},
	{8, "bin-", false},
	{8, "bin", false},
	{8, "bin00", false},
	{8, "bins-00", false},
	{8, "", false},
	{9, "bin-1ff", true},
	{9, "bin-200", false},
	{9, "bin-ff", false},
	{32, "bin-ffffffff", true},
	{32, "bin-100000000", false},
	{32, "bin-ffffffffffffffffff", false},
};

START_TEST(test_named)
{
	_cleanup_json_ json_t *s = succinct(names[_i].bits);

	ck_assert(!tuf_bin_named(s, names[_i].name).role == !names[_i].is_bin);
}
END_TEST

/* With its digits and percent-encoded, a name is as long as that of any role. */
START_TEST(test_long_prefix)
{
	_cleanup_json_ json_t *s = succinct(9); /* four characters behind the prefix */
	char prefix[TUF_ROLE_NAME_MAX + 60];

	memset(prefix, 'x', sizeof(prefix));
	prefix[sizeof(prefix) - 1] = 0;
	json_object_set_new(s, "name_prefix", json_string(prefix));
	ck_assert(!tuf_bins_ok(s));
	prefix[TUF_ROLE_NAME_MAX - 3] = 0;
	json_object_set_new(s, "name_prefix", json_string(prefix));
	ck_assert(!tuf_bins_ok(s));
	prefix[TUF_ROLE_NAME_MAX - 4] = 0;
	json_object_set_new(s, "name_prefix", json_string(prefix));
	ck_assert(tuf_bins_ok(s));
	memset(prefix, '/', 66);
	prefix[66] = 0;
	json_object_set_new(s, "name_prefix", json_string(prefix));
	ck_assert(!tuf_bins_ok(s));
	prefix[65] = 0;
	json_object_set_new(s, "name_prefix", json_string(prefix));
	ck_assert(tuf_bins_ok(s));
}
END_TEST

static void publish(void)
{
	repo_set_version(repo, "targets", repo_version(repo, "targets") + 1);
	repo_update(repo);
}

/* A bin is fetched, held and found again like any delegated role. */
START_TEST(test_find)
{
	struct tuf_target target;
	char asked[70], file[64];

	repo_delegate_bins(repo, "targets", "bin", bins[_i].bits, 5);
	repo_targets_role(repo, bins[_i].name, 5);
	repo_target(repo, bins[_i].name, bins[_i].path, "content");
	publish();
	sprintf(file, "%s.json", bins[_i].name);
	sprintf(asked, "1.%s ", file);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find(bins[_i].path, &target), OK);
	ck_assert_str_eq(repo->log, asked);
	ck_assert_str_eq(target.path, bins[_i].path);
	assert_stored(file, file);
	ck_assert_uint_eq(tuf_version(tuf, bins[_i].name), 1);
	reopen();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find(bins[_i].path, &target), OK);
	ck_assert_str_eq(repo->log, "");
	repo_set_version(repo, bins[_i].name, 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find(bins[_i].path, &target), OK);
	ck_assert_uint_eq(stored_version(bins[_i].name), 2);
	/* From a bundle, without versions. */
	ck_assert_reason(refresh_offline(), OK);
	ck_assert_reason(find(bins[_i].path, &target), OK);
	ck_assert_str_eq(repo->log, asked + 2);
}
END_TEST

/* As many as a snapshot can list (SPEC-repository, section 7), and new keys for all of them. */
START_TEST(test_many)
{
	struct tuf_target target;
	char file[32];
	json_t *metas = json_object_get(repo_body(repo, "snapshot"), "meta");

	repo_delegate_bins(repo, "targets", "bin", 16, 5);
	repo_targets_role(repo, "bin-3b9c", 5);
	repo_target(repo, "bin-3b9c", "file", "content");
	for (unsigned i = 0; i < 0x10000; i++) {
		sprintf(file, "bin-%04x.json", i);
		json_object_set_new(metas, file, json_pack("{s:i}", "version", 1));
	}
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	repo_delegate_bins(repo, "targets", "bin", 16, 6);
	repo_signers(repo, "bin-3b9c", LIST(6));
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_uint_eq(stored_version("bin-3b9c"), 0);
	ck_assert_reason(find("file", &target), OK);
}
END_TEST

static int note(void *ctx, const struct tuf_target *target)
{
	char *out = ctx;

	sprintf(out + strlen(out), "%s ", target->path);
	return 0;
}

static enum ef_reason load(const char *role)
{
	error_clear(&last);
	if (tuf_load_role(tuf, role, &last) != EF_REASON_OK)
		return last.reason;
	return repo_serve(repo, tuf, &last);
}

/* S-04: what a bin says of the paths of another one is not heard. */
START_TEST(test_other_bin)
{
	struct tuf_target target;
	char out[64] = "";

	repo_delegate_bins(repo, "targets", "bin", 1, 5);
	repo_targets_role(repo, "bin-0", 5);
	repo_targets_role(repo, "bin-1", 5);
	repo_target(repo, "bin-1", "app", "by its own");
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("app", &target), OK);
	ck_assert_ptr_null(tuf_overstep(tuf, "bin-1"));
	repo_target(repo, "bin-1", "file", "of bin-0");
	repo_set_version(repo, "bin-1", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), NOT_SIGNED_FOR);
	ck_assert_str_eq(repo->log, "1.bin-0.json ");
	ck_assert_ptr_null(tuf_overstep(tuf, "bin-1")); /* not loaded, though the other one is */
	ck_assert_reason(load("bin-2"), NOT_FOUND);
	ck_assert_reason(load("bin-1"), OK);
	ck_assert_int_eq(tuf_list(tuf, "bin-1", note, out), 0);
	ck_assert_str_eq(out, "app ");
	ck_assert_str_eq(tuf_overstep(tuf, "bin-1"), "file");
	ck_assert_ptr_null(tuf_overstep(tuf, "bin-0"));
}
END_TEST

/* S-03: keys and threshold are those of all bins. */
static const struct {
	int threshold;
	int signers[3];
	bool strange_id; /* one that "keys" does not have */
	enum ef_reason want;
} signatures[] = {
	{1, {5, -1}, false, EF_REASON_OK},
	{1, {6, -1}, false, EF_REASON_OK},
	{2, {5, 6, -1}, false, EF_REASON_OK},
	{2, {5, 6, -1}, true, EF_REASON_OK},
	{2, {5, -1}, true, EF_REASON_BAD_SIGNATURE},
	{3, {5, 6, -1}, true, EF_REASON_BAD_SIGNATURE},
	{1, {3, -1}, false, EF_REASON_BAD_SIGNATURE}, /* who delegates is not who signs */
	{1, {-1}, false, EF_REASON_BAD_SIGNATURE},
};

START_TEST(test_keys)
{
	struct tuf_target target;
	char id[65];
	json_t *s = repo_delegate_bins(repo, "targets", "bin", 1, 5);
	json_t *ids = json_object_get(s, "keyids");

	json_object_set_new(s, "threshold", json_integer(signatures[_i].threshold));
	json_array_append_new(ids, json_string(repo_key_id(repo, 6, id)));
	json_object_set_new(
		json_object_get(json_object_get(repo_body(repo, "targets"), "delegations"), "keys"),
		id, tuf_key_to_json(repo_key(repo, 6)));
	if (signatures[_i].strange_id)
		json_array_append_new(ids, json_string("00"));
	repo_targets_role(repo, "bin-0", 5);
	repo_signers(repo, "bin-0", signatures[_i].signers);
	repo_target(repo, "bin-0", "file", "content");
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(find("file", &target), signatures[_i].want);
	ck_assert_uint_eq(stored_version("bin-0"), signatures[_i].want == EF_REASON_OK);
}
END_TEST

/* Keys that "keys" does not have sign nothing. */
START_TEST(test_unknown_keys)
{
	struct tuf_target target;

	repo_delegate_bins(repo, "targets", "bin", 1, 5);
	json_object_clear(json_object_get(
		json_object_get(repo_body(repo, "targets"), "delegations"), "keys"));
	repo_targets_role(repo, "bin-0", 5);
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), BAD_SIGNATURE);
}
END_TEST

/* What is wrong with a bin ends the search, with its reason. */
START_TEST(test_bad_bin)
{
	static const enum ef_reason want[] = {EF_REASON_EXPIRED, EF_REASON_NOT_FOUND,
		EF_REASON_METADATA_ROLLBACK, EF_REASON_BAD_FORMAT};
	struct tuf_target target;

	repo_delegate_bins(repo, "targets", "bin", 8, 5);
	repo_targets_role(repo, "bin-3b", 5);
	repo_target(repo, "bin-3b", "file", "content");
	repo_set_version(repo, "bin-3b", 2);
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	repo_set_version(repo, "bin-3b", 3);
	if (_i == 0)
		repo_expire(repo, "bin-3b", PAST);
	repo_update(repo);
	if (_i == 1) {
		repo_remove(repo, "3.bin-3b.json");
	} else if (_i == 2) {
		repo_set_version(repo, "bin-3b", 2);
		_cleanup_json_ json_t *v = repo_envelope(repo, "bin-3b");
		repo_put_json(repo, "3.bin-3b.json", v);
	}
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(find(_i == 3 ? "app" : "file", &target), want[_i]); /* app: not listed */
	ck_assert_uint_eq(stored_version("bin-3b"), 2);
}
END_TEST

/* A bin delegates like any role: to roles, and to bins. */
START_TEST(test_below)
{
	struct tuf_target target;

	repo_delegate_bins(repo, "targets", "bin", 1, 5);
	repo_targets_role(repo, "bin-0", 5);
	repo_targets_role(repo, "bin-1", 5);
	repo_delegate(repo, "bin-0", "A", 6, PATHS("*"));
	repo_delegate_bins(repo, "A", "sub", 8, 7);
	repo_targets_role(repo, "sub-3b", 7);
	repo_target(repo, "A", "four", "content");
	repo_target(repo, "A", "app", "not in bin-0");
	repo_target(repo, "sub-3b", "file", "content");
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("four", &target), OK);
	ck_assert_str_eq(repo->log, "1.bin-0.json 1.A.json ");
	ck_assert_reason(find("file", &target), OK);
	ck_assert_str_eq(repo->log, "1.sub-3b.json ");
	ck_assert_reason(find("app", &target), NOT_SIGNED_FOR);
	ck_assert_str_eq(repo->log, "1.bin-1.json ");
}
END_TEST

/* Bins of the same names below a bin: a circle, and the search ends. */
START_TEST(test_circle)
{
	struct tuf_target target;

	repo_delegate_bins(repo, "targets", "bin", 1, 5);
	repo_targets_role(repo, "bin-0", 5);
	repo_delegate_bins(repo, "bin-0", "bin", 1, 5);
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), NOT_SIGNED_FOR);
	ck_assert_str_eq(repo->log, "1.bin-0.json ");
}
END_TEST

/* A bin that has nothing of that name is not the last one to be asked, unless who is above it is.
 */
START_TEST(test_terminating)
{
	struct tuf_target target;
	json_t *d = repo_delegate(repo, "targets", "A", 5, PATHS("*"));

	json_object_set_new(d, "terminating", json_boolean(_i));
	repo_delegate(repo, "targets", "B", 6, PATHS("*"));
	repo_delegate_bins(repo, "A", "bin", 1, 7);
	repo_targets_role(repo, "bin-0", 7);
	repo_target(repo, "B", "file", "content");
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(find("file", &target), _i ? EF_REASON_NOT_SIGNED_FOR : EF_REASON_OK);
	ck_assert_str_eq(
		repo->log, _i ? "1.A.json 1.bin-0.json " : "1.A.json 1.bin-0.json 1.B.json ");
}
END_TEST

/* 32 roles are visited in one search, bins or not. */
START_TEST(test_bound)
{
	struct tuf_target target;
	char of[16] = "targets", prefix[16], bin[20];
	int n = 0;

	for (int i = 0; i < 34; i++) {
		sprintf(prefix, "b%d", i);
		sprintf(bin, "b%d-0", i);
		repo_delegate_bins(repo, of, prefix, 1, 5);
		repo_targets_role(repo, bin, 5);
		strcpy(of, bin);
	}
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), NOT_SIGNED_FOR);
	for (const char *p = repo->log; *p; p++)
		n += *p == ' ';
	ck_assert_int_eq(n, 32);
}
END_TEST

/* Whoever else delegates to the name of a bin of targets does not get at what is held of it. */
START_TEST(test_name_taken)
{
	struct tuf_target target;

	repo_delegate_bins(repo, "targets", "bin", 1, 5);
	repo_targets_role(repo, "bin-0", 5);
	repo_delegate(repo, "bin-0", "bin-1", 9, PATHS("*"));
	repo_target(repo, "bin-1", "file", "content");
	repo_target(repo, "bin-1", "app", "content");
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_ptr_null(memory_get(&store, "bin-1.json"));
	ck_assert_uint_eq(tuf_version(tuf, "bin-1"), 0);
	ck_assert_reason(find("app", &target), BAD_SIGNATURE);
	repo_signers(repo, "bin-1", LIST(9, 5));
	repo_set_version(repo, "bin-1", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_uint_eq(stored_version("bin-1"), 2);
	ck_assert_uint_eq(tuf_version(tuf, "bin-1"), 0);
	ck_assert_reason(find("app", &target), OK);
	ck_assert_uint_eq(tuf_version(tuf, "bin-1"), 2);
}
END_TEST

/* The keys of bins change: what is held by the old ones goes. */
START_TEST(test_rotation)
{
	struct tuf_target target;
	json_t *s = repo_delegate_bins(repo, "targets", "bin", 1, 5);
	char old[65], id[65];

	repo_key_id(repo, 5, old);
	repo_targets_role(repo, "bin-0", 5);
	repo_target(repo, "bin-0", "file", "content");
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	json_t *keys =
		json_object_get(json_object_get(repo_body(repo, "targets"), "delegations"), "keys");
	if (_i == 0) { /* another key */
		repo_delegate_bins(repo, "targets", "bin", 1, 6);
		repo_signers(repo, "bin-0", LIST(6));
	} else if (_i == 1) { /* another key under the old one's id, which is nothing but a name */
		json_object_set_new(keys, old, tuf_key_to_json(repo_key(repo, 6)));
		json_object_set_new(
			keys, repo_key_id(repo, 6, id), tuf_key_to_json(repo_key(repo, 6)));
		json_array_append_new(json_object_get(s, "keyids"), json_string(id));
		repo_signers(repo, "bin-0", LIST(6));
	} else { /* an entry of roles before, a bin now, and the other way round */
		json_object_del(repo_body(repo, "targets"), "delegations");
		repo_delegate(repo, "targets", "bin-0", 6, PATHS("*"));
	}
	repo_set_version(repo, "bin-0", 2);
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_uint_eq(stored_version("bin-0"), 0);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_uint_eq(stored_version("bin-0"), 2);
	if (_i < 2)
		return;
	repo_delegate_bins(repo, "targets", "bin", 1, 7);
	repo_targets_role(repo, "bin-0", 7);
	repo_set_version(repo, "bin-0", 3);
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_uint_eq(stored_version("bin-0"), 0);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_uint_eq(stored_version("bin-0"), 3);
}
END_TEST

/* S-14: a bin that is held and does not verify is no bin that is not there. */
START_TEST(test_damaged)
{
	struct tuf_target target;

	repo_delegate_bins(repo, "targets", "bin", 1, 5);
	repo_targets_role(repo, "bin-0", 5);
	repo_target(repo, "bin-0", "file", "content");
	publish();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	struct repo_file *f = memory_get(&store, "bin-0.json");
	char *p = strstr((char *)f->data, "\"length\": 7");
	ck_assert_ptr_nonnull(p);
	p[10] = '8';
	reopen();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), STATE_UNREADABLE);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-bins");
	TCase *t = fixture_case("bins");

	tcase_add_loop_test(t, test_bin, 0, BINS);
	tcase_add_loop_test(t, test_named, 0, sizeof(names) / sizeof(names[0]));
	tcase_add_test(t, test_long_prefix);
	tcase_add_loop_test(t, test_find, 0, BINS);
	tcase_add_test(t, test_many);
	tcase_add_test(t, test_other_bin);
	tcase_add_loop_test(t, test_keys, 0, sizeof(signatures) / sizeof(signatures[0]));
	tcase_add_test(t, test_unknown_keys);
	tcase_add_loop_test(t, test_bad_bin, 0, 4);
	tcase_add_test(t, test_below);
	tcase_add_test(t, test_circle);
	tcase_add_loop_test(t, test_terminating, 0, 2);
	tcase_add_test(t, test_bound);
	tcase_add_test(t, test_name_taken);
	tcase_add_loop_test(t, test_rotation, 0, 3);
	tcase_add_test(t, test_damaged);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
