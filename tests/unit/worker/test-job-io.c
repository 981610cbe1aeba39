/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/cleanup.h"
#include "worker/control.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int pair[2];
static struct job_message m;

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
}

static void teardown(void)
{
	pair[0] = ef_close(pair[0]);
	pair[1] = ef_close(pair[1]);
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

START_TEST(test_there_and_back)
{
	struct job_progress p = {.done = 1, .total = 2, .fetched = 3, .phase = JOB_WRITING};

	ck_assert_int_eq(job_send(pair[0], JOB_PROGRESS, &p, sizeof(p), -1), 0);
	ck_assert_int_eq(job_receive(pair[1], &m), 1);
	ck_assert_int_eq(m.type, JOB_PROGRESS);
	ck_assert_uint_eq(m.size, sizeof(p));
	ck_assert_int_eq(m.fd, -1);
	ck_assert_mem_eq(m.payload, &p, sizeof(p));
	/* Without payload, and the largest one. */
	ck_assert_int_eq(job_send(pair[0], JOB_DONE, NULL, 0, -1), 0);
	ck_assert_int_eq(job_receive(pair[1], &m), 1);
	ck_assert_uint_eq(m.size, 0);
	static uint8_t large[IPC_MESSAGE_MAX + 1];
	ck_assert_int_eq(job_send(pair[0], JOB_NEED, large, IPC_MESSAGE_MAX, -1), 0);
	ck_assert_int_eq(job_receive(pair[1], &m), 1);
	ck_assert_uint_eq(m.size, IPC_MESSAGE_MAX);
	ck_assert_int_eq(job_send(pair[0], JOB_NEED, large, sizeof(large), -1), -EMSGSIZE);
}
END_TEST

START_TEST(test_descriptor)
{
	struct job_data d = {0};
	struct stat x, y;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(job_send(pair[0], JOB_DATA, &d, sizeof(d), fd), 0);
	ck_assert_int_eq(job_receive(pair[1], &m), 1);
	ck_assert_int_ge(m.fd, 0);
	ck_assert_int_eq(fcntl(m.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	ck_assert_int_eq(fstat(fd, &x), 0);
	ck_assert_int_eq(fstat(m.fd, &y), 0);
	ck_assert_uint_eq(x.st_rdev, y.st_rdev);
	close(fd);
	close(m.fd);
}
END_TEST

/* An outcome is not lost because the one who said it left with something unread. */
START_TEST(test_last_words)
{
	struct job_done d = {.reason = EF_REASON_CANCELLED};

	ck_assert_int_eq(job_send(pair[1], JOB_DATA, &d, sizeof(d), -1), 0);
	ck_assert_int_eq(job_send(pair[0], JOB_DONE, &d, sizeof(d), -1), 0);
	pair[0] = ef_close(pair[0]);
	ck_assert_int_eq(job_receive(pair[1], &m), 1);
	ck_assert_int_eq(m.type, JOB_DONE);
	ck_assert_int_eq(job_receive(pair[1], &m), 0);
}
END_TEST

static void send_raw(const void *data, size_t size, int n_fds)
{
	char control[CMSG_SPACE(8 * sizeof(int))] = {0};
	struct iovec iov = {(void *)data, size};
	struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};

	if (n_fds) {
		h.msg_control = control;
		h.msg_controllen = CMSG_SPACE((size_t)n_fds * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&h);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN((size_t)n_fds * sizeof(int));
		for (int i = 0; i < n_fds; i++)
			memcpy(CMSG_DATA(c) + (size_t)i * sizeof(int), &pair[0], sizeof(int));
	}
	ck_assert_int_eq(sendmsg(pair[0], &h, 0), (int)size);
}

/* Malformed ones are refused and nothing of theirs stays open. */
START_TEST(test_malformed)
{
	static uint8_t huge[sizeof(struct job_head) + IPC_MESSAGE_MAX + 1];
	struct job_head lies = {JOB_DONE, 5};
	struct job_head empty = {JOB_DONE, 0};
	int before = count_fds();

	send_raw("abc", 3, 0);
	ck_assert_int_eq(job_receive(pair[1], &m), -EBADMSG);
	send_raw(&lies, sizeof(lies), 1);
	ck_assert_int_eq(job_receive(pair[1], &m), -EBADMSG);
	send_raw(huge, sizeof(huge), 1);
	ck_assert_int_eq(job_receive(pair[1], &m), -EBADMSG);
	send_raw(&empty, sizeof(empty), 2);
	ck_assert_int_eq(job_receive(pair[1], &m), -EBADMSG);
	send_raw(&empty, sizeof(empty), 8);
	ck_assert_int_eq(job_receive(pair[1], &m), -EBADMSG);
	ck_assert_int_eq(m.fd, -1);
	ck_assert_int_eq(count_fds(), before);
	ck_assert_int_eq(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	ck_assert_int_eq(job_receive(pair[1], &m), -EAGAIN);
	pair[0] = ef_close(pair[0]);
	ck_assert_int_eq(job_receive(pair[1], &m), 0);
}
END_TEST

START_TEST(test_control_stops)
{
	struct control c;
	char buf[8];
	int p[2];

	ck_assert_int_eq(control_open(&c, pair[1]), 0);
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(control_check(&c), 0);
	ck_assert_int_eq(write(p[1], "1234", 4), 4);
	ck_assert_int_eq(control_read_full(&c, p[0], buf, 4), 0);
	/* The core has gone: no waiting for a pipe that nobody fills. */
	pair[0] = ef_close(pair[0]);
	ck_assert_int_eq(control_check(&c), -ECANCELED);
	ck_assert_int_eq(control_read_full(&c, p[0], buf, 4), -ECANCELED);
	ck_assert_int_eq(control_receive(&c, &m), -ECANCELED);
	control_close(&c);
}
END_TEST

START_TEST(test_control_term)
{
	struct control c;
	char buf[8];
	int p[2];

	ck_assert_int_eq(control_open(&c, pair[1]), 0);
	ck_assert_int_eq(pipe(p), 0);
	ck_assert_int_eq(write(p[1], "12", 2), 2);
	close(p[1]);
	ck_assert_int_eq(control_read_full(&c, p[0], buf, 4), -ENODATA);
	ck_assert_int_eq(raise(SIGTERM), 0);
	ck_assert_int_eq(control_check(&c), -ECANCELED);
	ck_assert_int_eq(control_receive(&c, &m), -ECANCELED);
	control_close(&c);
}
END_TEST

/* At most 5 a second, and a core that does not read stops nobody. */
START_TEST(test_control_progress)
{
	struct control c;
	struct job_progress p = {0};
	int n = 0;

	ck_assert_int_eq(control_open(&c, pair[1]), 0);
	for (int i = 0; i < 1000; i++)
		control_progress(&c, &p);
	ck_assert_int_eq(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	while (job_receive(pair[0], &m) == 1)
		n++;
	ck_assert_int_ge(n, 1);
	ck_assert_int_le(n, 2);
	for (int i = 0; i < 5000; i++) {
		c.next_progress_us = 0;
		control_progress(&c, &p);
	}
	control_close(&c);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("worker/job-io");
	TCase *t = tcase_create("job-io");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, test_there_and_back);
	tcase_add_test(t, test_descriptor);
	tcase_add_test(t, test_last_words);
	tcase_add_test(t, test_malformed);
	tcase_add_test(t, test_control_stops);
	tcase_add_test(t, test_control_term);
	tcase_add_test(t, test_control_progress);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
