/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/source.h"
#include "bundle/tar.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum ef_reason published_open(struct published *p, const char *path, struct error *e)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	p->path = path;
	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;
		ef_close(fd);
		return error_errno(e, r, "%s", path);
	}
	if (!S_ISDIR(st.st_mode))
		return bundle_open(fd, path, &p->bundle, e);
	p->dir_fd = fd;
	return EF_REASON_OK;
}

void published_close(struct published *p)
{
	p->dir_fd = ef_close(p->dir_fd);
	bundle_close(p->bundle);
	p->bundle = NULL;
}

enum ef_reason published_read(const struct published *p, const char *name, size_t max,
	uint8_t **ret, size_t *size, struct error *e)
{
	if (p->bundle)
		return bundle_read(p->bundle, name, max, ret, size, e);
	if (!tar_name_valid(name))
		return error_set(e, EF_REASON_BAD_FORMAT, "%s: a name that cannot be", p->path);
	int r = file_read_at(p->dir_fd, name, max, ret, size);
	if (r == -EFBIG)
		return error_set(
			e, EF_REASON_BAD_SIZE, "%s/%s: above %zu bytes", p->path, name, max);
	return r < 0 ? error_errno(e, r, "%s/%s", p->path, name) : EF_REASON_OK;
}

enum ef_reason published_locate(const struct published *p, const char *name, int *fd, bool *own,
	uint64_t *offset, uint64_t *size, struct error *e)
{
	struct stat st;

	*own = p->bundle == NULL;
	*offset = 0;
	if (p->bundle) {
		const struct bundle_member *m = bundle_find(p->bundle, name);
		if (!m)
			return error_set(e, EF_REASON_NOT_FOUND, "%s: no %s in it", p->path, name);
		*fd = bundle_fd(p->bundle);
		*offset = m->offset;
		*size = m->size;
		return EF_REASON_OK;
	}
	*fd = openat(p->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (*fd < 0 || fstat(*fd, &st) < 0) {
		int r = -errno;
		ef_close(*fd);
		return error_errno(e, r, "%s/%s", p->path, name);
	}
	*size = (uint64_t)st.st_size;
	return EF_REASON_OK;
}
