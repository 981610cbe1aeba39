/* SPDX-License-Identifier: Apache-2.0 */
/* Boot=auto: what was found goes where the configuration says nothing. What is found, and what not:
 * tests/unit/doctor. */
#include "../unit.h"
#include "update/update.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <string.h>
#include <unistd.h>

static char root[] = "/tmp/test-find-slots-XXXXXX";

static void put(const char *dir, const char *name, const char *text, size_t size)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", root, dir);
	ck_assert_int_eq(dir_make(path, 0755), 0);
	snprintf(path, sizeof(path), "%s/%s/%s", root, dir, name);
	FILE *f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, size, f), size);
	ck_assert_int_eq(fclose(f), 0);
}

static struct config *configured(const char *boot, const char *a)
{
	struct config *c = calloc(1, sizeof(*c));

	c->boot = strdup(boot);
	if (a) {
		c->slot_a = strdup(a);
		c->slot_b = strdup("/dev/b");
	}
	return c;
}

static void machine(void)
{
	char block[1025] = "# GRUB Environment Block\n";
	static const char line[] = "quiet edgeferry.slot=B\n";

	strcpy(root + strlen(root) - 6, "XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	memset(block + strlen(block), '#', sizeof(block) - 1 - strlen(block));
	put("boot/grub", "grubenv", block, 1024);
	put("proc", "cmdline", line, sizeof(line) - 1);
	put("dev/disk/by-partlabel", "system_a", "", 0);
	put("dev/disk/by-partlabel", "system_b", "", 0);
}

static void gone(void)
{
	char line[64];

	snprintf(line, sizeof(line), "rm -r %s", root);
	ck_assert_int_eq(system(line), 0);
}

START_TEST(all_of_it)
{
	struct config *c = configured("auto", NULL);
	struct error e = {0};

	ck_assert_msg(update_find_slots(root, c, &e) == EF_REASON_OK, "%s", e.detail);
	ck_assert_str_eq(c->boot, "grub");
	ck_assert_str_eq(c->boot_dir, "/boot/grub");
	ck_assert_str_eq(c->slot_a, "/dev/disk/by-partlabel/system_a");
	ck_assert_str_eq(c->slot_b, "/dev/disk/by-partlabel/system_b");
	config_free(c);
}
END_TEST

START_TEST(what_is_set_stays)
{
	struct config *c = configured("auto", "/dev/a");
	struct error e = {0};

	ck_assert_msg(update_find_slots(root, c, &e) == EF_REASON_OK, "%s", e.detail);
	ck_assert_str_eq(c->boot, "grub");
	ck_assert_str_eq(c->slot_a, "/dev/a");
	ck_assert_str_eq(c->slot_b, "/dev/b");
	config_free(c);
	c = configured("sim", NULL);
	ck_assert_int_eq(update_find_slots(root, c, &e), EF_REASON_OK);
	ck_assert_str_eq(c->boot, "sim");
	ck_assert_ptr_null(c->slot_a);
	config_free(c);
}
END_TEST

/* Where the kernel lies beside the slot. */
START_TEST(boot_partitions)
{
	static const char text[] =
		"[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n";
	struct config *c = configured("auto", NULL);
	struct error e = {0};
	char path[256];

	snprintf(path, sizeof(path), "%s/boot/grub/grubenv", root);
	ck_assert_int_eq(unlink(path), 0);
	put("bootfs", "autoboot.txt", text, sizeof(text) - 1);
	put("sys/firmware/devicetree/base/chosen/bootloader", "partition", "\0\0\0\2", 4);
	ck_assert_msg(update_find_slots(root, c, &e) == EF_REASON_OK, "%s", e.detail);
	ck_assert_str_eq(c->boot, "tryboot");
	ck_assert_ptr_null(c->boot_a);
	config_free(c);
	put("dev/disk/by-partlabel", "boot_a", "", 0);
	put("dev/disk/by-partlabel", "boot_b", "", 0);
	c = configured("auto", NULL);
	ck_assert_msg(update_find_slots(root, c, &e) == EF_REASON_OK, "%s", e.detail);
	ck_assert_str_eq(c->boot_a, "/dev/disk/by-partlabel/boot_a");
	ck_assert_str_eq(c->boot_b, "/dev/disk/by-partlabel/boot_b");
	config_free(c);
}
END_TEST

/* Named slots do without labels; a boot loader they do not do without. */
START_TEST(missing)
{
	char path[256];
	struct config *c = configured("auto", NULL);
	struct error e = {0};

	snprintf(path, sizeof(path), "%s/dev/disk/by-partlabel/system_b", root);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(update_find_slots(root, c, &e), EF_REASON_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.detail, "labelled as slots"));
	ck_assert_str_eq(c->boot, "auto");
	config_free(c);
	c = configured("auto", "/dev/a");
	error_clear(&e);
	ck_assert_int_eq(update_find_slots(root, c, &e), EF_REASON_OK);
	config_free(c);
	snprintf(path, sizeof(path), "%s/boot/grub/grubenv", root);
	ck_assert_int_eq(unlink(path), 0);
	c = configured("auto", "/dev/a");
	ck_assert_int_eq(update_find_slots(root, c, &e), EF_REASON_CONFIG);
	config_free(c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/find-slots");
	TCase *t = tcase_create("auto");

	tcase_add_checked_fixture(t, machine, gone);
	tcase_add_test(t, all_of_it);
	tcase_add_test(t, what_is_set_stays);
	tcase_add_test(t, boot_partitions);
	tcase_add_test(t, missing);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
