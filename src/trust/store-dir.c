/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/tuf.h"
#include "util/atomic-file.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define FILE_SIZE_MAX (16u << 20)
#define NAME_SIZE_MAX 220

/* One plain name that ends in ".json": no slash, no control character, never "." or "..". */
static bool name_ok(const char *name)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
				    "_.~-%";
	size_t n = strnlen(name, NAME_SIZE_MAX + 1);

	return n <= NAME_SIZE_MAX && n > 5 && strspn(name, plain) == n &&
	       strcmp(name + n - 5, ".json") == 0;
}

static int dir_of(void *ctx)
{
	return ((struct tuf_store_dir *)ctx)->dir_fd;
}

static int dir_load(void *ctx, const char *name, uint8_t **ret, size_t *size)
{
	return name_ok(name) ? file_read_at(dir_of(ctx), name, FILE_SIZE_MAX, ret, size) : -EINVAL;
}

static int dir_save(void *ctx, const char *name, const void *data, size_t size)
{
	return name_ok(name) ? atomic_file_write_at(dir_of(ctx), name, data, size, 0644) : -EINVAL;
}

static int dir_remove(void *ctx, const char *name)
{
	if (!name_ok(name))
		return -EINVAL;
	if (unlinkat(dir_of(ctx), name, 0) < 0)
		return errno == ENOENT ? 0 : -errno;
	/* Gone for good before anything that relies on it is stored. */
	return fsync(dir_of(ctx)) < 0 ? -errno : 0;
}

struct tuf_store tuf_store_dir_ops(struct tuf_store_dir *d)
{
	return (struct tuf_store){
		.ctx = d, .load = dir_load, .save = dir_save, .remove = dir_remove};
}
