/* SPDX-License-Identifier: Apache-2.0 */
#include "util/fdio.h"
#include "util/cleanup.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

/* One system call moves at most this: the kernel cuts at 2 GiB anyway. */
#define IO_MAX ((size_t)1 << 30)

/* 0 when the failed call may be made again: interrupted, or ready after waiting. */
static int retry(int fd, short events)
{
	if (errno == EINTR)
		return 0;
	if (errno != EAGAIN && errno != EWOULDBLOCK)
		return -errno;
	struct pollfd p = {.fd = fd, .events = events};
	if (poll(&p, 1, -1) < 0 && errno != EINTR)
		return -errno;
	return 0;
}

ssize_t fd_read_some(int fd, void *buf, size_t size)
{
	size_t done = 0;

	if (size > SSIZE_MAX)
		return -EINVAL;
	while (done < size) {
		size_t want = size - done < IO_MAX ? size - done : IO_MAX;
		ssize_t n = read(fd, (char *)buf + done, want);
		if (n == 0)
			break;
		if (n > 0) {
			done += (size_t)n;
			continue;
		}
		int r = retry(fd, POLLIN);
		if (r < 0)
			return r;
	}
	return (ssize_t)done;
}

int fd_read_full(int fd, void *buf, size_t size)
{
	ssize_t n = fd_read_some(fd, buf, size);

	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -ENODATA;
}

static int offset_valid(uint64_t offset, size_t size)
{
	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return -EFBIG;
	return 0;
}

int fd_pread_full(int fd, void *buf, size_t size, uint64_t offset)
{
	char *p = buf;

	if (offset_valid(offset, size) < 0)
		return -EFBIG;
	while (size > 0) {
		ssize_t n = pread(fd, p, size < IO_MAX ? size : IO_MAX, (off_t)offset);
		if (n == 0)
			return -ENODATA;
		if (n > 0) {
			p += n;
			size -= (size_t)n;
			offset += (uint64_t)n;
			continue;
		}
		int r = retry(fd, POLLIN);
		if (r < 0)
			return r;
	}
	return 0;
}

int fd_write_full(int fd, const void *buf, size_t size)
{
	const char *p = buf;

	while (size > 0) {
		ssize_t n = write(fd, p, size < IO_MAX ? size : IO_MAX);
		if (n == 0)
			return -EIO;
		if (n > 0) {
			p += n;
			size -= (size_t)n;
			continue;
		}
		int r = retry(fd, POLLOUT);
		if (r < 0)
			return r;
	}
	return 0;
}

int fd_pwrite_full(int fd, const void *buf, size_t size, uint64_t offset)
{
	const char *p = buf;

	if (offset_valid(offset, size) < 0)
		return -EFBIG;
	while (size > 0) {
		ssize_t n = pwrite(fd, p, size < IO_MAX ? size : IO_MAX, (off_t)offset);
		if (n == 0)
			return -EIO;
		if (n > 0) {
			p += n;
			size -= (size_t)n;
			offset += (uint64_t)n;
			continue;
		}
		int r = retry(fd, POLLOUT);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_all(int fd, size_t max, uint8_t **ret, size_t *size)
{
	_cleanup_free_ uint8_t *buf = NULL;
	size_t room = 0, have = 0;

	for (;;) {
		if (have == room) {
			room = room ? room * 2 : 4096;
			if (room > max + 1)
				room = max + 1; /* one more byte tells "too big" */
			uint8_t *larger = realloc(buf, room + 1);
			if (!larger)
				return -ENOMEM;
			buf = larger;
		}
		ssize_t n = fd_read_some(fd, buf + have, room - have);
		if (n < 0)
			return (int)n;
		have += (size_t)n;
		if (have > max)
			return -EFBIG;
		if (have < room)
			break;
	}
	buf[have] = 0;
	*ret = TAKE_PTR(buf);
	if (size)
		*size = have;
	return 0;
}

int file_read_at(int dir_fd, const char *name, size_t max, uint8_t **ret, size_t *size)
{
	struct stat st;

	if (max > SSIZE_MAX - 2)
		max = SSIZE_MAX - 2;
	/* NONBLOCK: a FIFO put in a file's place must not hang the reader. */
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > 0 && (uint64_t)st.st_size > max)
		return -EFBIG;
	return read_all(fd, max, ret, size);
}

int file_read(const char *path, size_t max, uint8_t **ret, size_t *size)
{
	return file_read_at(AT_FDCWD, path, max, ret, size);
}

static int dir_make_one(const char *path, mode_t mode)
{
	struct stat st;

	if (mkdir(path, mode) == 0)
		return 0;
	int r = -errno;
	/* EEXIST first of all, but also EROFS or EACCES where the directory is there. */
	if (stat(path, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	return r;
}

int dir_make(const char *path, mode_t mode)
{
	char buf[PATH_MAX];
	size_t n = strlen(path);

	if (n == 0)
		return -EINVAL;
	if (n >= sizeof(buf))
		return -ENAMETOOLONG;
	memcpy(buf, path, n + 1);
	for (char *p = buf + 1; *p; p++) {
		if (*p != '/' || p[-1] == '/')
			continue;
		*p = 0;
		int r = dir_make_one(buf, mode);
		*p = '/';
		if (r < 0)
			return r;
	}
	return dir_make_one(buf, mode);
}

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

int fd_sha256(int fd, uint64_t offset, uint64_t size, uint8_t digest[32])
{
	enum { BLOCK = 128 * 1024 };
	_cleanup_free_ uint8_t *buf = malloc(BLOCK);
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool to_end = size == UINT64_MAX;

	if (!buf || !md)
		return -ENOMEM;
	if (offset > INT64_MAX)
		return -EFBIG;
	if (EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1)
		return -EIO;
	while (size > 0) {
		ssize_t n = pread(fd, buf, size < BLOCK ? (size_t)size : BLOCK, (off_t)offset);
		if (n == 0)
			break;
		if (n < 0) {
			int r = retry(fd, POLLIN);
			if (r < 0)
				return r;
			continue;
		}
		if (EVP_DigestUpdate(md, buf, (size_t)n) != 1)
			return -EIO;
		offset += (uint64_t)n;
		if (!to_end)
			size -= (uint64_t)n;
	}
	if (!to_end && size > 0)
		return -ENODATA;
	return EVP_DigestFinal_ex(md, digest, NULL) == 1 ? 0 : -EIO;
}
