/* SPDX-License-Identifier: Apache-2.0 */
/* S-02, S-03: what counts as signed, for each role; success is a number of valid signatures. */
#include "fixture.h"

static const char *const roles[] = {"root", "timestamp", "snapshot", "targets", "delegated"};
#define ROLES 5

/* Everything is signed three out of five by keys 10 to 14, as the client knows already. */
static const char *begin(int i)
{
	static const int keys[] = {10, 11, 12, 13, 14, -1};
	const char *role = roles[i];

	if (strcmp(role, "delegated") == 0) {
		json_t *d = repo_delegate(repo, "targets", role, 10, PATHS("*"));
		json_t *table = json_object_get(
			json_object_get(repo_body(repo, "targets"), "delegations"), "keys");
		char id[65];
		for (int k = 11; k <= 14; k++) {
			json_array_append_new(json_object_get(d, "keyids"),
				json_string(repo_key_id(repo, k, id)));
			json_object_set_new(table, id, tuf_key_to_json(repo_key(repo, k)));
		}
		json_object_set_new(d, "threshold", json_integer(3));
		repo_signers(repo, role, LIST(10, 11, 12));
		repo_target(repo, role, "file", "content");
	} else {
		repo_keys(repo, role, 3, keys);
		if (strcmp(role, "root") == 0)
			repo_signers(repo, role, LIST(0, 10, 11, 12)); /* 0 is the old key */
		repo_bump(repo, "root");
	}
	repo_update(repo);
	return role;
}

/* A new version of the role and of everything above it; envelope is what the client is given. */
static json_t *next(const char *role, const int *signers)
{
	repo_signers(repo, role, signers);
	repo_set_version(repo, role, repo_version(repo, role) + 1);
	if (strcmp(role, "root") != 0 && strcmp(role, "timestamp") != 0)
		repo_update(repo);
	return repo_envelope(repo, role);
}

static enum ef_reason try(const char *role, json_t *envelope)
{
	struct tuf_target target;
	char name[300];

	snprintf(name, sizeof(name), "%llu.%s.json", (unsigned long long)repo_version(repo, role),
		role);
	repo_put_json(repo, strcmp(role, "timestamp") == 0 ? "timestamp.json" : name, envelope);
	json_decref(envelope);
	if (refresh() != EF_REASON_OK || strcmp(role, "delegated") != 0)
		return last.reason;
	return find("file", &target);
}

static void accepted(const char *role, json_t *envelope)
{
	uint64_t v = repo_version(repo, role);

	ck_assert_reason(try(role, envelope), OK);
	ck_assert_uint_eq(stored_version(role), v);
	ck_assert_uint_eq(tuf_version(tuf, role), v);
}

static void refused(const char *role, json_t *envelope, enum ef_reason want)
{
	uint64_t v = repo_version(repo, role);

	try(role, envelope);
	ck_assert_msg(
		last.reason == want, "%s: %s: %s", role, reason_word(last.reason), last.detail);
	ck_assert_uint_lt(stored_version(role), v);
}

static json_t *sigs(json_t *envelope)
{
	return json_object_get(envelope, "signatures");
}

START_TEST(test_exact)
{
	const char *role = begin(_i);
	accepted(role, next(role, LIST(10, 11, 12)));
	accepted(role, next(role, LIST(14, 12, 13)));
	accepted(role, next(role, LIST(10, 11, 12, 13, 14)));
}
END_TEST

START_TEST(test_none)
{
	const char *role = begin(_i);
	refused(role, next(role, LIST(-1)), EF_REASON_BAD_SIGNATURE);
}
END_TEST

START_TEST(test_one_less)
{
	const char *role = begin(_i);
	refused(role, next(role, LIST(10, 14)), EF_REASON_BAD_SIGNATURE);
	if (_i != 0) /* a root that was never accepted cannot be stepped over */
		accepted(role, next(role, LIST(10, 14, 11)));
}
END_TEST

