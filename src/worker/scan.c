/* SPDX-License-Identifier: Apache-2.0 */
/* What is there already: in the target, from an attempt that was cut off, and in the running slot.
 */
#include "util/cleanup.h"
#include "worker/stage-internal.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define WINDOW ((size_t)CUT_WINDOW / 2 * 3)

bool stage_is_hole(struct stage *s, uint64_t offset, uint64_t size)
{
	if (offset < s->hole || offset >= s->data) {
		s->hole = offset;
		s->data = target_skip_hole(&s->target, offset);
	}
	return size <= s->data - offset;
}

/* Bytes of c that are zeros and need not be copied to know it: a slot may hold nothing else. */
static uint32_t zeros_of(struct stage *s, const struct chunk *c)
{
	uint32_t done = 0;
	const uint8_t *data;
	size_t n;

	while (done < c->size && reader_peek(s->reader, c->offset + done, &data, &n) > 0) {
		n = n < c->size - done ? n : c->size - done;
		if (!stage_all_zero(data, n))
			break;
		done += (uint32_t)n;
	}
	return done;
}

bool stage_look(struct stage *s, const struct chunk *c, bool *zero)
{
	*zero = stage_is_hole(s, c->offset, c->size);
	if (*zero)
		return false;
	s->empty = false;
	uint32_t zeros = zeros_of(s, c), rest = c->size - zeros;
	*zero = rest == 0;
	if (*zero)
		return false;
	memset(s->out, 0, zeros);
	/* A block that cannot be read may well take a write. */
	if (reader_read(s->reader, s->out + zeros, rest, c->offset + zeros) == (ssize_t)rest)
		return true;
	if (target_read(&s->target, s->out, c->size, c->offset) < 0)
		return false;
	*zero = stage_all_zero(s->out, c->size);
	return !*zero;
}

enum ef_reason stage_write_equal(
	struct stage *s, struct plan *p, size_t n, const uint8_t *data, const uint8_t *digest)
{
	size_t count;
	const uint32_t *equal = plan_equal(p, n, &count);

	for (size_t i = 0; i < count; i++) {
		const struct chunk *c = plan_piece(p, equal[i]);
		if (p->have[equal[i]] == PLAN_THERE)
			continue;
		uint8_t *room = writer_room(s->writer, c->offset, c->size, s->e);
		if (!room)
			return s->e->reason;
		memcpy(room, data, c->size);
		writer_put(s->writer, digest);
		plan_there(p, equal[i]);
		data = room; /* which the next call of writer_room leaves alone */
	}
	return EF_REASON_OK;
}

enum ef_reason stage_copy_one(struct stage *s, struct plan *p, size_t n)
{
	const struct chunk *c = plan_piece(p, n);
	size_t count, lacking = 0;
	const uint32_t *equal = plan_equal(p, n, &count);

	for (size_t i = 0; i < count; i++)
		lacking += p->have[equal[i]] != PLAN_THERE;
	if (lacking == 0)
		return EF_REASON_OK;
	if (writer_flush(s->writer, s->e))
		return s->e->reason;
	if (target_read(&s->target, s->out, c->size, c->offset) < 0 ||
		!codec_matches(&s->codec, s->out, c->size, c->digest))
		return EF_REASON_OK;
	return stage_write_equal(s, p, n, s->out, NULL);
}

enum ef_reason stage_copy_within(struct stage *s, struct plan *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (p->have[i] == PLAN_THERE && plan_piece(p, i)->pack_size &&
			stage_copy_one(s, p, i))
			return s->e->reason;
	return EF_REASON_OK;
}

/* Zeros can be more than a block. Where the first thing is found that is none, all from there on
 * are made: cheaper than to look for the next. */
static enum ef_reason settle_zeros(struct stage *s, const struct chunk *c)
{
	struct chunk part = {.offset = c->offset};
	bool zero = true;

	for (uint64_t end = c->offset + c->size; zero; part.offset += part.size) {
		part.offset = target_skip_hole(&s->target, part.offset);
		if (part.offset >= end)
			break;
		uint64_t rest = end - part.offset;
		part.size = rest < STAGE_BLOCK ? (uint32_t)rest : STAGE_BLOCK;
		int r = control_check(s->control);
		if (r < 0)
			return stage_stopped(s, r);
		stage_look(s, &part, &zero);
		if (!zero && writer_zero(s->writer, part.offset, rest, s->e))
			return s->e->reason;
	}
	return EF_REASON_OK;
}

