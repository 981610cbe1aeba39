/* SPDX-License-Identifier: Apache-2.0 */
/* Scan, fetch what lacks, clear the tail, sync, read back: worker/job.h says why. */
#include "worker/stage.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "worker/codec.h"
#include "worker/plan.h"
#include "worker/target.h"
#include <errno.h>
#include <limits.h>
#include <string.h>

#define INDEX_MAX (64u << 20)
#define BLOCK CHUNK_MAX

struct stage {
	struct control *control;
	struct job_stage job;
	char target_path[PATH_MAX], running_path[PATH_MAX];
	struct target target;
	int running; /* the running slot, to copy equal chunks from; -1: cannot be read */
	struct codec codec;
	struct chunk_index *index;
	struct plan plan;
	uint8_t *in, *out; /* compressed and plain bytes of one chunk */
	struct job_progress progress;
	struct error *e;
};

/* Where the bytes that were asked for come from. */
struct source {
	int fd;
	bool whole;
	uint64_t base; /* whole: where the pack starts */
	uint64_t pos;  /* stream: place in the pack of the next byte */
};

static bool all_zero(const uint8_t *p, size_t size)
{
	return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0);
}

static enum ef_reason stopped(struct stage *s, int r)
{
	if (r == -ECANCELED)
		return error_set(s->e, EF_REASON_CANCELLED, "told to stop");
	return error_errno(s->e, r, "line to the core");
}

