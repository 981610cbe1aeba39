/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which bytes of a file are still wanted, in the order in which they go into the pipe, and what of
 * a stretch of bytes that a server sent is among them. No I/O. The same for one range, many, the
 * whole file, a server that ignores ranges and a download that goes on after a break.
 */
#include "net/ipc.h"

#define SPANS_GAP 32768u /* closer ranges are fetched in one go and what is between thrown away */

struct spans {
	const struct ipc_range *ranges; /* not owned */
	size_t n;			/* 0: the whole file */
	size_t at;			/* the range whose bytes come next */
	uint64_t within;		/* bytes of it that were delivered */
	uint64_t delivered;
};

/* All ranges are delivered. Never true for a whole file: its end is the server's to say. */
bool spans_done(const struct spans *s);
/* Offset in the file of the next byte wanted. */
uint64_t spans_next(const struct spans *s);
/* What to ask a server for next, inclusive as in HTTP; *last UINT64_MAX: up to the end. */
void spans_request(const struct spans *s, uint64_t *first, uint64_t *last);
/*
 * Of size bytes that stand at pos of the file: how many at the front to skip, and how many after
 * those to deliver (may be 0) before asking again. skip < size means that something is delivered.
 * False: nothing wanted here or further on in this stream; ask the server again.
 */
bool spans_take(
	const struct spans *s, uint64_t pos, uint64_t size, uint64_t *skip, uint64_t *deliver);
void spans_advance(struct spans *s, uint64_t delivered);
