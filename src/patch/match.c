/* SPDX-License-Identifier: Apache-2.0 */
#include "patch/patch-internal.h"
#include <divsufsort.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define ENOUGH 64u

static uint32_t extend(const uint8_t *a, uint32_t an, const uint8_t *b, uint32_t bn, uint32_t l)
{
	while (l < an && l < bn && a[l] == b[l])
		l++;
	return l;
}

int match_old(const uint8_t *old, uint32_t on, const uint8_t *new, uint32_t nn, struct match *ret)
{
	int32_t *sa = malloc(sizeof(*sa) * (on + 1));
	if (!sa)
		return -ENOMEM;
	if (on && divsufsort(old, sa, (int32_t)on) != 0) {
		free(sa);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < nn; i++) {
		uint32_t best = 0, pos = 0;
		if (i && ret[i - 1].len > 1) {
			best = ret[i - 1].len - 1;
			pos = (uint32_t)ret[i - 1].pos + 1;
			if (best >= ENOUGH) {
				ret[i] = (struct match){(int32_t)pos, extend(old + pos, on - pos, new + i, nn - i, best)};
				continue;
			}
		}
		uint32_t lo = 0, hi = on, ll = 0, hl = 0;
		while (lo < hi) {
			uint32_t m = lo + (hi - lo) / 2, p = (uint32_t)sa[m], l = ll < hl ? ll : hl;
			l = extend(old + p, on - p, new + i, nn - i, l);
			if (l > best) {
				best = l;
				pos = p;
			}
			if (i + l >= nn || (p + l < on && old[p + l] > new[i + l])) {
				hi = m;
				hl = l;
			} else {
				lo = m + 1;
				ll = l;
			}
			if (i + l >= nn) break;
		}
		ret[i] = (struct match){(int32_t)pos, best};
	}
	free(sa);
	return 0;
}

#define FAR 264u
void match_self(const uint8_t *new, uint32_t n, struct match *ret)
{
	int32_t *head = malloc(65536 * sizeof *head), *chain = malloc(sizeof *chain * (n + 1));
	memset(head, -1, 65536 * sizeof *head);
	for (uint32_t i = 0; i < n; i++) {
		ret[i] = (struct match){0, 0};
		if (i + 4 > n) continue;
		uint32_t w;
		if (i >= FAR) {
			uint32_t q = i - FAR;
			memcpy(&w, new + q, 4);
			uint32_t h = w * 2654435761u >> 16;
			chain[q] = head[h];
			head[h] = (int32_t)q;
		}
		if (i && ret[i - 1].len > ENOUGH) {
			uint32_t p = (uint32_t)ret[i - 1].pos + 1;
			ret[i] = (struct match){(int32_t)p, ret[i - 1].len - 1};
			continue;
		}
		memcpy(&w, new + i, 4);
		int d = 0;
		for (int32_t q = head[w * 2654435761u >> 16]; q >= 0 && d < 64; q = chain[q], d++) {
			uint32_t l = extend(new + q, i - FAR + 1 - (uint32_t)q, new + i, n - i, 0);
			if (l > ret[i].len)
				ret[i] = (struct match){q, l};
		}
	}
	free(head);
	free(chain);
}
