/* SPDX-License-Identifier: Apache-2.0 */
/* S-16: root rotation, one step at a time, by old and new thresholds; online and from a bundle. */
#include "fixture.h"

struct step {
	int keys[8], threshold, signers[10];
	bool good;
};

/* Chains of roots; all but the last step are good. Keys are numbers, lists end with -1. */
static const struct {
	const char *name;
	struct step steps[5];
} chains[] = {
	{"1 of 1 rotated",
		{{{1, -1}, 1, {1, -1}, 1}, {{2, -1}, 1, {2, 1, -1}, 1}, {{2, -1}, 1, {2, -1}, 1}}},
	{"signatures of strangers",
		{{{1, -1}, 1, {3, 1, 4, -1}, 1}, {{2, -1}, 1, {3, 2, 1, 4, -1}, 1},
			{{2, -1}, 1, {3, 2, 4, -1}, 1}}},
	{"3 of 5 in varying company", {{{0, 1, 2, 3, 4, -1}, 3, {0, 2, 4, -1}, 1},
					      {{0, 1, 2, 3, 4, -1}, 3, {0, 4, 1, -1}, 1},
					      {{0, 1, 2, 3, 4, -1}, 3, {0, 1, 3, -1}, 1}}},
	{"3 of 5, one rotated", {{{0, 1, 2, 3, 4, -1}, 3, {0, 2, 4, -1}, 1},
					{{0, 1, 3, 4, 5, -1}, 3, {0, 4, 1, -1}, 1}}},
	{"3 of 5, all rotated", {{{0, 1, 2, 3, 4, -1}, 3, {0, 2, 4, -1}, 1},
					{{5, 6, 7, 8, 9, -1}, 3, {0, 2, 4, 5, 6, 7, -1}, 1},
					{{5, 6, 7, 8, 9, -1}, 3, {5, 6, 7, -1}, 1}}},
	{"threshold up", {{{1, 2, 3, -1}, 1, {1, -1}, 1}, {{1, 2, 3, -1}, 2, {1, 2, -1}, 1}}},
	{"threshold down", {{{1, 2, 3, -1}, 2, {1, 2, -1}, 1}, {{1, 2, 3, -1}, 1, {1, 2, -1}, 1},
				   {{1, 2, 3, -1}, 1, {1, -1}, 1}}},
	{"three rotations", {{{1, -1}, 1, {1, -1}, 1}, {{2, -1}, 1, {1, 2, -1}, 1},
				    {{3, -1}, 1, {2, 3, -1}, 1}, {{4, -1}, 1, {3, 4, -1}, 1}}},
	{"not by the old key", {{{1, -1}, 1, {1, -1}, 1}, {{2, -1}, 1, {2, 3, 4, -1}, 0}}},
	{"not by the new key", {{{1, -1}, 1, {1, -1}, 1}, {{2, -1}, 1, {1, 3, 4, -1}, 0}}},
	{"not by 3 new", {{{0, 1, 2, 3, 4, -1}, 3, {0, 2, 4, -1}, 1},
				 {{0, 1, 3, 4, 5, -1}, 3, {0, 2, 4, -1}, 0}}},
	{"not by 3 old", {{{0, 1, 2, 3, 4, -1}, 3, {0, 2, 4, -1}, 1},
				 {{0, 1, 3, 4, 5, -1}, 3, {0, 4, 5, -1}, 0}}},
	{"threshold up, not reached",
		{{{1, 2, 3, -1}, 1, {1, -1}, 1}, {{1, 2, 3, -1}, 2, {2, -1}, 0}}},
	{"threshold down, old one not reached",
		{{{1, 2, 3, -1}, 2, {1, 2, -1}, 1}, {{1, 2, 3, -1}, 1, {1, -1}, 0}}},
	{"forged after a rotation by the key before",
		{{{1, -1}, 1, {1, -1}, 1}, {{2, -1}, 1, {1, 2, -1}, 1},
			{{3, -1}, 1, {1, 3, -1}, 0}}},
};
#define CHAINS ((int)(sizeof(chains) / sizeof(chains[0])))

