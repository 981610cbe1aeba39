/* SPDX-License-Identifier: Apache-2.0 */
/* Boot loader and slots. */
#include "doctor/doctor.h"
#include "slots/evidence.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define EEPROM_SINCE 1762300800 /* 2025-11-05, edgeferry.conf(5), tryboot */

/* What was found, and what not, where the configuration leaves it open. */
void check_found(struct doctor *d)
{
	const struct slots_found *f = &d->found;
	bool automatic = d->config && strcmp(d->config->boot, "auto") == 0;
	bool whole = f->boot && f->a[0], lacking = automatic && (!f->boot || !d->a);
	char advice[512];

	if (d->config && d->config->slot_a && !automatic)
		return;
	for (size_t i = 0; i < f->n_facts; i++)
		say(d, f->facts[i].found || !lacking ? LEVEL_OK : LEVEL_ERROR, f->facts[i].advice,
			"%s: %s", f->facts[i].found ? "found" : "missing", f->facts[i].text);
	if (!whole || automatic)
		return;
	snprintf(advice, sizeof(advice),
		"to have the gateway itself updated, write Boot=auto into [Slots] of "
		"%s/edgeferry.conf, or Boot=%s, BootDirectory=%s, A=%s and B=%s",
		d->config_dir, f->boot, f->boot_dir, f->a, f->b);
	say(d, LEVEL_WARNING, advice, "two slots and %s are here, but not configured", f->boot);
}

/* The daemon's unit lets it write to few places. */
static void check_writable(struct doctor *d)
{
	static const char *const always[] = {"/bootfs", "/boot/grub"};
	char advice[256];

	if (strcmp(d->boot, "uboot") == 0) /* writes to what fw_env.config names */
		return;
	for (size_t i = 0; i < 2; i++)
		if (strcmp(d->boot_dir, always[i]) == 0)
			return;
	if (strncmp(d->boot_dir, d->config->state_dir, strlen(d->config->state_dir)) == 0 ||
		unit_has(d, "edgeferry.service", d->boot_dir))
		return;
	snprintf(advice, sizeof(advice),
		"systemctl edit edgeferry: [Service] and ReadWritePaths=%s", d->boot_dir);
	say(d, LEVEL_ERROR, advice, "edgeferry.service may not write to BootDirectory=%s",
		d->boot_dir);
}

static void check_eeprom(struct doctor *d)
{
	struct error e = {0};
	uint32_t built;

	if (evidence_device_tree(d->root, "build-timestamp", &built, &e) == EF_REASON_OK &&
		built < EEPROM_SINCE)
		say(d, LEVEL_WARNING,
			"rpi-eeprom-update -a, with the release of 2025-11-05 or later",
			"the Raspberry Pi's bootloader is older than 2025-11-05");
}

static void say_state(struct doctor *d, const struct boot_state *s)
{
	if (s->on_trial)
		say(d, LEVEL_WARNING,
			"wait for its checks, or say 'edgeferry confirm' or 'edgeferry reject'",
			"%s: slot %s is on trial", d->boot, slot_word(s->running));
	else if (s->running != s->primary)
		say(d, LEVEL_WARNING, "look at 'edgeferry history': the other slot was left",
			"%s: slot %s runs, %s is what a restart starts", d->boot,
			slot_word(s->running), slot_word(s->primary));
	else
		say(d, LEVEL_OK, "", "%s: slot %s runs%s", d->boot, slot_word(s->running),
			s->mark[slot_other(s->running)] == SLOT_BAD ? ", the other one is bad"
								    : "");
}

static enum ef_reason look(const struct doctor *d, struct boot_state *ret, struct error *e)
{
	char dir[PATH_MAX], state[PATH_MAX];
	const struct boot_place place = {.dir = below(d, d->boot_dir, dir),
		.state_dir = below(d, d->config->state_dir, state),
		.root = d->root};
	struct boot *b = NULL;

	if (boot_open(d->boot, &place, &b, e) == EF_REASON_OK)
		boot_state(b, ret, e);
	boot_close(b);
	return e->reason;
}

