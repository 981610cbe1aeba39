/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Cuts a root filesystem image into chunks where its content says (bundle/cut.h) and writes index
 * and pack into the objects folder. Streams: what it holds is a window, the index and the leaves.
 * Same image, level and libzstd, same bytes.
 */
#include "bundle/manifest.h"
#include "repo/progress.h"

struct chunker_result {
	struct object image, index, pack;
	size_t n_chunks, n_zero;
};

/* fd: the image, at its start; a file or a block device. objects_fd stays the caller's. */
enum ef_reason chunker_run(int fd, const char *name, int level, int objects_fd,
	struct progress *progress, struct chunker_result *ret, struct error *e);
/* Lowest and highest compression level. */
bool chunker_level_valid(uint64_t level);