/* Keys nobody knows, and keys of every other role, count nothing. */
START_TEST(test_unknown_and_foreign)
{
	const char *role = begin(_i);
	int foreign[] = {10, 11, 20, 21, 0, 1, 2, 3, -1};
	refused(role, next(role, foreign), EF_REASON_BAD_SIGNATURE);
}
END_TEST

/* And do no harm beside enough good ones. */
START_TEST(test_more_than_needed)
{
	const char *role = begin(_i);
	accepted(role, next(role, LIST(20, 10, 1, 11, 21, 12, 3)));
}
END_TEST

/* The same signature twice: the specification forbids it, whatever else is there. */
START_TEST(test_duplicate)
{
	const char *role = begin(_i);
	json_t *e = next(role, LIST(10, 11));
	json_array_append(sigs(e), json_array_get(sigs(e), 0));
	refused(role, e, EF_REASON_BAD_FORMAT);
	if (_i == 0)
		return;
	e = next(role, LIST(10, 11, 12));
	json_array_append(sigs(e), json_array_get(sigs(e), 0));
	refused(role, e, EF_REASON_BAD_FORMAT);
}
END_TEST

/* The table and role in which keys of the role stand. */
static void key_table(const char *role, json_t **keys, json_t **keyids)
{
	if (strcmp(role, "delegated") == 0) {
		json_t *d = json_object_get(repo_body(repo, "targets"), "delegations");
		*keys = json_object_get(d, "keys");
		*keyids = json_object_get(json_array_get(json_object_get(d, "roles"), 0), "keyids");
	} else {
		json_t *root = repo_body(repo, "root");
		*keys = json_object_get(root, "keys");
		*keyids = json_object_get(
			json_object_get(json_object_get(root, "roles"), role), "keyids");
	}
}

/* One key under three ids, and ids listed many times, count once. */
START_TEST(test_one_key_many_ids)
{
	const char *role = begin(_i);
	json_t *keys, *keyids;
	char id[65];

	key_table(role, &keys, &keyids);
	repo_key_id(repo, 10, id);
	for (int i = 0; i < 3; i++) {
		char alias[16];
		snprintf(alias, sizeof(alias), "alias-%d", i);
		json_t *key = json_deep_copy(json_object_get(keys, id));
		json_object_set_new(key, "x-extra", json_integer(i)); /* an id of its own, too */
		json_object_set_new(keys, alias, key);
		json_array_append_new(keyids, json_string(alias));
		json_array_append_new(keyids, json_string(id));
	}
	if (strcmp(role, "root") != 0 && strcmp(role, "delegated") != 0)
		repo_bump(repo, "root");
	else if (strcmp(role, "delegated") == 0)
		repo_set_version(repo, "targets", repo_version(repo, "targets") + 1);
	json_t *e = next(role, _i == 0 ? LIST(0, 10, 11) : LIST(10, 11));
	for (int i = 0; i < 3; i++) {
		char alias[16];
		snprintf(alias, sizeof(alias), "alias-%d", i);
		json_t *s = key_signature(repo_key(repo, 10), repo_body(repo, role));
		json_object_set_new(s, "keyid", json_string(alias));
		json_array_append_new(sigs(e), s);
	}
	refused(role, e, EF_REASON_BAD_SIGNATURE);
}
END_TEST

