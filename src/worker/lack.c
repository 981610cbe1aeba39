/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Groups that lack, some thousands at a time: their leaves are fetched, then of the chunks that
 * those list what neither target nor running slot has.
 */
#include "util/cleanup.h"
#include "util/fdio.h"
#include "worker/stage-internal.h"
#include <errno.h>
#include <string.h>

#define BATCH_GROUPS 4096u
#define BATCH_CHUNKS 131072u /* and no more groups when it has as many: 9 MiB of them */

/* Where the bytes that were asked for come from. */
struct source {
	int fd;
	bool whole;
	uint64_t base; /* whole: where the pack starts */
	uint64_t pos;  /* stream: place in the pack of the next byte */
	const struct ipc_range *range;
};

struct batch {
	uint32_t groups[BATCH_GROUPS];
	size_t n_groups;
	struct chunk *chunks;
	size_t n, room;
	struct plan plan;
	struct ipc_range ranges[IPC_RANGES_MAX];
};

/* Bytes of the pack into s->in; what stands before them in a stream is passed over. */
static int read_pack(struct stage *s, struct source *src, uint64_t offset, size_t size)
{
	if (src->whole) {
		int r = control_check(s->control);
		s->progress.fetched += size;
		if (src->base > UINT64_MAX - offset)
			return -EFBIG;
		return r < 0 ? r : fd_pread_full(src->fd, s->in, size, src->base + offset);
	}
	while (offset >= src->range->offset + src->range->size)
		src->pos = (++src->range)->offset;
	while (src->pos < offset) {
		uint64_t gap = offset - src->pos;
		size_t n = gap < STAGE_BLOCK ? (size_t)gap : STAGE_BLOCK;
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
		return stage_stopped(s, r);
	if (m->type != JOB_DATA || m->size != sizeof(data) || m->fd < 0) {
		ef_close(m->fd);
		return error_set(s->e, EF_REASON_USAGE, "no data after a need");
	}
	memcpy(&data, m->payload, sizeof(data));
	*src = (struct source){.fd = m->fd,
		.whole = data.whole_pack == 1,
		.base = data.offset,
		.pos = ranges[0].offset,
		.range = ranges};
	return EF_REASON_OK;
}

/* 1: s->in has them; 0: the stream ended before, which ends this answer but not the job. */
static int take_bytes(struct stage *s, struct source *src, uint64_t offset, size_t size)
{
	int r = read_pack(s, src, offset, size);

	if (r == 0)
		return 1;
	if (r == -ENODATA && !src->whole)
		return 0;
	if (r == -ECANCELED)
		stage_stopped(s, r);
	else
		error_errno(s->e, r, "reading the pack");
	return r;
}

/* Whoever answers with nothing at all will do so again. */
static enum ef_reason no_bytes(struct stage *s)
{
	return error_set(s->e, EF_REASON_IO, "nothing of the pack arrived");
}

/* --- leaves --- */

static enum ef_reason take_leaf(struct stage *s, struct batch *b, size_t group)
{
	const struct chunk_group *g = &s->index->groups[group];
	size_t n;

	if (!codec_matches(&s->codec, s->in, g->leaf_size, g->body.pack_digest))
		return error_set(s->e, EF_REASON_BAD_DIGEST, "leaf of group %zu", group);
	if (b->room - b->n < CHUNK_LEAF_CHUNKS_MAX) {
		size_t room = b->room * 2 + CHUNK_LEAF_CHUNKS_MAX;
		struct chunk *larger = realloc(b->chunks, room * sizeof(*larger));
		if (!larger)
			return error_errno(s->e, -ENOMEM, "chunks");
		b->chunks = larger;
		b->room = room;
	}
	if (chunk_leaf_parse(g, s->in, b->chunks + b->n, &n, s->e))
		return s->e->reason;
	b->n += n;
	b->groups[b->n_groups++] = (uint32_t)group;
	return EF_REASON_OK;
}

/* The number of the next group that lacks, from first on; the number of groups: none. */
static size_t next_lacking(const struct stage *s, size_t first)
{
	while (first < s->groups.n && s->groups.have[first] != PLAN_LACKING)
		first++;
	return first;
}

/* Leaves of the groups first to end out of the bytes of the ranges. */
static enum ef_reason take_leaves(
	struct stage *s, struct batch *b, struct source *src, size_t *first, size_t end)
{
	for (size_t i = *first; (i = next_lacking(s, i)) < end; *first = ++i) {
		const struct chunk_group *g = &s->index->groups[i];
		int r = take_bytes(s, src, g->leaf_offset, g->leaf_size);
		if (r <= 0)
			return s->e->reason;
		if (take_leaf(s, b, i))
			return s->e->reason;
	}
	*first = end;
	return EF_REASON_OK;
}

/* Leaves from group *first on, as many as make a batch; *first: where the next one begins. */
static enum ef_reason fetch_leaves(struct stage *s, struct batch *b, size_t *first)
{
	size_t n = 0, count = 0, wanted = 0, end, before = b->n_groups;

	for (end = next_lacking(s, *first); end < s->groups.n; end = next_lacking(s, end + 1)) {
		const struct chunk_group *g = &s->index->groups[end];
		/* the chunks are not known yet; a leaf is some 36 bytes for each */
		wanted += g->leaf_size / 36;
		if (++count > BATCH_GROUPS || wanted > BATCH_CHUNKS ||
			!plan_add_range(b->ranges, &n, IPC_RANGES_MAX, PLAN_GAP_MIN, g->leaf_offset,
				g->leaf_size))
			break;
	}
	if (n == 0)
		return EF_REASON_OK;
	struct source src = {.fd = -1};
	if (ask(s, b->ranges, n, &src))
		return s->e->reason;
	enum ef_reason reason = take_leaves(s, b, &src, first, end);
	ef_close(src.fd);
	return !reason && b->n_groups == before ? no_bytes(s) : reason;
}

/* --- chunks --- */

static bool look_at_seed(struct stage *s, const struct chunk *c)
{
	const struct seed *seed = seeds_find(&s->seeds, c);

	return seed && fd_pread_full(s->running, s->out, c->size, seed->offset) == 0 &&
	       codec_matches(&s->codec, s->out, c->size, c->digest);
}

static enum ef_reason look_chunk(struct stage *s, struct plan *p, size_t n)
{
	const struct chunk *c = plan_piece(p, n);
	bool zero;

	if (p->have[n] == PLAN_THERE)
		return EF_REASON_OK;
	bool there = stage_look(s, c, &zero) && c->pack_size &&
		     codec_matches(&s->codec, s->out, c->size, c->digest);
	if (c->pack_size == 0) {
		if (!zero && target_zero(&s->target, c->offset, c->size, s->e))
			return s->e->reason;
	} else if (!there) {
		return look_at_seed(s, c) ? stage_write_equal(s, p, n, s->out) : EF_REASON_OK;
	}
	plan_there(p, n);
	return EF_REASON_OK;
}

static enum ef_reason look_chunks(struct stage *s, struct plan *p)
{
	for (size_t i = 0; i < p->n; i++) {
		int r = i % 16 == 0 ? control_check(s->control) : 0;
		if (r < 0)
			return stage_stopped(s, r);
		if (look_chunk(s, p, i))
			return s->e->reason;
		stage_tell(s, JOB_WRITING, s->groups.done + p->done);
	}
	for (size_t i = 0; i < p->n; i++)
		if (p->have[i] == PLAN_THERE && plan_piece(p, i)->pack_size &&
			stage_copy_within(s, p, i))
			return s->e->reason;
	plan_mark_twins(p);
	return EF_REASON_OK;
}

/* Chunks first to end out of the bytes of the ranges. OK also when a stream ended too early. */
static enum ef_reason take_chunks(
	struct stage *s, struct plan *p, struct source *src, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++) {
		const struct chunk *c = plan_piece(p, i);

		if (p->have[i] != PLAN_LACKING)
			continue;
		int r = take_bytes(s, src, c->pack_offset, c->pack_size);
		if (r <= 0)
			return s->e->reason;
		if (codec_unpack(&s->codec, c, s->in, s->out, s->e) ||
			stage_write_equal(s, p, i, s->out))
			return s->e->reason;
		stage_tell(s, JOB_WRITING, s->groups.done + p->done);
	}
	return EF_REASON_OK;
}

