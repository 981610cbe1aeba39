/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rollout statements that are not followed, what the online key cannot do (S-04), keys that
 * change (S-17), and what is stored (S-14, S-15), through the whole engine.
 */
#include "rollout-scene.h"

/* --- statements that are not taken --- */

struct lie {
	int64_t counter;
	struct entry entry;
	enum ef_reason reason;
};

START_TEST(the_old_one_stays) /* */
{
	static const struct lie lies[] = {
		{4, TWO(500, false), EF_REASON_METADATA_ROLLBACK},
		{6, TWO(499, false), EF_REASON_BAD_FORMAT}, /* the share shrinks */
		{5, TWO(501, false), EF_REASON_BAD_FORMAT}, /* two contents */
		{6, {.version = "2.0.0", .sequence = 2, .share = 500, .salt = "another-salt"},
			EF_REASON_BAD_FORMAT},
		{6, {.version = "2.0.0", .sequence = 3, .share = 500}, EF_REASON_BAD_FORMAT},
		{0, TWO(500, false), EF_REASON_BAD_FORMAT},
	};

	say(5, TWO(500, false));
	look();
	ck_assert_uint_eq(counter(), 5);
	for (int i = 0; i < 3; i++) {
		say(lies[_i].counter, lies[_i].entry);
		for (int k = 0; k < 2; k++) {
			offers("");
			held("2.0.0", lies[_i].reason);
		}
		ck_assert_uint_eq(counter(), 5);
		refused("2.0.0", lies[_i].reason);
		if (i == 1)
			restart();
	}
	nothing_touched();
	/* each look of the engine's own is a refusal of its own; those without are told once */
	ck_assert_uint_eq(events("refused", lies[_i].reason), 1 + 3);
	restart();
	ck_assert_uint_eq(counter(), 5);
	say(6, TWO(1000, false));
	offers("2.0.0");
	ck_assert_uint_eq(counter(), 6);
	install("");
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

static void statement_path(char out[200])
{
	for (size_t i = 0; i < w->n_files; i++)
		if (strncmp(w->files[i].path, "targets/rollouts/", 17) == 0)
			strcpy(out, w->files[i].path);
}

static void bend_no_statement(void)
{
	char path[200];

	statement_path(path);
	world_remove(w, path);
}

static void bend_no_role(void)
{
	char path[200];

	snprintf(path, sizeof(path), "metadata/%llu.rollouts.json",
		(unsigned long long)repo_version(w->repo, "rollouts"));
	world_remove(w, path);
}

static void bend_bytes(void)
{
	char path[200];

	statement_path(path);
	for (size_t i = 0; i < w->n_files; i++)
		if (strcmp(w->files[i].path, path) == 0)
			w->files[i].data[30] ^= 1;
}

static void bend_longer(void)
{
	char path[200];

	statement_path(path);
	for (size_t i = 0; i < w->n_files; i++)
		if (strcmp(w->files[i].path, path) == 0)
			w->files[i].size--;
}

static void bend_large(void)
{
	static char text[ROLLOUT_SIZE_MAX + 2];

	memset(text, ' ', sizeof(text) - 1);
	world_rollout(w, "demo", text);
}

static void bend_text(void)
{
	world_rollout(w, "demo", "{}");
}

static void bend_role_expired(void)
{
	say(1, TWO(1000, false));
	repo_expire(w->repo, "rollouts", "2027-01-15T08:00:00Z");
	say(1, TWO(1000, false));
	repo_expire(w->repo, "rollouts", LATER);
}

/* --- the online key, and what it cannot do (the trust table of threats-and-faults) --- */

static json_t *targets_of(const char *role)
{
	return json_object_get(repo_body(w->repo, role), "targets");
}

/* A release that release keys never saw, in the online role's own document. */
static void bend_names_a_release(void)
{
	say(1, TWO(1000, false)); /* which makes the role */
	json_t *good = json_object_get(targets_of("releases"), "releases/demo/2.0.0.json");
	json_object_set_new(
		targets_of("rollouts"), "releases/demo/9.9.9.json", json_deep_copy(good));
	say(1, TWO(1000, false));
	json_object_del(targets_of("rollouts"), "releases/demo/9.9.9.json");
}

/* A path in nobody's reach. */
static void bend_names_a_path(void)
{
	say(1, TWO(1000, false));
	repo_target(w->repo, "rollouts", "rollouts/deeper/demo.json", "{}");
	say(1, TWO(1000, false));
	json_object_del(targets_of("rollouts"), "rollouts/deeper/demo.json");
}

static void bend_other_product(void)
{
	world_rollout(w, "demo",
		"{\"schema\":1,\"product\":\"other\",\"counter\":9,\"expires\":\"" SOON
		"\",\"releases\":[{\"version\":\"2.0.0\",\"sequence\":2,\"share\":1000,"
		"\"salt\":\"salt-of-2.0.0\",\"halted\":false}]}");
}

static void bend_only_other_product(void)
{
	world_rollout(w, "other", "{}");
	json_object_del(targets_of("rollouts"), "rollouts/demo.json");
	world_rollout(w, "other", "{}");
}

static void bend_floor(void)
{
	world_rollout(w, "demo",
		"{\"schema\":1,\"product\":\"demo\",\"counter\":9,\"expires\":\"" SOON
		"\",\"floor\":0,\"releases\":[]}");
}

static void bend_security(void)
{
	world_rollout(w, "demo",
		"{\"schema\":1,\"product\":\"demo\",\"counter\":9,\"expires\":\"" SOON
		"\",\"releases\":[{\"version\":\"2.0.0\",\"sequence\":2,\"share\":1000,"
		"\"salt\":\"salt-of-2.0.0\",\"halted\":false,\"security\":0}]}");
}

/* Signed by the release key. */
static void bend_other_key(void)
{
	say(1, TWO(1000, false));
	repo_signers(w->repo, "rollouts", LIST(5));
	say(2, TWO(1000, false));
	repo_signers(w->repo, "rollouts", LIST(WORLD_ROLLOUTS_KEY));
}

START_TEST(nothing_goes_by_a_wrong_one) /* S-04, S-05, S-07, R-03 */
{
	static const struct {
		void (*bend)(void);
		enum ef_reason reason;
	} cases[] = {
		{bend_no_statement, EF_REASON_NOT_FOUND},
		{bend_no_role, EF_REASON_NOT_FOUND},
		{bend_bytes, EF_REASON_BAD_DIGEST},
		{bend_longer, EF_REASON_BAD_SIZE},
		{bend_large, EF_REASON_BAD_SIZE},
		{bend_text, EF_REASON_BAD_FORMAT},
		{bend_role_expired, EF_REASON_EXPIRED},
		{bend_names_a_release, EF_REASON_NOT_SIGNED_FOR},
		{bend_names_a_path, EF_REASON_NOT_SIGNED_FOR},
		{bend_other_product, EF_REASON_BAD_FORMAT},
		{bend_only_other_product, EF_REASON_NOT_SIGNED_FOR},
		{bend_floor, EF_REASON_BAD_FORMAT},
		{bend_security, EF_REASON_BAD_FORMAT},
		{bend_other_key, EF_REASON_BAD_SIGNATURE},
	};

	if (cases[_i].bend == bend_no_statement || cases[_i].bend == bend_no_role ||
		cases[_i].bend == bend_bytes || cases[_i].bend == bend_longer)
		say(1, TWO(1000, false));
	cases[_i].bend();
	offers("");
	held("2.0.0", cases[_i].reason);
	ck_assert_uint_eq(events("refused", cases[_i].reason), 1);
	refused("2.0.0", cases[_i].reason);
	refused("", cases[_i].reason);
	refused("9.9.9", EF_REASON_NOT_FOUND);
	ck_assert_uint_eq(counter(), 0);
	nothing_touched();
	/* also when the source cannot be asked any more: there is one, and none was taken */
	restart();
	struct error e = {0};
	ck_assert_int_eq(statement_in_force(w->update, &e), EF_REASON_NOT_FOUND);
	/* the next good one */
	json_object_del(targets_of("rollouts"), "rollouts/other.json");
	say(10, TWO(1000, false));
	offers("2.0.0");
	install("");
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* Documents of other roles, signed by the online key. */
START_TEST(the_online_key_signs_for_nobody_else) /* S-04 */
{
	static const char *const roles[] = {"releases", "targets", "snapshot", "timestamp", "root"};
	const char *role = roles[_i];
	int signers[2] = {repo_role(w->repo, role)->signers[0], -1};

	say(1, TWO(1000, false));
	offers("2.0.0");
	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3});
	repo_signers(w->repo, role, LIST(WORLD_ROLLOUTS_KEY));
	if (strcmp(role, "targets") == 0 || strcmp(role, "root") == 0)
		repo_set_version(w->repo, role, repo_version(w->repo, role) + 1);
	if (strcmp(role, "root") == 0)
		repo_publish(w->repo, "root");
	world_repo_sign(w);
	ck_assert_int_eq(look().error.reason, EF_REASON_BAD_SIGNATURE);
	ck_assert_uint_eq(events("refused", EF_REASON_BAD_SIGNATURE), 1);
	refused("3.0.0", EF_REASON_BAD_SIGNATURE);
	nothing_touched();
	repo_signers(w->repo, role, signers);
	if (strcmp(role, "root") == 0)
		repo_publish(w->repo, "root");
	world_repo_sign(w);
	say_until(SOON, 2,
		(const struct entry[]){{.version = "3.0.0", .sequence = 3, .share = 1000}}, 1);
	install("");
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("3.0.0", role);
}
END_TEST

