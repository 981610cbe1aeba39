/* SPDX-License-Identifier: Apache-2.0 */
/* Versions never go back (S-12 for metadata), except where a rotation of keys cures them (S-17). */
#include "fixture.h"

static void restart(int yes)
{
	if (yes)
		reopen();
}

START_TEST(test_timestamp)
{
	repo_bump(repo, "timestamp");
	ck_assert_reason(refresh(), OK);
	restart(_i);
	repo_set_version(repo, "timestamp", 1);
	repo_publish(repo, "timestamp");
	ck_assert_reason(refresh(), METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version("timestamp"), 2);
	ck_assert_str_eq(repo->log, "2.root.json timestamp.json ");
}
END_TEST

/* The same version with other content: the first one stays. */
START_TEST(test_timestamp_same_version)
{
	ck_assert_reason(refresh(), OK);
	restart(_i);
	json_t *meta = json_object_get(repo_body(repo, "timestamp"), "meta");
	json_object_set_new(json_object_get(meta, "snapshot.json"), "version", json_integer(100));
	repo_publish(repo, "timestamp");
	ck_assert_reason(refresh(), OK);
	ck_assert_str_eq(repo->log, "2.root.json timestamp.json ");
	struct repo_file *f = memory_get(&store, "timestamp.json");
	ck_assert_ptr_null(strstr((const char *)f->data, ": 100"));
}
END_TEST

/* A newer timestamp that names an older snapshot. */
START_TEST(test_snapshot_in_timestamp)
{
	repo->meta_hashes = _i / 2;
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	restart(_i % 2);
	repo_set_version(repo, "snapshot", 0);
	repo_update(repo);
	ck_assert_reason(refresh(), METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version("timestamp"), 2);
	ck_assert_uint_eq(stored_version("snapshot"), 2);
}
END_TEST

/* A newer snapshot that lists an older role. */
START_TEST(test_role_in_snapshot)
{
	const char *role = _i / 2 ? "delegated" : "targets";

	repo_delegate(repo, "targets", "delegated", 5, PATHS("*"));
	repo_set_version(repo, role, 3);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	restart(_i % 2);
	repo_set_version(repo, role, 2);
	repo_update(repo);
	ck_assert_reason(refresh(), METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version("timestamp"), 3);
	ck_assert_uint_eq(stored_version("snapshot"), 2);
	/* Left half way: the next try, with the repository mended, succeeds. */
	repo_set_version(repo, role, 4);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
}
END_TEST

/* A role that was listed must stay listed. */
START_TEST(test_role_dropped)
{
	repo_delegate(repo, "targets", "delegated", 5, PATHS("*"));
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	restart(_i);
	json_object_del(json_object_get(repo_body(repo, "snapshot"), "meta"), "delegated.json");
	repo_bump(repo, "snapshot");
	json_t *meta = json_object_get(repo_body(repo, "timestamp"), "meta");
	json_object_set_new(json_object_get(meta, "snapshot.json"), "version", json_integer(3));
	repo_bump(repo, "timestamp");
	ck_assert_reason(refresh(), METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version("snapshot"), 2);
}
END_TEST

/* An old file in the place of the new one that was announced. */
START_TEST(test_old_file)
{
	const char *role = _i ? "targets" : "snapshot",
		   *names[] = {"2.snapshot.json", "2.targets.json"};
	const char *old[] = {"1.snapshot.json", "1.targets.json"};
	const struct repo_file *f = repo_get(repo, old[_i]);

	ck_assert_reason(refresh(), OK);
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	repo_put(repo, names[_i], f->data, f->size);
	ck_assert_reason(refresh(), METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version(role), 1);
}
END_TEST

/* What a bundle brought is not undone by a server that is behind it. */
START_TEST(test_server_behind_bundle)
{
	ck_assert_reason(refresh(), OK);
	repo_set_version(repo, "targets", 3);
	repo_publish(repo, "targets");
	ck_assert_reason(refresh_offline(), OK);
	ck_assert_uint_eq(stored_version("targets"), 3);
	restart(_i);
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version("targets"), 3);
	repo_set_version(repo, "targets", 3);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
}
END_TEST

static void rotate(const char *role, int key)
{
	repo_keys(repo, role, 1, LIST(key));
	repo_bump(repo, "root");
}

/* S-17: whoever held the timestamp key pushed its version to the end of numbers. */
START_TEST(test_recover_timestamp)
{
	repo_set_version(repo, "timestamp", INT64_MAX - 1);
	repo_bump(repo, "timestamp");
	ck_assert_reason(refresh(), OK);
	ck_assert_uint_eq(stored_version("timestamp"), INT64_MAX);
	restart(_i);
	/* Without a rotation there is no way back. */
	repo_set_version(repo, "timestamp", 1);
	repo_publish(repo, "timestamp");
	ck_assert_reason(refresh(), METADATA_ROLLBACK);
	rotate("timestamp", 6);
	repo_publish(repo, "timestamp");
	ck_assert_reason(refresh(), OK);
	ck_assert_uint_eq(stored_version("timestamp"), 1);
}
END_TEST

