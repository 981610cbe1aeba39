/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/detect.h"
#include "slots/evidence.h"
#include "slots/grub-env.h"
#include "slots/one-sector.h"
#include "slots/tryboot-text.h"
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

__attribute__((format(printf, 4, 5))) static bool fact(
	struct slots_found *f, bool found, const char *advice, const char *format, ...)
{
	struct slots_fact *to = &f->facts[f->n_facts];
	va_list ap;

	if (f->n_facts == SLOTS_FACTS_MAX)
		return found;
	f->n_facts++;
	to->found = found;
	snprintf(to->advice, sizeof(to->advice), "%s", found ? "" : advice);
	va_start(ap, format);
	vsnprintf(to->text, sizeof(to->text), format, ap);
	va_end(ap);
	return found;
}

static bool there(const char *root, const char *path)
{
	char full[PATH_MAX];
	struct stat st;

	snprintf(full, sizeof(full), "%s%s", root, path);
	return stat(full, &st) == 0;
}

/* The first of the folders that has the file; NULL: none. */
static const char *folder_of(const char *root, const char *const *folders, const char *name)
{
	char path[PATH_MAX];

	for (; *folders; folders++) {
		snprintf(path, sizeof(path), "%s/%s", *folders, name);
		if (there(root, path))
			return *folders;
	}
	return NULL;
}

/* --- boot loaders: each says by what it was found, or what it lacks --- */

static bool on_command_line(const char *root, const char *script, struct slots_found *f)
{
	struct slot_evidence now;
	struct error e = {0};
	char advice[352];

	snprintf(advice, sizeof(advice),
		"let the boot loader's script add edgeferry.slot=A or B to the kernel command "
		"line: /usr/share/edgeferry/boot/%s is one that does",
		script);
	if (evidence_cmdline(root, &now, &e) == EF_REASON_OK)
		return fact(f, true, "", "/proc/cmdline: slot %s runs%s", slot_word(now.running),
			now.trial ? ", on trial" : "");
	return fact(f, false, advice, "/proc/cmdline: %s", e.detail);
}

static bool find_grub(const char *root, const char **dir, struct slots_found *f)
{
	static const char *const folders[] = {
		"/boot/grub", "/boot/grub2", "/boot/efi/grub", "/efi/grub", NULL};
	char path[PATH_MAX], block[GRUB_ENV_SIZE];
	struct slot_vars vars;
	struct error e = {0};
	size_t size;

	*dir = folder_of(root, folders, "grubenv");
	if (!*dir)
		return false;
	snprintf(path, sizeof(path), "%s%s/grubenv", root, *dir);
	if (one_sector_read(path, block, sizeof(block), &size, &e) ||
		(size == sizeof(block) && grub_env_parse(block, &vars, &e)) ||
		size != sizeof(block))
		return fact(f, false, "make it anew with grub-editenv FILE create",
			"%s/grubenv: no environment block of GRUB", *dir);
	fact(f, true, "", "%s/grubenv: an environment block of GRUB", *dir);
	return on_command_line(root, "edgeferry.grub", f);
}

static bool find_uboot(const char *root, const char **dir, struct slots_found *f)
{
	*dir = "/etc";
	if (!there(root, "/etc/fw_env.config"))
		return false;
	fact(f, true, "", "/etc/fw_env.config: U-Boot's environment");
	return on_command_line(root, "edgeferry.uboot", f);
}

static bool find_tryboot(const char *root, const char **dir, struct slots_found *f)
{
	static const char *const folders[] = {"/bootfs", "/boot/firmware", "/boot", NULL};
	static const char wanted[] =
		"write into autoboot.txt of the first FAT partition: [all], tryboot_a_b=1, "
		"boot_partition=2, [tryboot], boot_partition=3 (a line each, with the numbers of "
		"the two boot partitions), and mount that partition at /bootfs";
	char path[PATH_MAX], text[AUTOBOOT_MAX];
	struct error e = {0}, no_tree = {0};
	uint32_t partition;
	struct autoboot a;
	size_t size;
	bool tree = !evidence_device_tree(root, "partition", &partition, &no_tree);

	*dir = folder_of(root, folders, "autoboot.txt");
	if (!*dir && !tree)
		return false;
	if (tree)
		fact(f, true, "", "device tree: Raspberry Pi's firmware started partition %u",
			partition);
	if (!*dir)
		return fact(f, false, wanted, "autoboot.txt: neither in /bootfs nor in /boot");
	snprintf(path, sizeof(path), "%s%s/autoboot.txt", root, *dir);
	if (one_sector_read(path, text, sizeof(text), &size, &e) ||
		autoboot_parse(text, size, &a, &e))
		return fact(f, false, wanted, "%s/autoboot.txt: %s", *dir, e.detail);
	fact(f, true, "", "%s/autoboot.txt: partitions %u and %u", *dir, a.partition[SLOT_A],
		a.partition[SLOT_B]);
	if (!tree)
		return fact(f, false, "start it by Raspberry Pi's firmware, from 2022-11-25 on",
			"device tree: no /chosen/bootloader/partition");
	return partition == a.partition[SLOT_A] || partition == a.partition[SLOT_B] ||
	       fact(f, false, wanted, "autoboot.txt does not name the partition that was started");
}

