/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/target.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>

#define FLUSH_EVERY (8u << 20) /* bytes handed to the device at a time, while the next come in */

/* A full disk is something to free, the rest something to replace. */
static enum ef_reason write_error(const struct target *t, int r, struct error *e)
{
	errno = -r;
	if (r == -ENOSPC || r == -EDQUOT || r == -EFBIG)
		return error_set(e, EF_REASON_NO_SPACE, "%s: %m", t->path);
	return error_set(e, EF_REASON_SLOT_WRITE, "%s: %m", t->path);
}

static bool same_place(const struct stat *x, const struct stat *y)
{
	if (x->st_dev == y->st_dev && x->st_ino == y->st_ino)
		return true;
	return S_ISBLK(x->st_mode) && S_ISBLK(y->st_mode) && x->st_rdev == y->st_rdev;
}

/* The running slot must be known for certain: one that cannot be looked at may be the target. */
static enum ef_reason refuse_running(
	const char *path, const struct stat *st, const char *running, struct error *e)
{
	struct stat other;

	if (strcmp(path, running) == 0)
		return error_set(e, EF_REASON_SLOT_RUNNING, "%s", path);
	if (stat(running, &other) < 0)
		return error_set(e, EF_REASON_CONFIG, "running slot %s: %m", running);
	if (same_place(st, &other))
		return error_set(e, EF_REASON_SLOT_RUNNING, "%s is %s", path, running);
	if (stat("/", &other) < 0 || (S_ISBLK(st->st_mode) && st->st_rdev == other.st_dev))
		return error_set(e, EF_REASON_SLOT_RUNNING, "%s holds the root file system", path);
	return EF_REASON_OK;
}

static enum ef_reason open_exclusively(struct target *t, const struct stat *st, struct error *e)
{
	/* O_EXCL without O_CREAT: refused while mounted or claimed; for block devices only. */
	int flags = O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | (t->block ? O_EXCL : 0);
	struct stat now;

	t->fd = open(t->path, flags);
	if (t->fd < 0)
		return error_errno(e, -errno, "%s", t->path);
	if (fstat(t->fd, &now) < 0 || !same_place(&now, st))
		return error_set(
			e, EF_REASON_BUSY, "%s was exchanged while it was opened", t->path);
	if (flock(t->fd, LOCK_EX | LOCK_NB) < 0)
		return error_errno(e, -errno == -EWOULDBLOCK ? -EBUSY : -errno, "%s", t->path);
	if (fcntl(t->fd, F_SETFL, 0) < 0)
		return error_errno(e, -errno, "%s", t->path);
	return EF_REASON_OK;
}

/* Where the file system has no O_DIRECT (an old tmpfs), all goes through the cache. */
static enum ef_reason open_direct(struct target *t, const struct stat *st, struct error *e)
{
	struct stat now;

	t->direct = open(t->path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_DIRECT);
	if (t->direct >= 0 && (fstat(t->direct, &now) < 0 || !same_place(&now, st)))
		return error_set(
			e, EF_REASON_BUSY, "%s was exchanged while it was opened", t->path);
	return EF_REASON_OK;
}

static int get_size(const struct target *t, uint64_t *ret)
{
	struct stat st;

	if (t->block)
		return ioctl(t->fd, BLKGETSIZE64, ret) < 0 ? -errno : 0;
	if (fstat(t->fd, &st) < 0)
		return -errno;
	*ret = (uint64_t)st.st_size;
	return 0;
}

enum ef_reason target_open(struct target *t, const char *path, const char *running,
	uint64_t image_size, struct error *e)
{
	struct stat st;

	*t = (struct target){.path = path, .fd = -1, .direct = -1};
	if (stat(path, &st) < 0)
		return error_errno(e, -errno, "%s", path);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(
			e, EF_REASON_CONFIG, "%s is neither a file nor a block device", path);
	t->block = S_ISBLK(st.st_mode);
	if (refuse_running(path, &st, running, e) || open_exclusively(t, &st, e) ||
		open_direct(t, &st, e))
		return e->reason;
	int r = get_size(t, &t->size);
	if (r < 0)
		return error_errno(e, r, "%s", path);
	if (t->size < image_size)
		return error_set(e, EF_REASON_TOO_LARGE, "%s has %llu bytes, the image %llu", path,
			(unsigned long long)t->size, (unsigned long long)image_size);
	return EF_REASON_OK;
}

void target_close(struct target *t)
{
	t->fd = ef_close(t->fd);
	t->direct = ef_close(t->direct);
}

