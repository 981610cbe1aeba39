/* SPDX-License-Identifier: Apache-2.0 */
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

static int write_temporary(int dir_fd, const char *tmp, const void *data, size_t size, mode_t mode)
{
	/* A left-over is removed, not opened: it might be a link, or have another owner. */
	if (unlinkat(dir_fd, tmp, 0) < 0 && errno != ENOENT)
		return -errno;
	_cleanup_close_ int fd = openat(dir_fd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	int r = fd_write_full(fd, data, size);
	if (r < 0)
		return r;
	if (fchmod(fd, mode) < 0 || fsync(fd) < 0)
		return -errno;
	/* close() may be the first to tell of a lost write (NFS, quota). */
	return close(TAKE_FD(fd)) < 0 && errno != EINTR ? -errno : 0;
}

int atomic_file_write_at(int dir_fd, const char *name, const void *data, size_t size, mode_t mode)
{
	char tmp[NAME_MAX + 1];

	if (!name[0] || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	if ((size_t)snprintf(tmp, sizeof(tmp), ".%s.tmp", name) >= sizeof(tmp))
		return -ENAMETOOLONG;
	/* AT_FDCWD and O_PATH cannot be synced: open the directory itself, before anything is done.
	 */
	_cleanup_close_ int dir = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	int r = write_temporary(dir, tmp, data, size, mode);
	if (r == 0 && renameat(dir, tmp, dir, name) < 0)
		r = -errno;
	if (r < 0) {
		unlinkat(dir, tmp, 0);
		return r;
	}
	return fsync(dir) < 0 ? -errno : 0;
}

int atomic_file_write(const char *path, const void *data, size_t size, mode_t mode)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return atomic_file_write_at(AT_FDCWD, path, data, size, mode);
	/* "/name" lies in "/" */
	_cleanup_free_ char *dir_name = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!dir_name)
		return -ENOMEM;
	_cleanup_close_ int dir = open(dir_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	return atomic_file_write_at(dir, slash + 1, data, size, mode);
}
