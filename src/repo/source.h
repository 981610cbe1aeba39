/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A bundle file or a published folder, read alike: names as they are published. */
#include "bundle/bundle.h"
#include "util/reason.h"

struct published {
	const char *path;
	int dir_fd;	       /* a folder, or -1 */
	struct bundle *bundle; /* or this */
};

#define PUBLISHED_EMPTY      \
	{                    \
		.dir_fd = -1 \
	}

enum ef_reason published_open(struct published *p, const char *path, struct error *e);
void published_close(struct published *p);
/* NOT_FOUND when there is no such file; BAD_SIZE above max. NUL added behind it. */
enum ef_reason published_read(const struct published *p, const char *name, size_t max,
	uint8_t **ret, size_t *size, struct error *e);
/* Where the bytes lie: *fd is borrowed for a bundle, the caller's to close when *own. */
enum ef_reason published_locate(const struct published *p, const char *name, int *fd, bool *own,
	uint64_t *offset, uint64_t *size, struct error *e);
