/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer is run under ptrace, one system call after the other, and killed before each in
 * turn: the file holds the old content or the new one, whole, every time.
 */
#include "../unit.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static char dir[64], path[80];

static void setup(void)
{
	strcpy(dir, "/tmp/ef-atomic-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/state", dir);
}

static void teardown(void)
{
	char cmd[96];

	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static void expect(const char *content)
{
	_cleanup_free_ uint8_t *data = NULL;

	ck_assert_int_eq(file_read(path, 100, &data, NULL), 0);
	ck_assert_str_eq((char *)data, content);
}

START_TEST(replaces)
{
	struct stat st;
	_cleanup_close_ int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

	umask(077);
	ck_assert_int_eq(atomic_file_write(path, "one", 3, 0644), 0);
	expect("one");
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0644); /* the mode asked for, whatever the umask */
	ck_assert_int_eq(atomic_file_write_at(fd, "state", "", 0, 0600), 0);
	expect("");
	ck_assert_int_eq(chdir(dir), 0);
	ck_assert_int_eq(atomic_file_write("state", "three", 5, 0600), 0);
	expect("three");
}
END_TEST

START_TEST(refuses)
{
	char tmp[96];
	static const char *const names[] = {"", ".", "..", "a/b", "/"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		ck_assert_int_eq(atomic_file_write_at(AT_FDCWD, names[i], "x", 1, 0600), -EINVAL);
	ck_assert_int_eq(atomic_file_write("/tmp/ef-none/x", "x", 1, 0600), -ENOENT);
	/* a directory in the file's place: an error, and no temporary left */
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(atomic_file_write(path, "x", 1, 0600), -EISDIR);
	snprintf(tmp, sizeof(tmp), "%s/.state.tmp", dir);
	ck_assert_int_eq(access(tmp, F_OK), -1);
}
END_TEST

START_TEST(left_over_link_is_not_followed)
{
	char tmp[96], other[96];
	struct stat st;

	snprintf(tmp, sizeof(tmp), "%s/.state.tmp", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	close(open(other, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(symlink(other, tmp), 0);
	ck_assert_int_eq(atomic_file_write(path, "new", 3, 0600), 0);
	expect("new");
	ck_assert_int_eq(stat(other, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert(S_ISREG(st.st_mode));
}
END_TEST

struct trace {
	int calls; /* entered before the end or the kill */
	bool finished;
	int fsyncs_before_rename, fsyncs_after_rename, writes_before_fsync, renames;
};

static void note(struct trace *t, uint64_t nr)
{
	if (nr == SYS_write && t->fsyncs_before_rename == 0)
		t->writes_before_fsync++;
	else if (nr == SYS_fsync)
		*(t->renames ? &t->fsyncs_after_rename : &t->fsyncs_before_rename) += 1;
	else if (nr == SYS_renameat || nr == SYS_renameat2)
		t->renames++;
}

/* Writes "new" in a child that dies before its kill_at-th system call (from 1; 0: never). */
static struct trace write_and_kill(int kill_at)
{
	struct trace t = {0};
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		_exit(atomic_file_write(path, "new content", 11, 0600) < 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSTOPPED(status));
	ck_assert_int_eq(ptrace(PTRACE_SETOPTIONS, pid, NULL, PTRACE_O_TRACESYSGOOD), 0);
	while (ptrace(PTRACE_SYSCALL, pid, NULL, NULL) == 0 && waitpid(pid, &status, 0) == pid) {
		struct __ptrace_syscall_info info;

		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			t.finished = WIFEXITED(status);
			ck_assert(!t.finished || WEXITSTATUS(status) == 0);
			return t;
		}
		ck_assert_int_gt(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info), 0);
		if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
			continue;
		if (++t.calls == kill_at) {
			kill(pid, SIGKILL);
			ck_assert_int_eq(waitpid(pid, &status, 0), pid);
			ck_assert(WIFSIGNALED(status));
			return t;
		}
		note(&t, info.entry.nr);
	}
	ck_abort_msg("lost the child");
	return t;
}

START_TEST(killed_at_each_step)
{
	int n = 0, seen_old = 0, seen_new = 0;

	for (bool finished = false; !finished; n++) {
		_cleanup_free_ uint8_t *data = NULL;

		ck_assert_int_eq(atomic_file_write(path, "old", 3, 0600), 0);
		finished = write_and_kill(n + 1).finished;
		ck_assert_int_eq(file_read(path, 100, &data, NULL), 0);
		bool is_new = strcmp((char *)data, "new content") == 0;
		ck_assert_msg(
			is_new || strcmp((char *)data, "old") == 0, "call %d: \"%s\"", n + 1, data);
		ck_assert(!finished || is_new);
		seen_old += !is_new;
		seen_new += is_new;
	}
	ck_assert_int_ge(
		seen_old, 5); /* it was really killed on the way, before and after the rename */
	ck_assert_int_ge(seen_new, 2);
}
END_TEST

START_TEST(synced_in_order)
{
	struct trace t = write_and_kill(0);

	ck_assert(t.finished);
	ck_assert_int_eq(t.writes_before_fsync, 1);
	ck_assert_int_eq(t.fsyncs_before_rename, 1);
	ck_assert_int_eq(t.renames, 1);
	ck_assert_int_eq(t.fsyncs_after_rename, 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("atomic-file");
	TCase *t = tcase_create("atomic-file");

	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, replaces);
	tcase_add_test(t, refuses);
	tcase_add_test(t, left_over_link_is_not_followed);
	tcase_add_test(t, killed_at_each_step);
	tcase_add_test(t, synced_in_order);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