/* The same where only the stolen one of two keys goes: what is stored would still verify. */
START_TEST(test_recover_one_of_two)
{
	const char *role = _i / 2 ? "snapshot" : "timestamp";

	repo_keys(repo, role, 1, LIST(6, 7));
	repo_bump(repo, "root");
	repo_set_version(repo, "snapshot", _i / 2 ? INT64_MAX - 1 : 1);
	repo_set_version(repo, "timestamp", _i / 2 ? 1 : INT64_MAX - 1);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	restart(_i % 2);
	repo_keys(repo, role, 1, LIST(6));
	repo_bump(repo, "root");
	repo_set_version(repo, "snapshot", 4);
	repo_set_version(repo, "timestamp", 1);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_uint_eq(stored_version("snapshot"), 5);
	ck_assert_uint_eq(stored_version("timestamp"), 2);
}
END_TEST

START_TEST(test_recover_snapshot)
{
	repo_set_version(repo, "snapshot", INT64_MAX - 1);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	restart(_i);
	rotate("snapshot", 6);
	rotate("timestamp", 7);
	repo_set_version(repo, "snapshot", 0);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_uint_eq(stored_version("snapshot"), 1);
}
END_TEST

/* By the snapshot key alone, for the roles that it lists; top one and delegated one. */
START_TEST(test_recover_listed)
{
	const char *role = _i / 2 ? "delegated" : "targets";
	struct tuf_target target;

	repo_delegate(repo, "targets", "delegated", 5, PATHS("*"));
	repo_target(repo, "delegated", "file", "content");
	repo_set_version(repo, role, INT64_MAX);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_uint_eq(stored_version(role), INT64_MAX);
	restart(_i % 2);
	rotate("snapshot", 6);
	repo_set_version(repo, role, 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_uint_eq(stored_version(role), 2);
}
END_TEST

/* A key that is added, or a root without news for these roles, cures nothing. */
START_TEST(test_no_recovery_without_rotation)
{
	ck_assert_reason(refresh(), OK);
	repo_bump(repo, "timestamp");
	ck_assert_reason(refresh(), OK);
	restart(_i % 2);
	if (_i / 2)
		repo_keys(repo, "timestamp", 1, LIST(1, 6));
	repo_bump(repo, "root");
	repo_set_version(repo, "timestamp", 1);
	repo_publish(repo, "timestamp");
	ck_assert_reason(refresh(), METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version("root"), 2);
	ck_assert_uint_eq(stored_version("timestamp"), 2);
}
END_TEST

/* A threshold that what is stored does not meet: that is a rotation, not an unreadable store. */
START_TEST(test_threshold_raised)
{
	const char *role = top_roles[_i];

	ck_assert_reason(refresh(), OK);
	repo_keys(repo, role, 2, _i == 0 ? LIST(0, 8) : LIST(_i, 8));
	repo_bump(repo, "root");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	reopen();
	ck_assert_reason(refresh(), OK);
}
END_TEST

/* The same key id comes to mean another key. */
START_TEST(test_key_replaced_under_id)
{
	static const char *const names[] = {
		NULL, "timestamp.json", "1.snapshot.json", "1.targets.json"};
	const char *role = top_roles[_i];
	json_t *keys = json_object_get(repo_body(repo, "root"), "keys");
	char id[65];

	ck_assert_reason(refresh(), OK);
	repo_key_id(repo, _i, id);
	json_object_set_new(keys, id, tuf_key_to_json(repo_key(repo, 9)));
	repo_bump(repo, "root");
	/* The role's document, signed by the new key under the old id. */
	_cleanup_json_ json_t *d = repo_envelope(repo, role);
	json_t *sig = key_signature(repo_key(repo, 9), repo_body(repo, role));
	json_object_set_new(sig, "keyid", json_string(id));
	json_array_set_new(json_object_get(d, "signatures"), 0, sig);
	repo_put_json(repo, names[_i], d);
	ck_assert_reason(refresh(), OK);
	reopen();
	ck_assert_reason(refresh(), OK);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-rollback");
	TCase *t = fixture_case("rollback");

	tcase_add_loop_test(t, test_timestamp, 0, 2);
	tcase_add_loop_test(t, test_timestamp_same_version, 0, 2);
	tcase_add_loop_test(t, test_snapshot_in_timestamp, 0, 4);
	tcase_add_loop_test(t, test_role_in_snapshot, 0, 4);
	tcase_add_loop_test(t, test_role_dropped, 0, 2);
	tcase_add_loop_test(t, test_old_file, 0, 2);
	tcase_add_loop_test(t, test_server_behind_bundle, 0, 2);
	tcase_add_loop_test(t, test_recover_timestamp, 0, 2);
	tcase_add_loop_test(t, test_recover_one_of_two, 0, 4);
	tcase_add_loop_test(t, test_recover_snapshot, 0, 2);
	tcase_add_loop_test(t, test_recover_listed, 0, 4);
	tcase_add_loop_test(t, test_no_recovery_without_rotation, 0, 4);
	tcase_add_loop_test(t, test_threshold_raised, 0, 4);
	tcase_add_loop_test(t, test_key_replaced_under_id, 1, 4);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
