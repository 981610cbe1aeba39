/* SPDX-License-Identifier: Apache-2.0 */
/* Bundles: root chain, targets and roles by the same rules; freshness is not asked for (S-37). */
#include "fixture.h"

static enum ef_reason offline(void)
{
	return refresh_mode(TUF_OFFLINE, NOW);
}

static void delegate(void)
{
	repo_delegate(repo, "targets", "releases", 5, PATHS("releases/*/*"));
	repo_target(repo, "releases", "releases/demo/1.json", "manifest");
	repo_set_version(repo, "targets", repo_version(repo, "targets") + 1);
	repo_update(repo);
}

START_TEST(test_whole)
{
	struct tuf_target target;

	delegate();
	repo_remove(repo, "timestamp.json");
	repo_remove(repo, "snapshot.json");
	repo_remove(repo, "2.snapshot.json");
	ck_assert_reason(offline(), OK);
	ck_assert_str_eq(repo->log, "2.root.json targets.json ");
	ck_assert_reason(find("releases/demo/1.json", &target), OK);
	ck_assert_str_eq(repo->log, "releases.json ");
	ck_assert_uint_eq(target.length, 8);
	ck_assert(target.consistent);
	ck_assert_uint_eq(stored_version("targets"), 2);
	ck_assert_uint_eq(stored_version("releases"), 1);
	ck_assert_uint_eq(stored_version("timestamp"), 0);
}
END_TEST

/* The age of timestamp and snapshot does not matter; that of all others does. */
START_TEST(test_expiry)
{
	static const char *const roles[] = {"timestamp", "snapshot", "root", "targets", "releases"};
	struct tuf_target target;

	delegate();
	repo_expire(repo, roles[_i], PAST);
	if (_i == 2)
		repo_bump(repo, "root");
	repo_update(repo);
	offline();
	if (last.reason == EF_REASON_OK)
		find("releases/demo/1.json", &target);
	ck_assert_int_eq(last.reason, _i < 2 ? EF_REASON_OK : EF_REASON_EXPIRED);
	if (_i > 2)
		ck_assert_uint_eq(stored_version(roles[_i]), 0);
}
END_TEST

static void roll(const char *role, uint64_t version)
{
	repo_set_version(repo, role, version);
	repo_publish(repo, role);
}

/* Older than what an earlier bundle brought. */
START_TEST(test_rollback)
{
	const char *role = _i / 2 ? "releases" : "targets";
	struct tuf_target target;

	delegate();
	roll(role, 5);
	ck_assert_reason(offline(), OK);
	ck_assert_reason(find("releases/demo/1.json", &target), OK);
	if (_i % 2)
		reopen();
	roll(role, 4);
	offline();
	if (last.reason == EF_REASON_OK)
		find("releases/demo/1.json", &target);
	ck_assert_reason(last.reason, METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version(role), 5);
	/* The same one again is fine. */
	roll(role, 5);
	ck_assert_reason(offline(), OK);
	ck_assert_reason(find("releases/demo/1.json", &target), OK);
}
END_TEST

/* Older than what a server listed, although it was never loaded. */
START_TEST(test_rollback_behind_snapshot)
{
	const char *role = _i ? "releases" : "targets";
	struct tuf_target target;

	delegate();
	repo_set_version(repo, role, 7);
	repo_update(repo);
	if (_i == 0)
		repo_remove(repo, "7.targets.json");
	ck_assert_int_eq(refresh(), _i ? EF_REASON_OK : EF_REASON_NOT_FOUND);
	roll(role, 6);
	offline();
	if (last.reason == EF_REASON_OK)
		find("releases/demo/1.json", &target);
	ck_assert_reason(last.reason, METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version(role), 0);
}
END_TEST

START_TEST(test_absent)
{
	struct tuf_target target;

	delegate();
	repo_remove(repo, _i ? "releases.json" : "targets.json");
	offline();
	if (last.reason == EF_REASON_OK)
		find("releases/demo/1.json", &target);
	ck_assert_reason(last.reason, NOT_FOUND);
}
END_TEST

START_TEST(test_forged)
{
	const char *role = _i ? "releases" : "targets";
	struct tuf_target target;

	delegate();
	repo_signers(repo, role, LIST(9));
	repo_publish(repo, role);
	offline();
	if (last.reason == EF_REASON_OK)
		find("releases/demo/1.json", &target);
	ck_assert_reason(last.reason, BAD_SIGNATURE);
	ck_assert_uint_eq(stored_version(role), 0);
}
END_TEST

