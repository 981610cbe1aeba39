/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/child.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SH "/bin/sh" /* only the test's probe: the library itself knows no shell */

static bool read_fails;

ssize_t read(int fd, void *p, size_t n)
{
	if (read_fails) {
		errno = EPIPE;
		return -1;
	}
	return syscall(SYS_read, fd, p, n);
}

/* Runs script with stdout caught; fds as given. Returns the exit status. */
static int probe(const char *script, const int *fds, int n, char *out, size_t size)
{
	const char *argv[] = {"sh", "-c", script, NULL};
	int p[2], status;

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	struct child_spec spec = {
		.path = SH, .argv = argv, .fds = fds, .n_fds = n, .stdout_fd = p[1]};
	pid_t pid = child_start(&spec);
	ck_assert_int_gt(pid, 0);
	close(p[1]);
	ssize_t got = fd_read_some(p[0], out, size - 1);
	ck_assert_int_ge(got, 0);
	out[got] = 0;
	close(p[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* S-26: an argument vector, whatever stands in it, and a clean environment. */
START_TEST(clean_environment_S26)
{
	char out[4096];

	setenv("LD_PRELOAD_NOT", "x", 1);
	setenv("NOTIFY_SOCKET", "/run/x", 1);
	setenv("SECRET", "s3cret", 1);
	ck_assert_int_eq(probe("exec /usr/bin/env", NULL, 0, out, sizeof(out)), 0);
	ck_assert_ptr_null(strstr(out, "SECRET"));
	ck_assert_ptr_null(strstr(out, "NOTIFY_SOCKET"));
	ck_assert_ptr_null(strstr(out, "NOT="));
	ck_assert_ptr_nonnull(strstr(out, "LANG=C.UTF-8\n"));
	ck_assert_ptr_nonnull(strstr(out, "PATH=/usr/sbin:/usr/bin:/sbin:/bin\n"));
}
END_TEST

START_TEST(hostile_arguments_S26)
{
	const char *argv[] = {
		"printf", "%s|", "$(touch /tmp/ef-owned)", "; reboot", "a b", "", "\n", NULL};
	int p[2];
	char out[128];

	unlink("/tmp/ef-owned");
	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	struct child_spec spec = {.path = "/usr/bin/printf", .argv = argv, .stdout_fd = p[1]};
	pid_t pid = child_start(&spec);
	close(p[1]);
	ssize_t n = fd_read_some(p[0], out, sizeof(out) - 1);
	out[n] = 0;
	waitpid(pid, NULL, 0);
	ck_assert_str_eq(out, "$(touch /tmp/ef-owned)|; reboot|a b||\n|");
	ck_assert_int_eq(access("/tmp/ef-owned", F_OK), -1);
}
END_TEST

/* In a process of its own: 3, 4 and 5 belong to the test runner here. */
static int cross_over(int zero, int one)
{
	static const char script[] =
		"echo zero >&3; echo one >&4; echo two >&5; ls /proc/self/fd | wc -l >&3";
	const char *argv[] = {"sh", "-c", script, NULL};
	/* crosswise, so that placing one would overwrite the other */
	int fds[3] = {dup2(zero, 5), dup2(one, 4), dup2(zero, 3)}, status;
	struct child_spec spec = {
		.path = SH, .argv = argv, .fds = fds, .n_fds = 3, .stdout_fd = -1};

	pid_t pid = child_start(&spec);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 1;
	return status != 0;
}

START_TEST(descriptors)
{
	char got[32] = "";
	int zero[2], one[2], status;

	ck_assert_int_eq(pipe(zero), 0); /* not close-on-exec: must not leak all the same */
	ck_assert_int_eq(pipe(one), 0);
	int zero_high = fcntl(zero[1], F_DUPFD, 100), one_high = fcntl(one[1], F_DUPFD, 110);
	pid_t pid = fork();
	if (pid == 0)
		_exit(cross_over(zero_high, one_high));
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	/* 0 1 2 3 4 5, the pipe to wc is 1, and the directory itself */
	ck_assert_int_eq(fd_read_full(zero[0], got, 11), 0);
	ck_assert_str_eq(got, "zero\ntwo\n7\n");
	memset(got, 0, sizeof(got));
	ck_assert_int_eq(fd_read_full(one[0], got, 4), 0);
	ck_assert_str_eq(got, "one\n");
}
END_TEST

START_TEST(exec_that_fails)
{
	const char *argv[] = {"x", NULL};
	struct child_spec spec = {.path = "/nonexistent/x", .argv = argv, .stdout_fd = -1};

	ck_assert_int_eq(child_start(&spec), -ENOENT);
	spec.path = "/etc/passwd";
	ck_assert_int_eq(child_start(&spec), -EACCES);
	spec.path = "sh";
	ck_assert_int_eq(child_start(&spec), -EINVAL);
	int bad = 987;
	spec = (struct child_spec){
		.path = SH, .argv = argv, .fds = &bad, .n_fds = 1, .stdout_fd = -1};
	ck_assert_int_eq(child_start(&spec), -EBADF);
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1); /* nobody is left to be reaped */
}
END_TEST

START_TEST(default_signals)
{
	char out[4096];
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	int r = probe("exec grep -E 'Sig(Blk|Ign)' /proc/self/status", NULL, 0, out, sizeof(out));
	ck_assert_int_eq(r, 0);
	ck_assert_ptr_nonnull(strstr(out, "SigBlk:\t0000000000000000\n"));
	/* but 32 and 33, the C library's own, which dpkg-buildpackage hands down ignored */
	const char *ignored = strstr(out, "SigIgn:\t");
	ck_assert_ptr_nonnull(ignored);
	ck_assert_uint_eq(strtoull(ignored + 8, NULL, 16) & ~0x180000000ull, 0);
}
END_TEST

/* Killed with its parent: child_start in a process that then dies without a word. */
START_TEST(dies_with_its_parent)
{
	int p[2];
	char c;

	ck_assert_int_eq(pipe2(p, O_CLOEXEC), 0);
	pid_t middle = fork();
	if (middle == 0) {
		const char *argv[] = {"sleep", "1000", NULL};
		struct child_spec spec = {.path = "/bin/sleep",
			.argv = argv,
			.fds = &p[1],
			.n_fds = 1,
			.stdout_fd = -1};
		if (child_start(&spec) < 0)
			_exit(1);
		raise(SIGKILL);
	}
	close(p[1]);
	/* The end of the pipe is reached when the grandchild, its last holder, is gone. */
	ck_assert_int_eq(fd_read_some(p[0], &c, 1), 0);
	waitpid(middle, NULL, 0);
}
END_TEST

START_TEST(program)
{
	char buf[64];

	setenv("EDGEFERRY_LIBEXEC", "/build/x", 1);
	ck_assert_str_eq(
		child_program("edgeferry-net", buf, sizeof(buf)), "/build/x/edgeferry-net");
	ck_assert_ptr_null(child_program("edgeferry-net", buf, 10));
	unsetenv("EDGEFERRY_LIBEXEC");
	ck_assert_str_eq(child_program("n", buf, sizeof(buf)), EF_LIBEXECDIR "/n");
}
END_TEST

/* F-26: what runs although its starter cannot know it would be waited for without end. */
START_TEST(a_start_that_cannot_be_seen)
{
	const char *argv[] = {"sh", "-c", "exec sleep 60", NULL};
	struct child_spec spec = {.path = SH, .argv = argv, .stdout_fd = -1};

	read_fails = true;
	ck_assert_int_eq(child_start(&spec), -EPIPE);
	read_fails = false;
	ck_assert_int_lt(waitpid(-1, NULL, WNOHANG), 0);
	ck_assert_int_eq(errno, ECHILD);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("child");
	TCase *t = tcase_create("child");

	tcase_set_timeout(t, 20);
	tcase_add_test(t, clean_environment_S26);
	tcase_add_test(t, hostile_arguments_S26);
	tcase_add_test(t, descriptors);
	tcase_add_test(t, exec_that_fails);
	tcase_add_test(t, a_start_that_cannot_be_seen);
	tcase_add_test(t, default_signals);
	tcase_add_test(t, dies_with_its_parent);
	tcase_add_test(t, program);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
