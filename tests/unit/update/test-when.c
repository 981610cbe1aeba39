/* SPDX-License-Identifier: Apache-2.0 */
/* When something is begun and activated by itself: windows, postponement with a cap, pause,
 * restarts (S-36). */
#include "../unit.h"
#include "update/when.h"
#include "world.h"
#include <string.h>

/* 2027-01-15, a Friday, as the world begins: 08:00 UTC */
#define FRIDAY 1800000000
#define MIDNIGHT (FRIDAY - 8 * 3600)
#define AT(day, hour, minute) (MIDNIGHT + (day)*86400 + (hour)*3600 + (minute)*60)
#define DAYS(a, b) ((1u << (a)) | (1u << (b)))

START_TEST(windows)
{
	static const struct {
		struct config_window window;
		uint8_t days;	    /* bit 0 is Sunday */
		int64_t now, opens; /* opens 0: it is open */
	} t[] = {
		{{0, 0}, 0, AT(0, 8, 0), 0},
		{{480, 540}, 0, AT(0, 8, 0), 0},
		{{480, 540}, 0, AT(0, 8, 59), 0},
		{{480, 540}, 0, AT(0, 9, 0), AT(1, 8, 0)},
		{{480, 540}, 0, AT(0, 7, 59), AT(0, 8, 0)},
		/* over midnight: Friday's goes on on Saturday, and Saturday has none of its own */
		{{1320, 300}, DAYS(5, 3), AT(0, 22, 0), 0},
		{{1320, 300}, DAYS(5, 3), AT(1, 4, 59), 0},
		{{1320, 300}, DAYS(5, 3), AT(1, 5, 0), AT(5, 22, 0)},
		{{1320, 300}, DAYS(5, 3), AT(1, 22, 30), AT(5, 22, 0)},
		{{1320, 300}, DAYS(5, 3), AT(0, 4, 0), AT(0, 22, 0)},
		/* whole days */
		{{0, 0}, DAYS(0, 0), AT(0, 12, 0), AT(2, 0, 0)},
		{{0, 0}, DAYS(0, 0), AT(2, 23, 59), 0},
		/* once a week, seven days ahead */
		{{480, 540}, DAYS(5, 5), AT(0, 9, 0), AT(7, 8, 0)},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		const struct config c = {.window = t[i].window, .window_days = t[i].days};
		ck_assert_msg(when_open(&c, t[i].now) == (t[i].opens == 0), "%zu", i);
		if (t[i].opens)
			ck_assert_msg(when_opens(&c, t[i].now) == t[i].opens, "%zu: %lld", i,
				(long long)(when_opens(&c, t[i].now) - t[i].now));
	}
}
END_TEST

/* Every minute of a week with a change to summer time: shut, and then it opens when it was said to.
 */
START_TEST(windows_and_summer_time)
{
	const struct config c = {.window = {150, 240}, .window_days = 0};

	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	for (int64_t now = 1806105600 - 3 * 86400, end = now + 7 * 86400; now < end; now += 600) {
		if (when_open(&c, now))
			continue;
		int64_t opens = when_opens(&c, now);
		ck_assert_int_gt(opens, now);
		ck_assert_int_le(opens, now + 25 * 3600);
		ck_assert(when_open(&c, opens));
		for (int64_t m = now; m < opens; m += 600)
			ck_assert(!when_open(&c, m));
	}
	setenv("TZ", "UTC", 1);
	tzset();
}
END_TEST

START_TEST(what_may_be_activated)
{
	static const struct {
		enum config_reboot reboot;
		bool paused, postponed, open, itself, let_go;
		bool goes, says_when;
	} t[] = {
		{REBOOT_NOW, false, false, false, true, false, true, false},
		{REBOOT_WINDOW, false, false, false, true, false, false, true},
		{REBOOT_WINDOW, false, false, false, false, false, false, true},
		{REBOOT_WINDOW, false, false, true, true, false, true, false},
		{REBOOT_REQUEST, false, false, true, true, false, false, false},
		{REBOOT_REQUEST, true, true, false, true, true, true, false},
		{REBOOT_NOW, true, false, true, true, false, false, false},
		{REBOOT_NOW, false, true, true, true, false, false, true},
		/* what somebody asked for is not held up by a pause */
		{REBOOT_NOW, true, true, true, false, false, true, false},
	};

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		const struct config c = {
			.reboot = t[i].reboot, .window = {480, t[i].open ? 540 : 481}};
		const struct when w = {.config = &c,
			.now = AT(0, 8, 30),
			.paused = t[i].paused,
			.postponed_until = t[i].postponed ? AT(1, 0, 0) : AT(-1, 0, 0)};
		struct error e = {0};
		int64_t until;
		bool goes = when_activate(&w, t[i].itself, t[i].let_go, &until, &e) == EF_REASON_OK;
		ck_assert_msg(goes == t[i].goes, "%zu: %s", i, e.detail);
		ck_assert_msg((until != 0) == t[i].says_when, "%zu", i);
		ck_assert(goes || e.reason == EF_REASON_HELD);
	}
}
END_TEST

