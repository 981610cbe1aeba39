/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What edgeferryd and edgeferry-worker say to each other: datagrams on one SOCK_SEQPACKET pair
 * (descriptor 3 of the child), host byte order, struct job_head first. One process, one job.
 *
 *   core → worker  STAGE  the one file or device to write, the chunk index that says with what
 *                  DATA   a pipe or file to read the bytes of the last NEED from comes along
 *   worker → core  NEED   ranges of the pack that the slot lacks, in order; may come again and
 * again PROGRESS, also while it waits for data, every JOB_SIGN_OF_LIFE_S DONE   outcome; then the
 * process ends
 *
 *   core → worker  PATCH  a file in memory with two images of a microcontroller, to which the
 * worker appends the patch from one to the other worker → core  DONE
 *
 * The worker writes nothing but checked chunks into the target, zeroes what is behind the image
 * (S-11), and reads all of it back past the cache before DONE says OK (S-10), most of it beside the
 * writing. Where the manifest has a root hash of dm-verity, the slot must have its tree.
 */
#include "net/ipc.h"
#include "util/reason.h"
#include <stdint.h>

enum job_type {
	JOB_STAGE = 1,
	JOB_DATA,
	JOB_PATCH,
	JOB_NEED = 64,
	JOB_PROGRESS,
	JOB_DONE,
};

struct job_head {
	uint32_t type;
	uint32_t size; /* of what follows */
};

/* STAGE: this, then target path, then the running slot's path (refused as target), no NULs. The
 * chunk index comes along as a descriptor (checked by the core; checked again by digest). */
struct job_stage {
	uint8_t index_sha256[32];
	uint64_t index_size;
	uint8_t image_sha256[32]; /* from the manifest; must equal the index's */
	uint64_t image_size;
	uint64_t verity_offset;	 /* where the image has a dm-verity superblock; 0: it has none */
	uint8_t verity_root[32]; /* what its tree must come to, from the manifest */
	uint32_t target_size, running_size; /* of the paths */
};

/* DATA: descriptor comes along. offset: where in it the first byte wanted stands when it is a file
 * that holds the whole pack (a bundle); a pipe carries exactly the bytes of the ranges. */
struct job_data {
	uint64_t offset;
	uint32_t whole_pack; /* 1: seekable, the pack starts at offset; 0: a stream of the ranges */
	uint32_t zero;
};

/* NEED: n × struct ipc_range, at most IPC_RANGES_MAX, offsets in the pack, ascending. */

/* A worker that says nothing for so long hangs on a device, and its job has failed: nothing that it
 * does at a stretch takes as long, a sync of a slow card included. */
#define JOB_SILENCE_MAX_S 300
#define JOB_SIGN_OF_LIFE_S 1

/*
 * PATCH: the descriptor that comes along begins with the old image, then the new one. Behind them
 * stands the patch (docs/SPEC-patch.md) when DONE says OK: then it was applied to the old image and
 * gave the new one. NO_MEMORY beyond the limit below; beyond the other one the process is ended by
 * SIGXCPU.
 */
struct job_patch {
	uint32_t old_size, new_size;
	uint32_t models; /* that the node takes: bit N is model N */
	uint32_t zero;
};
#define JOB_PATCH_S 30 /* of CPU, and on the clock; it gives no sign of life */
#define JOB_PATCH_MEMORY (128u << 20)

/* PROGRESS: bytes of the image. phase: what the bytes of done are being. */
enum job_phase { JOB_SCANNING, JOB_WRITING, JOB_READING_BACK };
struct job_progress {
	uint64_t done, total;
	uint64_t fetched; /* bytes of the pack read so far */
	uint32_t phase;
	uint32_t zero;
};

struct job_done {
	uint32_t reason; /* enum ef_reason */
	char detail[256];
};
