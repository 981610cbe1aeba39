/* SPDX-License-Identifier: Apache-2.0 */
/* boot_ops over a folder. One file is replaced per change, so a cut leaves old or new (F-02). */
#include "slots/boot.h"
#include "slots/sim-vars.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>

struct boot {
	int dir_fd;
};

static void sim_close(struct boot *b)
{
	if (!b)
		return;
	ef_close(b->dir_fd);
	free(b);
}

static enum ef_reason sim_open(const char *dir, struct boot **ret, struct error *e)
{
	struct boot *b = malloc(sizeof(*b));

	if (!b)
		return error_errno(e, -ENOMEM, "boot folder");
	b->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dir_fd < 0) {
		error_set(e, EF_REASON_BOOT_STATE, "%s: %m", dir);
		sim_close(b);
		return e->reason;
	}
	*ret = b;
	return EF_REASON_OK;
}

static enum ef_reason load(
	struct boot *b, struct sim_vars *vars, struct sim_evidence *evidence, struct error *e)
{
	_cleanup_free_ uint8_t *state = NULL, *running = NULL;
	size_t state_size, running_size;

	int r = file_read_at(b->dir_fd, SIM_STATE_FILE, SIM_FILE_MAX, &state, &state_size);
	if (r < 0) {
		errno = -r;
		return error_set(e, EF_REASON_BOOT_STATE, "%s: %m", SIM_STATE_FILE);
	}
	r = file_read_at(b->dir_fd, SIM_RUNNING_FILE, SIM_FILE_MAX, &running, &running_size);
	if (r < 0) {
		errno = -r;
		return error_set(e, EF_REASON_BOOT_STATE, "%s: %m", SIM_RUNNING_FILE);
	}
	if (sim_vars_parse(state, state_size, vars, e))
		return e->reason;
	return sim_evidence_parse(running, running_size, evidence, e);
}

static enum ef_reason store(struct boot *b, const struct sim_vars *vars, struct error *e)
{
	char text[SIM_FILE_MAX];
	size_t size = sim_vars_format(vars, text);
	int r = atomic_file_write_at(b->dir_fd, SIM_STATE_FILE, text, size, 0644);

	if (r == 0)
		return EF_REASON_OK;
	errno = -r;
	return error_set(e, EF_REASON_BOOT_STATE, "%s: %m", SIM_STATE_FILE);
}

static enum ef_reason sim_state(struct boot *b, struct boot_state *ret, struct error *e)
{
	struct sim_vars v;
	struct sim_evidence now;

	if (load(b, &v, &now, e))
		return e->reason;
	*ret = (struct boot_state){
		.running = now.running,
		.primary = v.primary,
		.trial = v.trial,
		.on_trial = now.trial && now.running != v.primary,
		.mark = {v.mark[SLOT_A], v.mark[SLOT_B]},
	};
	return EF_REASON_OK;
}

static enum ef_reason op_try_next(struct boot *b, enum slot_id slot, struct error *e)
{
	struct sim_vars v;
	struct sim_evidence now;

	if (load(b, &v, &now, e) || sim_try_next(&v, now.running, slot, e))
		return e->reason;
	return store(b, &v, e);
}

static enum ef_reason op_mark_good(struct boot *b, enum slot_id slot, struct error *e)
{
	struct sim_vars v;
	struct sim_evidence now;

	if (load(b, &v, &now, e) || sim_mark_good(&v, slot, e))
		return e->reason;
	return store(b, &v, e);
}

static enum ef_reason op_mark_bad(struct boot *b, enum slot_id slot, struct error *e)
{
	struct sim_vars v;
	struct sim_evidence now;

	if (load(b, &v, &now, e) || sim_mark_bad(&v, slot, e))
		return e->reason;
	return store(b, &v, e);
}

static enum ef_reason sim_reboot(struct boot *b, struct error *e)
{
	int r = atomic_file_write_at(b->dir_fd, SIM_REBOOT_FILE, "", 0, 0644);

	if (r == 0)
		return EF_REASON_OK;
	errno = -r;
	return error_set(e, EF_REASON_BOOT_STATE, "%s: %m", SIM_REBOOT_FILE);
}

const struct boot_ops boot_sim = {
	.name = "sim",
	.open = sim_open,
	.close = sim_close,
	.state = sim_state,
	.try_next = op_try_next,
	.mark_good = op_mark_good,
	.mark_bad = op_mark_bad,
	.reboot = sim_reboot,
};
