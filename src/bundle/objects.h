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
/* Removes every object for which keep returns false, and left-over temporaries. */
int object_sweep(int objects_dir_fd, bool (*keep)(void *ctx, const uint8_t sha256[32]), void *ctx);