static void tell(struct stage *s, enum job_phase phase, uint64_t done)
{
	s->progress.phase = phase;
	s->progress.done = done;
	control_progress(s->control, &s->progress);
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

/* The chunk's bytes of the target, in s->out. False: nothing that could be of use. */
static bool look_at_target(struct stage *s, const struct chunk *c, bool *zero)
{
	*zero = target_skip_hole(&s->target, c->offset) >= c->offset + c->size;
	if (*zero)
		return false;
	/* A block that cannot be read may well take a write. */
	if (target_read(&s->target, s->out, c->size, c->offset) < 0)
		return false;
	*zero = all_zero(s->out, c->size);
	return !*zero;
}

/* The same place of the running slot. */
static bool look_at_running(struct stage *s, const struct chunk *c)
{
	return s->running >= 0 && fd_pread_full(s->running, s->out, c->size, c->offset) == 0 &&
	       !all_zero(s->out, c->size) && codec_matches(&s->codec, s->out, c->size, c->digest);
}

/* What is there already, and what the running slot has in the same place. */
static enum ef_reason scan_chunk(struct stage *s, size_t n)
{
	const struct chunk *c = &s->index->chunks[n];
	bool zero;
	bool there = look_at_target(s, c, &zero) && c->pack_size &&
		     codec_matches(&s->codec, s->out, c->size, c->digest);

	if (c->pack_size == 0) {
		if (!zero && target_zero(&s->target, c->offset, c->size, s->e))
			return s->e->reason;
	} else if (!there) {
		if (!look_at_running(s, c))
			return EF_REASON_OK;
		if (target_write(&s->target, s->out, c->size, c->offset, s->e))
			return s->e->reason;
	}
	plan_there(&s->plan, n);
	return EF_REASON_OK;
}

/* The checked bytes of chunk n, in s->out, to wherever the image wants them. */
static enum ef_reason write_equal(struct stage *s, size_t n)
{
	size_t count;
	const uint32_t *equal = plan_equal(&s->plan, n, &count);

	for (size_t i = 0; i < count; i++) {
		const struct chunk *c = &s->index->chunks[equal[i]];
		if (s->plan.have[equal[i]] == CHUNK_THERE)
			continue;
		if (target_write(&s->target, s->out, c->size, c->offset, s->e))
			return s->e->reason;
		plan_there(&s->plan, equal[i]);
	}
	return EF_REASON_OK;
}

/* A chunk that is there, for those equal to it that are not. */
static enum ef_reason copy_within(struct stage *s, size_t n)
{
	const struct chunk *c = &s->index->chunks[n];
	size_t count, lacking = 0;
	const uint32_t *equal = plan_equal(&s->plan, n, &count);

	for (size_t i = 0; i < count; i++)
		lacking += s->plan.have[equal[i]] == CHUNK_LACKING;
	if (lacking == 0 || target_read(&s->target, s->out, c->size, c->offset) < 0 ||
		!codec_matches(&s->codec, s->out, c->size, c->digest))
		return EF_REASON_OK;
	return write_equal(s, n);
}

static enum ef_reason scan(struct stage *s)
{
	for (size_t i = 0; i < s->index->n_chunks; i++) {
		if (i % 16 == 0) {
			tell(s, JOB_SCANNING, s->index->chunks[i].offset);
			int r = control_check(s->control);
			if (r < 0)
				return stopped(s, r);
		}
		if (scan_chunk(s, i))
			return s->e->reason;
	}
	for (size_t i = 0; i < s->index->n_chunks; i++)
		if (s->plan.have[i] == CHUNK_THERE && s->index->chunks[i].pack_size &&
			copy_within(s, i))
			return s->e->reason;
	plan_mark_twins(&s->plan);
	return EF_REASON_OK;
}

/* Bytes of the pack into s->in; what stands before them in a stream is passed over. */
static int read_pack(struct stage *s, struct source *src, uint64_t offset, size_t size)
{
	if (src->whole) {
		s->progress.fetched += size;
		if (src->base > UINT64_MAX - offset)
			return -EFBIG;
		return fd_pread_full(src->fd, s->in, size, src->base + offset);
	}
	while (src->pos < offset) {
		uint64_t gap = offset - src->pos;
		size_t n = gap < BLOCK ? (size_t)gap : BLOCK;
		int r = control_read_full(s->control, src->fd, s->in, n);
		if (r < 0)
			return r;
		src->pos += n;
		s->progress.fetched += n;
	}
	src->pos += size;
	s->progress.fetched += size;
	return control_read_full(s->control, src->fd, s->in, size);
}

/* Chunks first to end out of the bytes of the ranges. OK also when a stream ended too early. */
static enum ef_reason take_chunks(struct stage *s, struct source *src,
	const struct ipc_range *range, size_t first, size_t end)
{
	src->pos = range->offset;
	for (size_t i = first; i < end; i++) {
		const struct chunk *c = &s->index->chunks[i];

		if (s->plan.have[i] != CHUNK_LACKING)
			continue;
		while (c->pack_offset >= range->offset + range->size)
			src->pos = (++range)->offset;
		int r = src->whole ? control_check(s->control) : 0;
		if (r == 0)
			r = read_pack(s, src, c->pack_offset, c->pack_size);
		if (r == -ENODATA && !src->whole)
			return EF_REASON_OK;
		if (r == -ECANCELED)
			return stopped(s, r);
		if (r < 0)
			return error_errno(s->e, r, "reading the pack");
		if (codec_unpack(&s->codec, c, i, s->in, s->out, s->e) || write_equal(s, i))
			return s->e->reason;
		tell(s, JOB_WRITING, s->plan.done);
	}
	return EF_REASON_OK;
}

static enum ef_reason ask(
	struct stage *s, const struct ipc_range *ranges, size_t n, struct source *src)
{
	_cleanup_free_ struct job_message *m = malloc(sizeof(*m));
	struct job_data data;

	if (!m)
		return error_errno(s->e, -ENOMEM, "message");
	int r = job_send(s->control->socket, JOB_NEED, ranges, n * sizeof(*ranges), -1);
	if (r == 0)
		r = control_receive(s->control, m);
	if (r < 0)
		return stopped(s, r);
	if (m->type != JOB_DATA || m->size != sizeof(data) || m->fd < 0) {
		ef_close(m->fd);
		return error_set(s->e, EF_REASON_USAGE, "no data after a need");
	}
	memcpy(&data, m->payload, sizeof(data));
	*src = (struct source){.fd = m->fd, .whole = data.whole_pack == 1, .base = data.offset};
	return EF_REASON_OK;
}

static enum ef_reason fetch(struct stage *s)
{
	_cleanup_free_ struct ipc_range *ranges = calloc(IPC_RANGES_MAX, sizeof(*ranges));
	size_t first = 0, end, n;

	if (!ranges)
		return error_errno(s->e, -ENOMEM, "ranges");
	tell(s, JOB_WRITING, s->plan.done);
	while ((n = plan_ranges(&s->plan, first, ranges, IPC_RANGES_MAX, &end)) > 0) {
		struct source src = {.fd = -1};

		if (ask(s, ranges, n, &src))
			return s->e->reason;
		while (s->plan.have[first] != CHUNK_LACKING)
			first++;
		enum ef_reason reason = take_chunks(s, &src, ranges, first, end);
		ef_close(src.fd);
		if (reason)
			return reason;
	}
	return EF_REASON_OK;
}

/* What an older, larger image left behind the new one (S-11). */
static enum ef_reason clear_tail(struct stage *s)
{
	uint64_t at = s->job.image_size;

	while ((at = target_skip_hole(&s->target, at)) < s->target.size) {
		uint64_t rest = s->target.size - at;
		size_t n = rest < BLOCK ? (size_t)rest : BLOCK;
		int r = control_check(s->control);
		if (r < 0)
			return stopped(s, r);
		if (target_read(&s->target, s->out, n, at) < 0 || !all_zero(s->out, n)) {
			if (target_zero(&s->target, at, n, s->e))
				return s->e->reason;
		}
		at += n;
	}
	return EF_REASON_OK;
}

static enum ef_reason read_back_block(struct stage *s, uint64_t at, size_t n)
{
	uint64_t left = at < s->job.image_size ? s->job.image_size - at : 0;
	size_t image = left < n ? (size_t)left : n;
	int r = target_read_back(&s->target, s->out, n, at);

	if (r < 0)
		return error_set(s->e, EF_REASON_SLOT_READ_BACK, "%s at byte %llu: error %d",
			s->target.path, (unsigned long long)at, -r);
	if (EVP_DigestUpdate(s->codec.md, s->out, image) != 1)
		return error_set(s->e, EF_REASON_INTERNAL, "SHA-256");
	if (!all_zero(s->out + image, n - image))
		return error_set(s->e, EF_REASON_SLOT_READ_BACK,
			"%s: something is behind the image", s->target.path);
	return EF_REASON_OK;
}

static enum ef_reason read_back(struct stage *s)
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	target_bypass_cache(&s->target);
	if (EVP_DigestInit_ex2(s->codec.md, s->codec.sha256, NULL) != 1)
		return error_set(s->e, EF_REASON_INTERNAL, "SHA-256");
	for (uint64_t at = 0; at < s->target.size;) {
		uint64_t rest = s->target.size - at;
		size_t n = rest < BLOCK ? (size_t)rest : BLOCK;
		int r = control_check(s->control);
		if (r < 0)
			return stopped(s, r);
		if (read_back_block(s, at, n))
			return s->e->reason;
		at += n;
		tell(s, JOB_READING_BACK, at < s->job.image_size ? at : s->job.image_size);
		if (at > s->job.image_size)
			at = target_skip_hole(&s->target, at);
	}
	if (EVP_DigestFinal_ex(s->codec.md, digest, NULL) != 1 ||
		memcmp(digest, s->job.image_sha256, sizeof(s->job.image_sha256)) != 0)
		return error_set(s->e, EF_REASON_SLOT_READ_BACK, "%s", s->target.path);
	return EF_REASON_OK;
}

