/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The bytes of the pack that were asked for, in ascending order: out of a pipe that carries the
 * ranges and nothing else, or out of a file that holds the whole pack. Read in large pieces.
 */
#include "bundle/chunks.h"
#include "worker/control.h"
#include <stdbool.h>
#include <stddef.h>

struct intake {
	struct control *control;
	uint8_t *data; /* INTAKE_ROOM bytes, the caller's */
	int fd;
	bool whole; /* a file in which the pack starts at base */
	uint64_t base;
	const struct ipc_range *ranges;
	size_t n;
	size_t from, to;   /* of data: read and not taken yet */
	size_t range;	   /* which holds data[from] … */
	uint64_t within;   /* … that far in */
	size_t next_range; /* whole: the same of data[to] */
	uint64_t next_within;
	uint64_t taken; /* bytes of the pack so far */
};

#define INTAKE_ROOM (CHUNK_MAX + (256u << 10))

/* size bytes (at most CHUNK_MAX) that stand at offset of the pack, within the ranges and behind
 * what was taken before; *ret stays valid until the next call. -ENODATA: the stream or file ends
 * before; -ECANCELED as in control_wait. */
int intake_take(struct intake *in, uint64_t offset, size_t size, const uint8_t **ret);