/* --- a whole gateway, by an injected clock --- */

static struct world *w;

static void setup(void)
{
	w = world_new();
	w->config.postpone_max = 7 * 86400 * USEC_PER_SEC;
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

static void teardown(void)
{
	world_free(w);
}

static void install_as(const char *who)
{
	struct error e = {0};
	uint64_t id;

	update_ask_as(w->update, who);
	ck_assert_msg(update_install(w->update, "2.0.0", &id, &e) == EF_REASON_OK, "%s", e.detail);
	update_ask_as(w->update, NULL);
}

/* It lies ready, and for a while nothing of it is activated. */
static void held(const char *why, int64_t until)
{
	uint64_t end = now_monotonic_us() + 10 * USEC_PER_SEC, quiet;
	struct error e = {0};
	int64_t when = 0;

	while (update_current(w->update)->state != DEPLOYMENT_STAGED ||
		update_waiting(w->update, &when, &e) == EF_REASON_OK) {
		ck_assert_uint_lt(now_monotonic_us(), end);
		ck_assert_int_ge(sd_event_run(w->event, 10000), 0);
	}
	quiet = now_monotonic_us() + 100 * USEC_PER_MSEC;
	while (now_monotonic_us() < quiet)
		ck_assert_int_ge(sd_event_run(w->event, 10000), 0);
	ck_assert_int_eq(update_current(w->update)->state, DEPLOYMENT_STAGED);
	error_clear(&e);
	ck_assert_int_eq(update_waiting(w->update, &when, &e), EF_REASON_HELD);
	ck_assert_msg(strstr(e.detail, why), "%s", e.detail);
	ck_assert_int_eq(when, until);
}

static void goes_on(void)
{
	struct error why = {0};

	world_run(w, 0, false);
	ck_assert_msg(world_outcome(w, &why) == DEPLOYMENT_CONFIRMED, "%s", why.detail);
}

START_TEST(activation_waits_for_its_window)
{
	struct error e = {0};
	int64_t until;

	w->config.window = (struct config_window){22 * 60, 5 * 60};
	install_as(NULL);
	held("Window=22:00-05:00", AT(0, 22, 0));
	world_kill(w); /* also after a restart */
	world_start(w);
	held("Window=22:00-05:00", AT(0, 22, 0));
	w->clock = AT(0, 22, 0);
	goes_on();
	/* and nothing is begun by itself by day */
	w->clock = AT(1, 12, 0);
	ck_assert_int_eq(update_may_begin(w->update, &until, &e), EF_REASON_HELD);
	ck_assert_int_eq(until, AT(1, 22, 0));
}
END_TEST

START_TEST(on_request)
{
	struct error e = {0};

	w->config.reboot = REBOOT_REQUEST;
	ck_assert_int_eq(update_activate(w->update, &e), EF_REASON_NOT_FOUND);
	install_as("root");
	held("edgeferry activate", 0);
	error_clear(&e);
	ck_assert_int_eq(update_activate(w->update, &e), EF_REASON_OK);
	world_kill(w); /* what was said is not forgotten */
	world_start(w);
	goes_on();
}
END_TEST

/* Going back is asked for because something is wrong now. */
START_TEST(a_rollback_waits_for_no_hour)
{
	struct error e = {0};
	uint64_t id;

	install_as(NULL);
	goes_on();
	ck_assert_int_eq(update_install(w->update, "2.0.0", &id, &e), EF_REASON_OK);
	world_run(w, 0, false); /* already installed */
	w->config.reboot = REBOOT_REQUEST;
	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3});
	ck_assert_int_eq(update_install(w->update, "3.0.0", &id, &e), EF_REASON_OK);
	ck_assert_int_eq(update_activate(w->update, &e), EF_REASON_OK);
	goes_on();
	ck_assert_int_eq(update_rollback(w->update, &id, &e), EF_REASON_OK);
	goes_on();
	ck_assert_str_eq(update_release(w->update), "2.0.0");
}
END_TEST

