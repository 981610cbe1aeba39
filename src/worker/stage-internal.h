/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the job `stage` share: stage.c (the job), scan.c (what is there), lack.c (the
 * rest). */
#include "worker/codec.h"
#include "worker/control.h"
#include "worker/intake.h"
#include "worker/plan.h"
#include "worker/readback.h"
#include "worker/reader.h"
#include "worker/seeds.h"
#include "worker/target.h"
#include "worker/writer.h"
#include <limits.h>

#define STAGE_BLOCK CHUNK_MAX

struct stage {
	struct control *control;
	struct job_stage job;
	char target_path[PATH_MAX], running_path[PATH_MAX];
	struct target target;
	struct writer *writer;
	struct readback *readback;
	struct reader *reader; /* of what is gone through now: target or running slot */
	uint64_t hole, data; /* the target has a hole from the one to the other, when this began */
	int running;	     /* the running slot, to take equal bytes from; -1: cannot be read */
	int running_direct;  /* the same past the cache, which others need more; -1: not here */
	struct codec codec;
	struct chunk_index *index;
	struct plan groups;
	struct seeds seeds;
	bool empty;	   /* the target had nothing but a hole, where this image has something */
	uint64_t look_end; /* chunks in the target are worth a look up to here; 0: none is */
	struct intake intake;
	uint8_t *out; /* plain bytes of one chunk or group */
	struct job_progress progress;
	struct error *e;
};

bool stage_all_zero(const uint8_t *p, size_t size);
/* The reason for being stopped by r of the control line. */
enum ef_reason stage_stopped(struct stage *s, int r);
void stage_tell(struct stage *s, enum job_phase phase, uint64_t done);
/* Begins to go through a slot from front to back; closes what was gone through before. fd -1: only
 * that. */
enum ef_reason stage_go_through(struct stage *s, int fd);

/* Whether the target has nothing but zeros there, which a hole tells without reading. */
bool stage_is_hole(struct stage *s, uint64_t offset, uint64_t size);
/* A piece's bytes of the target, in s->out. False: nothing that could be of use. */
bool stage_look(struct stage *s, const struct chunk *c, bool *zero);
/* data, the bytes of piece n of p, to wherever the image wants them. digest: as for writer_put. */
enum ef_reason stage_write_equal(
	struct stage *s, struct plan *p, size_t n, const uint8_t *data, const uint8_t *digest);
/* Piece n of p, or all that are in the target: to those equal to it that are not. */
enum ef_reason stage_copy_one(struct stage *s, struct plan *p, size_t n);
enum ef_reason stage_copy_within(struct stage *s, struct plan *p);

/* What target and running slot have. */
enum ef_reason stage_scan(struct stage *s);
/* What they do not. */
enum ef_reason stage_fetch(struct stage *s);
