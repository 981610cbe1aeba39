/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Object store: STATE/objects/<sha256>, immutable files whose name is their digest. A file is there
 * whole and checked, or not at all.
 */
#include "util/reason.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* data must already be checked; it is checked once more here (BAD_DIGEST). Present: OK at once. */
enum ef_reason object_put(int objects_dir_fd, const uint8_t sha256[32], const void *data, size_t size,
	struct error *e);
bool object_have(int objects_dir_fd, const uint8_t sha256[32], uint64_t size);
/* Reads and checks again: a flipped bit is BAD_DIGEST and the file is removed. Caller frees. */
enum ef_reason object_get(int objects_dir_fd, const uint8_t sha256[32], uint64_t size, uint8_t **ret,
	struct error *e);
/*
 * Removes left-over temporaries and, oldest first, objects for which keep returns false, until all
 * that is there has at most max bytes; *used is what it has then, which is more when what is kept is.
 */
int object_trim(int objects_dir_fd, uint64_t max, bool (*keep)(void *ctx, const uint8_t sha256[32]),
	void *ctx, uint64_t *used);
/* Changes nothing: *used is what is there, *kept what object_trim would leave at least. */
int object_usage(int objects_dir_fd, bool (*keep)(void *ctx, const uint8_t sha256[32]), void *ctx,
	uint64_t *used, uint64_t *kept);
/* Whether the bytes have this digest: BAD_DIGEST. */
enum ef_reason object_check(const uint8_t sha256[32], const void *data, size_t size, struct error *e);