/* The chain as the repository's roots, and a client that starts at its first one. */
static int publish_chain(int i)
{
	int n = 0;

	for (; chains[i].steps[n].threshold; n++) {
		const struct step *s = &chains[i].steps[n];
		repo_keys(repo, "root", s->threshold, s->keys);
		repo_signers(repo, "root", s->signers);
		repo_set_version(repo, "root", (uint64_t)n + 1);
		repo_publish(repo, "root");
	}
	tuf_close(tuf);
	memory_clear(&store);
	provision();
	return n;
}

START_TEST(test_chain)
{
	enum tuf_mode mode = _i / CHAINS ? TUF_OFFLINE : TUF_ONLINE;
	int i = _i % CHAINS, n = publish_chain(i);
	bool good = chains[i].steps[n - 1].good;

	refresh_mode(mode, NOW);
	ck_assert_msg(last.reason == (good ? EF_REASON_OK : EF_REASON_BAD_SIGNATURE), "%s: %s: %s",
		chains[i].name, reason_word(last.reason), last.detail);
	ck_assert_uint_eq(stored_version("root"), good ? n : n - 1);
	char name[32];
	snprintf(name, sizeof(name), "%d.root.json", good ? n : n - 1);
	assert_stored("root.json", name);
	reopen();
	ck_assert_int_eq(refresh_mode(mode, NOW), good ? EF_REASON_OK : EF_REASON_BAD_SIGNATURE);
}
END_TEST

/* Three rotations of all keys, and then one of: all there, one skipped, one replayed, one forged.
 */
START_TEST(test_three_steps)
{
	enum tuf_mode mode = _i % 2 ? TUF_OFFLINE : TUF_ONLINE;
	int how = _i / 2;

	for (int v = 2; v <= 4; v++) {
		repo_keys(repo, "root", 1, LIST(3 + v));
		repo_signers(repo, "root", v == 2 ? LIST(0, 5) : LIST(2 + v, 3 + v));
		repo_keys(repo, "targets", 1, LIST(9 + v));
		repo_keys(repo, "timestamp", 1, LIST(13 + v));
		repo_keys(repo, "snapshot", 1, LIST(17 + v));
		repo_bump(repo, "root");
	}
	repo_update(repo);
	const struct repo_file *second = repo_get(repo, "2.root.json");
	switch (how) {
	case 0:
		ck_assert_int_eq(refresh_mode(mode, NOW), EF_REASON_OK);
		ck_assert_uint_eq(stored_version("root"), 4);
		break;
	case 1: /* the chain stops there, and what lies behind it is signed by strangers */
		repo_remove(repo, "3.root.json");
		ck_assert_int_eq(refresh_mode(mode, NOW), EF_REASON_BAD_SIGNATURE);
		ck_assert_uint_eq(stored_version("root"), 2);
		break;
	case 2: /* replayed: the specification goes on with the root that is trusted */
		repo_put(repo, "3.root.json", second->data, second->size);
		ck_assert_int_eq(refresh_mode(mode, NOW), EF_REASON_BAD_SIGNATURE);
		ck_assert_uint_eq(stored_version("root"), 2);
		break;
	case 3: /* skipped within the file: version 4 under the name of 3 */
		repo_set_version(repo, "root", 4);
		repo_signers(repo, "root", LIST(5, 7));
		json_t *e = repo_envelope(repo, "root");
		repo_put_json(repo, "3.root.json", e);
		json_decref(e);
		ck_assert_int_eq(refresh_mode(mode, NOW), EF_REASON_BAD_FORMAT);
		ck_assert_uint_eq(stored_version("root"), 2);
		break;
	default: /* forged: all but the old signature is right */
		repo_set_version(repo, "root", 3);
		repo_signers(repo, "root", LIST(6, 7, 0));
		repo_publish(repo, "root");
		ck_assert_int_eq(refresh_mode(mode, NOW), EF_REASON_BAD_SIGNATURE);
		ck_assert_uint_eq(stored_version("root"), 2);
	}
}
END_TEST

/* An older root where the next one should be. */
START_TEST(test_rollback)
{
	repo_bump(repo, "root");
	repo_bump(repo, "root");
	ck_assert_reason(refresh(), OK);
	const struct repo_file *f = repo_get(repo, "1.root.json");
	repo_put(repo, "4.root.json", f->data, f->size);
	ck_assert_reason(refresh(), METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version("root"), 3);
}
END_TEST

