/* SPDX-License-Identifier: Apache-2.0 */
/* F-24: services that fail in a new slot and did not before take it back; others do not. */
#include "../unit.h"
#include "world.h"
#include <string.h>

static struct world *w;

/* The service manager of each slot. */
static struct {
	bool mute;
	const char *failed[2]; /* by slot, A is the old one */
	unsigned starting;     /* so many answers of the new slot say so */
	unsigned asked[2];
	update_services_done done;
	void *ctx;
} manager;

static int on_answer(sd_event_source *s, void *userdata)
{
	enum slot_id slot = world_boot(w).running;
	bool starting = slot == SLOT_B && manager.starting > 0;

	w->services_answer = sd_event_source_disable_unref(w->services_answer);
	manager.starting -= starting;
	manager.asked[slot]++;
	manager.done(manager.ctx, !manager.mute, starting,
		manager.failed[slot] ? manager.failed[slot] : "");
	return 0;
}

static void ask(void *ctx, update_services_done done, void *done_ctx)
{
	ck_assert_ptr_null(w->services_answer);
	manager.done = done;
	manager.ctx = done_ctx;
	ck_assert_int_ge(sd_event_add_defer(w->event, &w->services_answer, on_answer, NULL), 0);
}

static void setup(void)
{
	memset(&manager, 0, sizeof(manager));
	w = world_new();
	w->services.ask = ask;
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

static void teardown(void)
{
	world_free(w);
}

static struct error ends(enum deployment_state state, uint64_t kill_at)
{
	struct error e = {0}, why;
	uint64_t id;

	ck_assert_int_eq(update_install(w->update, "2.0.0", &id, &e), EF_REASON_OK);
	world_run(w, kill_at, false);
	enum deployment_state got = world_outcome(w, &why);
	ck_assert_msg(got == state, "%s, not %s: %s: %s", deployment_state_word(got),
		deployment_state_word(state), reason_word(why.reason), why.detail);
	ck_assert_int_eq(world_boot(w).running, state == DEPLOYMENT_CONFIRMED ? SLOT_B : SLOT_A);
	return why;
}

START_TEST(what_failed_before_is_not_blamed)
{
	static const char *const before[] = {"", "a.service\n", "b.mount\na.service\n"};
	static const char *const after[] = {"", "a.service\n", "a.service\n"};

	manager.failed[SLOT_A] = before[_i];
	manager.failed[SLOT_B] = after[_i];
	ends(DEPLOYMENT_CONFIRMED, 0);
	ck_assert_uint_eq(manager.asked[SLOT_A], 1);
	ck_assert_uint_eq(manager.asked[SLOT_B], 1);
}
END_TEST

START_TEST(what_fails_in_the_new_slot_takes_it_back)
{
	static const char *const before[] = {"", "a.service\n", "ab.service\n", "b.service\n"};
	static const char *const after[] = {
		"a.service\n", "a.service\nb.service\n", "b.service\n", "ab.service\n"};
	static const char *const named[] = {"a.service", "b.service", "b.service", "ab.service"};
	char said[64];

	manager.failed[SLOT_A] = before[_i];
	manager.failed[SLOT_B] = after[_i];
	struct error why = ends(DEPLOYMENT_REVERTED, 0);
	ck_assert_int_eq(why.reason, EF_REASON_CHECK_FAILED);
	snprintf(said, sizeof(said), "%s failed in the new slot", named[_i]);
	ck_assert_str_eq(why.detail, said);
}
END_TEST

START_TEST(a_machine_that_is_still_starting)
{
	manager.starting = 2;
	ends(DEPLOYMENT_CONFIRMED, 0);
	ck_assert_uint_eq(manager.asked[SLOT_B], 3);
}
END_TEST

/* For ever: half of the time is left for the site's checks, which then decide. */
START_TEST(a_machine_that_never_says_that_it_has_started)
{
	manager.starting = 1000;
	w->config.check_us = 4 * USEC_PER_SEC;
	ends(DEPLOYMENT_CONFIRMED, 0);
	ck_assert_uint_le(manager.asked[SLOT_B], 4);
}
END_TEST

START_TEST(nobody_who_knows)
{
	manager.mute = true;
	manager.failed[SLOT_B] = "a.service\n";
	ends(DEPLOYMENT_CONFIRMED, 0);
}
END_TEST

/* F-25: what had failed before is known after a kill, too. */
START_TEST(killed_anywhere)
{
	manager.failed[SLOT_A] = manager.failed[SLOT_B] = "a.service\n";
	ends(DEPLOYMENT_CONFIRMED, 0);
	uint64_t length = w->iterations;
	for (uint64_t at = 1; at < length; at += 3) {
		teardown();
		setup();
		manager.failed[SLOT_A] = manager.failed[SLOT_B] = "a.service\n";
		ends(DEPLOYMENT_CONFIRMED, at);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/services");
	TCase *t = tcase_create("services");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, what_failed_before_is_not_blamed, 0, 3);
	tcase_add_loop_test(t, what_fails_in_the_new_slot_takes_it_back, 0, 4);
	tcase_add_test(t, a_machine_that_is_still_starting);
	tcase_add_test(t, a_machine_that_never_says_that_it_has_started);
	tcase_add_test(t, nobody_who_knows);
	tcase_add_test(t, killed_anywhere);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
