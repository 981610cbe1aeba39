/* SPDX-License-Identifier: Apache-2.0 */
#include "app/jitter.h"

void jitter_add(struct jitter *j, uint32_t microseconds)
{
	unsigned i = 0;

	while (i < JITTER_BUCKETS - 1 && microseconds >> i)
		i++;
	j->bucket[i]++;
	j->count++;
	if (j->longest < microseconds)
		j->longest = microseconds;
}

uint32_t jitter_p99(const struct jitter *j)
{
	uint32_t over = j->count / 100; /* as many may be later */

	for (unsigned i = JITTER_BUCKETS - 1; i; i--) {
		if (j->bucket[i] > over)
			return i == JITTER_BUCKETS - 1 || j->longest < 1u << i ? j->longest
									       : (1u << i) - 1;
		over -= j->bucket[i];
	}
	return 0;
}
