/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Figures of a transfer: sizes, rate over the last seconds, time left, a bar. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RATE_SAMPLES 32
#define RATE_WINDOW_US 5000000u

/* Byte counts of the last seconds, at most one a fraction of the window. Zeroed: empty. */
struct rate {
	struct {
		uint64_t at_us, done;
	} samples[RATE_SAMPLES];
	size_t n;
};

/* A count that falls starts anew: another phase. */
void rate_add(struct rate *r, uint64_t now_us, uint64_t done);
/* Bytes a second over the window; 0 unknown or standing still. */
double rate_value(const struct rate *r, uint64_t now_us);

#define FIGURE_MAX 24
/* "512 B", "61.2 MB": decimal, three digits. Return out. */
char *size_format(uint64_t bytes, char out[FIGURE_MAX]);
char *rate_format(double bytes_per_second, char out[FIGURE_MAX]); /* "12.3 MB/s"; "" for 0 */
/* "4 s", "1 min 05 s", "2 h 03 min"; rounded up, so that it never says 0 too early. */
char *duration_format(uint64_t seconds, char out[FIGURE_MAX]);
/* Seconds until total at this rate; UINT64_MAX unknown. */
uint64_t time_left(uint64_t done, uint64_t total, double rate);

/* 0 to 100, rounded down: 100 only when done. total 0 is 0 %. */
unsigned percent(uint64_t done, uint64_t total);

/* Exactly cells wide. size: at least 4 * cells + 1 bytes. */
char *bar_format(uint64_t done, uint64_t total, int cells, bool utf8, char *out, size_t size);
