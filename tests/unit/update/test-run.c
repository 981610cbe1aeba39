/* SPDX-License-Identifier: Apache-2.0 */
/* Whole deployments against a world of fakes (world.h), to their good end. */
#include "../unit.h"
#include "run.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <string.h>

static int count(void *ctx, uint64_t id, const char *json)
{
	++*(unsigned *)ctx;
	return 0;
}

START_TEST(a_release_reaches_everything)
{
	unsigned reports = 0;

	install("");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "after");
	ck_assert_str_eq(update_release(w->update), "2.0.0");
	ck_assert_str_eq(story().text, CONFIRMED_STORY);
	ck_assert_int_eq(update_outbox(w->update, 0, count, &reports), 0);
	ck_assert_uint_eq(reports, 7); /* each transition once (S-34) */
	/* the very same again: nothing to do, and it says so */
	install("");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_ALREADY_INSTALLED);
	fleet_runs("2.0.0", "again");
}
END_TEST

/* What the kernel of a slot would be told of dm-verity. */
static const char *told(enum slot_id slot)
{
	static char text[256];
	_cleanup_free_ uint8_t *data = NULL;
	char path[256];
	size_t size;

	snprintf(path, sizeof(path), "%s/boot/kernel-%s", w->dir, slot_word(slot));
	if (file_read(path, sizeof(text) - 1, &data, &size) < 0)
		return "no file";
	snprintf(text, sizeof(text), "%s", (char *)data);
	for (size_t n = strlen(text); n > 0 && text[n - 1] == ' '; n--)
		text[n - 1] = '\0';
	return text;
}

/* The root hash goes from the manifest to worker and boot loader, for the slot that it is of. */
START_TEST(a_root_hash_is_handed_over)
{
	static const struct {
		const char *version;
		bool verity;
		const char *a, *b;
	} t[] = {
		{"3.0.0", true, "no file", "edgeferry.roothash="},
		{"4.0.0", false, "no file", "edgeferry.roothash="},
		{"5.0.0", true, "no file", "edgeferry.roothash="},
		{"6.0.0", true, "edgeferry.roothash=", "edgeferry.roothash="},
		{"7.0.0", false, "edgeferry.roothash=", ""},
	};
	char before[256] = "";

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		world_publish(w,
			&(struct world_release){
				.version = t[i].version, .sequence = 3 + i, .verity = t[i].verity});
		install("");
		world_run(w, 0, false);
		ends(DEPLOYMENT_CONFIRMED);
		ck_assert_uint_eq(w->verity_offset, t[i].verity ? WORLD_VERITY : 0);
		ck_assert_msg(strncmp(told(SLOT_A), t[i].a, strlen(t[i].a)) == 0, "%s: A %s",
			t[i].version, told(SLOT_A));
		ck_assert_msg(*t[i].b ? strncmp(told(SLOT_B), t[i].b, strlen(t[i].b)) == 0
				      : *told(SLOT_B) == '\0',
			"%s: B %s", t[i].version, told(SLOT_B));
		if (!t[i].verity)
			continue;
		const char *now = told(world_boot(w).running);
		ck_assert_ptr_nonnull(strstr(now, " edgeferry.hashoffset=8192"));
		ck_assert_str_ne(now, before);
		strcpy(before, now);
	}
}
END_TEST

START_TEST(rollback_goes_back_and_stays)
{
	struct error e = {0};
	uint64_t id;

	install("1.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_int_eq(update_rollback(w->update, &id, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("1.0.0", "rolled back");
	ck_assert_str_eq(update_release(w->update), "1.0.0");
	/* older by network is still refused: the sequence never falls (I-4) */
	install("1.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_DOWNGRADE);
	/* by hand forward again */
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "forward again");
}
END_TEST

/* S-12: the floor is absolute, also for whoever goes back on purpose; nothing is touched. */
START_TEST(no_rollback_below_the_floor)
{
	struct error e = {0};
	uint64_t id;

	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3, .security = 7});
	install("2.0.0");
	world_run(w, 0, false);
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	unsigned jobs = w->worker_jobs, uploads = w->nodes[0].uploads;
	ck_assert_int_eq(update_rollback(w->update, &id, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_FLOOR);
	ck_assert_uint_eq(w->worker_jobs, jobs);
	ck_assert_uint_eq(w->nodes[0].uploads, uploads);
	fleet_runs("3.0.0", "floor");
}
END_TEST

