/* SPDX-License-Identifier: Apache-2.0 */
/* What is there already: in the target, from an attempt that was cut off, and in the running slot.
 */
#include "util/cleanup.h"
#include "util/fdio.h"
#include "worker/stage-internal.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

#define WINDOW ((size_t)2 * CUT_WINDOW)

bool stage_look(struct stage *s, const struct chunk *c, bool *zero)
{
	*zero = target_skip_hole(&s->target, c->offset) >= c->offset + c->size;
	if (*zero)
		return false;
	/* A block that cannot be read may well take a write. */
	if (target_read(&s->target, s->out, c->size, c->offset) < 0)
		return false;
	*zero = stage_all_zero(s->out, c->size);
	return !*zero;
}

enum ef_reason stage_write_equal(struct stage *s, struct plan *p, size_t n, const uint8_t *data)
{
	size_t count;
	const uint32_t *equal = plan_equal(p, n, &count);

	for (size_t i = 0; i < count; i++) {
		const struct chunk *c = plan_piece(p, equal[i]);
		if (p->have[equal[i]] == PLAN_THERE)
			continue;
		if (target_write(&s->target, data, c->size, c->offset, s->e))
			return s->e->reason;
		plan_there(p, equal[i]);
	}
	return EF_REASON_OK;
}

enum ef_reason stage_copy_within(struct stage *s, struct plan *p, size_t n)
{
	const struct chunk *c = plan_piece(p, n);
	size_t count, lacking = 0;
	const uint32_t *equal = plan_equal(p, n, &count);

	for (size_t i = 0; i < count; i++)
		lacking += p->have[equal[i]] != PLAN_THERE;
	if (lacking == 0 || target_read(&s->target, s->out, c->size, c->offset) < 0 ||
		!codec_matches(&s->codec, s->out, c->size, c->digest))
		return EF_REASON_OK;
	return stage_write_equal(s, p, n, s->out);
}

/* Zeros can be more than a block. */
static enum ef_reason settle_zeros(struct stage *s, const struct chunk *c)
{
	for (uint64_t at = c->offset, end = at + c->size; at < end;) {
		struct chunk part = {.offset = at, .size = STAGE_BLOCK};
		bool zero;

		at = target_skip_hole(&s->target, at);
		if (at >= end)
			break;
		part.offset = at;
		if (part.size > end - at)
			part.size = (uint32_t)(end - at);
		int r = control_check(s->control);
		if (r < 0)
			return stage_stopped(s, r);
		stage_look(s, &part, &zero);
		if (!zero && target_zero(&s->target, at, part.size, s->e))
			return s->e->reason;
		at += part.size;
	}
	return EF_REASON_OK;
}

static enum ef_reason scan_target(struct stage *s)
{
	bool zero;

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
		}
		plan_there(&s->groups, i);
	}
	for (size_t i = 0; i < s->groups.n; i++)
		if (s->groups.have[i] == PLAN_THERE && plan_piece(&s->groups, i)->pack_size &&
			stage_copy_within(s, &s->groups, i))
			return s->e->reason;
	return EF_REASON_OK;
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
		return stage_write_equal(s, &s->groups, equal[0], data);
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
static void fill(struct window *w, int fd)
{
	if (w->end || w->to - w->from >= CUT_WINDOW)
		return;
	memmove(w->data, w->data + w->from, w->to - w->from);
	w->to -= w->from;
	w->from = 0;
	while (w->to < WINDOW && !w->end) {
		ssize_t n = pread(fd, w->data + w->to, WINDOW - w->to, (off_t)(w->offset + w->to));
		if (n < 0 && errno == EINTR)
			continue;
		w->end = n <= 0;
		w->to += n > 0 ? (size_t)n : 0;
	}
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
	for (;;) {
		skip_hole(&w, s->running);
		fill(&w, s->running);
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
	return EF_REASON_OK;
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
