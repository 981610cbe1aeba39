/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write-log LOG BESIDE COMMAND…
 *
 * Appends to LOG what COMMAND does to files, in the order in which it was done, for crash states to
 * be made of it (crash.py, K-02). Records, one line each:
 *
 *   W PATH OFFSET SIZE    a write; SIZE bytes and a line feed follow
 *   O PATH TRUNCATE       opened with O_CREAT
 *   T PATH SIZE           ftruncate
 *   A PATH SIZE           fallocate: the file has at least that size
 *   Z PATH OFFSET SIZE    a hole
 *   M PATH · R FROM TO · U PATH    mkdir, rename, unlink
 *   B PATH · S PATH       fsync or fdatasync begins, has ended well
 *   N SIZE                the content of the file BESIDE, when it changed before a B, as W has it
 *   X CALL PATH           something that changes a file and is not understood
 */
#include "trace.h"
#include <fcntl.h>
#include <limits.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define THREADS_MAX 64

struct call {
	pid_t thread;
	uint64_t nr, args[6];
};

static struct {
	int fd;
	const char *beside;
	uint8_t *last; /* of BESIDE */
	size_t last_size;
	struct call calls[THREADS_MAX];
} log_;

/* One record in one call: others append to the same file. */
static void put(const char *line, const void *data, size_t size)
{
	size_t n = strlen(line), all = n + 1 + (data ? size + 1 : 0);
	char *text = malloc(all);

	if (!text)
		trace_die("malloc");
	memcpy(text, line, n);
	text[n] = '\n';
	if (data) {
		memcpy(text + n + 1, data, size);
		text[all - 1] = '\n';
	}
	if (write(log_.fd, text, all) != (ssize_t)all)
		trace_die("the log");
	free(text);
}

static struct call *call_of(pid_t thread)
{
	struct call *free_one = NULL;

	for (size_t i = 0; i < THREADS_MAX; i++) {
		if (log_.calls[i].thread == thread)
			return &log_.calls[i];
		if (!free_one && log_.calls[i].thread == 0)
			free_one = &log_.calls[i];
	}
	if (!free_one)
		trace_die("threads");
	free_one->thread = thread;
	return free_one;
}

static void link_of(pid_t thread, const char *what, char path[PATH_MAX])
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/%s", (int)thread, what);
	ssize_t n = readlink(name, path, PATH_MAX - 1);
	path[n < 0 ? 0 : n] = '\0';
}

static void path_of(pid_t thread, int fd, char path[PATH_MAX])
{
	char name[32];

	snprintf(name, sizeof(name), "fd/%d", fd);
	link_of(thread, fd == AT_FDCWD ? "cwd" : name, path);
}

static bool read_memory(pid_t thread, uint64_t at, void *data, size_t size)
{
	char name[64];

	snprintf(name, sizeof(name), "/proc/%d/mem", (int)thread);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : pread(fd, data, size, (off_t)at);
	if (fd >= 0)
		close(fd);
	return n == (ssize_t)size;
}

/* Of a name that a call was given. */
static void path_at(pid_t thread, int dir, uint64_t at, char path[2 * PATH_MAX])
{
	char name[PATH_MAX] = "", folder[PATH_MAX];

	for (size_t i = 0;
		i + 1 < sizeof(name) && read_memory(thread, at + i, name + i, 1) && name[i]; i++)
		name[i + 1] = '\0';
	path_of(thread, dir, folder);
	snprintf(path, 2 * PATH_MAX, "%s%s%s", name[0] == '/' ? "" : folder,
		name[0] == '/' ? "" : "/", name);
}

/* Where a write() that has ended began. */
static int64_t position(pid_t thread, int fd)
{
	char name[64];
	long long at = -1;

	snprintf(name, sizeof(name), "/proc/%d/fdinfo/%d", (int)thread, fd);
	FILE *f = fopen(name, "r");
	if (f && fscanf(f, "pos: %lld", &at) != 1)
		at = -1;
	if (f)
		fclose(f);
	return at;
}

static void wrote(const struct call *c, int fd, int64_t offset, uint64_t size)
{
	char path[PATH_MAX], line[PATH_MAX + 64];
	uint8_t *data = malloc(size + 1);
	struct stat st;

	path_of(c->thread, fd, path);
	if (path[0] == '/' && stat(path, &st) == 0 && S_ISREG(st.st_mode)) {
		if (!data || !read_memory(c->thread, c->args[1], data, size))
			trace_die("what was written");
		snprintf(line, sizeof(line), "W %s %lld %llu", path, (long long)offset,
			(unsigned long long)size);
		put(line, data, size);
	}
	free(data);
}

static void beside(void)
{
	char line[64];
	struct stat st;
	int fd = open(log_.beside, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || fstat(fd, &st) < 0)
		trace_die(log_.beside);
	uint8_t *data = malloc((size_t)st.st_size + 1);
	ssize_t n = data ? read(fd, data, (size_t)st.st_size) : -1;
	close(fd);
	if (n < 0)
		trace_die(log_.beside);
	if (log_.last && log_.last_size == (size_t)n && memcmp(log_.last, data, (size_t)n) == 0) {
		free(data);
		return;
	}
	snprintf(line, sizeof(line), "N %zd", n);
	put(line, data, (size_t)n);
	free(log_.last);
	log_.last = data;
	log_.last_size = (size_t)n;
}

static void one_path(const char *kind, const struct call *c, int fd, const char *rest)
{
	char path[PATH_MAX], line[PATH_MAX + 64];

	path_of(c->thread, fd, path);
	snprintf(line, sizeof(line), "%s %s%s", kind, path, rest);
	put(line, NULL, 0);
}

