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

#define TARGET_ALIGN 4096u

struct target {
	const char *path;
	int fd;
	int direct; /* the same with O_DIRECT; -1: not to be had here */
	uint64_t size;
	bool block;		       /* a block device, not a file */
	bool no_punch;		       /* holes cannot be punched here */
	bool no_direct;		       /* nor can be written past the cache */
	uint64_t dirty_from, dirty_to; /* in the cache, not yet handed to the device */
};

/*
 * Opens path for writing: exclusively (BUSY), at least image_size bytes (TOO_LARGE), and not what
 * runs now (SLOT_RUNNING: running's file, running's device, the root file system's device). Nothing
 * is written.
 */
enum ef_reason target_open(struct target *t, const char *path, const char *running,
	uint64_t image_size, struct error *e);
void target_close(struct target *t);

/* -ENODATA: the target ends before. */
int target_read(const struct target *t, void *buf, size_t size, uint64_t offset);
/* buf and offset are the same modulo TARGET_ALIGN: whole blocks go past the page cache, what there
 * is of a block at either end through it. */
enum ef_reason target_write(
	struct target *t, const void *buf, size_t size, uint64_t offset, struct error *e);
/* Makes a range read as zeros: hole where possible. */
enum ef_reason target_zero(struct target *t, uint64_t offset, uint64_t size, struct error *e);
/* To the medium. SLOT_WRITE also when the size is no longer what it was. */
enum ef_reason target_sync(struct target *t, struct error *e);

/* A descriptor whose reads come from the medium, once target_sync was called and as far as the file
 * system lets them: t->direct, or t->fd with the cache dropped. */
int target_past_cache(const struct target *t);
/* The next place at or behind offset where something other than a hole may be; size when none. */
uint64_t target_skip_hole(const struct target *t, uint64_t offset);