/* Choosing among releases is its right; the order and the floors are not. */
START_TEST(it_chooses_among_what_may_go) /* S-04, S-12 */
{
	const struct entry all[] = {{.version = "2.0.0", .sequence = 2, .share = 1000},
		{.version = "4.0.0", .sequence = 4, .share = 1000}};

	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3, .security = 7});
	world_publish(w, &(struct world_release){.version = "4.0.0", .sequence = 4, .security = 6});
	say_until(SOON, 1,
		(const struct entry[]){{.version = "3.0.0", .sequence = 3, .share = 1000}}, 1);
	offers("3.0.0");
	install("");
	ends(DEPLOYMENT_CONFIRMED);
	say_until(SOON, 2, all, 2);
	offers("");
	ck_assert_int_eq(known("4.0.0")->error.reason, EF_REASON_FLOOR);
	ck_assert_int_eq(known("2.0.0")->error.reason, EF_REASON_DOWNGRADE);
	refused("4.0.0", EF_REASON_FLOOR);
	refused("2.0.0", EF_REASON_DOWNGRADE);
	fleet_runs("3.0.0", "chosen");
}
END_TEST

/* --- keys --- */

/* targets delegates to the role by another key, which signs from then on. */
static void rotate(int key)
{
	json_t *delegations = json_object_get(repo_body(w->repo, "targets"), "delegations");
	json_t *roles = json_object_get(delegations, "roles"), *d;
	char id[65];
	size_t i;

	repo_key_id(w->repo, key, id);
	json_object_set_new(
		json_object_get(delegations, "keys"), id, tuf_key_to_json(repo_key(w->repo, key)));
	json_array_foreach (roles, i, d)
		if (strcmp(json_string_value(json_object_get(d, "name")), "rollouts") == 0)
			json_object_set_new(d, "keyids", json_pack("[s]", id));
	repo_signers(w->repo, "rollouts", LIST(key));
	repo_set_version(w->repo, "targets", repo_version(w->repo, "targets") + 1);
}

