/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/plan.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* By what is in the chunk only. */
static int compare_content(const struct chunk *x, const struct chunk *y)
{
	if (x->size != y->size)
		return x->size < y->size ? -1 : 1;
	return memcmp(x->digest, y->digest, sizeof(x->digest));
}

static int compare(const void *a, const void *b, void *ctx)
{
	const struct chunk *chunks = ctx;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int r = compare_content(&chunks[x], &chunks[y]);

	return r ? r : (x > y) - (x < y);
}

int plan_open(struct plan *p, const struct chunk_index *x)
{
	*p = (struct plan){
		.index = x,
		.have = calloc(x->n_chunks, sizeof(*p->have)),
		.by_digest = calloc(x->n_chunks, sizeof(*p->by_digest)),
	};
	if (!p->have || !p->by_digest)
		return -ENOMEM;
	for (size_t i = 0; i < x->n_chunks; i++)
		p->by_digest[i] = (uint32_t)i;
	qsort_r(p->by_digest, x->n_chunks, sizeof(*p->by_digest), compare, x->chunks);
	return 0;
}

void plan_close(struct plan *p)
{
	free(p->have);
	free(p->by_digest);
	*p = (struct plan){0};
}

void plan_there(struct plan *p, size_t n)
{
	if (p->have[n] == CHUNK_THERE)
		return;
	p->have[n] = CHUNK_THERE;
	p->done += p->index->chunks[n].size;
}

const uint32_t *plan_equal(const struct plan *p, size_t n, size_t *count)
{
	const struct chunk *chunks = p->index->chunks;
	size_t low = 0, high = p->index->n_chunks;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (compare_content(&chunks[p->by_digest[middle]], &chunks[n]) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (high = low; high < p->index->n_chunks; high++)
		if (compare_content(&chunks[p->by_digest[high]], &chunks[n]) != 0)
			break;
	*count = high - low;
	return p->by_digest + low;
}

void plan_mark_twins(struct plan *p)
{
	const struct chunk *chunks = p->index->chunks;
	const uint32_t *order = p->by_digest;

	for (size_t i = 1, first = 0; i < p->index->n_chunks; i++) {
		if (compare_content(&chunks[order[i]], &chunks[order[first]]) != 0 ||
			p->have[order[first]] == CHUNK_THERE)
			first = i;
		else if (p->have[order[i]] == CHUNK_LACKING)
			p->have[order[i]] = CHUNK_TWIN;
	}
}

size_t plan_ranges(
	const struct plan *p, size_t first, struct ipc_range *ranges, size_t max, size_t *end)
{
	size_t n = 0, i;

	for (i = first; i < p->index->n_chunks; i++) {
		const struct chunk *c = &p->index->chunks[i];
		struct ipc_range *last = n ? &ranges[n - 1] : NULL;

		if (p->have[i] != CHUNK_LACKING)
			continue;
		if (last && c->pack_offset - (last->offset + last->size) <= PLAN_GAP_MAX) {
			last->size = c->pack_offset + c->pack_size - last->offset;
			continue;
		}
		if (n == max)
			break;
		ranges[n++] = (struct ipc_range){c->pack_offset, c->pack_size};
	}
	*end = i;
	return n;
}