START_TEST(paused_until_resumed)
{
	struct error e = {0};
	int64_t until;

	install_as(NULL);
	ck_assert_int_eq(update_pause(w->update, &e), EF_REASON_OK);
	held("edgeferry resume", 0);
	world_kill(w);
	world_start(w);
	ck_assert(update_paused(w->update, &until));
	held("edgeferry resume", 0);
	ck_assert_int_eq(update_may_begin(w->update, &until, &e), EF_REASON_HELD);
	ck_assert_int_eq(update_unpause(w->update, &e), EF_REASON_OK);
	goes_on();
}
END_TEST

START_TEST(what_somebody_asks_for_goes_on_in_a_pause)
{
	struct error e = {0};

	ck_assert_int_eq(update_pause(w->update, &e), EF_REASON_OK);
	install_as("user 1000");
	ck_assert_str_eq(update_current(w->update)->by, "user 1000");
	goes_on();
}
END_TEST

START_TEST(postponed_with_a_cap)
{
	struct error e = {0};
	int64_t until = 0, day = 86400;

	ck_assert_int_eq(update_postpone(w->update, 0, &until, &e), EF_REASON_USAGE);
	error_clear(&e);
	ck_assert_int_eq(update_postpone(w->update, 2 * day, &until, &e), EF_REASON_OK);
	ck_assert_int_eq(until, w->clock + 2 * day);
	install_as(NULL);
	held("postponed until 2027-01-17T08:00:00Z", until);
	/* again, but not for ever: seven days from the first time on, also when it was resumed
	 * between */
	w->clock += day;
	ck_assert_int_eq(update_unpause(w->update, &e), EF_REASON_OK);
	ck_assert_int_eq(update_postpone(w->update, 7 * day, &until, &e), EF_REASON_HELD);
	ck_assert_ptr_nonnull(strstr(e.detail, "2027-01-22T08:00:00Z"));
	error_clear(&e);
	world_kill(w);
	world_start(w);
	ck_assert_int_eq(update_postpone(w->update, INT64_MAX, &until, &e), EF_REASON_HELD);
	error_clear(&e);
	ck_assert_int_eq(update_postpone(w->update, 6 * day, &until, &e), EF_REASON_OK);
	w->clock += 6 * day - 1;
	held("postponed", until);
	w->clock += 1;
	goes_on();
	/* what was due is done: the next one may be postponed anew */
	ck_assert_int_eq(update_postpone(w->update, 7 * day, &until, &e), EF_REASON_OK);
}
END_TEST

/* A clock that jumps is no way round the cap, nor a reason to hold for ever (S-19). */
START_TEST(postponed_and_the_clock_jumps_back)
{
	struct error e = {0};
	int64_t until = 0, day = 86400;

	ck_assert_int_eq(update_postpone(w->update, 7 * day, &until, &e), EF_REASON_OK);
	w->clock -= 365 * day;
	ck_assert_int_eq(update_postpone(w->update, day, &until, &e), EF_REASON_OK);
	ck_assert_int_eq(until, w->clock + day);
}
END_TEST

/* S-34: who said so is on record. */
static int find(void *ctx, const struct event *ev)
{
	if (strcmp(ev->word, "policy") == 0 && strcmp(ev->to, "paused") == 0)
		ck_assert_str_eq(ev->error.detail, "by user 1000");
	else if (strcmp(ev->to, "offered") == 0)
		ck_assert_str_eq(ev->error.detail, "asked for by itself");
	else
		return 0;
	++*(unsigned *)ctx;
	return 0;
}

START_TEST(who_said_so_is_on_record)
{
	struct error e = {0};
	uint64_t id;
	unsigned found = 0;

	update_ask_as(w->update, "user 1000");
	ck_assert_int_eq(update_pause(w->update, &e), EF_REASON_OK);
	install_as(NULL);
	/* F-21: the second one is told whom it waits for */
	ck_assert_int_eq(update_install(w->update, "", &id, &e), EF_REASON_BUSY);
	ck_assert_ptr_nonnull(strstr(e.detail, "asked for by itself"));
	ck_assert_int_eq(update_history(w->update, 0, find, &found), 0);
	ck_assert_uint_eq(found, 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/when");
	TCase *p = tcase_create("pure"), *t = tcase_create("when");

	tcase_add_test(p, windows);
	tcase_add_test(p, windows_and_summer_time);
	tcase_add_test(p, what_may_be_activated);
	suite_add_tcase(s, p);
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, activation_waits_for_its_window);
	tcase_add_test(t, on_request);
	tcase_add_test(t, a_rollback_waits_for_no_hour);
	tcase_add_test(t, paused_until_resumed);
	tcase_add_test(t, what_somebody_asks_for_goes_on_in_a_pause);
	tcase_add_test(t, postponed_with_a_cap);
	tcase_add_test(t, postponed_and_the_clock_jumps_back);
	tcase_add_test(t, who_said_so_is_on_record);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