START_TEST(a_stolen_key_ends_with_its_counter) /* S-17 */
{
	const struct entry far = TWO(1000, true);

	say_until("2099-01-01T00:00:00Z", INT64_MAX, &far, 1);
	offers("");
	held("2.0.0", EF_REASON_HALTED);
	say(INT64_MAX, TWO(1000, false)); /* the publisher cannot say anything any more */
	offers("");
	held("2.0.0", EF_REASON_BAD_FORMAT);
	rotate(7);
	if (_i) { /* the new statement is not there yet: the thief's counts no longer, nobody's does
		   */
		say(1, TWO(1000, false));
		bend_no_statement();
		offers("");
		held("2.0.0", EF_REASON_NOT_FOUND);
		ck_assert_uint_eq(counter(), 0);
		restart();
		ck_assert_uint_eq(counter(), 0);
		refused("2.0.0", EF_REASON_NOT_FOUND);
		nothing_touched();
	}
	say(1, TWO(1000, false));
	offers("2.0.0");
	ck_assert_uint_eq(counter(), 1);
	restart();
	ck_assert_uint_eq(counter(), 1);
	/* and the old key is of no use */
	repo_signers(w->repo, "rollouts", LIST(WORLD_ROLLOUTS_KEY));
	say(2, TWO(1000, true));
	offers("");
	held("2.0.0", EF_REASON_BAD_SIGNATURE);
	repo_signers(w->repo, "rollouts", LIST(7));
	say(3, TWO(1000, false));
	install("");
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* The targets that change the keys come in a bundle: seen at the next look. */
START_TEST(keys_that_changed_in_a_bundle) /* S-17 */
{
	struct error e = {0};
	uint64_t id;

	say(7, TWO(0, false));
	offers("");
	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3});
	rotate(7);
	say_until(SOON, 1, (const struct entry[]){{.version = "3.0.0", .sequence = 3, .share = 0}},
		1);
	int fd = world_bundle(w);
	ck_assert_int_eq(update_install_bundle(w->update, fd, "demo.ferry", &id, &e), EF_REASON_OK);
	while (w->update->current->state == DEPLOYMENT_OFFERED)
		turn();
	ck_assert_uint_eq(counter(), 7); /* a bundle has none */
	w->server_down = false;
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(counter(), 1);
}
END_TEST

