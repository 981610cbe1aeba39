/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raspberry Pi: the firmware starts the partition that autoboot.txt names under [all]; a restart
 * with the argument "0 tryboot" starts the other one, once: the flag is gone before the kernel
 * runs. So a trial exists only in the restart itself. That one is wanted, and in which boot it was
 * asked for, is kept in the state directory; after that boot is over the trial is used up, whether
 * the firmware saw the flag or the power went before.
 */
#include "slots/backend.h"
#include "slots/evidence.h"
#include "slots/one-sector.h"
#include "slots/tryboot-text.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <string.h>

struct tryboot {
	struct boot boot;
	const char *root;
	char *autoboot, *memory;
};

static void tryboot_close(struct boot *b)
{
	struct tryboot *t = (struct tryboot *)b;

	free(t->autoboot);
	free(t->memory);
	free(t);
}

static enum ef_reason tryboot_open(
	const struct boot_place *place, struct boot **ret, struct error *e)
{
	struct tryboot *t = calloc(1, sizeof(*t));

	if (!t || asprintf(&t->autoboot, "%s/autoboot.txt", place->dir) < 0 ||
		asprintf(&t->memory, "%s/" TRYBOOT_FILE, place->state_dir) < 0) {
		if (t)
			tryboot_close(&t->boot);
		return error_set(e, EF_REASON_NO_MEMORY, "autoboot.txt");
	}
	t->root = place->root;
	*ret = &t->boot;
	return EF_REASON_OK;
}

static enum ef_reason read_autoboot(const struct tryboot *t, char text[AUTOBOOT_MAX], size_t *size,
	struct autoboot *a, struct error *e)
{
	if (one_sector_read(t->autoboot, text, AUTOBOOT_MAX, size, e))
		return e->reason;
	return autoboot_parse(text, *size, a, e);
}

/* None yet: nothing was ever tried or found bad. */
static enum ef_reason read_memory(
	const struct tryboot *t, struct tryboot_memory *m, struct error *e)
{
	_cleanup_free_ uint8_t *text = NULL;
	size_t size;
	int r = file_read(t->memory, TRYBOOT_FILE_MAX, &text, &size);

	*m = (struct tryboot_memory){.trial = SLOT_NONE};
	if (r == -ENOENT)
		return EF_REASON_OK;
	if (r < 0) {
		errno = -r;
		return error_set(e, EF_REASON_BOOT_STATE, "%s: %m", t->memory);
	}
	return tryboot_memory_parse(text, size, m, e);
}

static enum ef_reason write_memory(
	const struct tryboot *t, const struct tryboot_memory *m, struct error *e)
{
	char text[TRYBOOT_FILE_MAX];
	int r = atomic_file_write(t->memory, text, tryboot_memory_format(m, text), 0644);

	if (r == 0)
		return EF_REASON_OK;
	errno = -r;
	return error_set(e, EF_REASON_BOOT_STATE, "%s: %m", t->memory);
}

static enum ef_reason read_evidence(const struct tryboot *t, const struct autoboot *a,
	struct slot_evidence *now, struct error *e)
{
	uint32_t partition, flag;

	if (evidence_device_tree(t->root, "partition", &partition, e) ||
		evidence_device_tree(t->root, "tryboot", &flag, e))
		return e->reason;
	for (enum slot_id s = SLOT_A; s <= SLOT_B; s++)
		if (a->partition[s] == partition) {
			*now = (struct slot_evidence){.running = s, .trial = flag == 1};
			return EF_REASON_OK;
		}
	return error_set(e, EF_REASON_BOOT_STATE,
		"the firmware started partition %u, which autoboot.txt does not name", partition);
}

static enum ef_reason tryboot_load(
	struct boot *b, struct slot_vars *vars, struct slot_evidence *now, struct error *e)
{
	const struct tryboot *t = (struct tryboot *)b;
	char text[AUTOBOOT_MAX], id[BOOT_ID_MAX];
	struct tryboot_memory m;
	struct autoboot a;
	size_t size;

	if (read_autoboot(t, text, &size, &a, e) || read_memory(t, &m, e) ||
		read_evidence(t, &a, now, e) || evidence_boot_id(t->root, id, e))
		return e->reason;
	bool used_up = m.asked[0] && strcmp(m.asked, id) != 0;
	*vars = (struct slot_vars){
		.primary = a.primary,
		.trial = used_up ? SLOT_NONE : m.trial,
		.mark = {m.mark[SLOT_A], m.mark[SLOT_B]},
	};
	/* somebody wrote autoboot.txt by hand: what a plain restart starts counts as good */
	vars->mark[a.primary] = SLOT_GOOD;
	return EF_REASON_OK;
}

/* autoboot.txt first: when that alone is done, the slot is primary, and its trial is used up. */
static enum ef_reason tryboot_store(struct boot *b, const struct slot_vars *vars,
	const struct slot_evidence *now, struct error *e)
{
	const struct tryboot *t = (struct tryboot *)b;
	struct tryboot_memory m = {
		.trial = vars->trial, .mark = {vars->mark[SLOT_A], vars->mark[SLOT_B]}};
	char text[AUTOBOOT_MAX];
	struct autoboot a;
	size_t size;

	(void)now;
	if (read_autoboot(t, text, &size, &a, e))
		return e->reason;
	if (a.primary != vars->primary) {
		autoboot_set(text, &a, vars->primary);
		if (one_sector_write(t->autoboot, text, size, e))
			return e->reason;
	}
	return write_memory(t, &m, e);
}

static enum ef_reason tryboot_rebooting(struct boot *b, const char **parameter, struct error *e)
{
	const struct tryboot *t = (struct tryboot *)b;
	struct slot_evidence now;
	struct tryboot_memory m;
	struct slot_vars v;

	if (tryboot_load(b, &v, &now, e) || read_memory(t, &m, e))
		return e->reason;
	if (v.trial == SLOT_NONE || v.trial == v.primary)
		return EF_REASON_OK;
	if (evidence_boot_id(t->root, m.asked, e) || write_memory(t, &m, e))
		return e->reason;
	*parameter = "0 tryboot";
	return EF_REASON_OK;
}

const struct boot_ops boot_tryboot = {
	.name = "tryboot",
	.open = tryboot_open,
	.close = tryboot_close,
	.load = tryboot_load,
	.store = tryboot_store,
	.rebooting = tryboot_rebooting,
};
