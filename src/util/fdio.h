/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * File descriptors without surprises: EINTR, short reads and short writes are handled here
 * (F-26). All return 0 or a count on success and negative errno on failure; they block.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Exactly size bytes; -ENODATA when the file ends before. */
int fd_read_full(int fd, void *buf, size_t size);
int fd_pread_full(int fd, void *buf, size_t size, uint64_t offset);
/* Up to size bytes, as many as there are before end of file. */
ssize_t fd_read_some(int fd, void *buf, size_t size);
int fd_write_full(int fd, const void *buf, size_t size);
int fd_pwrite_full(int fd, const void *buf, size_t size, uint64_t offset);

/* Whole file into memory, NUL added behind it; caller frees. -EFBIG above max bytes. */
int file_read(const char *path, size_t max, uint8_t **ret, size_t *size);
int file_read_at(int dir_fd, const char *name, size_t max, uint8_t **ret, size_t *size);

/* mkdir -p; an existing directory is success. */
int dir_make(const char *path, mode_t mode);

/* SHA-256 of the next size bytes at offset, or of all up to the end with size = UINT64_MAX. */
int fd_sha256(int fd, uint64_t offset, uint64_t size, uint8_t digest[32]);
