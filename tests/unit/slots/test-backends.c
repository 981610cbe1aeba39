/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F-02, S-14, I-1, I-2: grub, uboot and tryboot do what sim does, each over its boot loader's own
 * files, with the boot loader's part played here as its script or document says. That the scripts
 * say so in the real boot loaders is for test-grub.py and test-uboot.py.
 */
#include "../unit.h"
#include "cut.h"
#include "slots/grub-env.h"
#include "slots/tryboot-text.h"
#include "slots/uboot-vars.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static char dir[] = "/tmp/test-backends-XXXXXX";
static struct boot_place place = {dir, dir, dir};
static struct boot *b;
static int which;
static bool tryboot_flag; /* the firmware's one-shot bit */
static unsigned boots;

static void put(const char *name, const char *data, size_t size)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "we");
	ck_assert_msg(f, "%s", path);
	ck_assert_uint_eq(fwrite(data, 1, size, f), size);
	ck_assert_int_eq(fclose(f), 0);
}

static void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

static char *get(const char *name, size_t *size)
{
	char path[256];
	uint8_t *data;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert_int_eq(file_read(path, 1 << 20, &data, size), 0);
	return (char *)data;
}

/* Of an independent reader of the same file: "NAME=VALUE" lines. */
static void ask(const char *command, char out[4096])
{
	char line[512];
	snprintf(line, sizeof(line), command, dir);
	FILE *f = popen(line, "re");
	ck_assert_ptr_nonnull(f);
	out[fread(out, 1, 4095, f)] = '\0';
	ck_assert_int_eq(pclose(f), 0);
}

static void command(const char *text)
{
	char out[4096];

	ask(text, out);
}

static void start_is(enum slot_id running, bool trial)
{
	char text[128];

	snprintf(text, sizeof(text), "quiet edgeferry.slot=%s%s ro\n", slot_word(running),
		trial ? " edgeferry.trial=1" : "");
	put_text("proc/cmdline", text);
	snprintf(text, sizeof(text), "12345678-1234-1234-1234-%012u\n", ++boots);
	put_text("proc/sys/kernel/random/boot_id", text);
	put("sys/firmware/devicetree/base/chosen/bootloader/partition",
		(const char[]){0, 0, 0, running == SLOT_A ? 2 : 3}, 4);
	put("sys/firmware/devicetree/base/chosen/bootloader/tryboot",
		(const char[]){0, 0, 0, trial ? 1 : 0}, 4);
}

/* grub: conf/boot/edgeferry.grub */
static void grub_make(void)
{
	command("grub-editenv %s/grubenv create");
	command("grub-editenv %1$s/grubenv set saved_entry=0 'odd=with \\ and \nline'");
}

static enum slot_id grub_start(void)
{
	_cleanup_free_ char *block = NULL;
	char out[4096], primary = 'A', trial = '-';
	char *at;

	ask("grub-editenv %s/grubenv list", out);
	if ((at = strstr(out, "edgeferry_primary=")))
		primary = at[strlen("edgeferry_primary=")];
	if ((at = strstr(out, "edgeferry_trial=")))
		trial = at[strlen("edgeferry_trial=")];
	if (trial == 'A' || trial == 'B')
		command("grub-editenv %s/grubenv set edgeferry_trial=-");
	enum slot_id s = (trial == '-' ? primary : trial) == 'B' ? SLOT_B : SLOT_A;
	start_is(s, trial != '-');
	return s;
}

/* uboot: conf/boot/edgeferry.uboot */
static void uboot_make(void)
{
	char text[512];

	snprintf(text, sizeof(text), "%s/env1 0x0 0x1000\n%s/env2 0x0 0x1000\n", dir, dir);
	put_text("fw_env.config", text);
	put_text("defaults", "bootdelay=0\n");
	command("head -c 4096 /dev/zero | tr '\\0' '\\377' > %1$s/env1; cp %1$s/env1 %1$s/env2");
	command("fw_setenv -c %1$s/fw_env.config -f %1$s/defaults fdtfile some.dtb");
}

