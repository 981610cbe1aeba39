/* SPDX-License-Identifier: Apache-2.0 */
/* A serial port: raw, 8N1, any baud rate the driver can make, one user at a time (F-21). */
#include "links/holder.h"
#include "links/stream.h"
#include "util/cleanup.h"
#include <asm/termbits.h> /* termios2; not to be mixed with <termios.h> */
#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <linux/serial.h>
#include <string.h>
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
	if (device_lock(fd, device, e))
		return e->reason;
	if (ioctl(fd, TIOCEXCL) < 0)
		return error_errno(e, -errno, "%s: TIOCEXCL", device);
	return EF_REASON_OK;
}

static int set_baud(int fd, uint32_t baud, uint32_t *made)
{
	struct termios2 t;

	if (ioctl(fd, TCGETS2, &t) < 0)
		return -errno;
	t.c_iflag = 0;
	t.c_oflag = 0;
	t.c_lflag = 0;
	/* No HUPCL: closing the port must not reset a board through DTR. */
	t.c_cflag = CS8 | CREAD | CLOCAL | BOTHER | BOTHER << IBSHIFT;
	t.c_ispeed = t.c_ospeed = baud;
	t.c_cc[VMIN] = 1; /* so that read() says EAGAIN for nothing and 0 for hung up */
	t.c_cc[VTIME] = 0;
	if (ioctl(fd, TCSETS2, &t) < 0 || ioctl(fd, TCGETS2, &t) < 0)
		return -errno;
	ioctl(fd, TCFLSH, TCIFLUSH);
	*made = t.c_ospeed;
	return 0;
}

static bool near(uint32_t made, uint32_t baud)
{
	uint32_t off = made > baud ? made - baud : baud - made;

	return (uint64_t)off * 100 <= (uint64_t)baud * BAUD_ERROR_PERCENT;
}

static enum ef_reason uart_configure(int fd, const char *device, uint32_t baud, struct error *e)
{
	uint32_t made;
	int r = set_baud(fd, baud, &made);

	if (r < 0)
		return error_errno(e, r, "%s: %u baud", device, baud);
	if (!near(made, baud))
		return error_set(e, EF_REASON_CONFIG,
			"%s: cannot do BaudRate=%u, the nearest that this port makes is %u", device,
			baud, made);
	ioctl(fd, TCFLSH, TCIOFLUSH);
	return EF_REASON_OK;
}

/* The kernel's driver turns the transceiver: nothing out here is quick enough. */
static enum ef_reason uart_rs485(int fd, const char *device, bool on, struct error *e)
{
	struct serial_rs485 r = {0};

	if (!on && (ioctl(fd, TIOCGRS485, &r) < 0 || !(r.flags & SER_RS485_ENABLED)))
		return EF_REASON_OK;
	if (on && ioctl(fd, TIOCGRS485, &r) < 0)
		return error_set(e, EF_REASON_CONFIG,
			"%s: RS485=yes, but its driver cannot turn the direction (%s): use an "
			"adapter "
			"that does it by itself, with RS485=no",
			device, strerror(errno));
	/* What the device tree says of delays and of the polarity of RTS stays. */
	r.flags &= ~(uint32_t)(SER_RS485_ENABLED | SER_RS485_RX_DURING_TX);
	if (on && !(r.flags & (SER_RS485_RTS_ON_SEND | SER_RS485_RTS_AFTER_SEND)))
		r.flags |= SER_RS485_RTS_ON_SEND;
	if (on)
		r.flags |= SER_RS485_ENABLED;
	if (ioctl(fd, TIOCSRS485, &r) < 0)
		return error_errno(e, -errno, "%s: RS485=%s", device, on ? "yes" : "no");
	return EF_REASON_OK;
}

static void uart_unlock(int fd)
{
	ioctl(fd, TIOCNXCL);
}

static enum ef_reason open_failed(const char *device, int error, struct error *e)
{
	struct stat st;

	switch (error) {
	case EBUSY:
		return device_in_use(stat(device, &st) < 0 ? 0 : st.st_rdev, device, e);
	case EACCES:
	case EPERM:
		return error_set(e, EF_REASON_DENIED,
			"%s: %s: the service's DeviceAllow= must name this kind of port", device,
			strerror(error));
	case ENOENT:
		return error_set(e, EF_REASON_NODE_UNREACHABLE,
			"%s: not there: is it plugged in? /dev/serial/by-id lists what is", device);
	default:
		return error_set(e, EF_REASON_NODE_UNREACHABLE, "%s: %s", device, strerror(error));
	}
}

/* The caller sees to it that nothing is on its way. */
static int uart_set_rate(struct link *l, uint32_t baud)
{
	int fd = stream_fd(l), r;
	struct termios2 old;
	uint32_t made;

	if (ioctl(fd, TCGETS2, &old) < 0)
		return -errno;
	r = set_baud(fd, baud, &made);
	if (r == 0 && !near(made, baud))
		r = -EINVAL;
	if (r < 0)
		ioctl(fd, TCSETS2, &old);
	stream_restart(l);
	return r;
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
		return error_set(e, EF_REASON_CONFIG,
			"%s: not a serial port: /dev/serial/by-id lists what is", spec->device);
	if (is_console(st.st_rdev))
		return error_set(e, EF_REASON_CONFIG,
			"%s: is a console of this machine: take console= for it off the kernel's "
			"command line and stop its getty",
			spec->device);
	r = uart_lock(fd, spec->device, e);
	if (r)
		return r;
	r = uart_configure(fd, spec->device, spec->baud, e);
	if (r == EF_REASON_OK)
		r = uart_rs485(fd, spec->device, spec->rs485, e);
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
	.set_rate = uart_set_rate,
	.set_framing = stream_set_framing,
	.set_calm = stream_set_calm,
	.close = stream_close,
};
