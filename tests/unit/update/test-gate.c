/* SPDX-License-Identifier: Apache-2.0 */
/* What holds a deployment up without failing it: batteries, hours, interlocks. */
#include "../unit.h"
#include "world.h"
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct world *w;
static char interlocks[160];

static void setup(void)
{
	w = world_new();
	snprintf(interlocks, sizeof(interlocks), "%s/interlocks", w->dir);
	w->config.interlock = interlocks;
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

static void teardown(void)
{
	world_free(w);
}

static void install(void)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install(w->update, "2.0.0", &id, &e) == EF_REASON_OK, "%s", e.detail);
}

/* An interlock of this one line, or none. */
static void interlock(const char *body)
{
	char from[256], to[256];

	world_script(w, "interlock", body ? body : "exit 0");
	snprintf(from, sizeof(from), "%s/checks/interlock", w->dir);
	snprintf(to, sizeof(to), "%s/10-plant", interlocks);
	mkdir(interlocks, 0755);
	ck_assert_int_eq(rename(from, to), 0);
}

struct waits {
	unsigned n;
	enum ef_reason reason;
	char detail[256], place[33];
};

static int collect(void *ctx, const struct event *ev)
{
	struct waits *f = ctx;

	if (strcmp(ev->to, "waiting") != 0)
		return 0;
	f->n++;
	f->reason = ev->error.reason;
	snprintf(f->detail, sizeof(f->detail), "%s", ev->error.detail);
	snprintf(f->place, sizeof(f->place), "%s", ev->place);
	return 0;
}

static struct waits waits(void)
{
	struct waits f = {0};

	ck_assert_int_eq(update_history(w->update, 0, collect, &f), 0);
	return f;
}

/* Until something is waited for; and a while longer, in which nothing may happen. */
static struct waits held_in(enum deployment_state state)
{
	uint64_t end = now_monotonic_us() + 10 * USEC_PER_SEC, quiet;

	while (!waits().n) {
		ck_assert_uint_lt(now_monotonic_us(), end);
		ck_assert_int_ge(sd_event_run(w->event, 10000), 0);
	}
	quiet = now_monotonic_us() + 300 * USEC_PER_MSEC;
	while (now_monotonic_us() < quiet)
		ck_assert_int_ge(sd_event_run(w->event, 10000), 0);
	ck_assert_ptr_nonnull(update_current(w->update));
	ck_assert_int_eq(update_current(w->update)->state, state);
	ck_assert_uint_eq(waits().n, 1); /* said once, however often it was asked */
	return waits();
}

static void goes_on(void)
{
	struct error why = {0};

	world_run(w, 0, false);
	ck_assert_msg(world_outcome(w, &why) == DEPLOYMENT_CONFIRMED, "%s", why.detail);
}

START_TEST(an_empty_battery_is_waited_for)
{
	struct waits f;

	w->config_nodes[0].battery = 30;
	w->nodes[0].id.battery = 29;
	install();
	f = held_in(DEPLOYMENT_FETCHING);
	ck_assert_int_eq(f.reason, EF_REASON_NODE_BATTERY);
	ck_assert_str_eq(f.place, "meter-1");
	ck_assert_ptr_nonnull(strstr(f.detail, "29 % of its battery left, MinimumBattery= is 30"));
	ck_assert_uint_eq(w->nodes[0].uploads, 0);
	w->nodes[0].id.battery = 30;
	nodes_poll(w->update);
	goes_on();
}
END_TEST

START_TEST(external_power_is_waited_for)
{
	w->config_nodes[1].external = true;
	w->nodes[1].id.battery = 100;
	install();
	ck_assert_int_eq(held_in(DEPLOYMENT_FETCHING).reason, EF_REASON_NODE_BATTERY);
	ck_assert_uint_eq(w->nodes[1].uploads, 0);
	w->nodes[1].id.external = true;
	nodes_poll(w->update);
	goes_on();
}
END_TEST

START_TEST(the_hour_is_waited_for)
{
	w->config_nodes[0].window = (struct config_window){0, 1};
	w->clock = 1790000000 / 86400 * 86400 + 12 * 3600; /* noon where the tests run: TZ=UTC */
	install();
	ck_assert_int_eq(held_in(DEPLOYMENT_FETCHING).reason, EF_REASON_HELD);
	w->config_nodes[0].window = (struct config_window){12 * 60, 13 * 60};
	goes_on();
}
END_TEST

START_TEST(an_interlock_forbids_the_transfer)
{
	struct waits f;

	interlock("[ $EDGEFERRY_STEP = activate ] || { echo the press is closed; exit 1; }");
	install();
	f = held_in(DEPLOYMENT_FETCHING);
	ck_assert_int_eq(f.reason, EF_REASON_HELD);
	ck_assert_str_eq(f.detail, "interlock: 10-plant: status 1: the press is closed");
	ck_assert_uint_eq(w->nodes[0].uploads, 0);
	interlock(NULL);
	goes_on();
}
END_TEST

START_TEST(an_interlock_forbids_the_reset)
{
	interlock("[ $EDGEFERRY_STEP = transfer ] || { echo the crane moves; exit 1; }");
	install();
	ck_assert_ptr_nonnull(strstr(held_in(DEPLOYMENT_STAGED).detail, "the crane moves"));
	ck_assert_uint_eq(w->nodes[0].resets, 0);
	interlock(NULL);
	goes_on();
}
END_TEST

START_TEST(what_is_held_can_be_cancelled)
{
	struct error e = {0};

	interlock("exit 1");
	install();
	held_in(DEPLOYMENT_FETCHING);
	ck_assert_int_eq(update_cancel(w->update, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(world_outcome(w, &e), DEPLOYMENT_CANCELLED);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("gate");
	TCase *c = tcase_create("gate");

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, an_empty_battery_is_waited_for);
	tcase_add_test(c, external_power_is_waited_for);
	tcase_add_test(c, the_hour_is_waited_for);
	tcase_add_test(c, an_interlock_forbids_the_transfer);
	tcase_add_test(c, an_interlock_forbids_the_reset);
	tcase_add_test(c, what_is_held_can_be_cancelled);
	suite_add_tcase(s, c);
	return s;
}
UNIT_MAIN(suite())
