/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Object store: STATE/objects/<sha256>, immutable files whose name is their digest. A file is there
 * whole and checked, or not at all. Beside them, STATE/objects/<key>.patch: what was made of
 * objects and can be made again, so that nobody ever needs it.
 */
#include "util/reason.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* data must already be checked; it is checked once more here (BAD_DIGEST). Present: OK at once. */
enum ef_reason object_put(int objects_dir_fd, const uint8_t sha256[32], const void *data,
	size_t size, struct error *e);
bool object_have(int objects_dir_fd, const uint8_t sha256[32], uint64_t size);
/* Reads and checks again: a flipped bit is BAD_DIGEST and the file is removed. Caller frees. */
enum ef_reason object_get(int objects_dir_fd, const uint8_t sha256[32], uint64_t size,
	uint8_t **ret, struct error *e);
/* key says all that the patch depends on. The file has its digest in front; one that is there is
 * replaced. */
enum ef_reason object_patch_put(
	int objects_dir_fd, const uint8_t key[32], const void *data, size_t size, struct error *e);
/* NOT_FOUND; BAD_DIGEST also beyond max bytes, and the file is removed. Caller frees. */
enum ef_reason object_patch_get(int objects_dir_fd, const uint8_t key[32], size_t max,
	uint8_t **ret, size_t *size, struct error *e);
/* Every object, until look returns true; -ENOENT when it never does. */
int object_find(int objects_dir_fd, bool (*look)(void *ctx, const uint8_t sha256[32]), void *ctx);
/*
 * Removes left-over temporaries and, oldest first, patches and objects for which keep returns
 * false, until all that is there has at most max bytes; *used is what it has then, which is more
 * when what is kept is.
 */
int object_trim(int objects_dir_fd, uint64_t max, bool (*keep)(void *ctx, const uint8_t sha256[32]),
	void *ctx, uint64_t *used);
/* Changes nothing: *used is what is there, *kept what object_trim would leave at least. */
int object_usage(int objects_dir_fd, bool (*keep)(void *ctx, const uint8_t sha256[32]), void *ctx,
	uint64_t *used, uint64_t *kept);
/* Whether the bytes have this digest: BAD_DIGEST. */
enum ef_reason object_check(
	const uint8_t sha256[32], const void *data, size_t size, struct error *e);
