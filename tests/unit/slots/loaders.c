/* SPDX-License-Identifier: Apache-2.0 */
#include "loaders.h"
#include "../unit.h"
#include "cut.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <stdio.h>
#include <string.h>

char dir[] = "/tmp/test-backends-XXXXXX";
static struct boot_place place = {dir, dir, dir};
struct boot *b;
int which;
static bool tryboot_flag; /* the firmware's one-shot bit */
static unsigned boots;

void put(const char *name, const char *data, size_t size)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "we");
	ck_assert_msg(f, "%s", path);
	ck_assert_uint_eq(fwrite(data, 1, size, f), size);
	ck_assert_int_eq(fclose(f), 0);
}

void put_text(const char *name, const char *text)
{
	put(name, text, strlen(text));
}

char *get(const char *name, size_t *size)
{
	char path[256];
	uint8_t *data;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert_int_eq(file_read(path, 1 << 20, &data, size), 0);
	return (char *)data;
}

/* Of an independent reader of the same file: "NAME=VALUE" lines. */
void ask(const char *command, char out[4096])
{
	char line[512];
	snprintf(line, sizeof(line), command, dir);
	FILE *f = popen(line, "re");
	ck_assert_ptr_nonnull(f);
	out[fread(out, 1, 4095, f)] = '\0';
	ck_assert_int_eq(pclose(f), 0);
}

void command(const char *text)
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

void reopen(void)
{
	struct error e = {0};

	boot_close(b);
	ck_assert_msg(boot_open(kinds[which].name, &place, &b, &e) == EF_REASON_OK, "%s", e.detail);
}

void begin(int kind)
{
	which = kind;
	boots = 0;
	tryboot_flag = false;
	kinds[which].make();
	start_is(SLOT_A, false);
	b = NULL;
	reopen();
}

void setup(void)
{
	ck_assert_ptr_nonnull(mkdtemp(dir));
	command("mkdir -p %1$s/proc/sys/kernel/random "
		"%1$s/sys/firmware/devicetree/base/chosen/bootloader");
}

void teardown(void)
{
	boot_close(b);
	b = NULL;
	command("rm -r %s");
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
}

struct boot_state state(void)
{
	return state_of(b);
}

enum slot_id power_on(void)
{
	enum slot_id s = kinds[which].start();

	reopen();
	return s;
}

enum slot_id restart(void)
{
	const char *parameter;

	WELL(boot_rebooting(b, &parameter, e));
	tryboot_flag = parameter && strcmp(parameter, "0 tryboot") == 0;
	ck_assert(!parameter || which == TRYBOOT);
	return power_on();
}

void came_up(void)
{
	WELL(boot_came_up(b, e));
}
