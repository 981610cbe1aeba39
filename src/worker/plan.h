/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What of an image is there and what is to be fetched, without I/O. Chunks that are equal are
 * fetched once: the first one is, the others are its twins.
 */
#include "bundle/chunks.h"
#include "net/ipc.h"

/* Ranges of the pack closer than this are asked for as one: a range costs more than these bytes. */
#define PLAN_GAP_MAX 4096u

enum chunk_have { CHUNK_LACKING, CHUNK_TWIN, CHUNK_THERE };

struct plan {
	const struct chunk_index *index;
	uint8_t *have;		/* enum chunk_have, one for each chunk */
	uint32_t *by_digest;	/* numbers of the chunks, equal ones next to each other, ascending */
	uint64_t done;		/* bytes of the image that are there */
};

int plan_open(struct plan *p, const struct chunk_index *x);	/* all is lacking */
void plan_close(struct plan *p);

void plan_there(struct plan *p, size_t n);
/* The chunks equal to chunk n, itself included: *count numbers. */
const uint32_t *plan_equal(const struct plan *p, size_t n, size_t *count);
/* After the target was looked through: what lacks and has an equal before it becomes a twin. */
void plan_mark_twins(struct plan *p);

/* Ranges that bring the lacking chunks from number first on, in order, at most max. 0: none lacks.
 * *end: the first chunk not covered. */
size_t plan_ranges(const struct plan *p, size_t first, struct ipc_range *ranges, size_t max, size_t *end);
