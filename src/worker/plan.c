/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/plan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

const struct chunk *plan_piece(const struct plan *p, size_t n)
{
	return (const struct chunk *)(const void *)(p->first + n * p->stride);
}

/* By what is in the piece only. */
static int compare_content(const struct chunk *x, const struct chunk *y)
{
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return memcmp(x->digest, y->digest, sizeof(x->digest));
}

static int compare(const void *a, const void *b, void *ctx)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int r = compare_content(plan_piece(ctx, x), plan_piece(ctx, y));

	return r ? r : (x > y) - (x < y);
}

int plan_open(struct plan *p, const struct chunk *first, size_t stride, size_t n)
{
	*p = (struct plan){
		.first = (const char *)first,
		.stride = stride,
		.n = n,
		.have = calloc(n, sizeof(*p->have)),
		.by_digest = calloc(n, sizeof(*p->by_digest)),
		.rank = calloc(n, sizeof(*p->rank)),
	};
	if (!p->have || !p->by_digest || !p->rank)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		p->by_digest[i] = (uint32_t)i;
	qsort_r(p->by_digest, n, sizeof(*p->by_digest), compare, p);
	for (size_t i = 0, equal = 0; i < n; i++) {
		const struct chunk *c = plan_piece(p, p->by_digest[i]);
		if (compare_content(c, plan_piece(p, p->by_digest[equal])) != 0)
			equal = i;
		p->rank[p->by_digest[i]] = (uint32_t)equal;
	}
	return 0;
}

void plan_close(struct plan *p)
{
	free(p->have);
	free(p->by_digest);
	free(p->rank);
	*p = (struct plan){0};
}

void plan_there(struct plan *p, size_t n)
{
	if (p->have[n] == PLAN_THERE)
		return;
	p->have[n] = PLAN_THERE;
	p->done += plan_piece(p, n)->size;
}

/* Those that stand at place first of the order and behind. */
static const uint32_t *equals(const struct plan *p, size_t first, size_t *count)
{
	size_t end = first;

	while (end < p->n && p->rank[p->by_digest[end]] == first)
		end++;
	*count = end - first;
	return p->by_digest + first;
}

const uint32_t *plan_find(const struct plan *p, const struct chunk *like, size_t *count)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare_content(plan_piece(p, p->by_digest[middle]), like) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < p->n && compare_content(plan_piece(p, p->by_digest[low]), like) == 0)
		return equals(p, low, count);
	*count = 0;
	return p->by_digest;
}

const uint32_t *plan_equal(const struct plan *p, size_t n, size_t *count)
{
	return equals(p, p->rank[n], count);
}

/* To be fetched. */
static bool lacking(const struct plan *p, size_t n)
{
	return p->have[n] == PLAN_LACKING && plan_piece(p, n)->pack_size > 0;
}

void plan_mark_twins(struct plan *p)
{
	const uint32_t *order = p->by_digest;

	for (size_t i = 1, first = 0; i < p->n; i++) {
		if (compare_content(plan_piece(p, order[i]), plan_piece(p, order[first])) != 0 ||
			p->have[order[first]] == PLAN_THERE)
			first = i;
		else if (lacking(p, order[i]))
			p->have[order[i]] = PLAN_TWIN;
	}
}

bool plan_add_range(struct ipc_range *ranges, size_t *n, size_t max, uint64_t gap, uint64_t offset,
	uint64_t size)
{
	struct ipc_range *last = *n ? &ranges[*n - 1] : NULL;

	if (last && offset - (last->offset + last->size) <= gap) {
		last->size = offset + size - last->offset;
		return true;
	}
	if (*n == max)
		return false;
	ranges[(*n)++] = (struct ipc_range){offset, size};
	return true;
}

size_t plan_next(const struct plan *p, size_t first)
{
	while (first < p->n && p->have[first] == PLAN_THERE)
		first++;
	return first;
}

size_t plan_ranges(const struct plan *p, size_t first, uint64_t gap, struct ipc_range *ranges,
	size_t max, size_t *end)
{
	size_t n = 0, i;

	for (i = first; i < p->n; i++) {
		const struct chunk *c = plan_piece(p, i);

		if (lacking(p, i) &&
			!plan_add_range(ranges, &n, max, gap, c->pack_offset, c->pack_size))
			break;
	}
	*end = i;
	return n;
}

static size_t count_ranges(const struct plan *p, uint64_t gap)
{
	uint64_t end = 0;
	size_t n = 0;

	for (size_t i = 0; i < p->n; i++) {
		const struct chunk *c = plan_piece(p, i);
		if (!lacking(p, i))
			continue;
		n += n == 0 || c->pack_offset - end > gap;
		end = c->pack_offset + c->pack_size;
	}
	return n;
}

uint64_t plan_gap(const struct plan *p)
{
	uint64_t gap = PLAN_GAP_MIN;

	while (gap < PLAN_GAP_MAX && count_ranges(p, gap) > PLAN_RANGES_WANTED)
		gap *= 2;
	return gap;
}
