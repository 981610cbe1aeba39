/* SPDX-License-Identifier: Apache-2.0 */
/* What a role lists, and which keys speak for one that is delegated to. */
#include "fixture.h"

static int note(void *ctx, const struct tuf_target *target)
{
	char *out = ctx;

	sprintf(out + strlen(out), "%s ", target->path);
	return strcmp(target->path, "stop") == 0 ? 7 : 0;
}

static enum ef_reason load(const char *role)
{
	error_clear(&last);
	repo->log[0] = 0;
	if (tuf_load_role(tuf, role, &last) != EF_REASON_OK)
		return last.reason;
	return repo_serve(repo, tuf, &last);
}

START_TEST(test_list)
{
	char out[256] = "";

	repo_delegate(repo, "targets", "A", 5, PATHS("a/*", "b/*", "stop"));
	repo_delegate(repo, "A", "B", 6, PATHS("*/*"));
	repo_target(repo, "A", "a/1", "x");
	repo_target(repo, "A", "not/allowed/here", "x");
	repo_target(repo, "A", "b/1", "x");
	repo_target(repo, "B", "b/2", "x");
	repo_target(repo, "B", "c/3", "allowed by A, but not by targets");
	repo_target(repo, "targets", "anything/at/all", "x");
	json_object_set_new(json_object_get(repo_body(repo, "A"), "targets"), "b/odd",
		json_pack("{s:i,s:{s:s}}", "length", 1, "hashes", "md5",
			"00")); /* no digest that we know */
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_int_eq(tuf_list(tuf, "targets", note, out), -ENOENT);
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(tuf_list(tuf, "A", note, out), -ENOENT);
	ck_assert_reason(load("B"), NOT_FOUND);
	ck_assert_reason(load("A"), OK);
	ck_assert_str_eq(repo->log, "1.A.json ");
	ck_assert_reason(load("B"), OK);
	ck_assert_int_eq(tuf_list(tuf, "A", note, out), 0);
	ck_assert_str_eq(out, "a/1 b/1 ");
	out[0] = 0;
	ck_assert_int_eq(tuf_list(tuf, "B", note, out), 0);
	ck_assert_str_eq(out, "b/2 ");
	out[0] = 0;
	ck_assert_int_eq(tuf_list(tuf, "targets", note, out), 0);
	ck_assert_str_eq(out, "anything/at/all ");
	repo_target(repo, "A", "stop", "x");
	repo_set_version(repo, "A", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(tuf_list(tuf, "A", note, out), -ENOENT); /* of the refresh before */
	ck_assert_reason(load("A"), OK);
	ck_assert_int_eq(tuf_list(tuf, "A", note, out), 7);
	ck_assert_uint_eq(tuf_version(tuf, "A"), 2);
	ck_assert_int_eq(tuf_expires(tuf, "A"), 1893456000);
}
END_TEST

/* Of two roles that go by one name, the list is of the one that targets delegates to. */
START_TEST(test_list_of_targets)
{
	struct tuf_target target;
	char out[256] = "";

	repo_delegate(repo, "targets", "P", 6, PATHS("p/*"));
	repo_delegate(repo, "P", "X", 7, PATHS("p/*"));
	repo_delegate(repo, "targets", "X", 5, PATHS("x/*"));
	repo_signers(repo, "X", LIST(5, 7));
	repo_target(repo, "X", "x/1", "x");
	repo_target(repo, "X", "p/1", "x");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("p/1", &target), OK); /* X, as P sees it */
	ck_assert_int_eq(tuf_list(tuf, "X", note, out), -ENOENT);
	ck_assert_uint_eq(tuf_version(tuf, "X"), 0);
	ck_assert_reason(load("X"), OK);
	ck_assert_int_eq(tuf_list(tuf, "X", note, out), 0);
	ck_assert_str_eq(out, "x/1 ");
	ck_assert_uint_eq(tuf_version(tuf, "X"), 1);
}
END_TEST

