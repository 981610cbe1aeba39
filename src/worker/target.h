/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The one file or block device that a stage job writes. Whoever calls target_write has checked the
 * very bytes that are handed over (S-08).
 */
#include "util/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct target {
	const char *path;
	int fd;
	uint64_t size;
	bool block;		/* a block device, not a file */
	bool no_punch;		/* holes cannot be punched here */
	uint64_t dirty_from, dirty_to;	/* written, not yet handed to the device */
};

/*
 * Opens path for writing: exclusively (BUSY), at least image_size bytes (TOO_LARGE), and not what
 * runs now (SLOT_RUNNING: running's file, running's device, the root file system's device). Nothing
 * is written. *running_fd: the running slot opened for reading, or -1 when that is not allowed.
 */
enum ef_reason target_open(struct target *t, const char *path, const char *running,
	uint64_t image_size, int *running_fd, struct error *e);
void target_close(struct target *t);

/* -ENODATA: the target ends before. */
int target_read(const struct target *t, void *buf, size_t size, uint64_t offset);
enum ef_reason target_write(struct target *t, const void *buf, size_t size, uint64_t offset,
	struct error *e);
/* Makes a range read as zeros: hole where possible. */
enum ef_reason target_zero(struct target *t, uint64_t offset, uint64_t size, struct error *e);
/* To the medium. SLOT_WRITE also when the size is no longer what it was. */
enum ef_reason target_sync(struct target *t, struct error *e);

#define TARGET_ALIGN 4096u

/* From here on target_read_back goes past the page cache, as far as the file system lets it. */
void target_bypass_cache(struct target *t);
/* buf and offset are multiples of TARGET_ALIGN, and buf has room for size rounded up to one. */
int target_read_back(const struct target *t, void *buf, size_t size, uint64_t offset);
/* The next place at or behind offset where something other than a hole may be; size when none. */
uint64_t target_skip_hole(const struct target *t, uint64_t offset);
