/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F-02, S-14, I-1, I-2: grub, uboot and tryboot do what sim does, each over its boot loader's own
 * files.
 */
#include "../unit.h"
#include "cut.h"
#include "loaders.h"
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(fresh)
{
	begin(_i);
	struct boot_state s = state();

	ck_assert(
		s.running == SLOT_A && s.primary == SLOT_A && s.trial == SLOT_NONE && !s.on_trial);
	ck_assert(s.mark[0] == SLOT_GOOD && s.mark[1] == SLOT_GOOD);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(restart(), SLOT_A);
		came_up();
	}
}
END_TEST

/* F-02: tried once, whatever happens then. */
START_TEST(trial_used_once)
{
	begin(_i);
	WELL(boot_try_next(b, SLOT_B, e));
	ck_assert_int_eq(state().trial, SLOT_B);
	ck_assert_int_eq(state().primary, SLOT_A);
	ck_assert(!state().on_trial);
	ck_assert_int_eq(restart(), SLOT_B);
	struct boot_state s = state();
	ck_assert(s.on_trial && s.primary == SLOT_A && s.trial == SLOT_NONE);
	ck_assert(s.mark[SLOT_B] == SLOT_GOOD);
	came_up();
	ck_assert_int_eq(restart(), SLOT_A);
	ck_assert(!state().on_trial);
	ck_assert_int_eq(state().trial, SLOT_NONE);
	ck_assert_int_eq(restart(), SLOT_A);
}
END_TEST

/* A cut before the restart: asked again within the same start, used up after it. */
START_TEST(cut_before_the_restart)
{
	const char *parameter;

	begin(_i);
	WELL(boot_try_next(b, SLOT_B, e));
	reopen(); /* the daemon died */
	ck_assert_int_eq(state().trial, SLOT_B);
	WELL(boot_rebooting(b, &parameter, e));
	reopen();
	ck_assert_int_eq(state().trial, SLOT_B); /* asked, and nothing came of it */
	WELL(boot_rebooting(b, &parameter, e));
	ck_assert(which != TRYBOOT || (parameter && strcmp(parameter, "0 tryboot") == 0));
	enum slot_id s = power_on(); /* the power goes: the firmware's flag is lost */
	ck_assert_int_eq(s, which == TRYBOOT ? SLOT_A : SLOT_B);
	ck_assert_int_eq(state().trial, SLOT_NONE);
	ck_assert_int_eq(restart(), SLOT_A);
}
END_TEST

START_TEST(confirm_is_lasting)
{
	begin(_i);
	WELL(boot_try_next(b, SLOT_B, e));
	ck_assert_int_eq(restart(), SLOT_B);
	WELL(boot_mark_good(b, SLOT_B, e));
	struct boot_state s = state();
	ck_assert(!s.on_trial && s.primary == SLOT_B && s.running == SLOT_B);
	for (int i = 0; i < 5; i++) {
		ck_assert_int_eq(restart(), SLOT_B);
		came_up();
		ck_assert(!state().on_trial);
	}
	/* and back again, twice the whole way */
	WELL(boot_try_next(b, SLOT_A, e));
	ck_assert_int_eq(restart(), SLOT_A);
	ck_assert_int_eq(restart(), SLOT_B);
	came_up();
	WELL(boot_try_next(b, SLOT_A, e));
	ck_assert_int_eq(restart(), SLOT_A);
	WELL(boot_mark_good(b, SLOT_A, e));
	ck_assert_int_eq(restart(), SLOT_A);
}
END_TEST

