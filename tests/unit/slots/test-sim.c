/* SPDX-License-Identifier: Apache-2.0 */
/* F-02, S-14, I-1, I-2: the simulated boot loader's variables, cut at every system call. */
#include "../unit.h"
#include "cut.h"
#include "slots/backend.h"
#include "slots/sim-text.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char dir[] = "/tmp/test-slots-XXXXXX";

static void put(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_int_ge(fputs(text, f), 0);
	ck_assert_int_eq(fclose(f), 0);
}

static void put_state(const struct slot_vars *v, const struct slot_evidence *now)
{
	char text[SIM_FILE_MAX];

	ck_assert_uint_lt(sim_vars_format(v, text), sizeof(text));
	put(SIM_STATE_FILE, text);
	ck_assert_uint_lt(sim_evidence_format(now, text), sizeof(text));
	put(SIM_RUNNING_FILE, text);
}

static bool have(const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

static const struct slot_vars fresh = {SLOT_A, SLOT_NONE, {SLOT_GOOD, SLOT_GOOD}};
static const struct slot_evidence on_a = {SLOT_A, false};

static const struct boot_place place = {dir, dir, ""};
static struct boot *b;

static void setup(void)
{
	struct error e = {0};

	ck_assert_ptr_nonnull(mkdtemp(dir));
	put_state(&fresh, &on_a);
	ck_assert_int_eq(boot_open("sim", &place, &b, &e), EF_REASON_OK);
}

static void teardown(void)
{
	static const char *const names[] = {
		SIM_STATE_FILE, SIM_RUNNING_FILE, SIM_REBOOT_FILE, "." SIM_STATE_FILE ".tmp"};

	boot_close(b);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		char path[256];
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	ck_assert_int_eq(rmdir(dir), 0);
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
}

static struct boot_state state(void)
{
	return state_of(b);
}

/* The simulated firmware at power-on. */
static enum slot_id power_on(void)
{
	struct boot_state s = state();
	struct slot_vars v = {s.primary, s.trial, {s.mark[0], s.mark[1]}};
	struct slot_evidence now;

	vars_choose(&v, &now);
	put_state(&v, &now);
	return now.running;
}

START_TEST(test_trial_used_once)
{
	struct error e = {0};

	ck_assert_int_eq(boot_try_next(b, SLOT_B, &e), EF_REASON_OK);
	ck_assert_int_eq(state().trial, SLOT_B);
	ck_assert(!state().on_trial);
	ck_assert_int_eq(power_on(), SLOT_B);
	ck_assert(state().on_trial);
	ck_assert_int_eq(state().primary, SLOT_A);
	ck_assert_int_eq(state().trial, SLOT_NONE);
	/* F-02: nobody confirmed, so any reboot brings A back, and again A. */
	ck_assert_int_eq(power_on(), SLOT_A);
	ck_assert(!state().on_trial);
	ck_assert_int_eq(power_on(), SLOT_A);
}
END_TEST

START_TEST(test_confirm_is_lasting)
{
	struct error e = {0};

	ck_assert_int_eq(boot_try_next(b, SLOT_B, &e), EF_REASON_OK);
	ck_assert_int_eq(power_on(), SLOT_B);
	ck_assert_int_eq(boot_mark_good(b, SLOT_B, &e), EF_REASON_OK);
	ck_assert(!state().on_trial);
	ck_assert_int_eq(state().primary, SLOT_B);
	ck_assert_int_eq(power_on(), SLOT_B);
	ck_assert(!state().on_trial);
}
END_TEST

START_TEST(test_bad_slot_is_not_started)
{
	struct error e = {0};

	ck_assert_int_eq(boot_try_next(b, SLOT_B, &e), EF_REASON_OK);
	ck_assert_int_eq(boot_mark_bad(b, SLOT_B, &e), EF_REASON_OK);
	ck_assert_int_eq(state().trial, SLOT_NONE);
	ck_assert_int_eq(power_on(), SLOT_A);
	ck_assert_int_eq(state().mark[SLOT_B], SLOT_BAD);
	/* A new content may be tried. */
	ck_assert_int_eq(boot_try_next(b, SLOT_B, &e), EF_REASON_OK);
	ck_assert_int_eq(power_on(), SLOT_B);
}
END_TEST

/* I-1: no call takes the slot away that a plain reboot needs. */
START_TEST(test_refusals_change_nothing)
{
	struct error e = {0};

	ck_assert_int_eq(boot_mark_bad(b, SLOT_A, &e), EF_REASON_USAGE);
	error_clear(&e);
	ck_assert_int_eq(boot_try_next(b, SLOT_A, &e), EF_REASON_SLOT_RUNNING);
	error_clear(&e);
	ck_assert_int_eq(boot_try_next(b, SLOT_NONE, &e), EF_REASON_USAGE);
	error_clear(&e);
	ck_assert_int_eq(boot_mark_good(b, SLOT_NONE, &e), EF_REASON_USAGE);
	error_clear(&e);
	ck_assert_int_eq(boot_mark_bad(b, SLOT_NONE, &e), EF_REASON_USAGE);
	struct boot_state s = state();
	ck_assert(s.running == SLOT_A && s.primary == SLOT_A && s.trial == SLOT_NONE);
	ck_assert(s.mark[0] == SLOT_GOOD && s.mark[1] == SLOT_GOOD);
}
END_TEST

static const char *const unreadable[] = {
	"",
	"\n",
	"{}",
	"[1]",
	"{\"schema\": 1, \"primary\": \"A\", \"trial\": \"none\"",
	"{\"schema\": 1, \"primary\": \"A\", \"trial\": \"none\"}",
	"{\"schema\": 2, \"primary\": \"A\", \"trial\": \"none\", "
	"\"mark\": {\"A\": \"good\", \"B\": \"good\"}}",
	"{\"schema\": 1, \"primary\": \"none\", \"trial\": \"none\", "
	"\"mark\": {\"A\": \"good\", \"B\": \"good\"}}",
	"{\"schema\": 1, \"primary\": \"C\", \"trial\": \"none\", "
	"\"mark\": {\"A\": \"good\", \"B\": \"good\"}}",
	"{\"schema\": 1, \"primary\": \"A\", \"trial\": null, "
	"\"mark\": {\"A\": \"good\", \"B\": \"good\"}}",
	"{\"schema\": 1, \"primary\": \"A\", \"trial\": \"none\", "
	"\"mark\": {\"A\": \"good\", \"B\": \"fine\"}}",
	"{\"schema\": 1, \"primary\": \"A\", \"trial\": \"none\", "
	"\"mark\": {\"A\": \"bad\", \"B\": \"good\"}}",
	"{\"schema\": 1, \"primary\": \"A\", \"trial\": \"none\", \"x\": 1, "
	"\"mark\": {\"A\": \"good\", \"B\": \"good\"}}",
	"{\"schema\": 1, \"primary\": \"A\", \"primary\": \"B\", \"trial\": \"none\", "
	"\"mark\": {\"A\": \"good\", \"B\": \"good\"}}",
};

/* S-14: what cannot be read is never taken for a default, and no call writes over it. */
START_TEST(test_unreadable_state)
{
	struct error e = {0};
	struct boot_state s;
	_cleanup_free_ uint8_t *after = NULL;
	char path[256];
	size_t size;

	put(SIM_STATE_FILE, unreadable[_i]);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	error_clear(&e);
	ck_assert_int_eq(boot_try_next(b, SLOT_B, &e), EF_REASON_BOOT_STATE);
	error_clear(&e);
	ck_assert_int_eq(boot_mark_good(b, SLOT_B, &e), EF_REASON_BOOT_STATE);
	error_clear(&e);
	ck_assert_int_eq(boot_mark_bad(b, SLOT_B, &e), EF_REASON_BOOT_STATE);
	snprintf(path, sizeof(path), "%s/%s", dir, SIM_STATE_FILE);
	ck_assert_int_eq(file_read(path, SIM_FILE_MAX, &after, &size), 0);
	ck_assert_str_eq((char *)after, unreadable[_i]);
}
END_TEST

START_TEST(test_missing_or_odd_files)
{
	struct error e = {0};
	struct boot_state s;
	char path[256];

	static const char *const names[] = {SIM_STATE_FILE, SIM_RUNNING_FILE};
	snprintf(path, sizeof(path), "%s/%s", dir, names[_i]);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	error_clear(&e);
	ck_assert_int_eq(mkfifo(path, 0600), 0); /* must not hang */
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	error_clear(&e);
	ck_assert_int_eq(unlink(path), 0);
	put(names[_i], "{\"schema\": 1, \"running\": \"none\", \"trial\": false}");
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	error_clear(&e);
	ck_assert_int_eq(boot_open("sim", &(struct boot_place){"/nonexistent", dir, ""}, &b, &e),
		EF_REASON_BOOT_STATE);
}
END_TEST

START_TEST(test_reboot_request)
{
	struct error e = {0};

	ck_assert(!have(SIM_REBOOT_FILE));
	const char *parameter;
	ck_assert_int_eq(boot_rebooting(b, &parameter, &e), EF_REASON_OK);
	ck_assert_ptr_null(parameter);
	ck_assert(have(SIM_REBOOT_FILE));
}
END_TEST

static enum ef_reason op_try(struct boot *x, struct error *e)
{
	return boot_try_next(x, SLOT_B, e);
}

static enum ef_reason op_good(struct boot *x, struct error *e)
{
	return boot_mark_good(x, SLOT_B, e);
}

static enum ef_reason op_bad(struct boot *x, struct error *e)
{
	return boot_mark_bad(x, SLOT_B, e);
}

static const struct {
	enum ef_reason (*op)(struct boot *, struct error *);
	struct slot_vars before;
	struct slot_evidence now;
} cuts[] = {
	{op_try, {SLOT_A, SLOT_NONE, {SLOT_GOOD, SLOT_BAD}}, {SLOT_A, false}},
	{op_good, {SLOT_A, SLOT_NONE, {SLOT_GOOD, SLOT_GOOD}}, {SLOT_B, true}},
	{op_bad, {SLOT_A, SLOT_B, {SLOT_GOOD, SLOT_GOOD}}, {SLOT_A, false}},
};

static int cut; /* the one under test */

static void before_cut(void)
{
	put_state(&cuts[cut].before, &cuts[cut].now);
}

/* F-02, I-2 */
START_TEST(test_cut_anywhere)
{
	cut = _i;
	cut_everywhere(cuts[cut].op, b, before_cut);
}
END_TEST

/* The same table is held against tests/lab/gateway.py. */
START_TEST(test_firmware_table)
{
	_cleanup_fclose_ FILE *f = fopen(getenv("FIRMWARE_TABLE"), "re");
	char line[128], p[8], t[8], ma[8], mb[8], after[8], run[8], as[8];
	int rows = 0;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (line[0] == '#')
			continue;
		ck_assert_int_eq(sscanf(line, "%7s %7s %7s %7s -> %7s %7s %7s", p, t, ma, mb, after,
					 run, as),
			7);
		struct slot_vars v = {p[0] == 'B', t[0] == 'n' ? SLOT_NONE : t[0] == 'B',
			{ma[0] == 'b' ? SLOT_BAD : SLOT_GOOD, mb[0] == 'b' ? SLOT_BAD : SLOT_GOOD}};
		struct slot_evidence now;
		ck_assert_int_eq(vars_choose(&v, &now), t[0] != 'n');
		ck_assert_str_eq(slot_word(v.trial), after);
		ck_assert_str_eq(slot_word(now.running), run);
		ck_assert_int_eq(now.trial, as[0] == 'y');
		rows++;
	}
	ck_assert_int_eq(rows, 12);
}
END_TEST

START_TEST(test_find)
{
	struct boot *none = NULL;
	struct error e = {0};

	ck_assert_int_eq(boot_open("simulated", &place, &none, &e), EF_REASON_CONFIG);
	ck_assert_ptr_null(none);
	ck_assert_str_eq(slot_word((enum slot_id)7), "none");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("slots/sim");
	TCase *t = tcase_create("sim");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_trial_used_once);
	tcase_add_test(t, test_confirm_is_lasting);
	tcase_add_test(t, test_bad_slot_is_not_started);
	tcase_add_test(t, test_refusals_change_nothing);
	tcase_add_loop_test(
		t, test_unreadable_state, 0, sizeof(unreadable) / sizeof(unreadable[0]));
	tcase_add_loop_test(t, test_missing_or_odd_files, 0, 2);
	tcase_add_test(t, test_reboot_request);
	tcase_add_loop_test(t, test_cut_anywhere, 0, sizeof(cuts) / sizeof(cuts[0]));
	tcase_add_test(t, test_firmware_table);
	tcase_add_test(t, test_find);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
