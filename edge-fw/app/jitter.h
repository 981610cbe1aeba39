/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* How late a periodic task ran: the worst case, and a bound that 99 of 100 runs kept. */
#include <stdint.h>

#define JITTER_BUCKETS 17u

struct jitter {
	uint32_t count, longest;
	uint32_t bucket[JITTER_BUCKETS]; /* number i: late by less than 2^i microseconds, not by
					    less than half of that; the last: by more */
};

void jitter_add(struct jitter *j, uint32_t microseconds);
uint32_t jitter_p99(const struct jitter *j);