void check_boot(struct doctor *d)
{
	struct boot_state s;
	struct error e = {0};

	if (!d->a) {
		say(d, LEVEL_OK, "", "no slots are configured: only nodes are updated");
		return;
	}
	if (strcmp(d->boot, "auto") == 0 || !d->boot_dir) {
		say(d, LEVEL_ERROR, "see what is missing above, or name it in [Slots]",
			"Boot=auto: %s", d->found_error.detail);
		return;
	}
	if (strcmp(d->boot, "sim") == 0)
		say(d, LEVEL_WARNING,
			"set [Slots] Boot= to the boot loader that there is, or to auto",
			"Boot=sim is for demonstrations: no boot loader is spoken to");
	if (look(d, &s, &e)) {
		say(d, LEVEL_ERROR, "edgeferry.conf(5), BOOT LOADERS, says how it is set up",
			"%s: %s", d->boot, e.detail);
		return;
	}
	say_state(d, &s);
	check_writable(d);
	if (strcmp(d->boot, "uboot") == 0)
		check_copies(d);
	if (strcmp(d->boot, "tryboot") == 0)
		check_eeprom(d);
}

/* --- slots --- */

struct place {
	const char *path; /* of the configuration */
	char real[PATH_MAX];
	struct stat st;
	uint64_t size;
	bool sized;
};

/* what: "slot A", of which [Slots] key= says the path. */
static bool place_look(
	struct doctor *d, const char *what, const char *key, const char *path, struct place *p)
{
	char full[PATH_MAX], advice[256];

	p->path = path;
	if (stat(below(d, path, full), &p->st) < 0) {
		snprintf(advice, sizeof(advice),
			"see what is there with lsblk -o NAME,PARTLABEL, "
			"and correct [Slots] %s=",
			key);
		say(d, LEVEL_ERROR, advice, "%s, %s: %s", what, path, strerror(errno));
		return false;
	}
	if (!S_ISBLK(p->st.st_mode) && !S_ISREG(p->st.st_mode)) {
		say(d, LEVEL_ERROR, "name a partition or an image file",
			"%s, %s: neither a block device nor a file", what, path);
		return false;
	}
	leads_to(d, path, p->real);
	p->size = (uint64_t)p->st.st_size;
	p->sized = true;
	if (S_ISREG(p->st.st_mode))
		return true;
	_cleanup_close_ int fd = open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &p->size) < 0) {
		p->sized = false;
		say(d, errno == EACCES ? LEVEL_WARNING : LEVEL_ERROR,
			errno == EACCES ? "run this as root"
					: "look at dmesg for errors of its medium",
			"%s, %s: its size cannot be read: %s", what, path, strerror(errno));
	}
	return true;
}

static bool same_place(const struct place *a, const struct place *b)
{
	if (S_ISBLK(a->st.st_mode) && S_ISBLK(b->st.st_mode))
		return a->st.st_rdev == b->st.st_rdev;
	return a->st.st_dev == b->st.st_dev && a->st.st_ino == b->st.st_ino;
}

/* Where a slot is mounted, by /proc/self/mountinfo (proc(5)): fields 3 and 5, and the source. */
static bool mounted_at(const struct doctor *d, const struct place *p, char at[256])
{
	_cleanup_free_ char *text = text_below(d, "/proc/self/mountinfo");
	char *save = NULL;

	for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l;
		l = strtok_r(NULL, "\n", &save)) {
		unsigned major_no, minor_no;
		char source[256];
		const char *rest = strstr(l, " - ");

		if (sscanf(l, "%*u %*u %u:%u %*s %255s", &major_no, &minor_no, at) != 3)
			continue;
		if (!rest || sscanf(rest, " - %*s %255s", source) != 1)
			*source = '\0';
		if ((S_ISBLK(p->st.st_mode) && p->st.st_rdev == makedev(major_no, minor_no)) ||
			(*source == '/' &&
				(strcmp(source, p->real) == 0 || strcmp(source, p->path) == 0)))
			return true;
	}
	return false;
}

/* The boot loader handed a root hash over, so the slot lies below another device. */
static bool on_verity(const struct doctor *d)
{
	_cleanup_free_ char *text = text_below(d, "/proc/cmdline");

	return text && strstr(text, " edgeferry.roothash=");
}