START_TEST(test_load_errors)
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "A", 5, PATHS("*"));
	repo_signers(repo, "A", LIST(6));
	repo_target(repo, "targets", "file", "x");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(load("A"), BAD_SIGNATURE);
	ck_assert_reason(load("nobody"), NOT_FOUND);
	ck_assert_reason(find("file", &target), OK); /* a failed search spoils nothing */
}
END_TEST

/* What a gateway asks of the role of rollout statements (S-17, S-04). */
START_TEST(test_delegated)
{
	uint8_t first[32], again[32];
	bool there;

	ck_assert_int_eq(
		tuf_delegated(tuf, "A", &there, first, &last), EF_REASON_USAGE); /* no refresh */
	json_t *d = repo_delegate(repo, "targets", "A", 5, PATHS("a/*"));
	repo_delegate(repo, "A", "B", 7, PATHS("a/*"));
	repo_target(repo, "A", "a/1", "x");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(tuf_delegated(tuf, "A", &there, first, &last), EF_REASON_OK);
	ck_assert(there);
	/* nobody delegates to it; one that another role delegates to */
	ck_assert_int_eq(tuf_delegated(tuf, "C", &there, again, &last), EF_REASON_OK);
	ck_assert(!there);
	ck_assert_reason(load("A"), OK);
	ck_assert_reason(load("B"), OK);
	ck_assert_int_eq(tuf_delegated(tuf, "B", &there, again, &last), EF_REASON_OK);
	ck_assert(!there);
	/* the same keys in another order, twice, or with a key that is not there */
	char id[65];
	json_array_append_new(json_object_get(d, "keyids"), json_string("00"));
	json_array_append_new(json_object_get(d, "keyids"), json_string(repo_key_id(repo, 5, id)));
	for (int keys = 1; keys <= 2; keys++) {
		repo_set_version(repo, "targets", repo_version(repo, "targets") + 1);
		repo_update(repo);
		ck_assert_reason(refresh(), OK);
		ck_assert_int_eq(tuf_delegated(tuf, "A", &there, again, &last), EF_REASON_OK);
		ck_assert(there && (memcmp(first, again, 32) == 0) == (keys == 1));
		/* one more */
		json_array_append_new(
			json_object_get(d, "keyids"), json_string(repo_key_id(repo, 6, id)));
		json_object_set_new(
			json_object_get(
				json_object_get(repo_body(repo, "targets"), "delegations"), "keys"),
			id, tuf_key_to_json(repo_key(repo, 6)));
	}
	/* a bundle does not say */
	ck_assert_reason(refresh_mode(TUF_OFFLINE, NOW), OK);
	ck_assert_int_eq(tuf_delegated(tuf, "A", &there, again, &last), EF_REASON_USAGE);
}
END_TEST

/* Delegated to, but the snapshot does not list it yet. */
START_TEST(test_delegated_not_listed)
{
	uint8_t keys[32];
	bool there = true;

	repo_delegate(repo, "targets", "A", 5, PATHS("a/*"));
	repo_bump(repo, "targets");
	json_object_set_new(json_object_get(json_object_get(repo_body(repo, "snapshot"), "meta"),
				    "targets.json"),
		"version", json_integer((json_int_t)repo_version(repo, "targets")));
	repo_bump(repo, "snapshot");
	json_object_set_new(json_object_get(json_object_get(repo_body(repo, "timestamp"), "meta"),
				    "snapshot.json"),
		"version", json_integer((json_int_t)repo_version(repo, "snapshot")));
	repo_bump(repo, "timestamp");
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(tuf_delegated(tuf, "A", &there, keys, &last), EF_REASON_OK);
	ck_assert(!there);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-list");
	TCase *t = fixture_case("list");

	tcase_add_test(t, test_list);
	tcase_add_test(t, test_list_of_targets);
	tcase_add_test(t, test_load_errors);
	tcase_add_test(t, test_delegated);
	tcase_add_test(t, test_delegated_not_listed);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
