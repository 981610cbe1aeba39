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
#define BATCH_CHUNKS 16384u /* and no more groups when it has as many: 1 MiB of them */
#define LOOK_GROUPS 64u
#define READBACK_STEP (16u << 20) /* bytes: each step syncs the target */
#define ZEROS_PUNCHED 65536u	  /* fewer are written with what stands around them */
#define KEPT_MAX (1u << 20)	  /* bytes */

/* Compressed bytes of a chunk that the image has again further on: so it is written in its turn
 * there too, without being fetched or read again, and writes stay large. */
struct kept {
	uint32_t piece; /* that was fetched */
	uint32_t left;	/* twins of it to come */
	uint8_t data[];
};

struct batch {
	uint32_t groups[BATCH_GROUPS];
	size_t n_groups;
	struct chunk *chunks;
	size_t n, room;
	struct plan plan;
	struct kept **kept; /* by the first place of equal pieces in the plan's order */
	size_t kept_bytes;
	struct ipc_range ranges[IPC_RANGES_MAX];
	bool counted_failed; /* a seed or twin that was counted on is not what it was */
	size_t first;	     /* group of the next batch */
	size_t ahead;	     /* its leaves up to this group are on their way already; 0: none are */
	/* For reading back what is complete at the front of the image: */
	size_t complete, front; /* groups and, of these, pieces that are there */
	uint64_t end;		/* of what this batch completes */
	uint64_t allowed, next; /* to be read back; when the writer is past the mark */
	uint64_t mark;
};

/* Asks for ranges; s->intake brings them then. */
static enum ef_reason ask(struct stage *s, const struct ipc_range *ranges, size_t n)
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
	s->intake = (struct intake){.control = s->control,
		.data = s->intake.data,
		.taken = s->intake.taken,
		.fd = m->fd,
		.whole = data.whole_pack == 1,
		.base = data.offset,
		.ranges = ranges,
		.n = n};
	return EF_REASON_OK;
}

