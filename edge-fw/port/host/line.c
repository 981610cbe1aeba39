/* SPDX-License-Identifier: Apache-2.0 */
/* A byte stream as serial line: a pty, a port of this machine, or a socket. */
#include "host.h"
#include <asm/termbits.h> /* termios2; not to be mixed with <termios.h> */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SEND_PATIENCE_MS 200
#define BAUD_MAX 12000000u

static uint32_t first_baud, baud_now; /* of a tty */
static uint64_t busy_until;	      /* microseconds, when what was written is out */

static const struct host_line tty_line;

/* On a socket the next client is waited for; a pty comes back by itself. */
static void hang_up(void)
{
	if (host.line == &tty_line) {
		fprintf(stderr, "edgeferry-node: the port is gone\n");
		exit(EXIT_FAILURE);
	}
	if (host.listener < 0 || host.wire < 0)
		return;
	close(host.wire);
	host.wire = -1;
}

static void accept_client(void)
{
	if (host.wire < 0)
		host.wire = accept4(host.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static size_t line_read(uint8_t *buf, size_t size)
{
	ssize_t n;

	accept_client();
	if (host.wire < 0)
		return 0;
	n = read(host.wire, buf, size);
	if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
		hang_up();
	return n > 0 ? (size_t)n : 0;
}

static void line_write(const uint8_t *data, size_t size)
{
	while (size && host.wire >= 0) {
		struct pollfd p = {.fd = host.wire, .events = POLLOUT};
		ssize_t n = write(host.wire, data, size);

		if (n > 0) {
			data += n;
			size -= (size_t)n;
		} else if (errno != EAGAIN && errno != EINTR) {
			hang_up();
			return;
		} else if (poll(&p, 1, SEND_PATIENCE_MS) == 0) {
			return; /* nobody reads: a wire does not wait either */
		}
	}
}

static int line_fd(void)
{
	return host.wire >= 0 ? host.wire : host.listener;
}

static const struct host_line stream_line = {line_read, line_write, line_fd, NULL, NULL, NULL};

static int set_raw(int fd, uint32_t baud)
{
	struct termios2 t;

	if (ioctl(fd, TCGETS2, &t) < 0)
		return -errno;
	t.c_iflag = t.c_oflag = t.c_lflag = 0;
	t.c_cflag = CS8 | CREAD | CLOCAL | BOTHER | BOTHER << IBSHIFT;
	t.c_ispeed = t.c_ospeed = baud;
	t.c_cc[VMIN] = 1;
	t.c_cc[VTIME] = 0;
	return ioctl(fd, TCSETS2, &t) < 0 ? -errno : 0;
}

int host_open_pty(const char *link)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	const char *name;
	int slave;

	if (master < 0 || grantpt(master) < 0 || unlockpt(master) < 0 || !(name = ptsname(master)))
		return -errno;
	/* held open, so that the master sees no hang-up while no gateway is there */
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || set_raw(slave, 115200) < 0)
		return -errno;
	unlink(link);
	if (symlink(name, link) < 0)
		return -errno;
	host.wire = master;
	host.line = &stream_line;
	return 0;
}

static bool tty_can_baud(uint32_t baud)
{
	return baud >= 1200 && baud <= BAUD_MAX;
}

static void tty_write(const uint8_t *data, size_t size)
{
	uint64_t now = host_now_us();

	busy_until = (busy_until > now ? busy_until : now) + size * 10 * 1000000 / baud_now;
	line_write(data, size);
}

/* The answer before it must be out at the old rate; a pty does not wait for that by itself. */
static void tty_set_baud(uint32_t baud)
{
	uint64_t now = host_now_us();

	if (baud == 0)
		baud = first_baud;
	if (baud == baud_now)
		return;
	ioctl(host.wire, TCSBRK, 1);
	if (busy_until > now)
		usleep((useconds_t)(busy_until - now));
	set_raw(host.wire, baud);
	baud_now = baud;
}

static void tty_start(void)
{
	tty_set_baud(0);
}

static const struct host_line tty_line = {
	line_read, tty_write, line_fd, tty_can_baud, tty_set_baud, tty_start};

int host_open_tty(const char *path, uint32_t baud)
{
	int r;

	host.wire = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (host.wire < 0)
		return -errno;
	r = set_raw(host.wire, baud);
	first_baud = baud_now = baud;
	host.line = &tty_line;
	return r;
}

int host_open_socket(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		return -errno;
	host.listener = fd;
	host.line = &stream_line;
	return 0;
}
