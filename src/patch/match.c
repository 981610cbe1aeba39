/* SPDX-License-Identifier: Apache-2.0 */
#include "patch/internal.h"
#include <divsufsort.h>
#include <stdlib.h>
#include <string.h>

#define ENOUGH 64u /* a match that is not looked for anew one byte further */
#define CHAIN 64u
#define HASH_BITS 16u

static uint32_t extend(
	const uint8_t *a, uint32_t a_size, const uint8_t *b, uint32_t b_size, uint32_t n)
{
	while (n < a_size && n < b_size && a[n] == b[n])
		n++;
	return n;
}

static struct match search(
	const int32_t *sa, const struct images *im, uint32_t i, struct match best)
{
	const uint8_t *old = im->neutral_old, *new = im->neutral_new + i;
	uint32_t lo = 0, hi = im->old_size, below = 0, above = 0, left = im->new_size - i;

	while (lo < hi) {
		uint32_t middle = lo + (hi - lo) / 2, p = (uint32_t)sa[middle];
		uint32_t n =
			extend(old + p, im->old_size - p, new, left, below < above ? below : above);

		if (n > best.size)
			best = (struct match){p, n};
		if (n == left)
			break;
		if (p + n < im->old_size && old[p + n] > new[n]) {
			hi = middle;
			above = n;
		} else {
			lo = middle + 1;
			below = n;
		}
	}
	return best;
}

struct match *match_old(const struct images *im)
{
	struct match *m = calloc((size_t)im->new_size + 1, sizeof(*m));
	int32_t *sa = calloc((size_t)im->old_size + 1, sizeof(*sa));

	if (!m || !sa ||
		(im->old_size && divsufsort(im->neutral_old, sa, (int32_t)im->old_size) != 0)) {
		free(m);
		free(sa);
		return NULL;
	}
	for (uint32_t i = 0; i < im->new_size; i++) {
		struct match best = {0, 0};

		if (i && m[i - 1].size > 1)
			best = (struct match){m[i - 1].at + 1, m[i - 1].size - 1};
		m[i] = best.size >= ENOUGH ? best : search(sa, im, i, best);
	}
	free(sa);
	return m;
}

static uint32_t hash(const uint8_t *p)
{
	return ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
		       (uint32_t)p[3] << 24) *
		       2654435761u >>
	       (32 - HASH_BITS);
}

/* In the new image itself, far enough behind. */
struct match *match_self(const struct images *im)
{
	const uint8_t *new = im->new;
	uint32_t size = im->new_size;
	struct match *m = calloc((size_t)size + 1, sizeof(*m));
	uint32_t *head = calloc(1u << HASH_BITS, sizeof(*head));
	uint32_t *before = calloc((size_t)size + 1, sizeof(*before)); /* both of index + 1 */

	for (uint32_t i = EF_PATCH_FAR; m && head && before && i + 4 <= size; i++) {
		uint32_t q = i - EF_PATCH_FAR, h = hash(new + q), tries = CHAIN;

		before[q] = head[h];
		head[h] = q + 1;
		if (m[i - 1].size > ENOUGH) {
			m[i] = (struct match){m[i - 1].at + 1, m[i - 1].size - 1};
			continue;
		}
		for (q = head[hash(new + i)]; q && tries--; q = before[q - 1]) {
			uint32_t n = extend(new + q - 1, size, new + i, size - i, 0);

			if (n > m[i].size)
				m[i] = (struct match){q - 1, n};
		}
	}
	if (!head || !before) {
		free(m);
		m = NULL;
	}
	free(head);
	free(before);
	return m;
}