/* Key ids are opaque: nothing is derived from them. */
START_TEST(test_opaque_ids)
{
	const char *role = begin(_i);
	json_t *keys, *keyids;
	char id[65];

	key_table(role, &keys, &keyids);
	repo_key_id(repo, 12, id);
	json_object_set(keys, "the third key", json_object_get(keys, id));
	json_object_del(keys, id);
	json_array_set_new(keyids, 2, json_string("the third key"));
	if (strcmp(role, "delegated") == 0)
		repo_set_version(repo, "targets", repo_version(repo, "targets") + 1);
	else if (strcmp(role, "root") != 0)
		repo_bump(repo, "root");
	json_t *e = next(role, _i == 0 ? LIST(0, 10, 11) : LIST(10, 11));
	json_t *s = key_signature(repo_key(repo, 12), repo_body(repo, role));
	json_object_set_new(s, "keyid", json_string("the third key"));
	json_array_append_new(sigs(e), s);
	/* Root must be good by the old names first: there only two are left. */
	if (_i == 0)
		json_array_append_new(
			sigs(e), key_signature(repo_key(repo, 12), repo_body(repo, role)));
	accepted(role, e);
}
END_TEST

static void bend(json_t *envelope, size_t i, const char *with)
{
	json_object_set_new(json_array_get(sigs(envelope), i), "sig", json_string(with));
}

/* One of three signatures is not what it should be. */
START_TEST(test_bad_signature)
{
	static const char *const as[] = {"", "0", "zz", "00",
		"0000000000000000000000000000000000000000000000000000000000000000"
		"0000000000000000000000000000000000000000000000000000000000000000"};
	const char *role = begin(_i % ROLES);
	int how = _i / ROLES;
	json_t *e = next(role, LIST(10, 11, 12));
	char sig[200];

	snprintf(sig, sizeof(sig), "%s",
		json_string_value(json_object_get(json_array_get(sigs(e), 1), "sig")));
	switch (how) {
	case 5: /* truncated */
		sig[strlen(sig) - 2] = 0;
		break;
	case 6: /* half a byte short */
		sig[strlen(sig) - 1] = 0;
		break;
	case 7: /* longer */
		strcat(sig, "00");
		break;
	case 8: /* one bit */
		sig[20] = sig[20] == '0' ? '1' : '0';
		break;
	case 9: /* by another key of the role, under this id */
		snprintf(sig, sizeof(sig), "%s",
			json_string_value(json_object_get(json_array_get(sigs(e), 0), "sig")));
		break;
	default:
		snprintf(sig, sizeof(sig), "%s", as[how]);
	}
	bend(e, 1, sig);
	refused(role, e, EF_REASON_BAD_SIGNATURE);
}
END_TEST

/* A signature that is nonsense does no harm beside enough good ones (some tools leave it empty). */
START_TEST(test_bad_beside_good)
{
	const char *role = begin(_i);
	json_t *e = next(role, LIST(13, 10, 11, 12));
	bend(e, 0, "");
	accepted(role, e);
	e = next(role, LIST(10, 13, 11, 12));
	bend(e, 1, "no hex at all");
	accepted(role, e);
}
END_TEST

/* S-02: a signature made by another scheme, with its key, under a trusted id. */
START_TEST(test_swapped_algorithm)
{
	const char *role = begin(_i % ROLES);
	EVP_PKEY *k = key_make(_i / ROLES ? KEY_RSA : KEY_P256);
	json_t *e = next(role, LIST(10, 11));
	json_t *s = key_signature(k, repo_body(repo, role));
	char id[65];

	json_object_set_new(s, "keyid", json_string(repo_key_id(repo, 12, id)));
	json_object_set_new(s, "keytype", json_string("ecdsa"));
	json_object_set_new(s, "scheme", json_string("ecdsa-sha2-nistp256"));
	json_object_set_new(s, "method", json_string("ecdsa-sha2-nistp256"));
	json_array_append_new(sigs(e), s);
	EVP_PKEY_free(k);
	refused(role, e, EF_REASON_BAD_SIGNATURE);
}
END_TEST

/* Signed content that was changed by one byte, in a field that nobody reads. */
START_TEST(test_changed_content)
{
	const char *role = begin(_i);
	json_t *e = next(role, LIST(10, 11, 12));
	json_object_set_new(e, "signed", json_deep_copy(json_object_get(e, "signed")));
	json_object_set_new(json_object_get(e, "signed"), "x", json_integer(0));
	refused(role, e, EF_REASON_BAD_SIGNATURE);
}
END_TEST

