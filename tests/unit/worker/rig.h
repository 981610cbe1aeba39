/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A core for one worker: an image cut into chunks, a slot, and answers good or bad. */
#include "bundle/chunks.h"
#include "worker/job-io.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct rig {
	char dir[64];
	char image_path[96], target[96], running[96], pack_path[96];
	uint8_t *image, *pack, *index;
	size_t index_size;
	struct chunk_index x;
	struct chunk *chunks; /* of all groups */
	bool *ends;	      /* the group ends with this chunk */
	size_t n_chunks;
	uint64_t chunks_size;			  /* of the pack, before the leaves */
	struct job_stage job;			  /* what is sent; change it to lie */
	const char *named_target, *named_running; /* the paths sent */

	/* How to answer; zero is well behaved, by pipe. */
	bool whole;	     /* with a file that holds the pack */
	uint64_t whole_base; /* that many bytes before it */
	uint64_t whole_cut;  /* that many missing at its end */
	uint64_t cut_after;  /* the first stream ends after so many bytes */
	bool no_answer;	     /* to a NEED */
	void (*on_need)(struct rig *r), (*on_leaves)(struct rig *r);
	const char *program;  /* default: the watched worker */
	const char *watch[4]; /* more "WATCH_…=…" for its environment */

	/* What came of it. */
	pid_t pid;
	int socket;
	enum ef_reason reason;
	char detail[256];
	int status; /* of wait */
	long peak_kib;
	unsigned needs, ranges; /* for chunks */
	unsigned leaf_needs, progresses;
	uint64_t asked, asked_leaves; /* bytes of all ranges */
	struct job_progress last;
};

/* image: malloc'd, in chunks of that size, the last one may be shorter; 0: cut by content. */
void rig_open(struct rig *r, uint8_t *image, size_t image_size, size_t chunk);
void rig_close(struct rig *r);
/* Compresses, digests and formats again after the image was changed; after chunks or pack were;
 * after x was. */
void rig_cut(struct rig *r, size_t chunk);
void rig_reindex(struct rig *r);
void rig_seal(struct rig *r);
/* Text, noise, zeros and repetition, from a seed. */
uint8_t *rig_noise(size_t size, unsigned seed);
/* A small ext4 of files of this machine. False: no mke2fs. */
bool rig_ext4(const char *path, uint64_t size, const char *release);

void rig_file(const char *path, const void *data, size_t size, uint64_t file_size);
void rig_start(struct rig *r);
/* Serves until the worker ended. True: it said DONE. */
bool rig_serve(struct rig *r);
bool rig_run(struct rig *r);
/* The target's bytes from offset on. */
bool rig_target_is(const struct rig *r, const void *data, size_t size, uint64_t offset);
uint64_t rig_target_size(const struct rig *r);
