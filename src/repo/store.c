/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/store.h"
#include "bundle/objects.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define COPY_BLOCK ((size_t)256 * 1024)

int store_begin(struct store_file *f, int dir_fd, const char *tmp)
{
	f->dir_fd = dir_fd;
	snprintf(f->tmp, sizeof(f->tmp), ".%s.tmp", tmp);
	unlinkat(dir_fd, f->tmp, 0);
	f->fd = openat(dir_fd, f->tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (f->fd < 0)
		return -errno;
	f->md = EVP_MD_CTX_new();
	if (!f->md || EVP_DigestInit_ex(f->md, EVP_sha256(), NULL) != 1) {
		store_abort(f);
		return -ENOMEM;
	}
	return 0;
}

int store_write(struct store_file *f, const void *data, size_t size)
{
	int r = fd_write_full(f->fd, data, size);

	if (r < 0)
		return r;
	f->object.size += size;
	return EVP_DigestUpdate(f->md, data, size) == 1 ? 0 : -EIO;
}

int store_commit(struct store_file *f)
{
	char name[DIGEST_HEX_MAX];

	if (EVP_DigestFinal_ex(f->md, f->object.sha256, NULL) != 1)
		return -EIO;
	digest_hex(f->object.sha256, name);
	/* 0644 whatever the umask: a web server reads it */
	if (fchmod(f->fd, 0644) < 0 || fsync(f->fd) < 0 ||
		renameat(f->dir_fd, f->tmp, f->dir_fd, name) < 0 || fsync(f->dir_fd) < 0)
		return -errno;
	f->fd = ef_close(f->fd);
	EVP_MD_CTX_free(f->md);
	f->md = NULL;
	return 0;
}

void store_abort(struct store_file *f)
{
	if (f->fd >= 0)
		unlinkat(f->dir_fd, f->tmp, 0);
	f->fd = ef_close(f->fd);
	EVP_MD_CTX_free(f->md);
	f->md = NULL;
}

static int copy(int from, struct store_file *to, uint64_t size,
	void (*progress)(void *ctx, uint64_t bytes), void *ctx)
{
	_cleanup_free_ uint8_t *buf = malloc(COPY_BLOCK);
	int r = buf ? 0 : -ENOMEM;

	for (uint64_t left = size; left > 0 && r == 0;) {
		size_t n = left < COPY_BLOCK ? (size_t)left : COPY_BLOCK;
		r = fd_read_full(from, buf, n);
		if (r == 0)
			r = store_write(to, buf, n);
		if (r == 0 && progress)
			progress(ctx, n);
		left -= n;
	}
	return r;
}

enum ef_reason store_copy(int from_dir, int to_dir, const struct object *o, bool *copied,
	void (*progress)(void *ctx, uint64_t bytes), void *ctx, struct error *e)
{
	_cleanup_(store_abort) struct store_file f = STORE_FILE_EMPTY;
	char name[DIGEST_HEX_MAX];
	uint8_t digest[32];

	if (copied)
		*copied = false;
	if (object_have(to_dir, o->sha256, o->size))
		return EF_REASON_OK;
	_cleanup_close_ int from =
		openat(from_dir, digest_hex(o->sha256, name), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (from < 0)
		return error_errno(e, -errno, "object %s", name);
	int r = store_begin(&f, to_dir, "object");
	if (r == 0)
		r = copy(from, &f, o->size, progress, ctx);
	if (r == -ENODATA)
		return error_set(e, EF_REASON_BAD_SIZE, "object %s is damaged", name);
	if (r < 0)
		return error_errno(e, r, "object %s", name);
	/* Looked at before it gets its name: under it lies the right thing or nothing. */
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool right = md && EVP_MD_CTX_copy_ex(md, f.md) == 1 &&
		     EVP_DigestFinal_ex(md, digest, NULL) == 1 &&
		     memcmp(digest, o->sha256, 32) == 0;
	EVP_MD_CTX_free(md);
	if (!right)
		return error_set(e, EF_REASON_BAD_DIGEST, "object %s is damaged", name);
	r = store_commit(&f);
	if (r < 0)
		return error_errno(e, r, "object %s", name);
	if (copied)
		*copied = true;
	return EF_REASON_OK;
}
