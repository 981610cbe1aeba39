/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which bytes of a file are still wanted, in the order in which they go into the pipe, and what of
 * a stretch of bytes that a server sent is among them. No I/O. The same for one range, many, the
 * whole file, a server that ignores ranges and a download that goes on after a break.
 */
#include "net/ipc.h"

#define SPANS_GAP 32768u /* closer ranges are fetched in one go and what is between thrown away */

/* Of one request. Apache takes 200, and a header line of 4 KiB is taken everywhere. */
#define SPANS_PARTS_MAX 180u
#define SPANS_TEXT_MAX 3800u

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
 * The same for a server that answers several ranges at once: "1-2,7-9" into text, as many as it
 * holds and servers take. Returns their number; *last: of all of them.
 */
size_t spans_request_many(
	const struct spans *s, char *text, size_t size, uint64_t *first, uint64_t *last);
/*
 * Of size bytes that stand at pos of the file: how many at the front to skip, and how many after
 * those to deliver (may be 0) before asking again. skip < size means that something is delivered.
 * False: nothing wanted here or further on in this stream; ask the server again.
 */
bool spans_take(
	const struct spans *s, uint64_t pos, uint64_t size, uint64_t *skip, uint64_t *deliver);
void spans_advance(struct spans *s, uint64_t delivered);
