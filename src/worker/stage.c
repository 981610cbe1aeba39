/* SPDX-License-Identifier: Apache-2.0 */
/* Scan, fetch what lacks, clear the tail, sync, read back: worker/job.h says why. */
#include "worker/stage.h"
#include "bundle/verity.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "worker/stage-internal.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define INDEX_MAX (64u << 20)
#define RUNNING_FLAGS (O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

bool stage_all_zero(const uint8_t *p, size_t size)
{
	return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

enum ef_reason stage_stopped(struct stage *s, int r)
{
	if (r == -ECANCELED)
		return error_set(s->e, EF_REASON_CANCELLED, "told to stop");
	return error_errno(s->e, r, "line to the core");
}

void stage_tell(struct stage *s, enum job_phase phase, uint64_t done)
{
	s->progress.phase = phase;
	s->progress.fetched = s->intake.taken;
	s->progress.done = done;
	control_progress(s->control, &s->progress);
}

enum ef_reason stage_go_through(struct stage *s, int fd)
{
	reader_close(s->reader);
	s->reader = NULL;
	s->hole = s->data = 0;
	int r = fd < 0 ? 0 : reader_open(&s->reader, fd);
	return r < 0 ? error_errno(s->e, r, "reader") : EF_REASON_OK;
}

static enum ef_reason take_job(struct stage *s, const struct job_message *m)
{
	const char *paths = (const char *)m->payload + sizeof(s->job);

	if (m->type != JOB_STAGE || m->size < sizeof(s->job) || m->fd < 0)
		return error_set(s->e, EF_REASON_USAGE, "no stage job");
	memcpy(&s->job, m->payload, sizeof(s->job));
	size_t size = m->size - sizeof(s->job);
	if (s->job.target_size == 0 || s->job.target_size >= sizeof(s->target_path) ||
		s->job.running_size == 0 || s->job.running_size >= sizeof(s->running_path) ||
		size != (size_t)s->job.target_size + s->job.running_size || memchr(paths, 0, size))
		return error_set(s->e, EF_REASON_USAGE, "paths of the stage job");
	memcpy(s->target_path, paths, s->job.target_size);
	memcpy(s->running_path, paths + s->job.target_size, s->job.running_size);
	s->progress.total = s->job.image_size;
	return EF_REASON_OK;
}

/* Read once into private memory, checked and parsed there (S-08). */
static enum ef_reason load_index(struct stage *s, int fd)
{
	_cleanup_free_ uint8_t *data = NULL;
	uint8_t digest[EVP_MAX_MD_SIZE], more;

	if (s->job.index_size > INDEX_MAX)
		return error_set(s->e, EF_REASON_BAD_SIZE, "chunk index");
	data = malloc(s->job.index_size + 1);
	if (!data)
		return error_errno(s->e, -ENOMEM, "chunk index");
	int r = fd_pread_full(fd, data, s->job.index_size, 0);
	if (r < 0)
		return error_errno(s->e, r, "chunk index");
	if (fd_pread_full(fd, &more, 1, s->job.index_size) != -ENODATA)
		return error_set(s->e, EF_REASON_BAD_SIZE, "chunk index");
	if (EVP_Digest(data, s->job.index_size, digest, NULL, s->codec.sha256, NULL) != 1 ||
		memcmp(digest, s->job.index_sha256, sizeof(s->job.index_sha256)) != 0)
		return error_set(s->e, EF_REASON_BAD_DIGEST, "chunk index");
	if (chunk_index_parse(data, s->job.index_size, &s->index, s->e))
		return s->e->reason;
	if (s->index->image_size != s->job.image_size)
		return error_set(s->e, EF_REASON_BAD_SIZE, "index and manifest name other sizes");
	if (memcmp(s->index->image_sha256, s->job.image_sha256, sizeof(s->job.image_sha256)) != 0)
		return error_set(
			s->e, EF_REASON_BAD_DIGEST, "index and manifest name other images");
	return EF_REASON_OK;
}

/* What an older, larger image left behind the new one (S-11). */
static enum ef_reason clear_tail(struct stage *s)
{
	uint64_t at = s->job.image_size;

	if (stage_go_through(s, target_past_cache(&s->target)))
		return s->e->reason;
	while ((at = target_skip_hole(&s->target, at)) < s->target.size) {
		uint64_t rest = s->target.size - at;
		size_t n = rest < STAGE_BLOCK ? (size_t)rest : STAGE_BLOCK;
		int r = control_check(s->control);
		if (r < 0)
			return stage_stopped(s, r);
		if (reader_read(s->reader, s->out, n, at) != (ssize_t)n ||
			!stage_all_zero(s->out, n)) {
			if (writer_zero(s->writer, at, n, s->e))
				return s->e->reason;
		}
		at += n;
		stage_tell(s, JOB_WRITING, s->job.image_size);
	}
	return writer_flush(s->writer, s->e);
}

/* What is not needed for reading back. */
static void let_go(struct stage *s)
{
	writer_close(s->writer);
	s->writer = NULL;
	seeds_free(&s->seeds);
	plan_close(&s->groups);
	stage_go_through(s, -1);
}

/* The bytes are those that were signed for; are they what the boot loader will be told they are? */
static enum ef_reason check_verity(struct stage *s)
{
	struct verity v = {.offset = s->job.verity_offset};

	if (v.offset == 0)
		return EF_REASON_OK;
	memcpy(v.root, s->job.verity_root, sizeof(v.root));
	return verity_check(s->target.fd, &v, s->job.image_size, s->e);
}

static enum ef_reason run(struct stage *s, const struct job_message *m)
{
	if (take_job(s, m))
		return s->e->reason;
	s->intake.data = malloc(INTAKE_ROOM);
	s->out = malloc(STAGE_BLOCK);
	if (!s->intake.data || !s->out || codec_open(&s->codec) < 0)
		return error_errno(s->e, -ENOMEM, "stage");
	if (load_index(s, m->fd) ||
		target_open(&s->target, s->target_path, s->running_path, s->job.image_size, s->e) ||
		writer_open(&s->writer, &s->target, s->e) ||
		readback_open(
			&s->readback, &s->target, s->job.image_size, s->job.image_sha256, s->e))
		return s->e->reason;
	s->running = open(s->running_path, RUNNING_FLAGS);
	s->running_direct = open(s->running_path, RUNNING_FLAGS | O_DIRECT);
	if (plan_open(&s->groups, &s->index->groups[0].body, sizeof(*s->index->groups),
		    s->index->n_groups) < 0)
		return error_errno(s->e, -ENOMEM, "plan");
	if (stage_scan(s) || stage_fetch(s) || clear_tail(s) || target_sync(&s->target, s->e))
		return s->e->reason;
	let_go(s);
	if (readback_finish(s->readback, s->control, &s->progress, s->e))
		return s->e->reason;
	return check_verity(s);
}

enum ef_reason stage_run(struct control *control, const struct job_message *m, struct error *e)
{
	struct stage *s = calloc(1, sizeof(*s));

	if (!s)
		return error_errno(e, -ENOMEM, "stage");
	s->control = control;
	s->e = e;
	s->running = s->running_direct = s->target.fd = s->target.direct = -1;
	enum ef_reason reason = run(s, m);
	readback_close(s->readback);
	writer_close(s->writer);
	reader_close(s->reader);
	plan_close(&s->groups);
	seeds_free(&s->seeds);
	chunk_index_free(s->index);
	target_close(&s->target);
	ef_close(s->running);
	ef_close(s->running_direct);
	codec_close(&s->codec);
	free(s->intake.data);
	free(s->out);
	free(s);
	return reason;
}
