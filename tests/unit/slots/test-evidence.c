/* SPDX-License-Identifier: Apache-2.0 */
/* What was started, by the kernel's command line, and which boot this is: nothing is guessed
 * (S-14). */
#include "../unit.h"
#include "slots/boot.h"
#include "slots/evidence.h"
#include "util/fdio.h"
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The linker leads calls of ours here (--wrap). */
static bool no_memory;
char *__real_strdup(const char *s);
char *__wrap_strdup(const char *s);
char *__wrap_strdup(const char *s)
{
	return no_memory ? NULL : __real_strdup(s);
}

static char dir[64];

static void setup(void)
{
	char path[128];

	strcpy(dir, "/tmp/edgeferry-evidence-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/proc/sys/kernel/random", dir);
	ck_assert_int_eq(dir_make(path, 0755), 0);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	return remove(path);
}

static void teardown(void)
{
	nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *name, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

START_TEST(command_line)
{
	struct slot_evidence v = {.running = SLOT_NONE};
	struct error e = {0};

	ck_assert_int_eq(evidence_cmdline(dir, &v, &e), EF_REASON_BOOT_STATE); /* there is none */
	e = (struct error){0};
	put("proc/cmdline", "quiet edgeferry.slot=B edgeferry.trial=1\n");
	ck_assert_int_eq(evidence_cmdline(dir, &v, &e), EF_REASON_OK);
	ck_assert(v.running == SLOT_B && v.trial);
	no_memory = true;
	ck_assert_int_eq(evidence_cmdline(dir, &v, &e), EF_REASON_NO_MEMORY);
	no_memory = false;
}
END_TEST

START_TEST(root_that_is_too_long) /* no other file is read instead */
{
	char root[PATH_MAX + 1];
	struct slot_evidence v;
	struct error e = {0};

	memset(root, '/', sizeof(root) - 1); /* as good a root as any, but for its length */
	root[sizeof(root) - 1] = 0;
	ck_assert_int_eq(evidence_cmdline(root, &v, &e), EF_REASON_BOOT_STATE);
	e = (struct error){0};
	root[PATH_MAX - sizeof("/proc/cmdline")] = 0;
	ck_assert_ptr_null(strstr(root, "proc"));
	evidence_cmdline(root, &v, &e);
	ck_assert_ptr_null(strstr(e.detail, "too long"));
}
END_TEST

static const struct {
	const char *text;
	bool good;
} ids[] = {
	{"01234567-89ab-cdef-0123-456789abcdef\n", true},
	{"01234567-89ab-cdef-0123-456789abcdef", true},
	{"01234567-89ab-cdef-0123-456789abcde\n", false},
	{"01234567-89ab-cdef-0123-456789abcdef0\n", false},
	{"01234567-89AB-cdef-0123-456789abcdef\n", false},
	{"01234567-89ab-cdef-0123-456789abcde \n", false},
	{"\n", false},
	{"", false},
	{NULL, false},
};

START_TEST(id_of_this_boot)
{
	char id[BOOT_ID_MAX] = "";
	struct error e = {0};

	if (ids[_i].text)
		put("proc/sys/kernel/random/boot_id", ids[_i].text);
	enum ef_reason got = evidence_boot_id(dir, id, &e);
	ck_assert_int_eq(got, ids[_i].good ? EF_REASON_OK : EF_REASON_BOOT_STATE);
	ck_assert_str_eq(id, ids[_i].good ? "01234567-89ab-cdef-0123-456789abcdef" : "");
}
END_TEST

START_TEST(no_such_boot_loader)
{
	const struct boot_place place = {.dir = dir, .state_dir = dir, .root = dir};
	struct boot *b = NULL;
	struct error e = {0};

	ck_assert_int_eq(boot_open(NULL, &place, &b, &e), EF_REASON_CONFIG);
	e = (struct error){0};
	ck_assert_int_eq(boot_open("lilo", &place, &b, &e), EF_REASON_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.detail, "lilo"));
	ck_assert_ptr_null(b);
}
END_TEST

/* Every call of a back-end that cannot read its state says so, and decides nothing. */
START_TEST(state_that_cannot_be_read)
{
	const struct boot_place place = {.dir = dir, .state_dir = dir, .root = dir};
	const uint8_t root[32] = {1};
	struct boot_state state;
	struct boot *b = NULL;
	struct error e = {0};

	ck_assert_int_eq(boot_open("grub", &place, &b, &e), EF_REASON_OK);
	ck_assert_int_eq(boot_state(b, &state, &e), EF_REASON_BOOT_STATE);
	e = (struct error){0};
	ck_assert_int_eq(boot_try_next(b, SLOT_B, &e), EF_REASON_BOOT_STATE);
	e = (struct error){0};
	ck_assert_int_eq(boot_set_verity(b, SLOT_B, root, 8192, &e), EF_REASON_BOOT_STATE);
	e = (struct error){0};
	ck_assert_int_eq(boot_mark_good(b, SLOT_B, &e), EF_REASON_BOOT_STATE);
	e = (struct error){0};
	ck_assert_int_eq(boot_mark_bad(b, SLOT_B, &e), EF_REASON_BOOT_STATE);
	boot_close(b);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("slots/evidence");
	TCase *t = tcase_create("evidence");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, command_line);
	tcase_add_test(t, root_that_is_too_long);
	tcase_add_loop_test(t, id_of_this_boot, 0, (int)(sizeof(ids) / sizeof(ids[0])));
	tcase_add_test(t, no_such_boot_loader);
	tcase_add_test(t, state_that_cannot_be_read);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
