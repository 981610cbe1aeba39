/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The only way into the target: bytes come into memory of the writer's own, plain or packed;
 * threads unpack and check them there, and another writes that same memory (S-08, S-09), neighbours
 * together in large aligned writes. From writer_open to writer_close nobody else may change the
 * target; reading it is fine, and finds what was put before the last writer_flush. One thread may
 * call.
 */
#include "bundle/chunks.h"
#include "worker/target.h"

struct writer;

enum ef_reason writer_open(struct writer **ret, struct target *t, struct error *e);
/* Writes what was put, as far as nothing failed, and frees. Call writer_flush to know. */
void writer_close(struct writer *w);

/* Room for size bytes (1 to CHUNK_MAX) that shall stand at offset; waits for it. It is lost when
 * writer_put does not follow. NULL: an earlier write failed, *e says how. What was put by the call
 * before is still readable in its room, to be copied. */
uint8_t *writer_room(struct writer *w, uint64_t offset, uint32_t size, struct error *e);
/* The room is filled. digest: of what has to be in it, or the job fails with BAD_DIGEST; NULL: the
 * caller has checked these very bytes. */
void writer_put(struct writer *w, const uint8_t *digest);
/* Piece c of the target out of its compressed bytes, which are copied, and both checked later: the
 * job fails with BAD_DIGEST or BAD_SIZE then. Waits as writer_room does. */
enum ef_reason writer_unpack(
	struct writer *w, const struct chunk *c, const void *packed, struct error *e);
/* Zeros there, as a hole where possible. */
enum ef_reason writer_zero(struct writer *w, uint64_t offset, uint64_t size, struct error *e);
/* Whether what was put before writer_mark is in the target, but for the block of TARGET_ALIGN that
 * its end may share with what follows. Does not wait. */
uint64_t writer_mark(const struct writer *w);
bool writer_is_past(struct writer *w, uint64_t mark);
/* Waits until all that was put is in the target: then it can be read there. */
enum ef_reason writer_flush(struct writer *w, struct error *e);
