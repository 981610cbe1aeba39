/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What of an image is there and what is to be fetched, without I/O: for its groups, and for the
 * chunks of groups that lack. Pieces that are equal are fetched once: the first one is, the others
 * are its twins.
 */
#include "bundle/chunks.h"
#include "net/ipc.h"

/* Ranges of the pack closer than this are asked for as one: its line in a request and its header in
 * an answer are as many bytes. */
#define PLAN_GAP_MIN 256u
/* More ranges than this become fewer by wider gaps: a request takes some hundreds of them. */
#define PLAN_RANGES_WANTED 1024u
#define PLAN_GAP_MAX 65536u

/* SEED: lies somewhere else on this gateway, or so it is thought. */
enum plan_have { PLAN_LACKING, PLAN_TWIN, PLAN_SEED, PLAN_THERE };

struct plan {
	const char *first; /* struct chunk, within larger things when they are groups */
	size_t stride, n;
	uint8_t *have;	     /* enum plan_have, one for each piece */
	uint32_t *by_digest; /* numbers of the pieces, equal ones next to each other, ascending */
	uint32_t *rank;	     /* where in by_digest the first of a piece's equals stands */
	uint64_t done;	     /* bytes of the image that are there */
};

/* All is lacking. The pieces stay the caller's; stride: bytes from one to the next. */
int plan_open(struct plan *p, const struct chunk *first, size_t stride, size_t n);
void plan_close(struct plan *p);

const struct chunk *plan_piece(const struct plan *p, size_t n);
void plan_there(struct plan *p, size_t n);
/* The pieces equal to piece n, itself included: *count numbers. */
const uint32_t *plan_equal(const struct plan *p, size_t n, size_t *count);
/* The same for a piece that is not of the plan, by size and digest. *count 0: none. */
const uint32_t *plan_find(const struct plan *p, const struct chunk *like, size_t *count);
/* After the target was looked through: what lacks and has an equal before it becomes a twin. */
void plan_mark_twins(struct plan *p);

/* One more stretch of the pack, ascending. False: no room. */
bool plan_add_range(struct ipc_range *ranges, size_t *n, size_t max, uint64_t gap, uint64_t offset,
	uint64_t size);
/* The first piece from first on that is not there; p->n: none. */
size_t plan_next(const struct plan *p, size_t first);
/* Ranges that bring the lacking pieces from number first on, in order, at most max; zeros are not
 * in the pack. 0: none lacks. *end: the first piece not covered. */
size_t plan_ranges(const struct plan *p, size_t first, uint64_t gap, struct ipc_range *ranges,
	size_t max, size_t *end);
/* The gap at which that is worth its requests. */
uint64_t plan_gap(const struct plan *p);
