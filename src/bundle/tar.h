/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One ustar header as bundles have it: a plain file, mode 0644, owner and group 0, time 0. There is
 * exactly one way to write a name and a size, so a reader accepts a block only when it is the one
 * that the writer would have written: every flipped bit shows.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_BLOCK 512u
#define TAR_NAME_MAX 256u /* with its NUL */

/* Bytes from the end of size bytes of data to the next block. */
static inline unsigned tar_padding(uint64_t size)
{
	return (TAR_BLOCK - (unsigned)(size % TAR_BLOCK)) % TAR_BLOCK;
}

/*
 * A member's name: "metadata/FILE", "targets/…" or "objects/" and 64 hex digits; [A-Za-z0-9._+-]
 * and single slashes, no part that begins with a dot (S-25).
 */
bool tar_name_valid(const char *name);

/* False when the name does not fit or is not valid, or size is above INT64_MAX. */
bool tar_header_format(const char *name, uint64_t size, uint8_t block[TAR_BLOCK]);
/* False when block is anything but what tar_header_format makes. */
bool tar_header_parse(const uint8_t block[TAR_BLOCK], char name[TAR_NAME_MAX], uint64_t *size);
