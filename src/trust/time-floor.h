/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Time as far as it can be trusted (S-18, S-19): a lower bound that never moves back, and the clock
 * only when it is synchronised. A board without a real-time clock starts in 1970, or anywhere.
 *
 * The bound is the latest of: when this software was built, what is stored, and the times of
 * refreshes that succeeded. A clock that was set to the far future raises it only if metadata was
 * fresh even then, so a false time server cannot end updating for good.
 */
#include "trust/tuf.h"
#include <stdbool.h>
#include <stdint.h>

/* In the trust store. No role's file: in those, a "%" of the name is written "%25". */
#define TIME_FLOOR_FILE "%time.json"

struct time_floor {
	int64_t floor;	   /* seconds since 1970; it is at least this */
	uint64_t since_us; /* monotonic time at which it was at least that */
	int64_t stored;
};

/*
 * Reads what the store has. built: when this software was built; mono_us: now_monotonic_us().
 * STATE_UNREADABLE when something is stored that cannot be read (S-14).
 */
enum ef_reason time_floor_open(struct time_floor *f, const struct tuf_store *store, int64_t built,
	uint64_t mono_us, struct error *e);

/*
 * The best time known. clock: the wall clock, which counts when it is synchronised and not behind
 * the floor; otherwise the floor and the time that has gone by since.
 */
int64_t time_floor_now(
	const struct time_floor *f, int64_t clock, bool synchronised, uint64_t mono_us);

/*
 * To be called when an online refresh as of now has succeeded. Never lowers; stored when an hour or
 * more has been gained, so that flash does not wear.
 */
enum ef_reason time_floor_raise(struct time_floor *f, const struct tuf_store *store, int64_t now,
	uint64_t mono_us, struct error *e);
