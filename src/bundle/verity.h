/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * dm-verity in an image (the kernel's documentation of dm-verity; veritysetup(8)): a file system of
 * offset bytes, at offset the superblock, behind it the tree of SHA-256 over blocks of 4096 bytes.
 * Who has the root hash from signed data can have the kernel check every block that it reads.
 */
#include "util/reason.h"
#include <stdbool.h>
#include <stdint.h>

#define VERITY_BLOCK 4096u

struct verity {
	uint64_t offset; /* of the superblock, and size of what it covers; 0: there is none */
	uint8_t root[32];
};

/* Two blocks at least, and room for superblock and tree. */
bool verity_fits(uint64_t offset, uint64_t image_size);

/*
 * That superblock and top of the tree in fd are those of v: BAD_FORMAT, BAD_SIZE or BAD_DIGEST. The
 * rest of the tree is the image's digest's to vouch for. Reads two blocks.
 */
enum ef_reason verity_check(int fd, const struct verity *v, uint64_t image_size, struct error *e);
