/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/fdio.h"
#include "util/log.h"
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* Standard error from now on; what was written there is read from the descriptor returned. */
static int catch (bool is_socket)
{
	int p[2];

	ck_assert_int_eq(is_socket ? socketpair(AF_UNIX, SOCK_STREAM, 0, p) : pipe(p), 0);
	ck_assert_int_eq(dup2(p[1], STDERR_FILENO), STDERR_FILENO);
	close(p[1]);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	return p[0];
}

static const char *caught(int fd, char *buf, size_t size)
{
	ssize_t n = read(fd, buf, size - 1);

	buf[n > 0 ? n : 0] = 0;
	return buf;
}

START_TEST(plain)
{
	char buf[4096];
	int fd = catch (false);

	unsetenv("JOURNAL_STREAM");
	unsetenv("INVOCATION_ID");
	log_open("prog", LOG_INFO);
	errno = ENOSPC;
	log_info("hello %d", 7);
	log_debug("not this");
	log_error("bad");
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_str_eq(caught(fd, buf, sizeof(buf)), "prog: hello 7\nprog: bad\n");
}
END_TEST

START_TEST(prefix_under_systemd)
{
	char buf[4096];
	int fd = catch (true);

	unsetenv("JOURNAL_STREAM");
	log_open("prog", LOG_DEBUG);
	log_debug("d");
	log_event(LOG_WARNING, "0123456789abcdef0123456789abcdef", "happened",
		(const char *const[]){"A=b", NULL});
	ck_assert_str_eq(caught(fd, buf, sizeof(buf)), "<7>d\n<4>happened\n");
}
END_TEST

/* S-35: one call is one line, bounded, whatever a device or server has sent. */
START_TEST(outside_text_S35)
{
	char buf[8192], big[6000];
	int fd = catch (false);

	unsetenv("JOURNAL_STREAM");
	log_open("prog", LOG_INFO);
	log_info("version %s", "1.0\n<0>forged\033[2J\a");
	ck_assert_str_eq(caught(fd, buf, sizeof(buf)), "prog: version 1.0 <0>forged?[2J?\n");
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = 0;
	log_info("%s", big);
	ck_assert_uint_lt(strlen(caught(fd, buf, sizeof(buf))), 2100);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");

	tcase_add_test(t, plain);
	tcase_add_test(t, prefix_under_systemd);
	tcase_add_test(t, outside_text_S35);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
