/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes name what they run by the digest in the image, the store by the digest of the whole file.
 * Which is which stands in the files: they are looked at whenever it is asked, so there is no list
 * that could be wrong.
 */
#include "bundle/objects.h"
#include "update/internal.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <edgeferry/image.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int read_file(void *ctx, uint32_t offset, void *buf, size_t size)
{
	return fd_pread_full(*(const int *)ctx, buf, size, offset);
}

bool image_hash(struct update *u, const uint8_t sha256[32], uint64_t *size, uint8_t hash[32])
{
	char name[DIGEST_HEX_MAX];
	struct ef_image_info info;
	struct stat st;
	_cleanup_close_ int fd = openat(u->objects_fd, digest_hex(sha256, name),
		O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > (off_t)IMAGE_SIZE_MAX)
		return false;
	const struct ef_image_source src = {
		.ctx = &fd, .limit = (uint32_t)st.st_size, .read = read_file};
	if (ef_image_inspect(&src, &info) != EF_REASON_OK)
		return false;
	*size = (uint64_t)st.st_size;
	memcpy(hash, info.digest, 32);
	return true;
}

struct search {
	struct update *u;
	const uint8_t *hash;
	struct object *ret;
};

static bool is_it(void *ctx, const uint8_t sha256[32])
{
	struct search *s = ctx;
	uint8_t hash[32];

	if (!image_hash(s->u, sha256, &s->ret->size, hash) || memcmp(hash, s->hash, 32) != 0)
		return false;
	memcpy(s->ret->sha256, sha256, 32);
	return true;
}

bool image_find(struct update *u, const uint8_t hash[32], struct object *ret)
{
	struct search s = {u, hash, ret};

	return object_find(u->objects_fd, is_it, &s) == 0;
}