static enum ef_reason fetch_chunks(struct stage *s, struct batch *b)
{
	struct plan *p = &b->plan;
	const uint64_t gap = plan_gap(p);
	size_t first = 0, end, n;

	while ((n = plan_ranges(p, first, gap, b->ranges, IPC_RANGES_MAX, &end)) > 0) {
		struct source src = {.fd = -1};
		uint64_t before = p->done;

		if (ask(s, b->ranges, n, &src))
			return s->e->reason;
		while (p->have[first] != PLAN_LACKING)
			first++;
		enum ef_reason reason = take_chunks(s, p, &src, first, end);
		ef_close(src.fd);
		if (reason)
			return reason;
		if (p->done == before)
			return no_bytes(s);
	}
	return EF_REASON_OK;
}

/* --- groups --- */

/* All chunks of these are there: so are they, and so are their twins soon. */
static enum ef_reason settle_groups(struct stage *s, struct batch *b)
{
	for (size_t i = 0; i < b->n_groups; i++)
		plan_there(&s->groups, b->groups[i]);
	for (size_t i = 0; i < b->n_groups; i++)
		if (stage_copy_within(s, &s->groups, b->groups[i]))
			return s->e->reason;
	return EF_REASON_OK;
}

static enum ef_reason run_batch(struct stage *s, struct batch *b)
{
	enum ef_reason reason;

	if (plan_open(&b->plan, b->chunks, sizeof(*b->chunks), b->n) < 0) {
		plan_close(&b->plan);
		return error_errno(s->e, -ENOMEM, "plan");
	}
	reason = look_chunks(s, &b->plan);
	if (!reason)
		reason = fetch_chunks(s, b);
	plan_close(&b->plan);
	return reason ? reason : settle_groups(s, b);
}

enum ef_reason stage_fetch(struct stage *s)
{
	_cleanup_free_ struct batch *b = calloc(1, sizeof(*b));
	enum ef_reason reason = EF_REASON_OK;
	size_t first = 0;

	if (!b)
		return error_errno(s->e, -ENOMEM, "ranges");
	stage_tell(s, JOB_WRITING, s->groups.done);
	while (!reason && next_lacking(s, first) < s->groups.n) {
		b->n_groups = b->n = 0;
		reason = fetch_leaves(s, b, &first);
		if (!reason)
			reason = run_batch(s, b);
	}
	free(b->chunks);
	if (!reason && s->groups.done != s->job.image_size)
		error_set(s->e, EF_REASON_SLOT_READ_BACK, "%s: not what was written to it",
			s->target.path);
	return s->e->reason;
}
