/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/grub-env.h"
#include "slots/backend.h"
#include <stdio.h>
#include <string.h>

static const char signature[] = "# GRUB Environment Block\n";
#define SIGNATURE (sizeof(signature) - 1)

enum ours { PRIMARY, TRIAL, MARKS, VERITY_A, VERITY_B, OURS };
static const char *const names[OURS] = {[PRIMARY] = "edgeferry_primary=",
	[TRIAL] = "edgeferry_trial=",
	[MARKS] = "edgeferry_marks=",
	[VERITY_A] = "edgeferry_verity_A=",
	[VERITY_B] = "edgeferry_verity_B="};

/*
 * The line at *at, without its end: false when there is none left. A value's line ends that are
 * escaped with a backslash belong to it.
 */
static bool next_line(const char *data, size_t *at, const char **line, size_t *size)
{
	size_t i = *at;

	while (i < GRUB_ENV_SIZE && data[i] != '\n')
		i += data[i] == '\\' && i + 1 < GRUB_ENV_SIZE ? 2 : 1;
	if (i >= GRUB_ENV_SIZE)
		return false; /* the filling, which no line end follows */
	*line = data + *at;
	*size = i - *at;
	*at = i + 1;
	return true;
}

static int which(const char *line, size_t size)
{
	for (int i = 0; i < OURS; i++)
		if (size >= strlen(names[i]) && memcmp(line, names[i], strlen(names[i])) == 0)
			return i;
	return -1;
}

static enum ef_reason check_block(const char *data, struct error *e)
{
	if (memcmp(data, signature, SIGNATURE) != 0)
		return error_set(
			e, EF_REASON_BOOT_STATE, "grubenv: not an environment block of GRUB");
	return EF_REASON_OK;
}

static bool take(struct slot_vars *v, int what, const char *value, size_t size)
{
	if (what >= VERITY_A)
		return true; /* what the kernel is told decides nothing here */
	if (what == MARKS) {
		for (size_t i = 0; size == 2 && i < 2; i++) {
			if (value[i] != 'g' && value[i] != 'b')
				return false;
			v->mark[i] = value[i] == 'b' ? SLOT_BAD : SLOT_GOOD;
		}
		return size == 2;
	}
	if (size != 1 ||
		(value[0] != 'A' && value[0] != 'B' && !(what == TRIAL && value[0] == '-')))
		return false;
	*(what == TRIAL ? &v->trial : &v->primary) = value[0] == '-'   ? SLOT_NONE
						     : value[0] == 'B' ? SLOT_B
								       : SLOT_A;
	return true;
}

enum ef_reason grub_env_parse(const char *data, struct slot_vars *ret, struct error *e)
{
	struct slot_vars v = {SLOT_A, SLOT_NONE, {SLOT_GOOD, SLOT_GOOD}};
	size_t at = SIGNATURE, size;
	bool seen[OURS] = {0};
	const char *line;

	if (check_block(data, e))
		return e->reason;
	while (next_line(data, &at, &line, &size)) {
		int what = which(line, size);
		if (what < 0)
			continue;
		size_t name = strlen(names[what]);
		if (seen[what] || !take(&v, what, line + name, size - name))
			return error_set(e, EF_REASON_BOOT_STATE,
				"grubenv: %.*s is said twice or has an unknown value",
				(int)name - 1, names[what]);
		seen[what] = true;
	}
	if (v.mark[v.primary] != SLOT_GOOD)
		return error_set(
			e, EF_REASON_BOOT_STATE, "grubenv: the primary slot is marked bad");
	*ret = v;
	return EF_REASON_OK;
}

static enum ef_reason full(struct error *e)
{
	return error_set(e, EF_REASON_BOOT_STATE,
		"grubenv: full; take a variable out with grub-editenv unset");
}

static bool add_line(char out[GRUB_ENV_SIZE + 1], size_t *n, const char *line, size_t size)
{
	if (*n + size + 1 > GRUB_ENV_SIZE)
		return false;
	memcpy(out + *n, line, size);
	*n += size;
	out[(*n)++] = '\n';
	return true;
}

/* args of a slot: NULL, as they are. */
static enum ef_reason format(
	char *data, const struct slot_vars *v, const char *const args[2], struct error *e)
{
	static const char trials[] = {[SLOT_A] = 'A', [SLOT_B] = 'B', [SLOT_NONE] = '-'};
	char out[GRUB_ENV_SIZE + 1], own[64 + BOOT_ARGS_SIZE];
	size_t at = SIGNATURE, size;
	const char *line;

	size_t n = (size_t)snprintf(out, sizeof(out), "%s%s%s\n%s%c\n%s%c%c\n", signature,
		names[PRIMARY], slot_word(v->primary), names[TRIAL], trials[v->trial], names[MARKS],
		v->mark[SLOT_A] == SLOT_BAD ? 'b' : 'g', v->mark[SLOT_B] == SLOT_BAD ? 'b' : 'g');
	for (int slot = SLOT_A; slot <= SLOT_B; slot++) {
		size_t k = args[slot] ? (size_t)snprintf(own, sizeof(own), "%s%s",
						names[VERITY_A + slot], args[slot])
				      : 0;
		for (at = SIGNATURE; k == 0 && next_line(data, &at, &line, &size);)
			if (which(line, size) == VERITY_A + slot && !add_line(out, &n, line, size))
				return full(e);
		if (k && !add_line(out, &n, own, k))
			return full(e);
	}
	for (at = SIGNATURE; next_line(data, &at, &line, &size);)
		if (which(line, size) < 0 && !add_line(out, &n, line, size))
			return full(e);
	memset(out + n, '#', GRUB_ENV_SIZE - n);
	memcpy(data, out, GRUB_ENV_SIZE);
	return EF_REASON_OK;
}

enum ef_reason grub_env_format(char *data, const struct slot_vars *v, struct error *e)
{
	return check_block(data, e) ? e->reason : format(data, v, (const char *[2]){0}, e);
}

enum ef_reason grub_env_set_args(char *data, enum slot_id slot, const char *args, struct error *e)
{
	bool blank = args[strspn(args, " ")] == '\0';
	const char *both[2] = {0}, *line;
	size_t at = SIGNATURE, size;
	struct slot_vars v;

	if (grub_env_parse(data, &v, e))
		return e->reason;
	while (blank && next_line(data, &at, &line, &size))
		blank = which(line, size) != VERITY_A + (int)slot;
	if (blank)
		return EF_REASON_OK;
	both[slot] = args;
	return format(data, &v, both, e);
}
