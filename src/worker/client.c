/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/client.h"
#include "util/child.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/log.h"
#include "util/time-util.h"
#include "worker/job-io.h"
#include <edgeferry/patch.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define QUIT_WAIT_US 2000000u
#define KILL_WAIT_US 1000000u
#define POLL_US 10000u

struct worker {
	sd_event *event;
	struct worker_callbacks cb;
	int socket;
	pid_t pid;
	bool over, delivered;
	struct error error;
	unsigned silence_max_s;
	int images; /* of a patch job: its descriptor; -1: another job */
	uint64_t images_size;
	sd_event_source *io, *child, *deliver, *silence;
};

static int on_deliver(sd_event_source *s, void *userdata)
{
	struct worker *w = userdata;

	w->delivered = true;
	w->cb.done(w->cb.ctx, &w->error); /* may free w */
	return 0;
}

static void end(struct worker *w, enum ef_reason reason, const char *detail)
{
	if (w->over)
		return;
	w->over = true;
	if (reason)
		error_set(&w->error, reason, "%s", detail);
	w->io = sd_event_source_disable_unref(w->io);
	w->silence = sd_event_source_disable_unref(w->silence);
	sd_event_add_defer(w->event, &w->deliver, on_deliver, w);
}

static void on_done(struct worker *w, const struct job_message *m)
{
	struct job_done d;

	if (m->size != sizeof d) {
		end(w, EF_REASON_INTERNAL, "malformed answer of the worker");
		return;
	}
	memcpy(&d, m->payload, sizeof d);
	d.detail[sizeof d.detail - 1] = '\0';
	end(w, (enum ef_reason)d.reason, d.detail);
}

static void on_message(struct worker *w, const struct job_message *m)
{
	struct job_progress p;

	if (w->images >= 0 && m->type != JOB_DONE) {
		end(w, EF_REASON_INTERNAL, "unknown message of the worker");
		return;
	}
	switch (m->type) {
	case JOB_NEED:
		if (m->size == 0 || m->size % sizeof(struct ipc_range))
			end(w, EF_REASON_INTERNAL, "malformed request of the worker");
		else
			w->cb.need(w->cb.ctx, (const struct ipc_range *)m->payload,
				m->size / sizeof(struct ipc_range));
		break;
	case JOB_PROGRESS:
		if (m->size == sizeof p) {
			memcpy(&p, m->payload, sizeof p);
			w->cb.progress(w->cb.ctx, &p);
		}
		break;
	case JOB_DONE:
		on_done(w, m);
		break;
	default:
		end(w, EF_REASON_INTERNAL, "unknown message of the worker");
	}
}

static void end_late_patch(struct worker *w)
{
	char detail[64];

	snprintf(
		detail, sizeof detail, "making the patch takes longer than %u s", w->silence_max_s);
	end(w, EF_REASON_TIMEOUT, detail);
}

static int on_silence(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct worker *w = userdata;
	char detail[64];

	if (w->images >= 0) {
		end_late_patch(w);
		return 0;
	}
	snprintf(detail, sizeof detail, "the worker has not moved for %u s", w->silence_max_s);
	end(w, EF_REASON_SLOT_WRITE, detail);
	return 0;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct worker *w = userdata;
	_cleanup_free_ struct job_message *m = malloc(sizeof *m);
	int r = m ? job_receive(fd, m) : -ENOMEM;

	if (r == -EAGAIN)
		return 0;
	if (r == 0) { /* closed: the outcome came before, or SIGCHLD tells what happened */
		sd_event_source_set_enabled(s, SD_EVENT_OFF);
		return 0;
	}
	if (r < 0) { /* what it said is lost, and it may wait for an answer */
		char detail[96];
		snprintf(detail, sizeof detail, "the worker is not understood: %s", strerror(-r));
		end(w, EF_REASON_IO, detail);
		return 0;
	}
	ef_close(m->fd);
	sd_event_source_set_time_relative(w->silence, w->silence_max_s * USEC_PER_SEC);
	on_message(w, m);
	return 0;
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct worker *w = userdata;
	char detail[64];

	/* What it said before it ended comes first. */
	while (!w->over && w->io) {
		_cleanup_free_ struct job_message *m = malloc(sizeof *m);
		int r = m ? job_receive(w->socket, m) : -ENOMEM;

		if (r <= 0)
			break;
		ef_close(m->fd);
		on_message(w, m);
	}
	w->pid = 0;
	if (w->images >= 0 && si->si_code != CLD_EXITED && si->si_status == SIGXCPU)
		end_late_patch(w);
	snprintf(detail, sizeof detail, "the worker ended by %s %d",
		si->si_code == CLD_EXITED ? "itself, status" : "signal", si->si_status);
	end(w, EF_REASON_IO, detail);
	return 0;
}

