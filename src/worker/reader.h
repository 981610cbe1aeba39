/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads a slot from front to back, by a thread that is always some blocks ahead of whoever asks:
 * the medium works while what it gave before is hashed. One thread may ask.
 */
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define READER_BLOCK (512u << 10) /* bytes read at a time, a multiple of every block size */
#define READER_BLOCKS 2u	  /* so many are held */

struct reader;

/* fd stays the caller's; it may be one with O_DIRECT. 0 or negative errno. */
int reader_open(struct reader **ret, int fd);
void reader_close(struct reader *r);
/* What is at offset, without copying: *size bytes up to the end of the block it is in, valid until
 * the next call. 1; 0: the file ends before; negative errno. Otherwise as reader_read. */
int reader_peek(struct reader *r, uint64_t offset, const uint8_t **ret, size_t *size);
/* Bytes copied, fewer than size only where the file ends; negative errno. Quick where offset is not
 * less than that of the call before and not far beyond. Waits. */
ssize_t reader_read(struct reader *r, void *buf, size_t size, uint64_t offset);
