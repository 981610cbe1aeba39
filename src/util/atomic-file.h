/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stddef.h>
#include <sys/types.h>

/*
 * Replaces dir_fd/name (or path): temporary file beside it, write, fsync, rename, fsync of the
 * directory. After a crash at any point the old content or the new one is there, whole; a
 * left-over temporary is named ".NAME.tmp" and is overwritten next time. Negative errno.
 */
int atomic_file_write_at(int dir_fd, const char *name, const void *data, size_t size, mode_t mode);
int atomic_file_write(const char *path, const void *data, size_t size, mode_t mode);
