/* SPDX-License-Identifier: Apache-2.0 */
#include "patch/patch-internal.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define NONE INT32_MAX	/* delta of a literal */
#ifndef STATES
#define STATES 160
#endif
#ifndef MARGIN
#define MARGIN 60
#endif
#ifndef MINMATCH
#define MINMATCH 6
#endif

struct node {
	int32_t at, delta, parent;
};
struct state {
	int32_t delta, cost;
	int32_t at, parent, node;	/* node: made when another branched off */
	uint8_t run, pos, size, hit, code;
	bool self;
	uint8_t bytes[PATCH_AHEAD];
};

static unsigned lg(uint32_t x)
{
	return x ? 31 - (unsigned)__builtin_clz(x) : 0;
}

static int jump(const struct costs *c, int32_t a, int32_t b)
{
	unsigned l = a == NONE || b == NONE ? 6 : lg((uint32_t)abs(a - b) + 1);
	return c->jump + 64 * (int)(l > 16 ? 16 : l);
}

int align(const struct images *im, const struct ef_patch_state *s, const uint8_t *no, const uint8_t *nn, bool predicted,
	const struct match *old, const struct match *self, const struct costs *c, struct alignment *ret)
{
	struct state st[STATES + 2];
	unsigned n = 1;
	struct node *nodes = NULL;
	int32_t n_nodes = 0, cap = 0;

	const uint8_t *target = predicted ? im->new : nn;
	st[0] = (struct state){.delta = NONE, .parent = -1, .node = -1};
	for (int32_t i = 0; i < (int32_t)im->new_size; i++) {
		unsigned b = 0;
		for (unsigned k = 1; k < n; k++)
			if (st[k].cost < st[b].cost)
				b = k;
		struct state best = st[b];
		/* the node of best, when someone enters from it */
#define NODE() ({ if (st[b].node < 0) { if (n_nodes == cap) { cap = cap ? cap * 2 : 4096; nodes = realloc(nodes, sizeof *nodes * (size_t)cap); } nodes[n_nodes] = (struct node){st[b].at, st[b].delta, st[b].parent}; st[b].node = n_nodes++; } st[b].node; })
		int32_t ref = best.delta;
		if (ref == NONE && best.parent >= 0)
			ref = nodes[best.parent].delta;
		bool have_old = false, have_self = false, have_literal = false;
		int32_t old_delta = old[i].len >= MINMATCH ? old[i].pos - i : NONE;
		int32_t self_delta = self && self[i].len >= 5 && self[i].len > old[i].len ? (int32_t)im->old_size + self[i].pos - i : NONE;
		for (unsigned k = 0; k < n; k++) {
			struct state *t = &st[k];
			int32_t enter = INT32_MAX;
			if (t->delta == NONE) {
				have_literal = true;
				enter = best.cost + c->to_literal;
			} else if (t->self) {
				if (t->delta == self_delta) { have_self = true; enter = best.cost + c->self; }
			} else {
				if (t->delta == old_delta) have_old = true;
				enter = best.cost + jump(c, ref, t->delta);
			}
			if (k != b && enter < t->cost) {
				t->cost = enter;
				t->at = i;
				t->parent = NODE();
				t->node = -1;
				t->pos = t->size = 0;
				t->run = 0;
			}
		}
		if (!have_literal)
			st[n++] = (struct state){.delta = NONE, .cost = best.cost + c->to_literal, .at = i, .parent = NODE(), .node = -1};
		if (old_delta != NONE && !have_old && n < STATES)
			st[n++] = (struct state){.delta = old_delta, .cost = best.cost + jump(c, ref, old_delta), .at = i, .parent = NODE(), .node = -1};
		if (self_delta != NONE && !have_self && n < STATES)
			st[n++] = (struct state){.delta = self_delta, .cost = best.cost + c->self, .at = i, .parent = NODE(), .node = -1, .self = true};

		int32_t low = INT32_MAX;
		unsigned m = 0;
		for (unsigned k = 0; k < n; k++) {
			struct state *t = &st[k];
			if (t->delta == NONE) {
				t->cost += c->literal[im->new[i]];
			} else {
				int32_t j = i + t->delta;
				if (j < 0 || (!t->self && j >= (int32_t)im->old_size))
					continue;
				if (t->pos >= t->size) {
					struct patch_unit u;
					const uint8_t *code = t->self ? im->new + j - im->old_size : im->old + j;
					if (predicted) {
						patch_predict(s, (uint32_t)i, (uint32_t)j, code, &u);
						memcpy(t->bytes, u.bytes, sizeof t->bytes);
						t->size = u.size;
					} else {
						t->size = 2;
						memcpy(t->bytes, t->self ? nn + j - im->old_size : no + j, 2);
					}
					t->pos = 0;
					t->code = predicted && u.kind >= PATCH_BRANCH;
					t->hit = !memcmp(t->bytes, target + i, t->size);
					unsigned run = t->run ? lg(t->run) + 1 : 0;
					t->cost += t->hit ? c->hit[run] : c->miss[t->code][run];
					t->run = t->hit ? (t->run < 63 ? t->run + 1 : 63) : 0;
				}
				uint8_t d = (uint8_t)(target[i] - t->bytes[t->pos++]);
				if (!t->hit)
					t->cost += d ? c->diff[t->code][d] : c->same[t->code];
			}
			if (t->cost < low)
				low = t->cost;
			st[m++] = *t;
		}
		n = m;
		int margin = n > STATES * 3 / 4 ? MARGIN * 32 : MARGIN * 64;
		m = 0;
		for (unsigned k = 0; k < n; k++) {
			if (st[k].cost >= low + margin && st[k].delta != NONE)
				continue;
			st[k].cost -= low;
			st[m++] = st[k];
		}
		n = m;
	}
	unsigned b = 0;
	for (unsigned k = 1; k < n; k++)
		if (st[k].cost < st[b].cost)
			b = k;
	uint32_t count = 0, end = im->new_size;
	struct node last = {st[b].at, st[b].delta, st[b].parent};
	for (struct node x = last;; x = nodes[x.parent]) {
		count++;
		if (x.parent < 0)
			break;
	}
	ret->list = realloc(ret->list, sizeof *ret->list * (count + 1));
	ret->n = count;
	uint32_t used = count;
	for (struct node x = last;; x = nodes[x.parent]) {
		if ((uint32_t)x.at < end && x.delta != NONE) {
			ret->list[--used] = (struct ef_patch_segment){(uint32_t)x.at, (uint32_t)(x.at + x.delta), end - (uint32_t)x.at};
		}
		if ((uint32_t)x.at < end)
			end = (uint32_t)x.at;
		if (x.parent < 0)
			break;
	}
	memmove(ret->list, ret->list + used, sizeof *ret->list * (count - used));
	count -= used;
	used = 0;
	for (uint32_t k = 0; k < count; k++) {
		struct ef_patch_segment *p = used ? &ret->list[used - 1] : NULL, *g = &ret->list[k];
		if (p && p->to + p->size == g->to && p->from + p->size == g->from)
			p->size += g->size;
		else
			ret->list[used++] = *g;
	}
	ret->n = used;
	free(nodes);
	return 0;
}
