/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/one-sector.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SIZE_MAX_HERE 4096u

static enum ef_reason failed(int negative_errno, const char *path, struct error *e)
{
	errno = -negative_errno;
	return error_set(e, EF_REASON_BOOT_STATE, "%s: %m", path);
}

/* Not for a FIFO, which would hang, and not through a link. */
static int open_file(const char *path, int flags, struct stat *st)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	if (fstat(fd, st) < 0 || !S_ISREG(st->st_mode)) {
		ef_close(fd);
		return -EINVAL;
	}
	return fd;
}

enum ef_reason one_sector_read(
	const char *path, char *data, size_t max, size_t *size, struct error *e)
{
	struct stat st;
	_cleanup_close_ int fd = open_file(path, O_RDONLY, &st);

	if (fd < 0)
		return failed(fd, path, e);
	if (st.st_size > (off_t)max)
		return failed(-EFBIG, path, e);
	ssize_t n = fd_read_some(fd, data, max);
	if (n < 0)
		return failed((int)n, path, e);
	*size = (size_t)n;
	return EF_REASON_OK;
}

enum ef_reason one_sector_write(const char *path, const char *data, size_t size, struct error *e)
{
	char is[SIZE_MAX_HERE];
	struct stat st;
	_cleanup_close_ int fd = open_file(path, O_RDWR, &st);

	if (fd < 0)
		return failed(fd, path, e);
	if (st.st_size != (off_t)size || size > sizeof(is))
		return failed(-EFBIG, path, e);
	int r = fd_pread_full(fd, is, size, 0);
	if (r == 0 && memcmp(is, data, size) == 0)
		return fdatasync(fd) == 0 ? EF_REASON_OK : failed(-errno, path, e);
	if (r == 0)
		r = fd_pwrite_full(fd, data, size, 0);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r < 0)
		return failed(r, path, e);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	r = fd_pread_full(fd, is, size, 0);
	if (r < 0)
		return failed(r, path, e);
	if (memcmp(is, data, size) != 0)
		return error_set(e, EF_REASON_BOOT_STATE,
			"%s: reads back differently from what was written", path);
	return EF_REASON_OK;
}
