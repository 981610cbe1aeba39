/* SPDX-License-Identifier: Apache-2.0 */
/* A serial port: raw, 8N1, any baud rate the driver can make, one user at a time (F-21). */
#include "links/stream.h"
#include "util/cleanup.h"
#include <asm/termbits.h> /* termios2; not to be mixed with <termios.h> */
#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define BAUD_ERROR_PERCENT 3 /* more than a UART stands */

/*
 * The port that the kernel or a login writes to is nobody's node: virtual terminals, /dev/tty,
 * /dev/console, and what /proc/consoles lists.
 */
static bool is_console(dev_t device)
{
	_cleanup_fclose_ FILE *f = NULL;
	char line[256];

	if (major(device) == TTYAUX_MAJOR)
		return true;
	if (major(device) == TTY_MAJOR && minor(device) < 64)
		return true;
	f = fopen("/proc/consoles", "re");
	if (!f)
		return false;
	while (fgets(line, sizeof line, f)) {
		char *last = strrchr(line, ' ');
		unsigned a, b;

		if (last && sscanf(last, " %u:%u", &a, &b) == 2 && makedev(a, b) == device)
			return true;
	}
	return false;
}

static enum ef_reason uart_lock(int fd, const char *device, struct error *e)
{
	/* flock keeps out well-behaved programs of root, too; TIOCEXCL those that know no locks. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? error_set(e, EF_REASON_BUSY,
						      "%s: locked by another process", device)
					    : error_errno(e, -errno, "%s", device);
	if (ioctl(fd, TIOCEXCL) < 0)
		return error_errno(e, -errno, "%s", device);
	return EF_REASON_OK;
}

static enum ef_reason uart_configure(int fd, const char *device, uint32_t baud, struct error *e)
{
	struct termios2 t;
	uint32_t off;

	if (ioctl(fd, TCGETS2, &t) < 0)
		return error_errno(e, -errno, "%s", device);
	t.c_iflag = 0;
	t.c_oflag = 0;
	t.c_lflag = 0;
	/* No HUPCL: closing the port must not reset a board through DTR. */
	t.c_cflag = CS8 | CREAD | CLOCAL | BOTHER | BOTHER << IBSHIFT;
	t.c_ispeed = t.c_ospeed = baud;
	t.c_cc[VMIN] = 1; /* so that read() says EAGAIN for nothing and 0 for hung up */
	t.c_cc[VTIME] = 0;
	if (ioctl(fd, TCSETS2, &t) < 0 || ioctl(fd, TCGETS2, &t) < 0)
		return error_errno(e, -errno, "%s", device);
	off = t.c_ospeed > baud ? t.c_ospeed - baud : baud - t.c_ospeed;
	if ((uint64_t)off * 100 > (uint64_t)baud * BAUD_ERROR_PERCENT)
		return error_set(e, EF_REASON_CONFIG, "%s: cannot do %u baud, nearest is %u",
			device, baud, t.c_ospeed);
	ioctl(fd, TCFLSH, TCIOFLUSH);
	return EF_REASON_OK;
}

static void uart_unlock(int fd)
{
	ioctl(fd, TIOCNXCL);
}

static enum ef_reason open_failed(const char *device, int error, struct error *e)
{
	switch (error) {
	case EBUSY:
		return error_set(e, EF_REASON_BUSY, "%s: in use by another process", device);
	case EACCES:
	case EPERM:
		return error_set(e, EF_REASON_DENIED, "%s: %s", device, strerror(error));
	default:
		return error_set(e, EF_REASON_NODE_UNREACHABLE, "%s: %s", device, strerror(error));
	}
}

static enum ef_reason uart_open(struct link **ret, sd_event *event, const struct link_spec *spec,
	const struct link_callbacks *cb, struct error *e)
{
	_cleanup_close_ int fd = -1;
	enum ef_reason r;
	struct termios2 t;
	struct stat st;

	if (spec->baud == 0)
		return error_set(e, EF_REASON_CONFIG, "%s: no baud rate", spec->device);
	fd = open(spec->device, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return open_failed(spec->device, errno, e);
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || ioctl(fd, TCGETS2, &t) < 0)
		return error_set(e, EF_REASON_CONFIG, "%s: not a serial port", spec->device);
	if (is_console(st.st_rdev))
		return error_set(
			e, EF_REASON_CONFIG, "%s: is a console of this machine", spec->device);
	r = uart_lock(fd, spec->device, e);
	if (r)
		return r;
	r = uart_configure(fd, spec->device, spec->baud, e);
	if (r) {
		uart_unlock(fd);
		return r;
	}
	return stream_new(ret, event, TAKE_FD(fd), spec->device, cb, uart_unlock, e);
}

const struct link_ops link_uart = {
	.name = "uart",
	.open = uart_open,
	.send = stream_send,
	.queued = stream_queued,
	.set_framing = stream_set_framing,
	.close = stream_close,
};
