/* SPDX-License-Identifier: Apache-2.0 */
/* What is special to the files of one boot loader: what others keep there, and what is wrong. */
#include "../unit.h"
#include "loaders.h"
#include "slots/grub-env.h"
#include "slots/tryboot-text.h"
#include "slots/uboot-vars.h"
#include "util/cleanup.h"
#include <stdio.h>
#include <string.h>

/* What others keep in grubenv stays, byte for byte, and GRUB's own tool reads what we wrote. */
START_TEST(grub_keeps_the_rest)
{
	_cleanup_free_ char *first = NULL, *then = NULL;
	char out[4096];
	size_t size;

	begin(GRUB);
	WELL(boot_try_next(b, SLOT_B, e));
	first = get("grubenv", &size);
	ck_assert_uint_eq(size, GRUB_ENV_SIZE);
	ask("grub-editenv %s/grubenv list", out);
	ck_assert_ptr_nonnull(strstr(out, "saved_entry=0\n"));
	ck_assert_ptr_nonnull(strstr(out, "odd=with \\ and \nline\n"));
	ck_assert_ptr_nonnull(strstr(out, "edgeferry_trial=B\n"));
	WELL(boot_mark_bad(b, SLOT_B, e));
	then = get("grubenv", &size);
	/* one sector changes, by characters only */
	ck_assert_int_eq(memcmp(first + 512, then + 512, 512), 0);
	int differ = 0;
	for (size_t i = 0; i < size; i++)
		differ += first[i] != then[i];
	ck_assert_int_le(differ, 3);
}
END_TEST

START_TEST(grub_full)
{
	char block[GRUB_ENV_SIZE], before[GRUB_ENV_SIZE];
	struct slot_vars v = {SLOT_A, SLOT_B, {SLOT_GOOD, SLOT_GOOD}};
	struct error e = {0};

	memset(block, 'x', sizeof(block));
	memcpy(block, "# GRUB Environment Block\nlong=", 30);
	block[GRUB_ENV_SIZE - 1] = '\n';
	memcpy(before, block, sizeof(before));
	ck_assert_int_eq(grub_env_format(block, &v, &e), EF_REASON_BOOT_STATE);
	ck_assert_int_eq(memcmp(before, block, sizeof(block)), 0);
}
END_TEST

/* Once both are there, a change of anything is one of characters in the first sector. */
START_TEST(grub_root_hash_in_one_sector)
{
	uint8_t root[32] = {1};
	char *before, *now;
	size_t size;

	begin(GRUB);
	command("grub-editenv %s/grubenv set saved_entry=debian other=kept");
	WELL(boot_set_verity(b, SLOT_B, root, 4096, e));
	WELL(boot_try_next(b, SLOT_B, e));
	restart();
	WELL(boot_mark_good(b, SLOT_B, e));
	WELL(boot_set_verity(b, SLOT_A, root, 4096, e));
	for (int i = 0; i < 4; i++) {
		before = get("grubenv", &size);
		root[1] = (uint8_t)i;
		WELL(i == 3 ? boot_try_next(b, SLOT_A, e)
			    : boot_set_verity(
				      b, SLOT_A, root, i == 2 ? 0 : UINT64_MAX - (unsigned)i, e));
		now = get("grubenv", &size);
		ck_assert_int_ne(memcmp(before, now, 512), 0);
		ck_assert_int_eq(memcmp(before + 512, now + 512, 512), 0);
		ck_assert_ptr_nonnull(strstr(now, "\nsaved_entry=debian\n"));
		ck_assert_ptr_nonnull(strstr(now, "\nother=kept\n"));
		free(before);
		free(now);
	}
}
END_TEST

static const char *const grub_wrong[] = {
	"edgeferry_primary=C\n",
	"edgeferry_primary=\n",
	"edgeferry_primary=AB\n",
	"edgeferry_primary=A\nedgeferry_primary=A\n",
	"edgeferry_primary=-\n",
	"edgeferry_trial=none\n",
	"edgeferry_marks=g\n",
	"edgeferry_marks=gx\n",
	"edgeferry_marks=ggg\n",
	"edgeferry_primary=A\nedgeferry_marks=bg\n",
	"edgeferry_marks=bg\n",
};