/* S-17 without a network: new keys for the role itself, in the root or in the delegation. */
START_TEST(test_recover)
{
	const char *role = _i / 2 ? "releases" : "targets";
	struct tuf_target target;

	delegate();
	roll(role, INT64_MAX);
	ck_assert_reason(offline(), OK);
	ck_assert_reason(find("releases/demo/1.json", &target), OK);
	if (_i % 2)
		reopen();
	if (_i / 2) {
		json_object_del(repo_body(repo, "targets"), "delegations");
		repo_delegate(repo, "targets", "releases", 8, PATHS("releases/*/*"));
		roll("targets", 9);
	} else {
		repo_keys(repo, "targets", 1, LIST(8));
		repo_bump(repo, "root");
	}
	roll(role, 2);
	ck_assert_reason(offline(), OK);
	ck_assert_reason(find("releases/demo/1.json", &target), OK);
	ck_assert_uint_eq(stored_version(role), 2);
	reopen();
	ck_assert_reason(offline(), OK);
}
END_TEST

/* The same, where the new key goes by the id of the old one: nothing may be left unreadable. */
START_TEST(test_recover_same_id)
{
	struct tuf_target target;
	char id[65];

	delegate();
	roll("releases", 100);
	ck_assert_reason(offline(), OK);
	ck_assert_reason(find("releases/demo/1.json", &target), OK);
	json_t *d = json_object_get(repo_body(repo, "targets"), "delegations");
	json_object_set_new(json_object_get(d, "keys"), repo_key_id(repo, 5, id),
		tuf_key_to_json(repo_key(repo, 8)));
	roll("targets", 9);
	repo_set_version(repo, "releases", 2);
	_cleanup_json_ json_t *e = repo_envelope(repo, "releases");
	json_t *s = key_signature(repo_key(repo, 8), repo_body(repo, "releases"));
	json_object_set_new(s, "keyid", json_string(id));
	json_array_set_new(json_object_get(e, "signatures"), 0, s);
	repo_put_json(repo, "releases.json", e);
	ck_assert_reason(offline(), OK);
	ck_assert_reason(find("releases/demo/1.json", &target), OK);
	ck_assert_uint_eq(stored_version("releases"), 2);
}
END_TEST

/* Changes of a delegation that leave its keys alone do not weaken the role's version. */
START_TEST(test_delegation_edited)
{
	struct tuf_target target;

	delegate();
	roll("releases", 100);
	ck_assert_reason(offline(), OK);
	ck_assert_reason(find("releases/demo/1.json", &target), OK);
	json_t *d = json_array_get(
		json_object_get(
			json_object_get(repo_body(repo, "targets"), "delegations"), "roles"),
		0);
	json_object_set_new(d, "terminating", json_true());
	roll("targets", 9);
	roll("releases", 99);
	ck_assert_reason(offline(), OK);
	ck_assert_reason(find("releases/demo/1.json", &target), METADATA_ROLLBACK);
}
END_TEST

/* A new timestamp key says nothing about what targets signed. */
START_TEST(test_timestamp_rotation_keeps_floor)
{
	roll("targets", 5);
	ck_assert_reason(offline(), OK);
	repo_keys(repo, "timestamp", 1, LIST(8));
	repo_keys(repo, "snapshot", 1, LIST(9));
	repo_bump(repo, "root");
	roll("targets", 4);
	ck_assert_reason(offline(), METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version("targets"), 5);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-offline");
	TCase *t = fixture_case("offline");

	tcase_add_test(t, test_whole);
	tcase_add_loop_test(t, test_expiry, 0, 5);
	tcase_add_loop_test(t, test_rollback, 0, 4);
	tcase_add_loop_test(t, test_rollback_behind_snapshot, 0, 2);
	tcase_add_loop_test(t, test_absent, 0, 2);
	tcase_add_loop_test(t, test_forged, 0, 2);
	tcase_add_loop_test(t, test_recover, 0, 4);
	tcase_add_test(t, test_recover_same_id);
	tcase_add_test(t, test_delegation_edited);
	tcase_add_test(t, test_timestamp_rotation_keeps_floor);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
