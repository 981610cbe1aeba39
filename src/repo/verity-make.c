/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/verity-make.h"
#include "util/child.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define COPY_SIZE (1u << 20)

/* failed, what: its outcome when it does not exit with 0. */
static enum ef_reason veritysetup(
	const char *const *argv, enum ef_reason failed, const char *what, struct error *e)
{
	static const char *const places[] = {
		"/usr/sbin/veritysetup", "/sbin/veritysetup", "/usr/bin/veritysetup"};
	struct child_spec spec = {.argv = argv, .stderr_too = true};
	_cleanup_close_ int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	int status;

	for (size_t i = 0; i < 3 && !spec.path; i++)
		if (access(places[i], X_OK) == 0)
			spec.path = places[i];
	if (!spec.path)
		return error_set(
			e, EF_REASON_NOT_FOUND, "veritysetup is needed: install cryptsetup-bin");
	spec.stdout_fd = null;
	pid_t pid = child_start(&spec);
	if (pid < 0)
		return error_errno(e, pid, "%s", spec.path);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return error_errno(e, -errno, "%s", spec.path);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return error_set(e, failed, "veritysetup: %s", what);
	return EF_REASON_OK;
}

static enum ef_reason copy(int from, int to, const char *name, struct error *e)
{
	_cleanup_free_ uint8_t *buf = malloc(COPY_SIZE);
	ssize_t n = -ENOMEM;

	while (buf && (n = fd_read_some(from, buf, COPY_SIZE)) > 0) {
		int r = fd_write_full(to, buf, (size_t)n);
		if (r < 0)
			return error_errno(e, r, "%s", name);
	}
	return n < 0 ? error_errno(e, (int)n, "%s", name) : EF_REASON_OK;
}

/* The tree of the file system in path, behind it; salt and UUID come from the image, so that the
 * same image gives the same bytes. */
static enum ef_reason format(
	const char *path, const uint8_t digest[32], struct verity *v, struct error *e)
{
	char root_file[PATH_MAX], hex[DIGEST_HEX_MAX], salt[96], offset[64], uuid[64], root[128];
	_cleanup_free_ uint8_t *text = NULL;
	size_t size;

	digest_hex(digest, hex);
	snprintf(salt, sizeof(salt), "--salt=%s", hex);
	snprintf(uuid, sizeof(uuid), "--uuid=%.8s-%.4s-4%.3s-8%.3s-%.12s", hex, hex + 8, hex + 13,
		hex + 17, hex + 20);
	snprintf(offset, sizeof(offset), "--hash-offset=%llu", (unsigned long long)v->offset);
	if ((size_t)snprintf(root_file, sizeof(root_file), "--root-hash-file=%s.root", path) >=
		sizeof(root_file))
		return error_errno(e, -ENAMETOOLONG, "%s", path);
	const char *const argv[] = {"veritysetup", "format", "--hash=sha256",
		"--data-block-size=4096", "--hash-block-size=4096", offset, salt, uuid, root_file,
		path, path, NULL};
	if (veritysetup(argv, EF_REASON_IO, "the tree could not be made", e))
		return e->reason;
	const char *name = strchr(root_file, '=') + 1;
	int r = file_read(name, sizeof(root), &text, &size);
	unlink(name);
	if (r < 0)
		return error_errno(e, r, "%s", name);
	((char *)text)[strcspn((char *)text, "\n")] = '\0';
	return hex_decode((char *)text, v->root, sizeof(v->root))
		       ? EF_REASON_OK
		       : error_set(e, EF_REASON_BAD_FORMAT, "%s: no root hash", name);
}

static enum ef_reason make(const struct workspace *w, const char *image, char path[PATH_MAX],
	struct verity *v, struct error *e)
{
	_cleanup_close_ int from = open(image, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int to = -1;
	uint8_t digest[32];
	struct stat st;

	if (from < 0 || fstat(from, &st) < 0)
		return error_errno(e, -errno, "%s", image);
	v->offset = (uint64_t)st.st_size;
	if (v->offset % VERITY_BLOCK || v->offset < 2 * VERITY_BLOCK)
		return error_set(e, EF_REASON_USAGE,
			"%s: its size is no multiple of 4096 bytes: enlarge the file system",
			image);
	int r = fd_sha256(from, 0, UINT64_MAX, digest);
	if (r < 0 || lseek(from, 0, SEEK_SET) < 0)
		return error_errno(e, r < 0 ? r : -errno, "%s", image);
	snprintf(path, PATH_MAX, "%s/verity.XXXXXX", w->path);
	to = mkostemp(path, O_CLOEXEC);
	if (to < 0)
		return error_errno(e, -errno, "%s", path);
	if (copy(from, to, path, e) || format(path, digest, v, e))
		unlink(path);
	return e->reason;
}

static enum ef_reason given(const char *how, struct verity *v, struct error *e)
{
	unsigned long long offset;
	int n = 0;

	if (sscanf(how, "%llu:%n", &offset, &n) != 1 || n == 0 || how[0] < '0' || how[0] > '9' ||
		strlen(how + n) != 64 || !hex_decode(how + n, v->root, sizeof(v->root)))
		return error_set(e, EF_REASON_USAGE,
			"--verity %s: make, or OFFSET:ROOT as veritysetup format has printed it",
			how);
	v->offset = offset;
	return EF_REASON_OK;
}

/* A kernel mounts no ext2, 3 or 4 whose blocks are smaller than its device's, and dm-verity's are
 * those of the tree (Documentation/filesystems/ext4/super.rst). */
static enum ef_reason check_blocks(int fd, const char *path, struct error *e)
{
	uint8_t s[64];
	int r = fd_pread_full(fd, s, sizeof(s), 1024);

	if (r < 0)
		return error_errno(e, r, "%s", path);
	if (s[56] == 0x53 && s[57] == 0xef && s[24] < 2)
		return error_set(e, EF_REASON_USAGE,
			"%s: ext4 with blocks of %u bytes cannot be mounted on dm-verity: make it "
			"with mke2fs -b 4096",
			path, 1024u << s[24]);
	return EF_REASON_OK;
}

/* The tree as a whole, then what a gateway will look at. */
static enum ef_reason check(const char *path, const struct verity *v, struct error *e)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	char offset[64], root[DIGEST_HEX_MAX];
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_errno(e, -errno, "%s", path);
	snprintf(offset, sizeof(offset), "--hash-offset=%llu", (unsigned long long)v->offset);
	const char *const argv[] = {
		"veritysetup", "verify", offset, path, path, digest_hex(v->root, root), NULL};
	if (verity_check(fd, v, (uint64_t)st.st_size, e) || check_blocks(fd, path, e))
		return e->reason;
	return veritysetup(argv, EF_REASON_BAD_DIGEST, "the image is not what its tree says", e);
}

enum ef_reason verity_make(const struct workspace *w, const char *how, const char *image,
	char path[PATH_MAX], struct verity *ret, struct error *e)
{
	*ret = (struct verity){0};
	bool own = how && strcmp(how, "make") == 0;

	if ((size_t)snprintf(path, PATH_MAX, "%s", image) >= PATH_MAX)
		return error_errno(e, -ENAMETOOLONG, "%s", image);
	if (!how)
		return EF_REASON_OK;
	if (own ? make(w, image, path, ret, e) : given(how, ret, e))
		return e->reason;
	if (check(path, ret, e) && own)
		unlink(path);
	return e->reason;
}