START_TEST(statements_come_and_go)
{
	uint64_t n;
	int64_t until;
	struct error e = {0};

	offers("2.0.0"); /* none: for everybody */
	ck_assert(!update_statement(w->update, &n, &until, &e));
	say(3, TWO(0, false));
	offers("");
	restart();
	ck_assert_uint_eq(counter(), 3);
	/* targets delegates no more, signed by the keys of targets: for everybody again */
	json_t *delegations = json_object_get(repo_body(w->repo, "targets"), "delegations");
	json_t *roles = json_object_get(delegations, "roles"), *removed;
	removed = json_incref(json_array_get(roles, 1));
	ck_assert_str_eq(json_string_value(json_object_get(removed, "name")), "rollouts");
	json_array_remove(roles, 1);
	repo_set_version(w->repo, "targets", repo_version(w->repo, "targets") + 1);
	world_repo_sign(w);
	offers("2.0.0");
	ck_assert(!update_statement(w->update, &n, &until, &e));
	restart();
	ck_assert(!update_statement(w->update, &n, &until, &e));
	/* and once more, from the beginning */
	json_array_append_new(roles, removed);
	repo_set_version(w->repo, "targets", repo_version(w->repo, "targets") + 1);
	say(1, TWO(0, false));
	offers("");
	ck_assert_uint_eq(counter(), 1);
}
END_TEST

/* --- what is stored --- */

/* Killed at any turn while a statement comes in: the old one or the new one. */
START_TEST(killed_while_one_comes_in) /* S-15 */
{
	unsigned old = 0, new = 0;

	for (uint64_t at = 0;; at++) {
		struct checked c = {.done = false};
		struct error e = {0};
		say(1, TWO(0, false));
		offers("");
		say(2, TWO(1000, false));
		ck_assert_int_eq(update_check(w->update, on_checked, &c, &e), EF_REASON_OK);
		for (uint64_t i = 0; i < at && !c.done; i++)
			turn();
		bool over = c.done;
		restart();
		ck_assert(counter() == 1 || counter() == 2);
		old += counter() == 1;
		new += counter() == 2;
		offers("2.0.0");
		ck_assert_uint_eq(counter(), 2);
		if (over)
			break;
		teardown();
		setup();
	}
	ck_assert_uint_gt(old, 3);
	ck_assert_uint_gt(new, 1);
}
END_TEST

START_TEST(what_cannot_be_read_is_not_nothing) /* S-14 */
{
	static const char *const values[] = {"x", "00 1\n", "\n", "zz 0\n{}"};
	char keys[65], value[256];
	struct update_env env = w->update->env;
	struct update *u = NULL;
	struct error e = {0};

	say(1, TWO(0, false));
	offers("");
	strcpy(keys, w->update->statement.keys);
	snprintf(value, sizeof(value), "%s 1800000000\n{\"schema\":1}", keys);
	ck_assert_int_eq(
		store_set(w->update->store, "rollout-demo", _i == 4 ? value : values[_i], &e),
		EF_REASON_OK);
	world_kill(w);
	ck_assert_int_eq(update_new(&u, &env, &e), EF_REASON_STATE_UNREADABLE);
	ck_assert_ptr_nonnull(strstr(e.detail, "rollout"));
}
END_TEST

/* Another product on the same machine: statements are each product's own. */
START_TEST(another_product)
{
	say(1, TWO(0, false));
	offers("");
	world_kill(w);
	w->config.product = (char *)"other";
	world_start(w);
	ck_assert_uint_eq(counter(), 0);
	world_kill(w);
	w->config.product = (char *)"demo";
	world_start(w);
	ck_assert_uint_eq(counter(), 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/rollout-refused");
	TCase *t = tcase_create("rollout");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, the_old_one_stays, 0, 6);
	tcase_add_loop_test(t, nothing_goes_by_a_wrong_one, 0, 14);
	tcase_add_loop_test(t, the_online_key_signs_for_nobody_else, 0, 5);
	tcase_add_test(t, it_chooses_among_what_may_go);
	tcase_add_loop_test(t, a_stolen_key_ends_with_its_counter, 0, 2);
	tcase_add_test(t, keys_that_changed_in_a_bundle);
	tcase_add_test(t, statements_come_and_go);
	tcase_add_test(t, killed_while_one_comes_in);
	tcase_add_loop_test(t, what_cannot_be_read_is_not_nothing, 0, 5);
	tcase_add_test(t, another_product);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
