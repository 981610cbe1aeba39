/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linked into a test build of edgeferry-worker (ld --wrap): holds every single write to the target
 * against the image as it should be (S-08, S-09) and makes faults on request. Environment:
 *   WATCH_IMAGE=PATH  a write of other bytes than PATH has in that place, or of other than zeros
 *                     behind its end, ends the process by SIGABRT
 *   WATCH_KILL=N      SIGKILL just before write N (from 1), WATCH_TEAR=1: after half of it
 *   WATCH_FAIL=N:E    write N fails with errno E
 *   WATCH_NO_PUNCH=1  holes cannot be made
 *   WATCH_SHORT=1     every write and read moves at most 1000 bytes, every third is interrupted
 *   WATCH_WRAP=N      a medium of N bytes that says it has more: what is written at N or behind it
 * is there, and in the place of what was N bytes before (F-06) (F-26) WATCH_FLIP=OFF    after the
 * sync the medium gives back one wrong bit at OFF (S-10, F-06)
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t __real_pwrite64(int fd, const void *buf, size_t size, off64_t offset);
ssize_t __real_pread64(int fd, void *buf, size_t size, off64_t offset);
int __real_fallocate64(int fd, int mode, off64_t offset, off64_t size);
int __real_fsync(int fd);
ssize_t __wrap_pwrite64(int fd, const void *buf, size_t size, off64_t offset);
ssize_t __wrap_pwrite(int fd, const void *buf, size_t size, off64_t offset);
ssize_t __wrap_pread64(int fd, void *buf, size_t size, off64_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t size, off64_t offset);
int __wrap_fallocate64(int fd, int mode, off64_t offset, off64_t size);
int __wrap_fallocate(int fd, int mode, off64_t offset, off64_t size);
int __wrap_fsync(int fd);

static unsigned n_writes, n_calls;
static bool synced;

static unsigned long long number(const char *name)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 0) : 0;
}

static void die(const char *what, off64_t offset, size_t size)
{
	fprintf(stderr, "watch: %s at %lld, %zu bytes\n", what, (long long)offset, size);
	abort();
}

/* buf NULL: zeros are about to be made there. */
static void watch(const void *buf, size_t size, off64_t offset)
{
	const char *path = getenv("WATCH_IMAGE");
	static uint8_t want[1 << 20];

	if (!path)
		return;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("no image", offset, size);
	for (size_t done = 0; done < size;) {
		size_t n = size - done < sizeof(want) ? size - done : sizeof(want);
		memset(want, 0, n);
		if (__real_pread64(fd, want, n, offset + (off64_t)done) < 0)
			die("image cannot be read", offset, size);
		for (size_t i = 0; i < n; i++)
			if (want[i] != (buf ? ((const uint8_t *)buf)[done + i] : 0))
				die("a write that is not the image", offset, size);
		done += n;
	}
	close(fd);
}

/* -1 with errno: let the call fail; 0: go on. */
static int strike(int fd, const void *buf, size_t size, off64_t offset)
{
	const char *fail = getenv("WATCH_FAIL");
	unsigned n = ++n_writes, at;
	int number_of_error;

	if (number("WATCH_KILL") == n) {
		if (buf && number("WATCH_TEAR"))
			__real_pwrite64(fd, buf, size / 2, offset);
		raise(SIGKILL);
	}
	if (fail && sscanf(fail, "%u:%d", &at, &number_of_error) == 2 && n >= at) {
		errno = number_of_error;
		return -1;
	}
	return 0;
}

/* -1: interrupted this time; else how much to move. */
static ssize_t shorten(size_t size)
{
	if (!number("WATCH_SHORT"))
		return (ssize_t)size;
	if (++n_calls % 3 == 0) {
		errno = EINTR;
		return -1;
	}
	return size > 1000 ? 1000 : (ssize_t)size;
}

ssize_t __wrap_pwrite64(int fd, const void *buf, size_t size, off64_t offset)
{
	ssize_t n = shorten(size);

	watch(buf, size, offset);
	if (n < 0 || strike(fd, buf, size, offset) < 0)
		return -1;
	off64_t wrap = (off64_t)number("WATCH_WRAP");
	if (wrap > 0 && offset >= wrap && __real_pwrite64(fd, buf, (size_t)n, offset - wrap) != n)
		die("no write before", offset, size);
	return __real_pwrite64(fd, buf, (size_t)n, offset);
}

ssize_t __wrap_pwrite(int fd, const void *buf, size_t size, off64_t offset)
{
	return __wrap_pwrite64(fd, buf, size, offset);
}

ssize_t __wrap_pread64(int fd, void *buf, size_t size, off64_t offset)
{
	/* Whole blocks stay whole: O_DIRECT takes nothing else. */
	ssize_t n = synced ? (ssize_t)size : shorten(size);

	if (n < 0)
		return -1;
	n = __real_pread64(fd, buf, (size_t)n, offset);
	off64_t flip = (off64_t)number("WATCH_FLIP");
	if (synced && getenv("WATCH_FLIP") && n > 0 && flip >= offset && flip < offset + n)
		((uint8_t *)buf)[flip - offset] ^= 1;
	return n;
}

ssize_t __wrap_pread(int fd, void *buf, size_t size, off64_t offset)
{
	return __wrap_pread64(fd, buf, size, offset);
}

int __wrap_fallocate64(int fd, int mode, off64_t offset, off64_t size)
{
	if (number("WATCH_NO_PUNCH")) {
		errno = EOPNOTSUPP;
		return -1;
	}
	watch(NULL, (size_t)size, offset);
	if (strike(fd, NULL, (size_t)size, offset) < 0)
		return -1;
	return __real_fallocate64(fd, mode, offset, size);
}

int __wrap_fallocate(int fd, int mode, off64_t offset, off64_t size)
{
	return __wrap_fallocate64(fd, mode, offset, size);
}

int __wrap_fsync(int fd)
{
	synced = true;
	return __real_fsync(fd);
}
