/* SPDX-License-Identifier: Apache-2.0 */
#include "net/pause.h"
#include <sys/random.h>

uint64_t random_below(uint64_t max)
{
	uint64_t random;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		random = 0; /* right after boot; being in step once is no harm */
	return max ? random % max : 0;
}

uint64_t backoff_us(uint64_t first, unsigned n, uint64_t max)
{
	uint64_t wait = first < max ? first : max;

	while (n > 1 && wait < max) {
		wait = wait > max / 2 ? max : wait * 2;
		n--;
	}
	return wait - random_below(wait / 2 + 1);
}