/* The same root once more is no news and no error. */
START_TEST(test_same_again)
{
	const struct repo_file *f = repo_get(repo, "1.root.json");

	repo_put(repo, "2.root.json", f->data, f->size);
	ck_assert_reason(refresh(), OK);
	ck_assert_uint_eq(store.saves, 3);
}
END_TEST

/* Long chains are followed in parts; an expired root on the way is no obstacle. */
START_TEST(test_bound)
{
	repo_expire(repo, "root", PAST);
	for (int i = 0; i < 260; i++)
		repo_bump(repo, "root");
	repo_expire(repo, "root", LATER);
	repo_bump(repo, "root");
	ck_assert_reason(refresh(), EXPIRED);
	ck_assert_uint_eq(stored_version("root"), 257);
	ck_assert_reason(refresh(), OK);
	ck_assert_uint_eq(stored_version("root"), 262);
}
END_TEST

/* Every root is stored as soon as it is trusted, not at the end (5.3.8). */
START_TEST(test_stored_at_once)
{
	repo_bump(repo, "root");
	repo_bump(repo, "root");
	repo_put(repo, "4.root.json", "{", 1);
	ck_assert_reason(refresh(), BAD_FORMAT);
	ck_assert_uint_eq(stored_version("root"), 3);
}
END_TEST

START_TEST(test_bootstrap)
{
	struct memory m = {.fail_saves_after = -1};
	struct tuf_store s = memory_store(&m);
	struct tuf *t;
	struct error e = {0};
	json_t *v = repo_envelope(repo, "root");
	const char *file = "bent.json";

	ck_assert_int_eq(tuf_open(&s, &t, &e), EF_REASON_NO_TRUST);
	switch (_i) {
	case 0:
		json_object_del(json_object_get(v, "signed"), "version");
		break;
	case 1:
		json_array_clear(json_object_get(v, "signatures"));
		break;
	case 2: /* signed, but by another key */
		json_object_set_new(v, "signatures",
			json_pack(
				"[o]", key_signature(repo_key(repo, 3), repo_body(repo, "root"))));
		break;
	case 3: /* another role's document */
		json_decref(v);
		v = repo_envelope(repo, "targets");
		break;
	case 4:
		file = "1.root.json";
	}
	repo_put_json(repo, "bent.json", v);
	json_decref(v);
	const struct repo_file *f = repo_get(repo, file);
	error_clear(&e);
	tuf_bootstrap(&s, f->data, f->size, &e);
	ck_assert_int_eq(e.reason,
		((enum ef_reason[]){EF_REASON_BAD_FORMAT, EF_REASON_BAD_SIGNATURE,
			EF_REASON_BAD_SIGNATURE, EF_REASON_BAD_FORMAT, EF_REASON_OK})[_i]);
	ck_assert_uint_eq(m.saves, _i == 4);
	memory_clear(&m);
}
END_TEST

/* The root that a device has is never replaced from outside. */
START_TEST(test_bootstrap_twice)
{
	struct tuf_store s = memory_store(&store);
	struct error e = {0};

	repo_bump(repo, "root");
	const struct repo_file *f = repo_get(repo, "2.root.json");
	ck_assert_int_eq(tuf_bootstrap(&s, f->data, f->size, &e), EF_REASON_OK);
	ck_assert_uint_eq(stored_version("root"), 1);
	ck_assert_int_eq(tuf_bootstrap(&s, "nonsense", 8, &e), EF_REASON_OK);
	ck_assert_uint_eq(stored_version("root"), 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-root");
	TCase *t = fixture_case("root");

	tcase_add_loop_test(t, test_chain, 0, 2 * CHAINS);
	tcase_add_loop_test(t, test_three_steps, 0, 10);
	tcase_add_test(t, test_rollback);
	tcase_add_test(t, test_same_again);
	tcase_add_test(t, test_bound);
	tcase_add_test(t, test_stored_at_once);
	tcase_add_loop_test(t, test_bootstrap, 0, 5);
	tcase_add_test(t, test_bootstrap_twice);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
