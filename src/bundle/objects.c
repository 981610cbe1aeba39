/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/objects.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATCH_END ".patch"
#define NAME_SIZE (DIGEST_HEX_MAX + sizeof(PATCH_END) - 1)

static bool digest_is(const void *data, size_t size, const uint8_t sha256[32])
{
	uint8_t digest[32];

	return EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) == 1 &&
	       memcmp(digest, sha256, sizeof(digest)) == 0;
}

enum ef_reason object_check(
	const uint8_t sha256[32], const void *data, size_t size, struct error *e)
{
	char name[DIGEST_HEX_MAX];

	if (digest_is(data, size, sha256))
		return EF_REASON_OK;
	return error_set(e, EF_REASON_BAD_DIGEST, "object %s", digest_hex(sha256, name));
}

bool object_have(int objects_dir_fd, const uint8_t sha256[32], uint64_t size)
{
	char name[DIGEST_HEX_MAX];
	struct stat st;

	return fstatat(objects_dir_fd, digest_hex(sha256, name), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(st.st_mode) && (uint64_t)st.st_size == size;
}

enum ef_reason object_put(int objects_dir_fd, const uint8_t sha256[32], const void *data,
	size_t size, struct error *e)
{
	char name[DIGEST_HEX_MAX];

	if (object_check(sha256, data, size, e))
		return e->reason;
	digest_hex(sha256, name);
	if (object_have(objects_dir_fd, sha256, size))
		return EF_REASON_OK;
	int r = atomic_file_write_at(objects_dir_fd, name, data, size, 0644);
	if (r < 0)
		return error_errno(e, r, "object %s", name);
	return EF_REASON_OK;
}

enum ef_reason object_get(
	int objects_dir_fd, const uint8_t sha256[32], uint64_t size, uint8_t **ret, struct error *e)
{
	char name[DIGEST_HEX_MAX];
	_cleanup_free_ uint8_t *data = NULL;
	size_t have;

	digest_hex(sha256, name);
	if (size > SIZE_MAX / 2)
		return error_set(e, EF_REASON_BAD_SIZE, "object %s", name);
	int r = file_read_at(objects_dir_fd, name, (size_t)size, &data, &have);
	if (r < 0 && r != -EFBIG)
		return error_errno(e, r, "object %s", name);
	if (r == -EFBIG || have != size || !digest_is(data, have, sha256)) {
		unlinkat(objects_dir_fd, name, 0);
		return error_set(e, EF_REASON_BAD_DIGEST, "stored object %s", name);
	}
	*ret = TAKE_PTR(data);
	return EF_REASON_OK;
}

static char *patch_name(const uint8_t key[32], char ret[NAME_SIZE])
{
	digest_hex(key, ret);
	strcat(ret, PATCH_END);
	return ret;
}

enum ef_reason object_patch_put(
	int objects_dir_fd, const uint8_t key[32], const void *data, size_t size, struct error *e)
{
	char name[NAME_SIZE];
	_cleanup_free_ uint8_t *file = malloc(DIGEST_SIZE + size);

	if (!file || EVP_Digest(data, size, file, NULL, EVP_sha256(), NULL) != 1)
		return error_set(e, EF_REASON_NO_MEMORY, "a patch");
	memcpy(file + DIGEST_SIZE, data, size);
	int r = atomic_file_write_at(
		objects_dir_fd, patch_name(key, name), file, DIGEST_SIZE + size, 0644);
	return r < 0 ? error_errno(e, r, "%s", name) : EF_REASON_OK;
}

enum ef_reason object_patch_get(int objects_dir_fd, const uint8_t key[32], size_t max,
	uint8_t **ret, size_t *size, struct error *e)
{
	char name[NAME_SIZE];
	_cleanup_free_ uint8_t *file = NULL;
	size_t n;

	int r = file_read_at(objects_dir_fd, patch_name(key, name), DIGEST_SIZE + max, &file, &n);
	if (r < 0 && r != -EFBIG)
		return error_errno(e, r, "%s", name);
	if (r == -EFBIG || n < DIGEST_SIZE ||
		!digest_is(file + DIGEST_SIZE, n - DIGEST_SIZE, file)) {
		unlinkat(objects_dir_fd, name, 0);
		return error_set(e, EF_REASON_BAD_DIGEST, "stored %s", name);
	}
	memmove(file, file + DIGEST_SIZE, n - DIGEST_SIZE);
	*size = n - DIGEST_SIZE;
	*ret = TAKE_PTR(file);
	return EF_REASON_OK;
}

static bool is_temporary(const char *name)
{
	size_t n = strlen(name);

	return n > 5 && name[0] == '.' && strcmp(name + n - 4, ".tmp") == 0;
}

struct stored {
	char name[NAME_SIZE];
	uint64_t size;
	struct timespec age;
};

struct listing {
	struct stored *list; /* of what may go */
	size_t n;
	uint64_t used; /* by all */
	bool look_only;
};

static int oldest_first(const void *a, const void *b)
{
	const struct stored *x = a, *y = b;

	if (x->age.tv_sec != y->age.tv_sec)
		return x->age.tv_sec < y->age.tv_sec ? -1 : 1;
	if (x->age.tv_nsec != y->age.tv_nsec)
		return x->age.tv_nsec < y->age.tv_nsec ? -1 : 1;
	return strcmp(x->name, y->name);
}

static int note(struct listing *l, const char *name, const struct stat *st, bool keep)
{
	l->used += (uint64_t)st->st_size;
	if (keep)
		return 0;
	struct stored *larger = reallocarray(l->list, l->n + 1, sizeof(*larger));
	if (!larger)
		return -ENOMEM;
	l->list = larger;
	l->list[l->n] = (struct stored){.size = (uint64_t)st->st_size, .age = st->st_mtim};
	strcpy(l->list[l->n++].name, name);
	return 0;
}

static bool is_patch(const char *name)
{
	uint8_t key[DIGEST_SIZE];
	char hex[DIGEST_HEX_MAX];

	if (strlen(name) != NAME_SIZE - 1 || strcmp(name + DIGEST_HEX_MAX - 1, PATCH_END) != 0)
		return false;
	memcpy(hex, name, sizeof(hex) - 1);
	hex[sizeof(hex) - 1] = '\0';
	return hex_decode(hex, key, sizeof(key));
}

static int look_at(int fd, const char *name, struct listing *l,
	bool (*keep)(void *ctx, const uint8_t sha256[32]), void *ctx)
{
	uint8_t digest[DIGEST_SIZE];
	struct stat st;

	if (is_temporary(name) && l->look_only)
		return 0;
	if (is_temporary(name))
		return unlinkat(fd, name, 0) < 0 && errno != ENOENT ? -errno : 0;
	bool patch = is_patch(name);
	if (!patch && !hex_decode(name, digest, sizeof(digest)))
		return 0;
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	return note(l, name, &st, !patch && keep(ctx, digest));
}

static int look_at_all(int objects_dir_fd, struct listing *l,
	bool (*keep)(void *ctx, const uint8_t sha256[32]), void *ctx)
{
	struct dirent *d;
	int r = 0, first = 0;

	int fd = openat(objects_dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	DIR *dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		ef_close(fd);
		return r;
	}
	for (errno = 0; (d = readdir(dir)); errno = 0) {
		r = look_at(fd, d->d_name, l, keep, ctx);
		if (r < 0 && first == 0)
			first = r;
	}
	if (errno && first == 0)
		first = -errno;
	closedir(dir);
	return first;
}

int object_trim(int objects_dir_fd, uint64_t max, bool (*keep)(void *ctx, const uint8_t sha256[32]),
	void *ctx, uint64_t *used)
{
	struct listing l = {.list = NULL};
	int r = look_at_all(objects_dir_fd, &l, keep, ctx);

	if (l.n > 0)
		qsort(l.list, l.n, sizeof(*l.list), oldest_first);
	for (size_t i = 0; i < l.n && l.used > max; i++) {
		if (unlinkat(objects_dir_fd, l.list[i].name, 0) == 0 || errno == ENOENT)
			l.used -= l.list[i].size;
		else if (r == 0)
			r = -errno;
	}
	free(l.list);
	*used = l.used;
	return r;
}

int object_usage(int objects_dir_fd, bool (*keep)(void *ctx, const uint8_t sha256[32]), void *ctx,
	uint64_t *used, uint64_t *kept)
{
	struct listing l = {.look_only = true};
	int r = look_at_all(objects_dir_fd, &l, keep, ctx);

	*used = *kept = l.used;
	for (size_t i = 0; i < l.n; i++)
		*kept -= l.list[i].size;
	free(l.list);
	return r;
}

struct finding {
	bool (*look)(void *ctx, const uint8_t sha256[32]);
	void *ctx;
	bool found;
};

static bool look_once(void *ctx, const uint8_t sha256[32])
{
	struct finding *f = ctx;

	f->found = f->found || f->look(f->ctx, sha256);
	return true;
}

int object_find(int objects_dir_fd, bool (*look)(void *ctx, const uint8_t sha256[32]), void *ctx)
{
	struct finding f = {.look = look, .ctx = ctx};
	struct listing l = {.look_only = true};
	int r = look_at_all(objects_dir_fd, &l, look_once, &f);

	free(l.list);
	return f.found ? 0 : r < 0 ? r : -ENOENT;
}