START_TEST(bad_slot_is_not_started)
{
	begin(_i);
	WELL(boot_try_next(b, SLOT_B, e));
	WELL(boot_mark_bad(b, SLOT_B, e));
	ck_assert_int_eq(state().trial, SLOT_NONE);
	ck_assert_int_eq(state().mark[SLOT_B], SLOT_BAD);
	ck_assert_int_eq(restart(), SLOT_A);
	ck_assert_int_eq(state().mark[SLOT_B], SLOT_BAD);
	WELL(boot_try_next(b, SLOT_B, e)); /* a new content */
	ck_assert_int_eq(restart(), SLOT_B);
	WELL(boot_mark_bad(b, SLOT_B, e)); /* from within the trial */
	ck_assert_int_eq(state().mark[SLOT_B], SLOT_BAD);
	ck_assert_int_eq(state().primary, SLOT_A);
	ck_assert(state().on_trial);
	ck_assert_int_eq(restart(), SLOT_A);
	ck_assert(!state().on_trial);
}
END_TEST

/* I-1: no call takes the slot away that a plain restart needs. */
START_TEST(refusals_change_nothing)
{
	struct error e = {0};

	begin(_i);
	struct boot_state before = state();
	ck_assert_int_eq(boot_mark_bad(b, SLOT_A, &e), EF_REASON_USAGE);
	error_clear(&e);
	ck_assert_int_eq(boot_try_next(b, SLOT_A, &e), EF_REASON_SLOT_RUNNING);
	error_clear(&e);
	ck_assert_int_eq(boot_mark_good(b, SLOT_NONE, &e), EF_REASON_USAGE);
	struct boot_state after = state();
	ck_assert(same_state(&before, &after));
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

static const cut_op cuts[] = {op_try, op_good, op_bad};

static cut_op cut; /* the one under test */

static void before_cut(void)
{
	WELL(boot_mark_good(b, SLOT_A, e));
	if (cut == op_bad)
		WELL(boot_try_next(b, SLOT_B, e));
}

/* F-02, I-2 */
START_TEST(cut_anywhere)
{
	begin(_i % KINDS);
	cut = cuts[_i / KINDS];
	before_cut();
	struct boot_state old = state();
	WELL(cut(b, e));
	struct boot_state new = state();
	ck_assert(!same_state(&old, &new));
	cut_everywhere(cut, b, before_cut);
}
END_TEST

/* What the boot loader hands to the kernel of a slot, as another reader of its files finds it. */
static bool hands_over(const char *slot, char text[4096])
{
	char out[4096], name[32], *at;

	ask(which == GRUB ? "grub-editenv %s/grubenv list" : "fw_printenv -c %s/fw_env.config",
		out);
	snprintf(name, sizeof(name), "edgeferry_verity_%s=", slot);
	at = strstr(out, name);
	if (!at)
		return false;
	at += strlen(name);
	snprintf(text, 4096, "%.*s", (int)strcspn(at, "\n"), at);
	for (size_t n = strlen(text); n > 0 && text[n - 1] == ' '; n--)
		text[n - 1] = '\0';
	return *text;
}

#define HEX_AB "abababababababababababababababababababababababababababababababab"

START_TEST(root_hash_is_handed_over)
{
	uint8_t root[32];
	char text[4096];
	struct error refused = {0};

	memset(root, 0xab, sizeof(root));
	begin(_i);
	if (which == TRYBOOT) { /* it has no place for it */
		WELL(boot_set_verity(b, SLOT_B, root, 4096, e));
		return;
	}
	WELL(boot_set_verity(b, SLOT_B, root, 0, e));
	ck_assert(!hands_over("B", text));
	WELL(boot_set_verity(b, SLOT_B, root, 268435456, e));
	ck_assert(hands_over("B", text));
	ck_assert_str_eq(text, "edgeferry.roothash=" HEX_AB " edgeferry.hashoffset=268435456");
	ck_assert(!hands_over("A", text));
	/* what is decided by the others stays, and so does this */
	WELL(boot_try_next(b, SLOT_B, e));
	ck_assert(hands_over("B", text));
	ck_assert_int_eq(restart(), SLOT_B);
	ck_assert(state().on_trial);
	/* neither of what runs nor of what a plain restart starts */
	ck_assert_int_eq(boot_set_verity(b, SLOT_B, root, 0, &refused), EF_REASON_SLOT_RUNNING);
	error_clear(&refused);
	ck_assert_int_eq(boot_set_verity(b, SLOT_A, root, 0, &refused), EF_REASON_SLOT_RUNNING);
	WELL(boot_mark_good(b, SLOT_B, e));
	ck_assert(hands_over("B", text));
	WELL(boot_set_verity(b, SLOT_A, root, UINT64_MAX, e));
	ck_assert(hands_over("A", text));
	ck_assert_ptr_nonnull(strstr(text, "hashoffset=18446744073709551615"));
	ck_assert(hands_over("B", text));
	ck_assert_ptr_nonnull(strstr(text, "hashoffset=268435456"));
	/* a release without a tree */
	WELL(boot_set_verity(b, SLOT_A, root, 0, e));
	ck_assert(!hands_over("A", text));
	ck_assert(state().primary == SLOT_B && state().mark[SLOT_A] == SLOT_GOOD);
}
END_TEST

static const struct {
	const char *text;
	enum slot_id running;
	bool trial;
} cmdlines[] = {
	{"", SLOT_NONE, false},
	{"ro quiet", SLOT_NONE, false},
	{"edgeferry.slot=A", SLOT_A, false},
	{"ro edgeferry.slot=B edgeferry.trial=1\n", SLOT_B, true},
	{"rauc.slot=B", SLOT_B, false},
	{"rauc.slot=B edgeferry.slot=B", SLOT_B, false},
	{"rauc.slot=B edgeferry.slot=A", SLOT_NONE, false},
	{"edgeferry.slot=A edgeferry.slot=B", SLOT_NONE, false},
	{"edgeferry.slot=C", SLOT_NONE, false},
	{"edgeferry.slot=", SLOT_NONE, false},
	{"xedgeferry.slot=A", SLOT_NONE, false},
	{"edgeferry.slot=A edgeferry.trial=0", SLOT_A, false},
};

START_TEST(command_line)
{
	struct error e = {0};
	struct boot_state s;

	begin(GRUB);
	put_text("proc/cmdline", cmdlines[_i].text);
	enum ef_reason r = boot_state(b, &s, &e);
	ck_assert_int_eq(r == EF_REASON_OK, cmdlines[_i].running != SLOT_NONE);
	if (r == EF_REASON_OK) {
		ck_assert_int_eq(s.running, cmdlines[_i].running);
		ck_assert_int_eq(s.on_trial, cmdlines[_i].trial);
	}
}
END_TEST

/* No FIFO, no link: neither hangs, neither is followed. */
START_TEST(odd_files)
{
	static const char *const names[] = {"grubenv", NULL, "autoboot.txt"};
	struct error e = {0};
	struct boot_state s;
	char path[256], to[256];

	if (!names[_i])
		return;
	begin(_i);
	snprintf(path, sizeof(path), "%s/%s", dir, names[_i]);
	snprintf(to, sizeof(to), "%s/elsewhere", dir);
	ck_assert_int_eq(rename(path, to), 0);
	ck_assert_int_eq(symlink(to, path), 0);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	error_clear(&e);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	unlink(path);
	error_clear(&e);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

static Suite *suite(void)
{
	Suite *s = suite_create("slots/backends");
	TCase *t = tcase_create("backends");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_loop_test(t, fresh, 0, KINDS);
	tcase_add_loop_test(t, trial_used_once, 0, KINDS);
	tcase_add_loop_test(t, cut_before_the_restart, 0, KINDS);
	tcase_add_loop_test(t, confirm_is_lasting, 0, KINDS);
	tcase_add_loop_test(t, bad_slot_is_not_started, 0, KINDS);
	tcase_add_loop_test(t, refusals_change_nothing, 0, KINDS);
	tcase_add_loop_test(t, cut_anywhere, 0, KINDS * COUNT(cuts));
	tcase_add_loop_test(t, root_hash_is_handed_over, 0, KINDS);
	tcase_add_loop_test(t, command_line, 0, COUNT(cmdlines));
	tcase_add_loop_test(t, odd_files, 0, KINDS);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
