/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cheapest alignment by dynamic programming over the new image: at each byte the alignments
 * that are still worth while, each with the cost of the best way to it. A way is written down only
 * when another branches off it, which keeps the whole in memory.
 */
#include "patch/internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STATES 160u
#define MARGIN (60 * COST_BIT) /* what is so much worse than the best is given up */
#define LEAST_OLD 6u	       /* bytes of a match that begins a state */
#define LEAST_SELF 5u
#define NO_DELTA INT32_MAX /* of literals */

struct node {
	uint32_t at;
	int32_t delta, parent;
};

struct state {
	int32_t delta, cost; /* from - to */
	uint32_t at;	     /* begun */
	int32_t parent, node;
	uint32_t run;
	uint8_t pos, size, hit, address;
	uint8_t bytes[EF_PATCH_AHEAD];
};

struct table {
	const struct images *im;
	const struct ef_patch *s;
	const struct costs *c;
	bool predicted;
	struct node *nodes;
	int32_t n_nodes, room;
	unsigned n;
	bool failed;
	struct state st[STATES + 3];
};

static int32_t branch(struct table *t, struct state *from)
{
	if (from->node >= 0)
		return from->node;
	if (t->n_nodes == t->room) {
		int32_t room = t->room ? t->room * 2 : 4096;
		struct node *nodes = realloc(t->nodes, sizeof(*nodes) * (size_t)room);

		if (!nodes) {
			t->failed = true;
			return -1;
		}
		t->nodes = nodes;
		t->room = room;
	}
	t->nodes[t->n_nodes] = (struct node){from->at, from->delta, from->parent};
	return from->node = t->n_nodes++;
}

static bool is_self(const struct table *t, const struct state *st)
{
	return (int64_t)st->at + st->delta >= (int64_t)t->im->old_size;
}

static int32_t jump_cost(const struct costs *c, int32_t a, int32_t b)
{
	uint32_t d = a > b ? (uint32_t)a - (uint32_t)b : (uint32_t)b - (uint32_t)a;
	unsigned bits = 0;

	if (a == NO_DELTA || b == NO_DELTA)
		bits = 6;
	else
		for (d++; d > 1 && bits < 16; d >>= 1)
			bits++;
	return c->jump + COST_BIT * (int32_t)bits;
}

static void enter(struct table *t, struct state *from, int32_t delta, int32_t cost, uint32_t i)
{
	struct state *to = NULL;

	for (unsigned k = 0; k < t->n; k++)
		if (t->st[k].delta == delta)
			to = &t->st[k];
	if (to && to->cost <= cost)
		return;
	if (!to) {
		if (t->n >= STATES && delta != NO_DELTA)
			return;
		to = &t->st[t->n++];
	}
	*to = (struct state){
		.delta = delta, .cost = cost, .at = i, .parent = branch(t, from), .node = -1};
}

/* From the best state to each other one, and to those that begin here. */
static void changes(struct table *t, uint32_t i, const struct match *old, const struct match *self)
{
	struct state *best = &t->st[0];

	for (unsigned k = 1; k < t->n; k++)
		if (t->st[k].cost < best->cost)
			best = &t->st[k];
	int32_t cost = best->cost, was = best->delta;

	if (was == NO_DELTA && best->parent >= 0)
		was = t->nodes[best->parent].delta;
	if (best->delta != NO_DELTA)
		enter(t, best, NO_DELTA, cost + t->c->literals, i);
	for (unsigned k = 0; k < t->n; k++) {
		struct state *to = &t->st[k];
		int32_t d = to->delta;

		if (to == best || d == NO_DELTA || is_self(t, to))
			continue;
		int32_t c = cost + jump_cost(t->c, was, d);
		if (c < to->cost)
			*to = (struct state){.delta = d,
				.cost = c,
				.at = i,
				.parent = branch(t, best),
				.node = -1};
	}
	if (old->size >= LEAST_OLD) {
		int32_t d = (int32_t)(old->at - i);

		enter(t, best, d, cost + jump_cost(t->c, was, d), i);
	}
	if (self->size >= LEAST_SELF && self->size > old->size)
		enter(t, best, (int32_t)(t->im->old_size + self->at - i), cost + t->c->self, i);
}