START_TEST(an_exchanged_node_is_brought_up)
{
	install("2.0.0");
	world_run(w, 0, false);
	world_hash(w, "1.0.0", 1, w->nodes[1].id.slots[0].hash); /* a spare part */
	unsigned jobs = w->worker_jobs, uploads = w->nodes[0].uploads;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "spare part");
	ck_assert_uint_eq(w->worker_jobs, jobs);
	ck_assert_uint_eq(w->nodes[0].uploads, uploads);
}
END_TEST

START_TEST(nodes_only)
{
	world_publish(
		w, &(struct world_release){.version = "3.0.0", .sequence = 3, .no_rootfs = true});
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "3.0.0") && node_has(1, "3.0.0") && gateway_runs("1.0.0"));
	ck_assert_uint_eq(w->worker_jobs, 0);
}
END_TEST

START_TEST(gateway_first_then_nodes)
{
	world_publish(w, &(struct world_release){.version = "3.0.0",
				 .sequence = 3,
				 .order = "[\"rootfs\", \"meter\", \"sensor\"]"});
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("3.0.0", "gateway first");
	world_publish(w, &(struct world_release){.version = "4.0.0",
				 .sequence = 4,
				 .order = "[\"rootfs\", \"meter\", \"sensor\"]"});
	w->nodes[1].bad_start = true;
	install("4.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_NODE_REVERTED);
	fleet_runs("3.0.0", "gateway first, node back");
}
END_TEST

START_TEST(floors_rise_on_confirmation_only) /* S-12, S-13 */
{
	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3, .security = 7});
	world_publish(w, &(struct world_release){.version = "4.0.0", .sequence = 4, .security = 6});
	w->nodes[0].bad_self_test = true;
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_REVERTED);
	w->nodes[0].bad_self_test = false;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	install("4.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_FLOOR);
	fleet_runs("3.0.0", "floor");
}
END_TEST

/* F-21: the state is one daemon's; the second one is told so and has changed nothing. */
START_TEST(two_daemons_on_one_state)
{
	struct update_env env = w->update->env;
	struct update *second = NULL;
	struct error e = {0};

	for (int i = 0; i < 20; i++) {
		error_clear(&e);
		ck_assert_int_eq(update_new(&second, &env, &e), EF_REASON_BUSY);
		ck_assert_ptr_nonnull(strstr(e.detail, "another edgeferryd has"));
	}
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

static void on_checked_once_more(void *ctx, const char *version, const struct error *e)
{
	struct error why = {0};
	uint64_t id;

	ck_assert_int_eq(update_install(w->update, version, &id, &why), EF_REASON_OK);
	ck_assert_int_eq(update_check(w->update, on_checked, ctx, &why), EF_REASON_OK);
}

/* What a wake-up during a look leads to: the next look is asked for by the answer to the last one.
 */
START_TEST(a_look_asked_for_by_an_answer)
{
	struct checked c = {0};
	struct error e = {0};

	ck_assert_int_eq(update_check(w->update, on_checked_once_more, &c, &e), EF_REASON_OK);
	while (!update_current(w->update))
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(c.done);
	ck_assert_str_eq(check_now().version, "");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/run");
	TCase *t = tcase_create("run");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_release_reaches_everything);
	tcase_add_test(t, a_root_hash_is_handed_over);
	tcase_add_test(t, rollback_goes_back_and_stays);
	tcase_add_test(t, no_rollback_below_the_floor);
	tcase_add_test(t, an_exchanged_node_is_brought_up);
	tcase_add_test(t, nodes_only);
	tcase_add_test(t, gateway_first_then_nodes);
	tcase_add_test(t, floors_rise_on_confirmation_only);
	tcase_add_test(t, two_daemons_on_one_state);
	tcase_add_test(t, a_look_asked_for_by_an_answer);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