static enum ef_reason scan_target(struct stage *s)
{
	bool zero;

	s->empty = true;
	if (stage_go_through(s, target_past_cache(&s->target)))
		return s->e->reason;
	for (size_t i = 0; i < s->groups.n; i++) {
		const struct chunk *c = plan_piece(&s->groups, i);
		int r = control_check(s->control);
		if (r < 0)
			return stage_stopped(s, r);
		stage_tell(s, JOB_SCANNING, c->offset);
		if (c->pack_size == 0) {
			if (settle_zeros(s, c))
				return s->e->reason;
		} else if (!stage_look(s, c, &zero) ||
			   !codec_matches(&s->codec, s->out, c->size, c->digest)) {
			continue;
		} else {
			s->look_end = UINT64_MAX;
		}
		plan_there(&s->groups, i);
	}
	return stage_copy_within(s, &s->groups);
}

/* A group of the running slot as it is cut there: wanted as a whole, or its chunks may be. */
static enum ef_reason take_seed(
	struct stage *s, const struct cut_group *g, const uint8_t *data, uint64_t offset)
{
	struct chunk like = {.size = g->size};
	size_t count;

	if (g->zero)
		return EF_REASON_OK;
	if (!codec_digest(&s->codec, data, g->size, like.digest))
		return error_set(s->e, EF_REASON_INTERNAL, "SHA-256");
	const uint32_t *equal = plan_find(&s->groups, &like, &count);
	if (count > 0)
		return stage_write_equal(s, &s->groups, equal[0], data, NULL);
	for (size_t i = 0; i < g->n; i++) {
		const struct cut_piece *x = &g->pieces[i];
		if (!x->zero && !codec_digest(&s->codec, data, x->size, like.digest))
			return error_set(s->e, EF_REASON_INTERNAL, "SHA-256");
		if (!x->zero && seeds_add(&s->seeds, like.digest, offset, x->size) < 0)
			return error_errno(s->e, -ENOMEM, "seeds");
		data += x->size;
		offset += x->size;
	}
	return EF_REASON_OK;
}

struct window {
	uint8_t *data;
	size_t from, to;
	uint64_t offset; /* of from, in the slot */
	bool end;
};

/* As much as a group may need. What cannot be read is no seed, and ends the search. */
static void fill(struct window *w, struct reader *r)
{
	if (w->end || w->to - w->from >= CUT_WINDOW)
		return;
	memmove(w->data, w->data + w->from, w->to - w->from);
	w->to -= w->from;
	w->from = 0;
	size_t room = WINDOW - w->to;
	ssize_t n = reader_read(r, w->data + w->to, room, w->offset + w->to);
	w->end = n < (ssize_t)room;
	w->to += n > 0 ? (size_t)n : 0;
}

/* Holes of a file are not read. */
static void skip_hole(struct window *w, int fd)
{
	off_t data = w->from == w->to ? lseek(fd, (off_t)w->offset, SEEK_DATA) : -1;

	if (data > (off_t)w->offset)
		w->offset = (uint64_t)data;
}

static enum ef_reason scan_running(struct stage *s)
{
	_cleanup_free_ struct cut_group *g = malloc(sizeof(*g));
	_cleanup_free_ uint8_t *data = malloc(WINDOW);
	struct window w = {.data = data};

	if (!g || !data)
		return error_errno(s->e, -ENOMEM, "seeds");
	if (stage_go_through(s, s->running_direct >= 0 ? s->running_direct : s->running))
		return s->e->reason;
	for (;;) {
		skip_hole(&w, s->running);
		fill(&w, s->reader);
		if (w.from == w.to)
			break;
		int r = control_check(s->control);
		if (r < 0)
			return stage_stopped(s, r);
		stage_tell(s, JOB_WRITING, s->groups.done);
		cut_group(&s->index->cut, data + w.from, w.to - w.from, w.offset, g);
		if (take_seed(s, g, data + w.from, w.offset))
			return s->e->reason;
		w.from += g->size;
		w.offset += g->size;
	}
	seeds_sort(&s->seeds);
	return stage_go_through(s, -1);
}

enum ef_reason stage_scan(struct stage *s)
{
	if (scan_target(s))
		return s->e->reason;
	if (s->running >= 0 && s->groups.done < s->job.image_size && cut_known(&s->index->cut) &&
		scan_running(s))
		return s->e->reason;
	plan_mark_twins(&s->groups);
	return EF_REASON_OK;
}
