/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The core's end of edgeferry-worker: one child for one job. Asynchronous on the caller's event
 * loop. The done callback comes exactly once, not before the call that began the job returned; a
 * child that died without an outcome is IO ("worker ended by signal 9"), one that does not move
 * SLOT_WRITE, and TIMEOUT one that makes a patch for too long.
 */
#include "util/reason.h"
#include "worker/job.h"
#include <stdbool.h>
#include <systemd/sd-event.h>

struct worker;

struct worker_stage_spec {
	const char *target;   /* path of the slot to write */
	const char *running;  /* path of the running slot, refused as target */
	const uint8_t *index; /* chunk index, checked against the manifest */
	size_t index_size;
	uint8_t index_sha256[32], image_sha256[32];
	uint64_t image_size;
	uint64_t verity_offset; /* as in struct job_stage */
	uint8_t verity_root[32];
	unsigned silence_max_s; /* 0: JOB_SILENCE_MAX_S */
};

/* The images are read before worker_patch returns. */
struct worker_patch_spec {
	const uint8_t *old, *new;
	size_t old_size,
		new_size; /* below 4 GiB; the worker says TOO_LARGE beyond PATCH_INPUT_MAX */
	uint32_t models;  /* as in struct job_patch */
};

/* need and progress: of a stage job only. */
struct worker_callbacks {
	void *ctx;
	/* The worker lacks these ranges of the pack: answer with worker_data, now or later. */
	void (*need)(void *ctx, const struct ipc_range *ranges, size_t n);
	void (*progress)(void *ctx, const struct job_progress *p);
	void (*done)(void *ctx, const struct error *e);
};

enum ef_reason worker_stage(struct worker **ret, sd_event *event,
	const struct worker_stage_spec *spec, const struct worker_callbacks *cb, struct error *e);

/* Answers a need. A pipe's read end that will carry exactly the ranges (whole_pack false), or a
 * file in which the pack starts at offset (whole_pack true). The caller may close fd after the
 * call. */
int worker_data(struct worker *w, int fd, bool whole_pack, uint64_t offset);

enum ef_reason worker_patch(struct worker **ret, sd_event *event,
	const struct worker_patch_spec *spec, const struct worker_callbacks *cb, struct error *e);
/* The patch, malloc'd, after done said OK. NO_MEMORY, BAD_SIZE when there is none. */
enum ef_reason worker_take_patch(
	const struct worker *w, uint8_t **ret, size_t *size, struct error *e);

/* Ends the child (SIGTERM, SIGKILL after 2 s) without a callback, and frees. Also after done. One
 * that the kernel does not let go within another second ends when its device answers; until then it
 * keeps the slot locked. */
void worker_free(struct worker *w);
pid_t worker_pid(const struct worker *w);