/* S-14: what is not understood is never taken for a default, and not written over. */
START_TEST(grub_not_understood)
{
	char block[GRUB_ENV_SIZE + 1];
	struct error e = {0};
	struct boot_state s;
	size_t size;

	begin(GRUB);
	memset(block, '#', sizeof(block));
	memcpy(block, "# GRUB Environment Block\n", 25);
	memcpy(block + 25, grub_wrong[_i], strlen(grub_wrong[_i]));
	put("grubenv", block, GRUB_ENV_SIZE);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	error_clear(&e);
	ck_assert_int_eq(boot_try_next(b, SLOT_B, &e), EF_REASON_BOOT_STATE);
	_cleanup_free_ char *after = get("grubenv", &size);
	ck_assert_int_eq(memcmp(after, block, GRUB_ENV_SIZE), 0);
	/* cut short, too long, something else */
	static const size_t sizes[] = {0, 512, GRUB_ENV_SIZE - 1, GRUB_ENV_SIZE + 1};
	for (size_t i = 0; i < 4; i++) {
		error_clear(&e);
		put("grubenv", block, sizes[i]);
		ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	}
	memset(block, 0, sizeof(block));
	put("grubenv", block, GRUB_ENV_SIZE);
	error_clear(&e);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
}
END_TEST

static const struct {
	const char *name, *value;
} uboot_wrong[] = {{"BOOT_ORDER", "B C"}, {"BOOT_ORDER", "''"}, {"BOOT_ORDER", "A A"},
	{"BOOT_A_LEFT", "x"}, {"BOOT_B_LEFT", "12"}, {"edgeferry_trial", "C"}};

START_TEST(uboot_not_understood)
{
	char line[256];
	struct error e = {0};
	struct boot_state s;

	begin(UBOOT);
	snprintf(line, sizeof(line), "fw_setenv -c %%1$s/fw_env.config %s '%s'",
		uboot_wrong[_i].name,
		uboot_wrong[_i].value[0] == '\'' ? " " : uboot_wrong[_i].value);
	command(line);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	ck_assert_ptr_nonnull(strstr(e.detail, uboot_wrong[_i].name));
	error_clear(&e);
	ck_assert_int_eq(boot_mark_good(b, SLOT_B, &e), EF_REASON_BOOT_STATE);
}
END_TEST

/* A primary that does not come up three times in a row: the other slot, if it is good. */
START_TEST(uboot_counts_attempts)
{
	begin(UBOOT);
	ck_assert_int_eq(restart(), SLOT_A);
	ck_assert_int_eq(restart(), SLOT_A);
	ck_assert_int_eq(restart(), SLOT_A);
	ck_assert_int_eq(state().primary, SLOT_A);
	ck_assert_int_eq(state().running, SLOT_A);
	ck_assert(!state().on_trial);
	ck_assert_int_eq(restart(), SLOT_B);
	ck_assert_int_eq(state().primary, SLOT_B);
	ck_assert(!state().on_trial);
	came_up();
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(restart(), SLOT_B);
		came_up();
	}
	/* and never one that is being written */
	WELL(boot_mark_bad(b, SLOT_A, e));
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(restart(), SLOT_B);
}
END_TEST

START_TEST(uboot_keeps_the_rest)
{
	char out[4096];

	begin(UBOOT);
	WELL(boot_try_next(b, SLOT_B, e));
	ask("fw_printenv -c %s/fw_env.config", out);
	ck_assert_ptr_nonnull(strstr(out, "fdtfile=some.dtb\n"));
	ck_assert_ptr_nonnull(strstr(out, "bootdelay=0\n"));
	ck_assert_ptr_nonnull(strstr(out, "BOOT_ORDER=B A\n"));
	ck_assert_ptr_nonnull(strstr(out, "BOOT_B_LEFT=1\n"));
	WELL(boot_mark_good(b, SLOT_A, e));
	ask("fw_printenv -c %s/fw_env.config", out);
	ck_assert_ptr_null(strstr(out, "edgeferry_trial"));
}
END_TEST

START_TEST(uboot_without_environment)
{
	struct error e = {0};
	struct boot_state s;

	begin(UBOOT);
	command("head -c 4096 /dev/zero > %1$s/env1; cp %1$s/env1 %1$s/env2");
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	error_clear(&e);
	ck_assert_int_eq(boot_try_next(b, SLOT_B, &e), EF_REASON_BOOT_STATE);
	command("rm %s/fw_env.config");
	error_clear(&e);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	ck_assert_ptr_nonnull(strstr(e.detail, "fw_env.config"));
}
END_TEST