/* 1: *ret has them; 0: the stream ended before, which ends this answer but not the job. */
static int take_bytes(struct stage *s, uint64_t offset, size_t size, const uint8_t **ret)
{
	int r = intake_take(&s->intake, offset, size, ret);

	if (r == 0)
		return 1;
	if (r == -ENODATA && !s->intake.whole)
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

static enum ef_reason take_leaf(struct stage *s, struct batch *b, size_t group, const uint8_t *leaf)
{
	const struct chunk_group *g = &s->index->groups[group];
	size_t n;

	if (!codec_matches(&s->codec, leaf, g->leaf_size, g->body.pack_digest))
		return error_set(s->e, EF_REASON_BAD_DIGEST, "leaf of group %zu", group);
	if (b->room - b->n < CHUNK_LEAF_CHUNKS_MAX) {
		size_t room = b->room * 2 + CHUNK_LEAF_CHUNKS_MAX;
		struct chunk *larger = realloc(b->chunks, room * sizeof(*larger));
		if (!larger)
			return error_errno(s->e, -ENOMEM, "chunks");
		b->chunks = larger;
		b->room = room;
	}
	if (chunk_leaf_parse(g, leaf, b->chunks + b->n, &n, s->e))
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

/* Ranges for the leaves of the next batch, behind those that are there. Returns the end of its
 * groups. */
static size_t add_leaves(const struct stage *s, struct batch *b, size_t *n)
{
	size_t count = 0, wanted = 0, i;
	uint64_t end = *n ? b->ranges[*n - 1].offset + b->ranges[*n - 1].size : 0;

	for (i = next_lacking(s, b->first); i < s->groups.n; i = next_lacking(s, i + 1)) {
		const struct chunk_group *g = &s->index->groups[i];
		/* the chunks are not known yet; a leaf is some 36 bytes for each */
		wanted += g->leaf_size / 36;
		if (++count > BATCH_GROUPS || wanted > BATCH_CHUNKS || g->leaf_offset < end ||
			!plan_add_range(b->ranges, n, IPC_RANGES_MAX, PLAN_GAP_MIN, g->leaf_offset,
				g->leaf_size))
			break;
		end = g->leaf_offset + g->leaf_size;
	}
	return i;
}

/* Leaves of the groups up to end out of what was asked for. */
static enum ef_reason take_leaves(struct stage *s, struct batch *b, size_t end)
{
	const uint8_t *leaf;

	for (size_t i = b->first; (i = next_lacking(s, i)) < end; b->first = ++i) {
		const struct chunk_group *g = &s->index->groups[i];
		int r = take_bytes(s, g->leaf_offset, g->leaf_size, &leaf);
		if (r <= 0)
			return s->e->reason;
		if (take_leaf(s, b, i, leaf))
			return s->e->reason;
	}
	b->first = end;
	return EF_REASON_OK;
}

/* Those that came behind the chunks of the batch before. */
static enum ef_reason take_leaves_ahead(struct stage *s, struct batch *b)
{
	size_t end = b->ahead;

	if (end == 0)
		return EF_REASON_OK;
	b->ahead = 0;
	enum ef_reason reason = take_leaves(s, b, end);
	ef_close(s->intake.fd);
	return reason;
}

/* Leaves from group b->first on, as many as make a batch. */
static enum ef_reason fetch_leaves(struct stage *s, struct batch *b)
{
	size_t n = 0;

	if (take_leaves_ahead(s, b) || b->n_groups > 0)
		return s->e->reason;
	size_t end = add_leaves(s, b, &n);
	if (n == 0)
		return EF_REASON_OK;
	if (ask(s, b->ranges, n))
		return s->e->reason;
	enum ef_reason reason = take_leaves(s, b, end);
	ef_close(s->intake.fd);
	return !reason && b->n_groups == 0 ? no_bytes(s) : reason;
}

/* --- chunks --- */

/* Without writing anything: what of this is in the target, or in the running slot. */
static void look_chunk(struct stage *s, struct plan *p, size_t n)
{
	const struct chunk *c = plan_piece(p, n);
	uint64_t seed;
	bool zero = false, there = false;

	/* Beyond that a hole is not looked for either: to find where a long one ends takes a file
	 * system longer than writing zeros with what stands around them. */
	if (c->offset < s->look_end)
		there = stage_look(s, c, &zero) && c->pack_size &&
			codec_matches(&s->codec, s->out, c->size, c->digest);
	if (c->pack_size ? there : zero)
		plan_there(p, n);
	else if (c->pack_size && seeds_find(&s->seeds, c, &seed))
		p->have[n] = PLAN_SEED;
}

static enum ef_reason look_chunks(struct stage *s, struct plan *p)
{
	if (stage_go_through(s, target_past_cache(&s->target)))
		return s->e->reason;
	for (size_t i = 0; i < p->n; i++) {
		int r = i % 16 == 0 ? control_check(s->control) : 0;
		if (r < 0)
			return stage_stopped(s, r);
		look_chunk(s, p, i);
		stage_tell(s, JOB_WRITING, s->groups.done + p->done);
	}
	return stage_go_through(s, -1) ? s->e->reason : stage_copy_within(s, p);
}

static enum ef_reason write_zeros(struct stage *s, const struct chunk *c)
{
	if (c->size >= ZEROS_PUNCHED)
		return writer_zero(s->writer, c->offset, c->size, s->e);
	uint8_t *room = writer_room(s->writer, c->offset, c->size, s->e);
	if (!room)
		return s->e->reason;
	memset(room, 0, c->size);
	writer_put(s->writer, NULL);
	return EF_REASON_OK;
}

/* data, that was checked, to where piece n stands. */
static enum ef_reason write_piece(struct stage *s, struct plan *p, size_t n, const uint8_t *data)
{
	const struct chunk *c = plan_piece(p, n);
	uint8_t *room = writer_room(s->writer, c->offset, c->size, s->e);

	if (!room)
		return s->e->reason;
	memcpy(room, data, c->size);
	writer_put(s->writer, NULL);
	plan_there(p, n);
	return EF_REASON_OK;
}

/* S-08: a block may read differently than when it was found. Then its chunk lacks after all. */
static enum ef_reason take_seed(struct stage *s, struct batch *b, size_t n)
{
	const struct chunk *c = plan_piece(&b->plan, n);
	uint64_t offset;

	if (seeds_find(&s->seeds, c, &offset) &&
		fd_pread_full(s->running, s->out, c->size, offset) == 0 &&
		codec_matches(&s->codec, s->out, c->size, c->digest))
		return write_piece(s, &b->plan, n, s->out);
	b->plan.have[n] = PLAN_LACKING;
	b->counted_failed = true;
	return EF_REASON_OK;
}

static void forget(struct batch *b, struct kept **k)
{
	b->kept_bytes -= plan_piece(&b->plan, (*k)->piece)->pack_size;
	free(*k);
	*k = NULL;
}

/* in: the compressed bytes of piece n, for those of its equals that are still to come. */
static void keep(struct batch *b, size_t n, const uint8_t *in)
{
	const struct plan *p = &b->plan;
	const uint32_t size = plan_piece(p, n)->pack_size;
	uint32_t left = 0;
	size_t count;
	const uint32_t *equal = plan_equal(p, n, &count);

	for (size_t i = 0; i < count; i++)
		left += p->have[equal[i]] == PLAN_TWIN;
	if (left == 0 || b->kept_bytes + size > KEPT_MAX)
		return;
	struct kept *k = malloc(sizeof(*k) + size);
	if (!k)
		return; /* the twins find it in the target */
	*k = (struct kept){.piece = (uint32_t)n, .left = left};
	memcpy(k->data, in, size);
	b->kept[equal - p->by_digest] = k;
	b->kept_bytes += size;
}

/* in: of piece as, which is equal to piece n. */
static enum ef_reason unpack(
	struct stage *s, struct plan *p, size_t n, const struct chunk *as, const uint8_t *in)
{
	struct chunk c = *as;

	c.offset = plan_piece(p, n)->offset;
	if (writer_unpack(s->writer, &c, in, s->e))
		return s->e->reason;
	plan_there(p, n);
	return EF_REASON_OK;
}

/* 1: it is on its way into the target; 0: the stream ended before. */
static int take_fetched(struct stage *s, struct batch *b, size_t n)
{
	const struct chunk *c = plan_piece(&b->plan, n);
	const uint8_t *in;
	int r = take_bytes(s, c->pack_offset, c->pack_size, &in);

	if (r <= 0)
		return r;
	if (unpack(s, &b->plan, n, c, in))
		return -1;
	keep(b, n, in);
	return 1;
}

/* Equal to a piece before it: out of what was kept of that, or out of the target. */
static enum ef_reason take_twin(struct stage *s, struct batch *b, size_t n)
{
	struct plan *p = &b->plan;
	size_t count;
	const uint32_t *equal = plan_equal(p, n, &count);
	struct kept **k = &b->kept[equal - p->by_digest];

	if (*k) {
		const struct chunk *as = plan_piece(p, (*k)->piece);
		enum ef_reason reason = unpack(s, p, n, as, (*k)->data);
		if (--(*k)->left == 0)
			forget(b, k);
		return reason;
	}
	for (size_t i = 0; i < count && p->have[n] != PLAN_THERE; i++)
		if (p->have[equal[i]] == PLAN_THERE && stage_copy_one(s, p, equal[i]))
			return s->e->reason;
	if (p->have[n] != PLAN_THERE) {
		p->have[n] = PLAN_LACKING;
		b->counted_failed = true;
	}
	return EF_REASON_OK;
}

/* Behind the groups that are there or in this batch. */
static void choose_end(struct stage *s, struct batch *b)
{
	const struct plan *g = &s->groups;
	size_t i = b->complete = plan_next(g, b->complete);

	while (i < g->n &&
		(g->have[i] == PLAN_THERE || (g->have[i] == PLAN_LACKING && i < b->first)))
		i++;
	b->end = i < g->n ? plan_piece(g, i)->offset : s->job.image_size;
	b->front = 0;
}

/* What is complete at the front is read back while the rest comes. */
static void allow_readback(struct stage *s, struct batch *b)
{
	if (b->next && writer_is_past(s->writer, b->mark)) {
		readback_allow(s->readback, b->next);
		b->allowed = b->next;
		b->next = 0;
	}
	b->front = plan_next(&b->plan, b->front);
	if (b->next || b->front == b->plan.n)
		return;
	uint64_t front = plan_piece(&b->plan, b->front)->offset;
	if (front > b->end)
		front = b->end;
	if (front < b->allowed + READBACK_STEP)
		return;
	b->next = front;
	b->mark = writer_mark(s->writer);
}

/* Pieces first to end, in order: big writes. OK also when a stream ended too early. */
static enum ef_reason take_pieces(struct stage *s, struct batch *b, size_t first, size_t end)
{
	struct plan *p = &b->plan;

	for (size_t i = first; i < end; i++) {
		if (p->have[i] == PLAN_THERE)
			continue;
		const struct chunk *c = plan_piece(p, i);
		if (c->pack_size == 0) {
			if (write_zeros(s, c))
				return s->e->reason;
			plan_there(p, i);
		} else if (p->have[i] == PLAN_SEED) {
			if (take_seed(s, b, i))
				return s->e->reason;
		} else if (p->have[i] == PLAN_TWIN) {
			if (take_twin(s, b, i))
				return s->e->reason;
		} else if (take_fetched(s, b, i) <= 0) {
			return s->e->reason;
		}
		allow_readback(s, b);
		stage_tell(s, JOB_WRITING, s->groups.done + p->done);
	}
	return EF_REASON_OK;
}

/* Pieces first to end, n ranges of which were asked for, and with the last of them leaves of the
 * next batch. */
static enum ef_reason take_answer(
	struct stage *s, struct batch *b, size_t n, size_t first, size_t end, size_t ahead)
{
	enum ef_reason reason = take_pieces(s, b, first, end);

	if (!reason && ahead && plan_next(&b->plan, 0) == b->plan.n)
		b->ahead = ahead;
	else if (n > 0)
		ef_close(s->intake.fd);
	return reason;
}

static enum ef_reason fetch_chunks(struct stage *s, struct batch *b)
{
	struct plan *p = &b->plan;
	const uint64_t gap = plan_gap(p);
	size_t first, end;

	while ((first = plan_next(p, 0)) < p->n) {
		uint64_t before = p->done;

		b->counted_failed = false;
		plan_mark_twins(p);
		size_t n = plan_ranges(p, first, gap, b->ranges, IPC_RANGES_MAX, &end), chunks = n;
		size_t ahead = n > 0 && end == p->n ? add_leaves(s, b, &n) : 0;
		if (n > 0 && ask(s, b->ranges, n))
			return s->e->reason;
		if (take_answer(s, b, n, first, end, n > chunks ? ahead : 0))
			return s->e->reason;
		if (p->done == before && !b->counted_failed)
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
		if (stage_copy_one(s, &s->groups, b->groups[i]))
			return s->e->reason;
	return EF_REASON_OK;
}

static enum ef_reason run_batch(struct stage *s, struct batch *b)
{
	enum ef_reason reason;

	int r = plan_open(&b->plan, b->chunks, sizeof(*b->chunks), b->n);
	b->kept = calloc(b->n, sizeof(struct kept *));
	choose_end(s, b);
	reason = r < 0 || !b->kept ? error_errno(s->e, -ENOMEM, "plan") : look_chunks(s, &b->plan);
	if (!reason)
		reason = fetch_chunks(s, b);
	for (size_t i = 0; b->kept && i < b->n; i++)
		if (b->kept[i])
			forget(b, &b->kept[i]);
	free(b->kept);
	plan_close(&b->plan);
	return reason ? reason : settle_groups(s, b);
}

/*
 * Reading and hashing all that lacks, chunk by chunk, only pays where some of it may be there. Who
 * has been at work on this image before got there from the front, so if it left no whole group, it
 * left no chunk behind the first few that lack.
 */
static void choose_look_end(struct stage *s)
{
	if (s->empty)
		return;
	size_t at = next_lacking(s, 0);

	for (size_t i = 1; i < LOOK_GROUPS; i++)
		at = next_lacking(s, at + 1);
	if (s->look_end == 0)
		s->look_end = at < s->groups.n ? plan_piece(&s->groups, at)->offset : UINT64_MAX;
}

enum ef_reason stage_fetch(struct stage *s)
{
	_cleanup_free_ struct batch *b = calloc(1, sizeof(*b));
	enum ef_reason reason = EF_REASON_OK;

	if (!b)
		return error_errno(s->e, -ENOMEM, "ranges");
	choose_look_end(s);
	stage_tell(s, JOB_WRITING, s->groups.done);
	while (!reason && next_lacking(s, b->first) < s->groups.n) {
		b->n_groups = b->n = 0;
		reason = fetch_leaves(s, b);
		if (!reason && b->n_groups > 0)
			reason = run_batch(s, b);
	}
	if (b->ahead)
		ef_close(s->intake.fd);
	free(b->chunks);
	if (!reason && s->groups.done != s->job.image_size)
		error_set(s->e, EF_REASON_SLOT_READ_BACK, "%s: not what was written to it",
			s->target.path);
	return s->e->reason;
}