int target_read(const struct target *t, void *buf, size_t size, uint64_t offset)
{
	return fd_pread_full(t->fd, buf, size, offset);
}

/* Hands what was written to the device early, so that the sync at the end has little left. */
static void note_dirty(struct target *t, uint64_t offset, uint64_t size)
{
	if (t->dirty_to != offset) {
		t->dirty_from = offset;
		t->dirty_to = offset;
	}
	t->dirty_to += size;
	if (t->dirty_to - t->dirty_from < FLUSH_EVERY)
		return;
	sync_file_range(t->fd, (off_t)t->dirty_from, (off_t)(t->dirty_to - t->dirty_from),
		SYNC_FILE_RANGE_WRITE);
	t->dirty_from = t->dirty_to;
}

/* Through the cache. */
static int write_cached(struct target *t, const void *buf, uint64_t size, uint64_t offset)
{
	int r = size > 0 ? fd_pwrite_full(t->fd, buf, size, offset) : 0;

	if (r == 0 && size > 0)
		note_dirty(t, offset, size);
	return r;
}

/* Whole blocks, past the cache where that can be. */
static int write_blocks(struct target *t, const void *buf, uint64_t size, uint64_t offset)
{
	if (t->direct < 0 || t->no_direct || size == 0)
		return write_cached(t, buf, size, offset);
	int r = fd_pwrite_full(t->direct, buf, size, offset);
	t->no_direct = r == -EINVAL; /* larger blocks than ours, or a write that was cut short */
	return t->no_direct ? write_cached(t, buf, size, offset) : r;
}

enum ef_reason target_write(
	struct target *t, const void *buf, size_t size, uint64_t offset, struct error *e)
{
	const char *p = buf;
	uint64_t head = (TARGET_ALIGN - offset % TARGET_ALIGN) % TARGET_ALIGN;

	if (offset > t->size || size > t->size - offset)
		return error_set(e, EF_REASON_TOO_LARGE, "%s", t->path);
	head = head < size ? head : size;
	uint64_t tail = (size - head) % TARGET_ALIGN, middle = size - head - tail;
	int r = write_cached(t, p, head, offset);
	r = r ? r : write_blocks(t, p + head, middle, offset + head);
	r = r ? r : write_cached(t, p + head + middle, tail, offset + head + middle);
	return r < 0 ? write_error(t, r, e) : EF_REASON_OK;
}

enum ef_reason target_zero(struct target *t, uint64_t offset, uint64_t size, struct error *e)
{
	static const uint8_t zeros[64 * 1024] __attribute__((aligned(TARGET_ALIGN)));

	if (offset > t->size || size > t->size - offset)
		return error_set(e, EF_REASON_TOO_LARGE, "%s", t->path);
	if (!t->no_punch && size > 0) {
		if (fallocate(t->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			    (off_t)size) == 0)
			return EF_REASON_OK;
		t->no_punch = errno != EINVAL; /* EINVAL: of this range, in a device's blocks */
	}
	while (size > 0) {
		uint64_t skip = offset % TARGET_ALIGN, n = sizeof(zeros) - skip;
		n = n < size ? n : size;
		if (target_write(t, zeros + skip, n, offset, e))
			return e->reason;
		offset += n;
		size -= n;
	}
	return EF_REASON_OK;
}

enum ef_reason target_sync(struct target *t, struct error *e)
{
	uint64_t size;

	if (fsync(t->fd) < 0)
		return write_error(t, -errno, e);
	int r = get_size(t, &size);
	if (r < 0)
		return write_error(t, r, e);
	if (size != t->size)
		return error_set(e, EF_REASON_SLOT_WRITE,
			"%s changed its size while it was written", t->path);
	return EF_REASON_OK;
}

int target_past_cache(const struct target *t)
{
	if (t->direct >= 0)
		return t->direct;
	posix_fadvise(t->fd, 0, 0, POSIX_FADV_DONTNEED);
	return t->fd;
}

uint64_t target_skip_hole(const struct target *t, uint64_t offset)
{
	if (t->block || offset >= t->size)
		return offset;
	off_t data = lseek(t->fd, (off_t)offset, SEEK_DATA);
	if (data < 0)
		return errno == ENXIO ? t->size : offset;
	/* A whole block of the caller's (O_DIRECT); never before offset. */
	uint64_t start = (uint64_t)data / TARGET_ALIGN * TARGET_ALIGN;
	return start < offset ? offset : start;
}
