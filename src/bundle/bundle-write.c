/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/bundle.h"
#include "bundle/tar.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>

#define COPY_BLOCK ((size_t)256 * 1024)

struct bundle_writer {
	int fd;	   /* the caller's */
	int error; /* the first one; nothing is written after it */
	uint8_t *buf;
};

int bundle_writer_open(int fd, struct bundle_writer **ret)
{
	struct bundle_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->buf = malloc(COPY_BLOCK);
	if (!w->buf) {
		free(w);
		return -ENOMEM;
	}
	w->fd = fd;
	*ret = w;
	return 0;
}

static int put(struct bundle_writer *w, const void *data, size_t size)
{
	if (w->error == 0)
		w->error = fd_write_full(w->fd, data, size);
	return w->error;
}

static int put_header(struct bundle_writer *w, const char *name, uint64_t size)
{
	uint8_t block[TAR_BLOCK];

	if (w->error < 0)
		return w->error;
	if (!tar_header_format(name, size, block))
		return w->error = -EINVAL;
	return put(w, block, sizeof(block));
}

static int put_zeros(struct bundle_writer *w, size_t size)
{
	static const uint8_t zeros[2 * TAR_BLOCK];

	return put(w, zeros, size);
}

int bundle_writer_add(struct bundle_writer *w, const char *name, const void *data, size_t size)
{
	put_header(w, name, size);
	put(w, data, size);
	return put_zeros(w, tar_padding(size));
}

int bundle_writer_add_fd(struct bundle_writer *w, const char *name, int fd, uint64_t size)
{
	put_header(w, name, size);
	for (uint64_t at = 0; at < size && w->error == 0;) {
		size_t n = size - at < COPY_BLOCK ? (size_t)(size - at) : COPY_BLOCK;
		w->error = fd_pread_full(fd, w->buf, n, at);
		put(w, w->buf, n);
		at += n;
	}
	return put_zeros(w, tar_padding(size));
}

int bundle_writer_finish(struct bundle_writer *w)
{
	int r = put_zeros(w, 2 * (size_t)TAR_BLOCK);

	free(w->buf);
	free(w);
	return r;
}
