/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of the job `stage` share: stage.c (the job), scan.c (what is there), lack.c (the rest). */
#include "worker/codec.h"
#include "worker/control.h"
#include "worker/plan.h"
#include "worker/seeds.h"
#include "worker/target.h"
#include <limits.h>

#define STAGE_BLOCK CHUNK_MAX

struct stage {
	struct control *control;
	struct job_stage job;
	char target_path[PATH_MAX], running_path[PATH_MAX];
	struct target target;
	int running; /* the running slot, to take equal bytes from; -1: cannot be read */
	struct codec codec;
	struct chunk_index *index;
	struct plan groups;
	struct seeds seeds;
	uint8_t *in, *out; /* compressed and plain bytes of one chunk or group */
	struct job_progress progress;
	struct error *e;
};

bool stage_all_zero(const uint8_t *p, size_t size);
/* The reason for being stopped by r of the control line. */
enum ef_reason stage_stopped(struct stage *s, int r);
void stage_tell(struct stage *s, enum job_phase phase, uint64_t done);

/* A piece's bytes of the target, in s->out. False: nothing that could be of use. */
bool stage_look(struct stage *s, const struct chunk *c, bool *zero);
/* data, the checked bytes of piece n of p, to wherever the image wants them. */
enum ef_reason stage_write_equal(struct stage *s, struct plan *p, size_t n, const uint8_t *data);
/* Piece n of p is in the target: to those equal to it that are not. */
enum ef_reason stage_copy_within(struct stage *s, struct plan *p, size_t n);

/* What target and running slot have. */
enum ef_reason stage_scan(struct stage *s);
/* What they do not. */
enum ef_reason stage_fetch(struct stage *s);
