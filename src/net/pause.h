/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

/* 0 to max - 1; good for spreading, for nothing else. */
uint64_t random_below(uint64_t max);

/*
 * How long to wait before try n (from 1) after failures: first × 2^(n-1), at most max, of which a
 * random part of up to one half is taken off, so that a fleet does not come back in step.
 */
uint64_t backoff_us(uint64_t first, unsigned n, uint64_t max);