static const char *const autoboot_wrong[] = {
	"",
	"[all]\ntryboot_a_b=1\nboot_partition=2\n",
	"[all]\nboot_partition=2\n[tryboot]\nboot_partition=3\n",
	"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=2\n",
	"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=13\n",
	"[all]\ntryboot_a_b=1\nboot_partition=2\nboot_partition=3\n[tryboot]\nboot_partition=3\n",
	"[all]\ntryboot_a_b=1\nboot_partition=0\n[tryboot]\nboot_partition=3\n",
	"[all]\ntryboot_a_b=1\nboot_partition=x\n[tryboot]\nboot_partition=3\n",
	"boot_partition=2\n[all]\ntryboot_a_b=1\n[tryboot]\nboot_partition=3\n",
	"[all]\ntryboot_a_b=1\nboot_partition=2\n[none]\nboot_partition=3\n",
	"[tryboot]\ntryboot_a_b=1\nboot_partition=2\n[all]\nboot_partition=3\n",
	"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=9999\n",
};

START_TEST(tryboot_not_understood)
{
	struct error e = {0};
	struct boot_state s;
	size_t size;

	begin(TRYBOOT);
	put_text("autoboot.txt", autoboot_wrong[_i]);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	error_clear(&e);
	ck_assert_int_eq(boot_mark_good(b, SLOT_B, &e), EF_REASON_BOOT_STATE);
	_cleanup_free_ char *after = get("autoboot.txt", &size);
	ck_assert_str_eq(after, autoboot_wrong[_i]);
}
END_TEST

START_TEST(tryboot_text_is_kept)
{
	_cleanup_free_ char *before = NULL, *after = NULL;
	size_t n, m;

	begin(TRYBOOT);
	before = get("autoboot.txt", &n);
	WELL(boot_try_next(b, SLOT_B, e));
	ck_assert_int_eq(restart(), SLOT_B);
	WELL(boot_mark_good(b, SLOT_B, e));
	after = get("autoboot.txt", &m);
	ck_assert_uint_eq(n, m);
	int differ = 0;
	for (size_t i = 0; i < n; i++)
		differ += before[i] != after[i];
	ck_assert_int_eq(differ, 2);
}
END_TEST

static const char *const memory_wrong[] = {"", "{}", "[]",
	"{\"schema\": 2, \"trial\": \"none\", \"asked\": \"\", \"A\": \"good\", \"B\": \"good\"}",
	"{\"schema\": 1, \"trial\": \"C\", \"asked\": \"\", \"A\": \"good\", \"B\": \"good\"}",
	"{\"schema\": 1, \"trial\": \"B\", \"A\": \"good\", \"B\": \"good\"}",
	"{\"schema\": 1, \"trial\": \"B\", \"asked\": \"\", \"A\": \"good\", \"B\": \"well\"}",
	"{\"schema\": 1, \"trial\": \"B\", \"asked\": "
	"\"0123456789012345678901234567890123456789\", \"A\": \"good\", \"B\": \"good\"}"};

START_TEST(tryboot_memory_not_understood)
{
	struct error e = {0};
	struct boot_state s;

	begin(TRYBOOT);
	put_text(TRYBOOT_FILE, memory_wrong[_i]);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
}
END_TEST

START_TEST(tryboot_evidence)
{
	struct error e = {0};
	struct boot_state s;
	static const char *const path = "sys/firmware/devicetree/base/chosen/bootloader/partition";

	begin(TRYBOOT);
	put(path, (const char[]){0, 0, 0, 7}, 4);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	ck_assert_ptr_nonnull(strstr(e.detail, "partition 7"));
	put(path, (const char[]){0, 0, 2}, 3);
	error_clear(&e);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
	command("rm -r %s/sys");
	error_clear(&e);
	ck_assert_int_eq(boot_state(b, &s, &e), EF_REASON_BOOT_STATE);
}
END_TEST

#define COUNT(a) (int)(sizeof(a) / sizeof((a)[0]))

static Suite *suite(void)
{
	Suite *s = suite_create("slots/loader-files");
	TCase *t = tcase_create("loader-files");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 120);
	tcase_add_test(t, grub_root_hash_in_one_sector);
	tcase_add_test(t, grub_keeps_the_rest);
	tcase_add_test(t, grub_full);
	tcase_add_loop_test(t, grub_not_understood, 0, COUNT(grub_wrong));
	tcase_add_loop_test(t, uboot_not_understood, 0, COUNT(uboot_wrong));
	tcase_add_test(t, uboot_counts_attempts);
	tcase_add_test(t, uboot_keeps_the_rest);
	tcase_add_test(t, uboot_without_environment);
	tcase_add_loop_test(t, tryboot_not_understood, 0, COUNT(autoboot_wrong));
	tcase_add_test(t, tryboot_text_is_kept);
	tcase_add_loop_test(t, tryboot_memory_not_understood, 0, COUNT(memory_wrong));
	tcase_add_test(t, tryboot_evidence);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
