/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

static volatile sig_atomic_t alarms;

static void on_alarm(int s)
{
	alarms++;
}

/* Without SA_RESTART, a signal every 200 µs: every blocking call is interrupted. */
static void interrupt_all(void)
{
	struct sigaction a = {.sa_handler = on_alarm};
	struct itimerval t = {{0, 200}, {0, 200}};

	sigaction(SIGALRM, &a, NULL);
	setitimer(ITIMER_REAL, &t, NULL);
}

static uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 31 + (i >> 8));
}

/* The other end, as a process: one byte at a time with pauses, or reading slowly. */
static pid_t slow_peer(int fd, size_t size, bool writes)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	for (size_t i = 0; i < size;) {
		uint8_t c = pattern(i), buf[257];
		ssize_t n = writes ? write(fd, &c, 1) : read(fd, buf, sizeof(buf));
		if (n <= 0)
			_exit(1);
		for (ssize_t k = 0; !writes && k < n; k++)
			if (buf[k] != pattern(i + (size_t)k))
				_exit(2);
		i += (size_t)n;
		usleep(writes ? 300 : 1);
	}
	_exit(0);
}

static void wait_good(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		ck_assert_int_eq(errno, EINTR);
	ck_assert_int_eq(status, 0);
}

static void read_slowly(bool nonblocking)
{
	enum { SIZE = 300 };
	uint8_t buf[SIZE];
	int p[2];

	ck_assert_int_eq(pipe(p), 0);
	if (nonblocking)
		fcntl(p[0], F_SETFL, O_NONBLOCK);
	pid_t peer = slow_peer(p[1], SIZE, true);
	close(p[1]);
	interrupt_all();
	ck_assert_int_eq(fd_read_full(p[0], buf, SIZE), 0);
	for (size_t i = 0; i < SIZE; i++)
		ck_assert_uint_eq(buf[i], pattern(i));
	ck_assert_int_eq(fd_read_full(p[0], buf, 1), -ENODATA);
	ck_assert_int_eq(fd_read_some(p[0], buf, 1), 0);
	ck_assert_int_gt(alarms, 0);
	wait_good(peer);
}

START_TEST(read_interrupted_F26)
{
	read_slowly(false);
}
END_TEST

START_TEST(read_nonblocking_F26)
{
	read_slowly(true);
}
END_TEST

static void write_slowly(bool nonblocking)
{
	enum { SIZE = 400000 };
	_cleanup_free_ uint8_t *buf = malloc(SIZE);
	int p[2];

	for (size_t i = 0; i < SIZE; i++)
		buf[i] = pattern(i);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
	if (nonblocking)
		fcntl(p[1], F_SETFL, O_NONBLOCK);
	pid_t peer = slow_peer(p[0], SIZE, false);
	close(p[0]);
	interrupt_all();
	ck_assert_int_eq(fd_write_full(p[1], buf, SIZE), 0);
	wait_good(peer);
	ck_assert_int_gt(alarms, 0);
	signal(SIGPIPE, SIG_IGN);
	ck_assert_int_eq(fd_write_full(p[1], buf, SIZE), -EPIPE);
}

START_TEST(write_interrupted_F26)
{
	write_slowly(false);
}
END_TEST

START_TEST(write_nonblocking_F26)
{
	write_slowly(true);
}
END_TEST

static int temporary(void)
{
	char path[] = "/tmp/ef-fdio-XXXXXX";
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	unlink(path);
	return fd;
}

