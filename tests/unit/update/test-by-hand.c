/* SPDX-License-Identifier: Apache-2.0 */
/* Cancelled, confirmed and rejected by somebody, at any moment. */
#include "../unit.h"
#include "run.h"
#include <ftw.h>
#include <string.h>

static void run_until(enum deployment_state state)
{
	for (int i = 0; i < 5000; i++) {
		const struct deployment *d = update_current(w->update);
		if (d && d->state == state && !w->rebooting)
			return;
		ck_assert_ptr_nonnull(w->update->current);
		if (w->rebooting) {
			world_kill(w);
			world_reboot(w);
			world_start(w);
		}
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	}
	ck_abort_msg("never %s", deployment_state_word(state));
}

START_TEST(cancelled_before_activation)
{
	struct error e = {0};

	install("2.0.0");
	run_until(DEPLOYMENT_FETCHING);
	uint64_t id;
	ck_assert_int_eq(update_install(w->update, "", &id, &e), EF_REASON_BUSY); /* F-21 */
	error_clear(&e);
	ck_assert_int_eq(update_cancel(w->update, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_CANCELLED).reason, EF_REASON_CANCELLED);
	fleet_runs("1.0.0", "cancelled");
	ck_assert_int_eq(update_cancel(w->update, &e), EF_REASON_NOT_FOUND);
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

static int no_temporary(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	const char *name = path + f->base;
	size_t n = strlen(name);

	ck_assert_msg(!(name[0] == '.' && n > 5 && strcmp(name + n - 4, ".tmp") == 0), "%s", path);
	return 0;
}

/* Nothing runs, waits or is going to be tried, and what was written can boot nowhere (I-1, I-2,
 * I-6). */
static void no_trace(const struct boot_state *before, const char *what)
{
	struct boot_state b = world_boot(w);

	fleet_runs("1.0.0", what);
	ck_assert_msg(b.primary == before->primary && b.running == before->running, "%s", what);
	/* a slot that was written to is no way back any more, before the first byte */
	ck_assert_msg(w->worker_jobs == 0 || b.mark[SLOT_B] == SLOT_BAD, "%s", what);
	ck_assert_msg(w->worker_jobs > 0 || b.mark[SLOT_B] == before->mark[SLOT_B], "%s", what);
	ck_assert_msg(w->workers == 0, "%s", what);
	for (size_t i = 0; i < WORLD_NODES; i++)
		ck_assert_msg(!w->update->nodes[i].image && w->update->nodes[i].part == NO_PART,
			"%s: node %zu", what, i);
	ck_assert_ptr_null(w->update->bundle);
	nftw(w->dir, no_temporary, 16, FTW_PHYS);
}

START_TEST(cancelled_anywhere_leaves_no_trace)
{
	unsigned cancelled = 0;

	for (int from_bundle = 0; from_bundle < 2; from_bundle++)
		for (uint64_t at = 0;; at++) {
			struct boot_state before;
			struct error e = {0};
			char what[64];
			world_free(w);
			setup();
			before = world_boot(w);
			if (from_bundle)
				install_bundle();
			else
				install("2.0.0");
			snprintf(what, sizeof(what), "cancelled at %llu", (unsigned long long)at);
			for (uint64_t i = 0; i < at; i++)
				ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
			if (update_cancel(w->update, &e)) {
				ck_assert_int_eq(e.reason, EF_REASON_TRIAL_RUNNING);
				break; /* activated */
			}
			world_run(w, 0, false);
			/* nodes that were told to end do so on their own time */
			for (int i = 0; i < 20; i++)
				ck_assert_int_ge(sd_event_run(w->event, 1000), 0);
			ck_assert_int_eq(ends(DEPLOYMENT_CANCELLED).reason, EF_REASON_CANCELLED);
			no_trace(&before, what);
			ck_assert_msg(story().ends == 1, "%s: %s", what, story().text);
			cancelled++;
			/* also not over a restart; and the next one works */
			world_kill(w);
			world_start(w);
			ck_assert_ptr_null(update_current(w->update));
			if (at % 8 == 0) {
				w->server_down = false;
				install("2.0.0");
				world_run(w, 0, false);
				ends(DEPLOYMENT_CONFIRMED);
			}
		}
	ck_assert_uint_gt(cancelled, 30);
}
END_TEST

START_TEST(cancelled_while_looking)
{
	struct error e = {0};

	install("2.0.0");
	ck_assert_int_eq(update_cancel(w->update, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ends(DEPLOYMENT_CANCELLED);
	ck_assert_str_eq(check_now().version, "2.0.0");
}
END_TEST

START_TEST(rejected_or_confirmed_in_the_trial)
{
	struct error e = {0};
	uint64_t id;

	world_script(w, "10-wait", "exec sleep 20");
	install("2.0.0");
	run_until(DEPLOYMENT_TRIAL);
	ck_assert_int_eq(update_cancel(w->update, &e), EF_REASON_TRIAL_RUNNING);
	error_clear(&e);
	ck_assert_int_eq(update_rollback(w->update, &id, &e), EF_REASON_TRIAL_RUNNING);
	error_clear(&e);
	ck_assert_int_eq(update_reject(w->update, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_REJECTED);
	fleet_runs("1.0.0", "rejected");
	install("2.0.0");
	run_until(DEPLOYMENT_TRIAL);
	ck_assert_int_eq(update_confirm(w->update, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "confirmed by hand");
}
END_TEST

/* What is asked for by hand does in each state what the table says, and nothing where it has no
 * arrow. */
START_TEST(by_hand_in_every_state)
{
	static const enum deployment_state states[] = {DEPLOYMENT_OFFERED, DEPLOYMENT_FETCHING,
		DEPLOYMENT_STAGED, DEPLOYMENT_ACTIVATING, DEPLOYMENT_TRIAL, DEPLOYMENT_CONFIRMING,
		DEPLOYMENT_REVERTING};
	static const struct {
		enum deployment_event event;
		enum ef_reason (*ask)(struct update *u, struct error *e);
	} verbs[] = {{EVENT_CANCEL, update_cancel}, {EVENT_CONFIRM, update_confirm},
		{EVENT_REJECT, update_reject}};

	for (size_t s = 0; s < sizeof(states) / sizeof(*states); s++)
		for (size_t v = 0; v < sizeof(verbs) / sizeof(*verbs); v++) {
			struct transition t = {.next = states[s]};
			struct error e = {0};
			world_free(w);
			setup();
			if (states[s] == DEPLOYMENT_REVERTING)
				world_script(w, "10-fail", "exit 1");
			install("2.0.0");
			run_until(states[s]);
			bool arrow = machine_next(states[s], verbs[v].event, &t);
			bool done = verbs[v].ask(w->update, &e) == EF_REASON_OK;
			ck_assert_msg(done == arrow, "%s in %s: %s",
				deployment_event_word(verbs[v].event),
				deployment_state_word(states[s]), e.detail);
			ck_assert_int_eq(w->update->current->state, t.next);
			world_run(w, 0, false);
			ck_assert_uint_eq(story().ends, 1); /* I-8 */
		}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/by-hand");
	TCase *t = tcase_create("by-hand");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, cancelled_before_activation);
	tcase_add_test(t, cancelled_anywhere_leaves_no_trace);
	tcase_add_test(t, cancelled_while_looking);
	tcase_add_test(t, rejected_or_confirmed_in_the_trial);
	tcase_add_test(t, by_hand_in_every_state);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