/* The state's next unit. */
static void unit(struct table *t, struct state *st, uint32_t i)
{
	const struct images *im = t->im;
	uint32_t from = i + (uint32_t)st->delta;
	bool self = from >= im->old_size;
	const uint8_t *target = im->new + i;
	unsigned run = costs_run(st->run);

	st->address = 0;
	if (t->predicted) {
		struct patch_unit u;

		memcpy(u.bytes, self ? im->new + (from - im->old_size) : im->old + from,
			EF_PATCH_AHEAD);
		patch_predict(t->s, i, from, &u);
		memcpy(st->bytes, u.bytes, sizeof(u.bytes));
		st->size = u.size;
		st->address = u.kind >= PATCH_BRANCH;
	} else {
		memcpy(st->bytes,
			self ? im->neutral_new + (from - im->old_size) : im->neutral_old + from, 2);
		st->size = 2;
		target = im->neutral_new + i;
	}
	uint32_t size = st->size < im->new_size - i ? st->size : im->new_size - i;
	st->pos = 0;
	st->hit = memcmp(st->bytes, target, size) == 0;
	st->cost += st->hit ? t->c->hit[run] : t->c->miss[st->address][run];
	st->run = st->hit ? st->run + 1 : 0;
}

/* Over one byte; false when the state ends there. */
static bool pass(struct table *t, struct state *st, uint32_t i)
{
	const struct images *im = t->im;
	uint8_t is = t->predicted ? im->new[i] : im->neutral_new[i];

	if (st->delta == NO_DELTA) {
		st->cost += t->c->literal[im->new[i]];
		return true;
	}
	int64_t from = (int64_t)i + st->delta;
	if (is_self(t, st) ? from - im->old_size + EF_PATCH_FAR > i
			   : from < 0 || from >= im->old_size)
		return false;
	if (st->pos >= st->size)
		unit(t, st, i);
	uint8_t d = (uint8_t)(is - st->bytes[st->pos++]);
	if (!st->hit)
		st->cost += d ? t->c->difference[st->address][d] : t->c->same[st->address];
	return true;
}

static void prune(struct table *t)
{
	int32_t low = INT32_MAX, margin = t->n > STATES * 3 / 4 ? MARGIN / 2 : MARGIN;
	unsigned n = 0;

	for (unsigned k = 0; k < t->n; k++)
		if (t->st[k].cost < low)
			low = t->st[k].cost;
	for (unsigned k = 0; k < t->n; k++) {
		if (t->st[k].cost >= low + margin && t->st[k].delta != NO_DELTA)
			continue;
		t->st[n] = t->st[k];
		t->st[n++].cost -= low;
	}
	t->n = n;
}

/* Back along the best way. */
static int trace(struct table *t, struct alignment *a)
{
	struct state *best = &t->st[0];
	uint32_t n = 0, end = t->im->new_size;

	for (unsigned k = 1; k < t->n; k++)
		if (t->st[k].cost < best->cost)
			best = &t->st[k];
	int32_t last = branch(t, best);
	if (t->failed)
		return -ENOMEM;
	for (int32_t x = last; x >= 0; x = t->nodes[x].parent)
		n++;
	free(a->list);
	a->n = 0;
	a->list = calloc((size_t)n + 1, sizeof(*a->list));
	if (!a->list)
		return -ENOMEM;
	for (int32_t x = last; x >= 0; x = t->nodes[x].parent) {
		const struct node *g = &t->nodes[x];

		if (g->at < end && g->delta != NO_DELTA)
			a->list[a->n++] = (struct ef_patch_segment){
				g->at, g->at + (uint32_t)g->delta, end - g->at};
		if (g->at < end)
			end = g->at;
	}
	for (uint32_t k = 0; k < a->n / 2; k++) {
		struct ef_patch_segment g = a->list[k];

		a->list[k] = a->list[a->n - 1 - k];
		a->list[a->n - 1 - k] = g;
	}
	return 0;
}

int align(const struct images *im, const struct ef_patch *s, const struct costs *c, bool predicted,
	const struct match *old, const struct match *self, struct alignment *a)
{
	struct table *t = calloc(1, sizeof(*t));
	int r = -ENOMEM;

	if (!t)
		return r;
	t->im = im;
	t->s = s;
	t->c = c;
	t->predicted = predicted;
	t->n = 1;
	t->st[0] = (struct state){.delta = NO_DELTA, .parent = -1, .node = -1};
	for (uint32_t i = 0; i < im->new_size && !t->failed; i++) {
		unsigned n = 0;

		changes(t, i, &old[i], &self[i]);
		for (unsigned k = 0; k < t->n; k++)
			if (pass(t, &t->st[k], i))
				t->st[n++] = t->st[k];
		t->n = n;
		prune(t);
	}
	r = trace(t, a);
	free(t->nodes);
	free(t);
	return r;
}
