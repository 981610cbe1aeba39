/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/progress.h"
#include <stdio.h>
#include <string.h>

#define SPACING_US (RATE_WINDOW_US / (RATE_SAMPLES - 2))

static void drop_oldest(struct rate *r, size_t n)
{
	r->n -= n;
	memmove(r->samples, r->samples + n, r->n * sizeof(r->samples[0]));
}

void rate_add(struct rate *r, uint64_t now_us, uint64_t done)
{
	if (r->n > 0 && done < r->samples[r->n - 1].done)
		r->n = 0;
	/* Samples closer than the spacing replace the last one, but for the first of all. */
	if (r->n > 1 && now_us - r->samples[r->n - 2].at_us < SPACING_US)
		r->n--;
	if (r->n == RATE_SAMPLES)
		drop_oldest(r, 1);
	r->samples[r->n].at_us = now_us;
	r->samples[r->n++].done = done;
	/* One sample older than the window is kept: it is where the window begins. */
	while (r->n > 2 && now_us - r->samples[1].at_us >= RATE_WINDOW_US)
		drop_oldest(r, 1);
}

double rate_value(const struct rate *r, uint64_t now_us)
{
	if (r->n < 2 || now_us <= r->samples[0].at_us)
		return 0;
	/* Up to now, not up to the last sample: a transfer that stands still slows down. */
	return (double)(r->samples[r->n - 1].done - r->samples[0].done) * 1e6 /
	       (double)(now_us - r->samples[0].at_us);
}

static char *scaled(double v, const char *unit, char out[FIGURE_MAX])
{
	static const char prefixes[] = " kMGTPE";
	const char *p = prefixes;

	while (v >= 999.5 && p[1]) {
		v /= 1000;
		p++;
	}
	if (*p == ' ')
		snprintf(out, FIGURE_MAX, "%.0f %s", v, unit);
	else
		snprintf(out, FIGURE_MAX, "%.*f %c%s",
			v < 9.995   ? 2
			: v < 99.95 ? 1
				    : 0,
			v, *p, unit);
	return out;
}

char *size_format(uint64_t bytes, char out[FIGURE_MAX])
{
	return scaled((double)bytes, "B", out);
}

char *rate_format(double bytes_per_second, char out[FIGURE_MAX])
{
	if (!(bytes_per_second >= 0.5)) {
		out[0] = 0;
		return out;
	}
	return scaled(bytes_per_second, "B/s", out);
}

char *duration_format(uint64_t seconds, char out[FIGURE_MAX])
{
	unsigned long long s = seconds;

	if (s < 60)
		snprintf(out, FIGURE_MAX, "%llu s", s);
	else if (s < 3600)
		snprintf(out, FIGURE_MAX, "%llu min %02llu s", s / 60, s % 60);
	else if (s < 100 * 3600)
		snprintf(out, FIGURE_MAX, "%llu h %02llu min", s / 3600, s / 60 % 60);
	else
		snprintf(out, FIGURE_MAX, "%llu d", s / 86400);
	return out;
}

uint64_t time_left(uint64_t done, uint64_t total, double rate)
{
	if (done >= total)
		return 0;
	double s = (double)(total - done) / rate;
	if (!(rate >= 0.5) || s > 365.0 * 86400)
		return UINT64_MAX;
	uint64_t whole = (uint64_t)s;
	return s > (double)whole ? whole + 1 : whole;
}

unsigned percent(uint64_t done, uint64_t total)
{
	if (total == 0)
		return 0;
	unsigned p = (unsigned)((double)done * 100 / (double)total);
	return done >= total ? 100 : p > 99 ? 99 : p;
}

char *bar_format(uint64_t done, uint64_t total, int cells, bool utf8, char *out, size_t size)
{
	double share = total == 0 ? 0 : done >= total ? 1 : (double)done / (double)total;
	int halves = (int)(share * 2 * cells);
	char *p = out;

	*p = 0;
	for (int i = 0; i < cells && (size_t)(p - out) + 4 < size; i++) {
		const char *c = utf8 ? "─" : "-";
		if (2 * i + 1 < halves)
			c = utf8 ? "━" : "#";
		else if (2 * i < halves)
			c = utf8 ? "╸" : "-";
		p = stpcpy(p, c);
	}
	return out;
}
