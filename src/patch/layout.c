/* SPDX-License-Identifier: Apache-2.0 */
/* Which segments of an alignment go into the map, which are inserted in its ranges. */
#include "patch/internal.h"
#include <errno.h>
#include <stdlib.h>

static bool mappable(const struct ef_patch_segment *g, uint32_t least, uint32_t old_size)
{
	return g->size >= least && g->from < old_size;
}

/* Those of at least so many bytes, with what they leave between them when it goes on behind a small
 * gap. */
static uint32_t choose(
	const struct alignment *a, uint32_t least, uint32_t old_size, struct ef_patch_segment *map)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < a->n; k++) {
		const struct ef_patch_segment *g = &a->list[k];
		struct ef_patch_segment *last = n ? &map[n - 1] : NULL;

		if (!mappable(g, least, old_size))
			continue;
		if (last && g->from - last->from == g->to - last->to) {
			uint32_t gap = g->to - (last->to + last->size);

			if (gap <= g->size && gap <= last->size) {
				last->size = g->to + g->size - last->to;
				continue;
			}
		}
		if (n < EF_PATCH_SEGMENTS)
			map[n] = *g;
		else
			return UINT32_MAX;
		n++;
	}
	return n;
}

struct builder {
	struct ef_patch_segment *out;
	uint32_t n;
};

/* [to, end) as literals or by g, as far as the range itself does not say so. */
static void insert(struct builder *b, const struct ef_patch_segment *range, uint32_t to,
	uint32_t end, const struct ef_patch_segment *g)
{
	if (to >= end)
		return;
	struct ef_patch_segment piece = {to, g ? g->from + (to - g->to) : PATCH_LITERALS, end - to};
	if (!g && !range)
		return;
	if (g && range && piece.from - range->from == to - range->to)
		return;
	b->out[b->n++] = piece;
}

/* What the alignment has in a range that is [start, end). */
static void fill_range(const struct alignment *a, uint32_t *k, const struct ef_patch_segment *range,
	uint32_t start, uint32_t end, struct builder *b)
{
	uint32_t at = start;

	while (*k < a->n && at < end) {
		const struct ef_patch_segment *g = &a->list[*k];
		uint32_t g_end = g->to + g->size, to = g->to > at ? g->to : at;

		if (to >= end)
			break;
		insert(b, range, at, to, NULL);
		at = g_end < end ? g_end : end;
		insert(b, range, to, at, g);
		if (g_end > end)
			break;
		++*k;
	}
	insert(b, range, at, end, NULL);
}

int layout_make(const struct alignment *a, uint32_t least, uint32_t old_size, uint32_t new_size,
	struct layout *ret)
{
	struct builder b = {0};
	uint32_t n, at = 0, k = 0;

	*ret = (struct layout){0};
	ret->map = calloc(EF_PATCH_SEGMENTS + 1, sizeof(*ret->map));
	ret->inserts = calloc(2 * (size_t)a->n + 2 * EF_PATCH_SEGMENTS + 2, sizeof(*ret->inserts));
	if (!ret->map || !ret->inserts) {
		layout_free(ret);
		return -ENOMEM;
	}
	while ((n = choose(a, least, old_size, ret->map)) == UINT32_MAX)
		least += least / 8 + 1;
	ret->n_map = n;
	b.out = ret->inserts;
	for (uint32_t m = 0; m < n; m++) {
		const struct ef_patch_segment *g = &ret->map[m];

		fill_range(a, &k, NULL, at, g->to, &b);
		at = g->to + g->size;
		fill_range(a, &k, g, g->to, at, &b);
	}
	fill_range(a, &k, NULL, at, new_size, &b);
	ret->n_inserts = b.n;
	return 0;
}

void layout_free(struct layout *l)
{
	free(l->map);
	free(l->inserts);
	*l = (struct layout){0};
}
