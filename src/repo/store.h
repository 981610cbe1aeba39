/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Files named by their digest, written as a stream: a temporary grows in the folder and is hashed
 * on the way; committed, it gets its name.
 */
#include "bundle/manifest.h"
#include "util/reason.h"
#include <openssl/evp.h>

struct store_file {
	int dir_fd; /* borrowed */
	int fd;
	char tmp[32];
	EVP_MD_CTX *md;
	struct object object; /* filled by store_commit */
};

#define STORE_FILE_EMPTY               \
	{                              \
		.dir_fd = -1, .fd = -1 \
	}

int store_begin(struct store_file *f, int dir_fd, const char *tmp);
int store_write(struct store_file *f, const void *data, size_t size);
/* Synced and renamed; the object is there whole after it. */
int store_commit(struct store_file *f);
/* Gives up what was not committed. Harmless after store_commit. */
void store_abort(struct store_file *f);

/*
 * Copies an object from one folder to another unless it is there with that size; the bytes are
 * hashed on the way: BAD_DIGEST when the source is damaged. *copied may be NULL.
 */
enum ef_reason store_copy(int from_dir, int to_dir, const struct object *o, bool *copied,
	void (*progress)(void *ctx, uint64_t bytes), void *ctx, struct error *e);
