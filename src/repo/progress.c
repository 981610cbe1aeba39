/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/progress.h"
#include "util/time-util.h"
#include <stdio.h>
#include <unistd.h>

#define EVERY_US (100 * USEC_PER_MSEC)

void progress_begin(
	struct progress *p, const struct workspace *w, const char *label, uint64_t total)
{
	*p = (struct progress){.label = label,
		.total = total,
		.on = !w->quiet && !w->json && isatty(STDERR_FILENO),
		.next_us = now_monotonic_us() + EVERY_US};
}

void progress_add(struct progress *p, uint64_t bytes)
{
	p->done += bytes;
	if (!p->on || now_monotonic_us() < p->next_us)
		return;
	p->next_us = now_monotonic_us() + EVERY_US;
	p->drawn = true;
	fprintf(stderr, "\r%s: %llu of %llu MiB, %u %%\033[K", p->label,
		(unsigned long long)(p->done >> 20), (unsigned long long)(p->total >> 20),
		p->total ? (unsigned)((double)p->done * 100 / (double)p->total) : 100u);
}

void progress_end(struct progress *p)
{
	if (p->drawn)
		fputs("\r\033[K", stderr);
	p->drawn = false;
}