/* The index travels as a file in memory. */
static int index_memfd(const struct worker_stage_spec *spec)
{
	_cleanup_close_ int fd = memfd_create("chunk-index", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = fd_pwrite_full(fd, spec->index, spec->index_size, 0);
	return r < 0 ? r : TAKE_FD(fd);
}

static int send_stage(struct worker *w, const struct worker_stage_spec *spec)
{
	_cleanup_close_ int index = index_memfd(spec);
	uint8_t buf[sizeof(struct job_stage) + 2 * 4096];
	struct job_stage j = {
		.index_size = spec->index_size,
		.image_size = spec->image_size,
		.verity_offset = spec->verity_offset,
		.target_size = strlen(spec->target),
		.running_size = strlen(spec->running),
	};

	if (index < 0)
		return index;
	if (j.target_size > 4096 || j.running_size > 4096)
		return -ENAMETOOLONG;
	memcpy(j.index_sha256, spec->index_sha256, sizeof j.index_sha256);
	memcpy(j.image_sha256, spec->image_sha256, sizeof j.image_sha256);
	memcpy(j.verity_root, spec->verity_root, sizeof j.verity_root);
	memcpy(buf, &j, sizeof j);
	memcpy(buf + sizeof j, spec->target, j.target_size);
	memcpy(buf + sizeof j + j.target_size, spec->running, j.running_size);
	return job_send(
		w->socket, JOB_STAGE, buf, sizeof j + j.target_size + j.running_size, index);
}

/* Old image, new image: with room behind them for the patch. */
static int send_patch(struct worker *w, const struct worker_patch_spec *spec)
{
	const struct job_patch j = {
		.old_size = (uint32_t)spec->old_size,
		.new_size = (uint32_t)spec->new_size,
		.models = spec->models,
	};
	int r;

	w->images = memfd_create("images", MFD_CLOEXEC);
	if (w->images < 0)
		return -errno;
	w->images_size = (uint64_t)spec->old_size + spec->new_size;
	r = fd_pwrite_full(w->images, spec->old, spec->old_size, 0);
	if (r >= 0)
		r = fd_pwrite_full(w->images, spec->new, spec->new_size, spec->old_size);
	return r < 0 ? r : job_send(w->socket, JOB_PATCH, &j, sizeof j, w->images);
}

static int start(struct worker *w)
{
	static const char *const argv[] = {"edgeferry-worker", NULL};
	int pair[2], r;
	char path[4096];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	w->socket = pair[0];
	fcntl(w->socket, F_SETFL, O_NONBLOCK);
	const struct child_spec child = {
		.path = child_program("edgeferry-worker", path, sizeof path),
		.argv = argv,
		.fds = &pair[1],
		.n_fds = 1,
		.stdout_fd = -1,
	};
	w->pid = child_start(&child);
	ef_close(pair[1]);
	if (w->pid < 0)
		return w->pid;
	r = sd_event_add_child(w->event, &w->child, w->pid, WEXITED, on_child, w);
	if (r >= 0)
		r = sd_event_add_io(w->event, &w->io, w->socket, EPOLLIN, on_io, w);
	if (r >= 0)
		r = sd_event_add_time_relative(w->event, &w->silence, CLOCK_MONOTONIC,
			w->silence_max_s * USEC_PER_SEC, 0, on_silence, w);
	return r < 0 ? r : 0;
}

/* NULL: no memory. */
static struct worker *new_worker(sd_event *event, const struct worker_callbacks *cb)
{
	struct worker *w = calloc(1, sizeof *w);

	if (w)
		*w = (struct worker){
			.event = sd_event_ref(event), .cb = *cb, .socket = -1, .images = -1};
	return w;
}

/* r: of what began it. */
static enum ef_reason begun(struct worker *w, int r, struct worker **ret, struct error *e)
{
	if (r < 0) {
		worker_free(w);
		return error_errno(e, r, "starting edgeferry-worker");
	}
	*ret = w;
	return EF_REASON_OK;
}

enum ef_reason worker_stage(struct worker **ret, sd_event *event,
	const struct worker_stage_spec *spec, const struct worker_callbacks *cb, struct error *e)
{
	struct worker *w = new_worker(event, cb);

	if (!w)
		return error_set(e, EF_REASON_NO_MEMORY, "edgeferry-worker");
	w->silence_max_s = spec->silence_max_s ? spec->silence_max_s : JOB_SILENCE_MAX_S;
	int r = start(w);
	return begun(w, r < 0 ? r : send_stage(w, spec), ret, e);
}

enum ef_reason worker_patch(struct worker **ret, sd_event *event,
	const struct worker_patch_spec *spec, const struct worker_callbacks *cb, struct error *e)
{
	struct worker *w = new_worker(event, cb);

	if (!w)
		return error_set(e, EF_REASON_NO_MEMORY, "edgeferry-worker");
	w->silence_max_s = JOB_PATCH_S;
	int r = start(w);
	return begun(w, r < 0 ? r : send_patch(w, spec), ret, e);
}

enum ef_reason worker_take_patch(
	const struct worker *w, uint8_t **ret, size_t *size, struct error *e)
{
	struct stat st;

	if (fstat(w->images, &st) < 0)
		return error_errno(e, -errno, "the patch");
	if ((uint64_t)st.st_size <= w->images_size ||
		(uint64_t)st.st_size - w->images_size > EF_PATCH_IMAGE_MAX)
		return error_set(e, EF_REASON_BAD_SIZE, "the patch");
	size_t n = (size_t)((uint64_t)st.st_size - w->images_size);
	_cleanup_free_ uint8_t *patch = malloc(n);
	int r = patch ? fd_pread_full(w->images, patch, n, w->images_size) : -ENOMEM;
	if (r < 0)
		return error_errno(e, r, "the patch");
	*ret = TAKE_PTR(patch);
	*size = n;
	return EF_REASON_OK;
}

int worker_data(struct worker *w, int fd, bool whole_pack, uint64_t offset)
{
	struct job_data d = {.offset = offset, .whole_pack = whole_pack};

	return job_send(w->socket, JOB_DATA, &d, sizeof d, fd);
}

static int on_late_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	log_info("edgeferry-worker %d, which hung, has ended", (int)si->si_pid);
	sd_event_source_unref(s);
	return 0;
}

static void end_child(struct worker *w)
{
	sd_event_source *late;

	kill(w->pid, SIGTERM);
	for (unsigned waited = 0; waitpid(w->pid, NULL, WNOHANG) == 0; waited += POLL_US) {
		if (waited == QUIT_WAIT_US)
			kill(w->pid, SIGKILL);
		if (waited >= QUIT_WAIT_US + KILL_WAIT_US) {
			/* In a call that nothing interrupts. The loop has other work. */
			log_error("edgeferry-worker %d hangs and cannot be ended", (int)w->pid);
			sd_event_add_child(w->event, &late, w->pid, WEXITED, on_late_child, NULL);
			return;
		}
		usleep(POLL_US);
	}
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	w->io = sd_event_source_disable_unref(w->io);
	w->child = sd_event_source_disable_unref(w->child);
	w->deliver = sd_event_source_disable_unref(w->deliver);
	w->silence = sd_event_source_disable_unref(w->silence);
	w->socket = ef_close(w->socket);
	w->images = ef_close(w->images);
	if (w->pid > 0)
		end_child(w);
	sd_event_unref(w->event);
	free(w);
}

pid_t worker_pid(const struct worker *w)
{
	return w->pid;
}