START_TEST(positions)
{
	_cleanup_close_ int fd = temporary();
	char buf[8] = "";

	ck_assert_int_eq(fd_pwrite_full(fd, "hello", 5, 3), 0);
	ck_assert_int_eq(fd_pread_full(fd, buf, 5, 3), 0);
	ck_assert_str_eq(buf, "hello");
	ck_assert_int_eq(fd_pread_full(fd, buf, 6, 3), -ENODATA);
	ck_assert_int_eq(fd_pread_full(fd, buf, 1, 8), -ENODATA);
	ck_assert_int_eq(fd_pread_full(fd, buf, 0, 8), 0);
	ck_assert_int_eq(fd_pread_full(fd, buf, 2, INT64_MAX), -EFBIG);
	ck_assert_int_eq(fd_pwrite_full(fd, buf, 1, UINT64_MAX), -EFBIG);
	ck_assert_int_eq(fd_read_full(-1, buf, 1), -EBADF);
	ck_assert_int_eq(fd_pwrite_full(-1, buf, 1, 0), -EBADF);
	_cleanup_close_ int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(fd_write_full(full, "x", 1), -ENOSPC);
}
END_TEST

START_TEST(digest)
{
	_cleanup_close_ int fd = temporary();
	uint8_t d[32];
	char hex[DIGEST_HEX_MAX];

	ck_assert_int_eq(fd_write_full(fd, "xxabcyy", 7), 0);
	ck_assert_int_eq(fd_sha256(fd, 2, 3, d), 0);
	ck_assert_str_eq(digest_hex(d, hex),
		"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	ck_assert_int_eq(fd_sha256(fd, 7, UINT64_MAX, d), 0);
	ck_assert_str_eq(digest_hex(d, hex),
		"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	ck_assert_int_eq(
		fd_sha256(fd, 2, 6, d), -ENODATA); /* never the digest of less than asked for */
}
END_TEST

START_TEST(whole_file)
{
	char dir[] = "/tmp/ef-file-XXXXXX", path[64];
	uint8_t *data = NULL;
	size_t size = 99;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	ck_assert_int_eq(file_read(path, 10, &data, &size), -ENOENT);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_eq(file_read(path, 10, &data, &size), 0);
	ck_assert_uint_eq(size, 0);
	ck_assert_uint_eq(data[0], 0);
	free(data);
	ck_assert_int_eq(fd_write_full(fd, "0123456789", 10), 0);
	ck_assert_int_eq(file_read(path, 10, &data, &size), 0);
	ck_assert_uint_eq(size, 10);
	ck_assert_str_eq((char *)data, "0123456789");
	free(data);
	ck_assert_int_eq(file_read(path, 9, &data, &size), -EFBIG);
	ck_assert_int_eq(file_read(dir, 9, &data, &size), -EISDIR);
	ck_assert_int_eq(file_read("/dev/zero", 9, &data, &size), -EINVAL);
	unlink(path);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(file_read(path, 9, &data, &size), -EINVAL); /* and does not hang */
	unlink(path);
	/* size 0 by fstat, and bytes all the same */
	ck_assert_int_eq(file_read("/proc/self/status", 65536, &data, &size), 0);
	ck_assert_uint_gt(size, 20);
	free(data);
	rmdir(dir);
}
END_TEST

START_TEST(directories)
{
	char dir[] = "/tmp/ef-dir-XXXXXX", path[64];
	struct stat st;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a//b/c/", dir);
	ck_assert_int_eq(dir_make(path, 0700), 0);
	ck_assert_int_eq(dir_make(path, 0700), 0);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_mode & 0777, 0700);
	ck_assert_int_eq(dir_make("/", 0700), 0);
	ck_assert_int_eq(dir_make("", 0700), -EINVAL);
	snprintf(path, sizeof(path), "%s/a/f", dir);
	close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	ck_assert_int_eq(dir_make(path, 0700), -ENOTDIR);
	strcat(path, "/g");
	ck_assert_int_eq(dir_make(path, 0700), -ENOTDIR);
	snprintf(path, sizeof(path), "rm -r %s", dir);
	ck_assert_int_eq(system(path), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("fdio");
	TCase *t = tcase_create("fdio");

	tcase_set_timeout(t, 20);
	tcase_add_test(t, read_interrupted_F26);
	tcase_add_test(t, read_nonblocking_F26);
	tcase_add_test(t, write_interrupted_F26);
	tcase_add_test(t, write_nonblocking_F26);
	tcase_add_test(t, positions);
	tcase_add_test(t, digest);
	tcase_add_test(t, whole_file);
	tcase_add_test(t, directories);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