/* The slot that the boot loader says runs is the one that / comes from, and the other is free. */
static void check_identity(struct doctor *d, const struct place slots[2])
{
	struct boot_state s;
	struct error e = {0};
	char at[256];

	if (strcmp(d->boot, "sim") == 0 || strcmp(d->boot, "auto") == 0 || !d->boot_dir ||
		look(d, &s, &e))
		return;
	enum slot_id other = slot_other(s.running);
	if (mounted_at(d, &slots[other], at)) {
		if (strcmp(at, "/") == 0)
			say(d, LEVEL_ERROR,
				"exchange A= and B=, or mend root= of the boot loader's script: "
				"the "
				"running slot would be overwritten if edgeferry did not refuse it",
				"the boot loader says that slot %s runs, but / comes from slot %s",
				slot_word(s.running), slot_word(other));
		else
			say(d, LEVEL_ERROR, "umount it, and take it out of /etc/fstab",
				"slot %s is mounted at %s: it cannot be written", slot_word(other),
				at);
	} else if (!mounted_at(d, &slots[s.running], at) && !on_verity(d)) {
		say(d, LEVEL_WARNING,
			"when / lies on LUKS or an overlay that is as it should be; "
			"otherwise A= and B= name other devices than those that are started",
			"slot %s runs, but nothing is mounted from %s", slot_word(s.running),
			slots[s.running].path);
	}
}

struct pair {
	const char *what[2], *key[2], *path[2];
};

static bool check_pair(struct doctor *d, const struct pair *x, struct place ret[2])
{
	bool both = true;

	for (int i = 0; i < 2; i++)
		both = place_look(d, x->what[i], x->key[i], x->path[i], &ret[i]) && both;
	if (!both)
		return false;
	if (same_place(&ret[0], &ret[1])) {
		char advice[128];
		snprintf(advice, sizeof(advice),
			"name two different devices in [Slots] %s= and %s=", x->key[0], x->key[1]);
		say(d, LEVEL_ERROR, advice, "%s=%s and %s=%s are one and the same", x->key[0],
			x->path[0], x->key[1], x->path[1]);
		return false;
	}
	if (!ret[0].sized || !ret[1].sized)
		return true;
	if (ret[0].size != ret[1].size)
		say(d, LEVEL_WARNING,
			"make them equal: a release that fits one may not fit the other",
			"%s has %" PRIu64 " bytes, %s %" PRIu64, x->what[0], ret[0].size,
			x->what[1], ret[1].size);
	else
		say(d, LEVEL_OK, "", "%s and %s, %" PRIu64 " MiB each", x->path[0], x->path[1],
			ret[0].size >> 20);
	return true;
}

/* The one of the slot that does not run is to be written. */
static void check_boot_partitions(struct doctor *d)
{
	const struct pair x = {{"the boot partition of slot A", "the boot partition of slot B"},
		{"BootA", "BootB"}, {d->boot_a, d->boot_b}};
	struct place places[2] = {0};
	struct boot_state s;
	struct error e = {0};
	char at[256];

	if (!d->boot_a && strcmp(d->boot, "tryboot") == 0)
		say(d, LEVEL_WARNING,
			"set [Slots] BootA= and BootB= to the boot partitions that autoboot.txt "
			"names, and bring an image for them with each release "
			"(edgeferry-repo add rootfs --boot)",
			"releases bring no kernel: the slots' boot partitions are not named");
	if (!d->boot_a || !check_pair(d, &x, places) || look(d, &s, &e))
		return;
	enum slot_id other = slot_other(s.running);
	if (mounted_at(d, &places[other], at))
		say(d, LEVEL_ERROR, "umount it, and take it out of /etc/fstab",
			"%s is mounted at %s: it cannot be written", x.what[other], at);
}

void check_slots(struct doctor *d)
{
	const struct pair x = {{"slot A", "slot B"}, {"A", "B"}, {d->a, d->b}};
	struct place slots[2] = {0};

	if (!d->a)
		return;
	if (check_pair(d, &x, slots))
		check_identity(d, slots);
	if (strcmp(d->boot, "auto") != 0 && d->boot_dir)
		check_boot_partitions(d);
}

void check_shared(struct doctor *d)
{
	const char *dir = d->config->state_dir;
	char full[PATH_MAX];
	struct stat root, state;

	if (!d->a || strcmp(d->boot, "sim") == 0 || stat(below(d, "/", full), &root) < 0 ||
		stat(below(d, dir, full), &state) < 0)
		return;
	if (root.st_dev == state.st_dev)
		say(d, LEVEL_ERROR,
			"mount a file system there that both slots share (on a Raspberry Pi's A/B "
			"image: /etc/rpi-image-gen/slot-shared.d/edgeferry.conf with Version=1 and "
			"Path=/var/lib/edgeferry); the daemon does not start otherwise",
			"%s lies in the running slot", dir);
	else
		say(d, LEVEL_OK, "", "%s does not lie in a slot", dir);
}