static enum ef_reason run(struct stage *s, const struct job_message *m)
{
	if (take_job(s, m))
		return s->e->reason;
	s->in = malloc(BLOCK);
	s->out = aligned_alloc(TARGET_ALIGN, BLOCK);
	if (!s->in || !s->out || codec_open(&s->codec) < 0)
		return error_errno(s->e, -ENOMEM, "stage");
	if (load_index(s, m->fd) || target_open(&s->target, s->target_path, s->running_path,
					    s->job.image_size, &s->running, s->e))
		return s->e->reason;
	if (plan_open(&s->plan, s->index) < 0)
		return error_errno(s->e, -ENOMEM, "plan");
	if (scan(s) || fetch(s) || clear_tail(s) || target_sync(&s->target, s->e))
		return s->e->reason;
	return read_back(s);
}

enum ef_reason stage_run(struct control *control, const struct job_message *m, struct error *e)
{
	struct stage *s = calloc(1, sizeof(*s));

	if (!s)
		return error_errno(e, -ENOMEM, "stage");
	s->control = control;
	s->e = e;
	s->running = s->target.fd = -1;
	enum ef_reason reason = run(s, m);
	plan_close(&s->plan);
	chunk_index_free(s->index);
	target_close(&s->target);
	ef_close(s->running);
	codec_close(&s->codec);
	free(s->in);
	free(s->out);
	free(s);
	return reason;
}