static void find_boot(const char *root, struct slots_found *f, struct error *e)
{
	static const struct {
		const char *name;
		bool (*find)(const char *root, const char **dir, struct slots_found *f);
	} table[] = {{"grub", find_grub}, {"uboot", find_uboot}, {"tryboot", find_tryboot}};
	const char *dir;
	size_t seen;

	for (size_t i = 0; i < COUNT(table); i++) {
		seen = f->n_facts;
		if (!table[i].find(root, &dir, f)) {
			if (f->n_facts > seen)
				error_set(e, EF_REASON_CONFIG, "%s", f->facts[f->n_facts - 1].text);
			continue;
		}
		if (f->boot) {
			error_clear(e);
			fact(f, false,
				"say in [Slots] of edgeferry.conf which of them it is: Boot=",
				"both %s and %s have all they need", f->boot, table[i].name);
			error_set(e, EF_REASON_CONFIG, "%s", f->facts[f->n_facts - 1].text);
			f->boot = NULL;
			return;
		}
		f->boot = table[i].name;
		snprintf(f->boot_dir, sizeof(f->boot_dir), "%s", dir);
	}
	if (f->boot) {
		error_clear(e);
		return;
	}
	if (f->n_facts == 0)
		fact(f, false,
			"set up GRUB, U-Boot or Raspberry Pi's tryboot as edgeferry.conf(5), BOOT "
			"LOADERS, says",
			"no grubenv, no fw_env.config and no autoboot.txt");
	error_set(e, EF_REASON_CONFIG, "%s", f->facts[f->n_facts - 1].text);
}

/* --- slots --- */

/* Partition labels of two slots that images in the field have. */
static const char *const labels[][2] = {{"system_a", "system_b"}, {"system_A", "system_B"},
	{"rootfs_a", "rootfs_b"}, {"rootfs_A", "rootfs_B"}, {"root_a", "root_b"},
	{"rootfs-a", "rootfs-b"}, {"root-a", "root-b"}};

/* Raspberry Pi's firmware takes kernel and device tree from a FAT partition of the slot. */
static void find_boots(const char *root, struct slots_found *f)
{
	static const char a[] = "/dev/disk/by-partlabel/boot_a",
			  b[] = "/dev/disk/by-partlabel/boot_b";

	if (!f->boot || strcmp(f->boot, "tryboot") != 0)
		return;
	if (!fact(f, there(root, a) && there(root, b),
		    "label the two boot partitions boot_a and boot_b (sgdisk --change-name), or "
		    "write "
		    "BootA= and BootB= with their devices into [Slots] of edgeferry.conf: without "
		    "them "
		    "a release brings no kernel",
		    "partition labels of the slots' boot partitions: boot_a and boot_b"))
		return;
	strcpy(f->boot_a, a);
	strcpy(f->boot_b, b);
}

static void find_slots(const char *root, struct slots_found *f, struct error *e)
{
	char a[sizeof(f->a)], b[sizeof(f->b)];

	for (size_t i = 0; i < COUNT(labels); i++) {
		snprintf(a, sizeof(a), "/dev/disk/by-partlabel/%s", labels[i][0]);
		snprintf(b, sizeof(b), "/dev/disk/by-partlabel/%s", labels[i][1]);
		if (!there(root, a) || !there(root, b))
			continue;
		if (f->a[0]) {
			fact(f, false, "name the two in [Slots] of edgeferry.conf: A= and B=",
				"partition labels: %s and %s are two slots as well", labels[i][0],
				labels[i][1]);
			error_set(e, EF_REASON_CONFIG, "more than one pair of slots");
			f->a[0] = f->b[0] = 0;
			return;
		}
		strcpy(f->a, a);
		strcpy(f->b, b);
		fact(f, true, "", "partition labels: %s and %s", labels[i][0], labels[i][1]);
	}
	if (there(root, "/dev/disk/by-slot"))
		fact(f, there(root, "/dev/disk/by-slot/active/system"),
			"udev's rules of the image should make this link",
			"/dev/disk/by-slot/active/system: an A/B image of rpi-image-gen");
	if (f->a[0])
		return;
	fact(f, false,
		"label the two root partitions system_a and system_b (sgdisk --change-name), or "
		"write A= and B= with their devices into [Slots] of edgeferry.conf",
		"/dev/disk/by-partlabel: no two partitions that are labelled as slots");
	error_set(e, EF_REASON_CONFIG, "no two partitions are labelled as slots");
}

enum ef_reason slots_detect(const char *root, struct slots_found *ret, struct error *e)
{
	*ret = (struct slots_found){0};
	find_boot(root, ret, e);
	find_slots(root, ret, e);
	find_boots(root, ret);
	return e->reason;
}