static void one_name(const char *kind, const struct call *c, int dir, uint64_t at, const char *rest)
{
	char path[2 * PATH_MAX], line[4 * PATH_MAX + 64];

	path_at(c->thread, dir, at, path);
	snprintf(line, sizeof(line), "%s %s%s", kind, path, rest);
	put(line, NULL, 0);
}

static void renamed(const struct call *c, int from_dir, uint64_t from, int to_dir, uint64_t to)
{
	char path[2 * PATH_MAX], rest[2 * PATH_MAX + 1];

	path_at(c->thread, to_dir, to, path);
	snprintf(rest, sizeof(rest), " %s", path);
	one_name("R", c, from_dir, from, rest);
}

static void allocated(const struct call *c)
{
	char rest[64];
	uint64_t end = c->args[2] + c->args[3];

	if (c->args[1] & FALLOC_FL_PUNCH_HOLE) {
		snprintf(rest, sizeof(rest), " %llu %llu", (unsigned long long)c->args[2],
			(unsigned long long)c->args[3]);
		one_path("Z", c, (int)c->args[0], rest);
	} else if (c->args[1] == 0) {
		snprintf(rest, sizeof(rest), " %llu", (unsigned long long)end);
		one_path("A", c, (int)c->args[0], rest);
	} else {
		one_path("X fallocate", c, (int)c->args[0], "");
	}
}

static bool is_flush(uint64_t nr)
{
	return nr == SYS_fsync || nr == SYS_fdatasync;
}

static void before(const struct call *c)
{
	if (!is_flush(c->nr))
		return;
	beside();
	one_path("B", c, (int)c->args[0], "");
}

static void opened(const struct call *c, int dir, uint64_t name, uint64_t flags)
{
	if (flags & O_CREAT)
		one_name("O", c, dir, name, flags & O_TRUNC ? " 1" : " 0");
	else if (flags & O_TRUNC)
		one_name("X open", c, dir, name, "");
}

static void not_understood(const struct call *c, int fd)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, (int)c->nr), kind[64];
	char path[PATH_MAX];
	struct stat st;

	snprintf(kind, sizeof(kind), "X %s", name);
	free(name);
	path_of(c->thread, fd, path);
	if (path[0] == '/' && stat(path, &st) == 0 && S_ISREG(st.st_mode))
		one_path(kind, c, fd, "");
}

static void after(const struct call *c, int64_t ret)
{
	const uint64_t *a = c->args;
	char size[32];

	if (ret < 0)
		return;
	switch (c->nr) {
	case SYS_write:
		wrote(c, (int)a[0], position(c->thread, (int)a[0]) - ret, (uint64_t)ret);
		break;
	case SYS_pwrite64:
		wrote(c, (int)a[0], (int64_t)a[3], (uint64_t)ret);
		break;
	case SYS_ftruncate:
		snprintf(size, sizeof(size), " %llu", (unsigned long long)a[1]);
		one_path("T", c, (int)a[0], size);
		break;
	case SYS_fallocate:
		allocated(c);
		break;
	case SYS_fsync:
	case SYS_fdatasync:
		one_path("S", c, (int)a[0], "");
		break;
	case SYS_openat:
		opened(c, (int)a[0], a[1], a[2]);
		break;
	case SYS_mkdirat:
		one_name("M", c, (int)a[0], a[1], "");
		break;
	case SYS_unlinkat:
		one_name("U", c, (int)a[0], a[1], "");
		break;
	case SYS_renameat:
	case SYS_renameat2:
		renamed(c, (int)a[0], a[1], (int)a[2], a[3]);
		break;
#ifdef SYS_open
	case SYS_open:
		opened(c, AT_FDCWD, a[0], a[1]);
		break;
	case SYS_mkdir:
		one_name("M", c, AT_FDCWD, a[0], "");
		break;
	case SYS_unlink:
		one_name("U", c, AT_FDCWD, a[0], "");
		break;
	case SYS_rename:
		renamed(c, AT_FDCWD, a[0], AT_FDCWD, a[1]);
		break;
	case SYS_truncate:
		one_name("X truncate", c, AT_FDCWD, a[0], "");
		break;
#endif
	case SYS_linkat:
		one_name("X link", c, (int)a[2], a[3], "");
		break;
#ifdef SYS_mmap
	case SYS_mmap:
#else
	case SYS_mmap2:
#endif
		if ((a[3] & MAP_SHARED) && (a[2] & PROT_WRITE))
			not_understood(c, (int)a[4]);
		break;
	case SYS_copy_file_range:
		not_understood(c, (int)a[2]);
		break;
	case SYS_writev:
	case SYS_pwritev:
	case SYS_pwritev2:
	case SYS_sendfile:
		not_understood(c, (int)a[0]);
		break;
	default:
		break;
	}
}

static void on_call(pid_t thread, const struct __ptrace_syscall_info *info)
{
	struct call *c = call_of(thread);

	if (info->op == PTRACE_SYSCALL_INFO_ENTRY) {
		c->nr = info->entry.nr;
		for (size_t i = 0; i < 6; i++)
			c->args[i] = info->entry.args[i];
		before(c);
		if (c->nr == SYS_exit)
			c->thread = 0;
	} else if (info->op == PTRACE_SYSCALL_INFO_EXIT) {
		after(c, info->exit.rval);
	}
}

int main(int argc, char **argv)
{
	if (argc < 4) {
		fprintf(stderr, "write-log LOG BESIDE COMMAND…\n");
		return 64;
	}
	log_.fd = open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (log_.fd < 0)
		trace_die(argv[1]);
	log_.beside = argv[2];
	trace_start(argv + 3);
	int status = trace_wait(on_call);
	beside();
	return trace_end(status);
}
