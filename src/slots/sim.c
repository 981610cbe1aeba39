/* SPDX-License-Identifier: Apache-2.0 */
/* A folder in place of a boot loader. One file is replaced per change, so a cut leaves old or new
 * (F-02). */
#include "slots/backend.h"
#include "slots/sim-text.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct sim {
	struct boot boot;
	int dir_fd;
};

static void sim_close(struct boot *b)
{
	struct sim *s = (struct sim *)b;

	ef_close(s->dir_fd);
	free(s);
}

static enum ef_reason sim_open(const struct boot_place *place, struct boot **ret, struct error *e)
{
	struct sim *s = calloc(1, sizeof(*s));

	if (!s)
		return error_errno(e, -ENOMEM, "boot folder");
	s->dir_fd = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (s->dir_fd < 0) {
		error_set(e, EF_REASON_BOOT_STATE, "%s: %m", place->dir);
		sim_close(&s->boot);
		return e->reason;
	}
	*ret = &s->boot;
	return EF_REASON_OK;
}

static enum ef_reason failed(int negative_errno, const char *name, struct error *e)
{
	errno = -negative_errno;
	return error_set(e, EF_REASON_BOOT_STATE, "%s: %m", name);
}

static enum ef_reason sim_load(
	struct boot *b, struct slot_vars *vars, struct slot_evidence *now, struct error *e)
{
	const struct sim *s = (struct sim *)b;
	_cleanup_free_ uint8_t *state = NULL, *running = NULL;
	size_t state_size, running_size;

	int r = file_read_at(s->dir_fd, SIM_STATE_FILE, SIM_FILE_MAX, &state, &state_size);
	if (r < 0)
		return failed(r, SIM_STATE_FILE, e);
	r = file_read_at(s->dir_fd, SIM_RUNNING_FILE, SIM_FILE_MAX, &running, &running_size);
	if (r < 0)
		return failed(r, SIM_RUNNING_FILE, e);
	if (sim_vars_parse(state, state_size, vars, e))
		return e->reason;
	return sim_evidence_parse(running, running_size, now, e);
}

static enum ef_reason sim_store(struct boot *b, const struct slot_vars *vars,
	const struct slot_evidence *now, struct error *e)
{
	const struct sim *s = (struct sim *)b;
	char text[SIM_FILE_MAX];
	size_t size = sim_vars_format(vars, text);
	int r = atomic_file_write_at(s->dir_fd, SIM_STATE_FILE, text, size, 0644);

	(void)now;
	return r == 0 ? EF_REASON_OK : failed(r, SIM_STATE_FILE, e);
}

static enum ef_reason sim_set_args(
	struct boot *b, enum slot_id slot, const char *args, struct error *e)
{
	static const char *const names[] = SIM_KERNEL_FILES;
	const struct sim *s = (struct sim *)b;
	bool blank = args[strspn(args, " ")] == '\0';

	if (blank && faccessat(s->dir_fd, names[slot], F_OK, 0) < 0)
		return EF_REASON_OK;
	int r = atomic_file_write_at(s->dir_fd, names[slot], args, BOOT_ARGS_SIZE, 0644);
	return r == 0 ? EF_REASON_OK : failed(r, names[slot], e);
}

/* Empty, so it is there or not, and a power cut is a restart as well: nothing to make whole, and no
 * temporary file that one could leave. */
static enum ef_reason sim_rebooting(struct boot *b, const char **parameter, struct error *e)
{
	const struct sim *s = (struct sim *)b;
	_cleanup_close_ int fd =
		openat(s->dir_fd, SIM_REBOOT_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

	(void)parameter;
	return fd >= 0 ? EF_REASON_OK : failed(-errno, SIM_REBOOT_FILE, e);
}

const struct boot_ops boot_sim = {
	.name = "sim",
	.open = sim_open,
	.close = sim_close,
	.load = sim_load,
	.store = sim_store,
	.set_args = sim_set_args,
	.rebooting = sim_rebooting,
};