static unsigned left_of(const char *env, const char *name)
{
	const char *at = strstr(env, name);

	return at ? (unsigned)(at[strlen(name) + 1] - '0') : 3;
}

static enum slot_id uboot_start(void)
{
	char env[4096], line[256];
	const char *order = "A B", *at;

	ask("fw_printenv -c %s/fw_env.config", env);
	if ((at = strstr(env, "BOOT_ORDER=")))
		order = at + strlen("BOOT_ORDER=");
	for (; *order && *order != '\n'; order++) {
		if (*order == ' ')
			continue;
		const char *name = *order == 'A' ? "BOOT_A_LEFT" : "BOOT_B_LEFT";
		unsigned left = left_of(env, name);
		if (!left)
			continue;
		snprintf(line, sizeof(line), "fw_setenv -c %%1$s/fw_env.config %s %u", name,
			left - 1);
		command(line);
		start_is(*order == 'B', false);
		return *order == 'B';
	}
	ck_abort_msg("no slot has attempts left");
}

/* tryboot: the firmware */
static void tryboot_make(void)
{
	put_text("autoboot.txt",
		"# by the image "
		"builder\r\n[all]\r\ntryboot_a_b=1\r\nboot_partition=2\r\n[tryboot]\r\n"
		"boot_partition=3\r\n");
}

static enum slot_id tryboot_start(void)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	bool trial = tryboot_flag;

	text = get("autoboot.txt", &size);
	ck_assert_uint_le(size, 512);
	const char *at = strstr(text, trial ? "[tryboot]" : "[all]");
	ck_assert_ptr_nonnull(at);
	at = strstr(at, "boot_partition=");
	tryboot_flag = false;
	enum slot_id s = at[strlen("boot_partition=")] == '2' ? SLOT_A : SLOT_B;
	start_is(s, trial);
	return s;
}

static const struct {
	const char *name;
	void (*make)(void);
	enum slot_id (*start)(void);
} kinds[] = {
	{"grub", grub_make, grub_start},
	{"uboot", uboot_make, uboot_start},
	{"tryboot", tryboot_make, tryboot_start},
};
enum { GRUB, UBOOT, TRYBOOT, KINDS };

static void reopen(void)
{
	struct error e = {0};

	boot_close(b);
	ck_assert_msg(boot_open(kinds[which].name, &place, &b, &e) == EF_REASON_OK, "%s", e.detail);
}

static void begin(int kind)
{
	which = kind;
	boots = 0;
	tryboot_flag = false;
	kinds[which].make();
	start_is(SLOT_A, false);
	b = NULL;
	reopen();
}

static void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	command("mkdir -p %1$s/proc/sys/kernel/random "
		"%1$s/sys/firmware/devicetree/base/chosen/bootloader");
}

static void teardown(void)
{
	boot_close(b);
	b = NULL;
	command("rm -r %s");
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
}

static struct boot_state state(void)
{
	return state_of(b);
}

#define WELL(call)                                                      \
	do {                                                            \
		struct error e_ = {0};                                  \
		struct error *e = &e_;                                  \
		ck_assert_msg((call) == EF_REASON_OK, "%s", e_.detail); \
	} while (0)

static enum slot_id power_on(void)
{
	enum slot_id s = kinds[which].start();

	reopen();
	return s;
}

static enum slot_id restart(void)
{
	const char *parameter;

	WELL(boot_rebooting(b, &parameter, e));
	tryboot_flag = parameter && strcmp(parameter, "0 tryboot") == 0;
	ck_assert(!parameter || which == TRYBOOT);
	return power_on();
}

static void came_up(void)
{
	WELL(boot_came_up(b, e));
}

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
	tcase_add_loop_test(t, command_line, 0, COUNT(cmdlines));
	tcase_add_loop_test(t, odd_files, 0, KINDS);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