/* A field that is unknown, but signed, is no obstacle. */
START_TEST(test_unknown_field)
{
	const char *role = begin(_i);
	json_object_set_new(repo_body(repo, role), "x-unknown", json_pack("[i,{s:n}]", 1, "a"));
	accepted(role, next(role, LIST(10, 11, 12)));
}
END_TEST

/* S-04: a document of one role is nothing in the place of another, were it signed by its keys. */
START_TEST(test_cross_use)
{
	const char *as = top_roles[_i % 4], *from = top_roles[_i / 4];

	for (int i = 0; i < 4; i++)
		repo_keys(repo, top_roles[i], 1, LIST(0));
	repo_bump(repo, "root");
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	if (strcmp(as, from) == 0)
		return;
	repo_set_version(repo, as, repo_version(repo, as) + 1);
	if (strcmp(as, "root") != 0 && strcmp(as, "timestamp") != 0)
		repo_update(repo);
	repo_set_version(repo, from, repo_version(repo, as));
	refused(as, repo_envelope(repo, from), EF_REASON_BAD_FORMAT);
}
END_TEST

/* Keys of a kind that is not supported, and thresholds that cannot be met. */
START_TEST(test_unsupported_key)
{
	const char *role = begin(_i);
	json_t *keys, *keyids;
	char id[65];

	key_table(role, &keys, &keyids);
	json_object_set_new(json_object_get(keys, repo_key_id(repo, 14, id)), "keytype",
		json_string("lattice"));
	if (strcmp(role, "delegated") == 0)
		repo_set_version(repo, "targets", repo_version(repo, "targets") + 1);
	else if (strcmp(role, "root") != 0)
		repo_bump(repo, "root");
	if (_i == 0)
		accepted(role, next(role, LIST(0, 10, 11, 12, 14)));
	else
		accepted(role, next(role, LIST(10, 11, 12, 14)));
	refused(role, next(role, LIST(10, 11, 14)), EF_REASON_BAD_SIGNATURE);
}
END_TEST

START_TEST(test_unreachable_threshold)
{
	const char *role = top_roles[_i];

	json_object_set_new(
		json_object_get(json_object_get(repo_body(repo, "root"), "roles"), role),
		"threshold", json_integer(2));
	repo_bump(repo, "root");
	repo_update(repo);
	ck_assert_reason(refresh(), BAD_SIGNATURE);
	ck_assert_uint_eq(stored_version("root"), _i == 0 ? 1 : 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-threshold");
	TCase *t = fixture_case("threshold");

	tcase_add_loop_test(t, test_exact, 0, ROLES);
	tcase_add_loop_test(t, test_none, 0, ROLES);
	tcase_add_loop_test(t, test_one_less, 0, ROLES);
	tcase_add_loop_test(t, test_unknown_and_foreign, 0, ROLES);
	tcase_add_loop_test(t, test_more_than_needed, 0, ROLES);
	tcase_add_loop_test(t, test_duplicate, 0, ROLES);
	tcase_add_loop_test(t, test_one_key_many_ids, 0, ROLES);
	tcase_add_loop_test(t, test_opaque_ids, 0, ROLES);
	tcase_add_loop_test(t, test_bad_signature, 0, 10 * ROLES);
	tcase_add_loop_test(t, test_bad_beside_good, 0, ROLES);
	tcase_add_loop_test(t, test_swapped_algorithm, 0, 2 * ROLES);
	tcase_add_loop_test(t, test_changed_content, 0, ROLES);
	tcase_add_loop_test(t, test_unknown_field, 0, ROLES);
	tcase_add_loop_test(t, test_cross_use, 0, 16);
	tcase_add_loop_test(t, test_unsupported_key, 0, ROLES);
	tcase_add_loop_test(t, test_unreachable_threshold, 0, 4);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
