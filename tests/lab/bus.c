/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A kernel's GPIO chips and spidev for one process, at the lowest place that is left without them:
 * the ioctl. The real libgpiod (1.6 or 2) and the real callers run on top. Linked into a test, or
 * preloaded by bus-run.
 *
 * EDGEFERRY_BUS names a folder. gpiochipN in it: the chip's label in the first line, then the name
 * of each of its lines, which may be empty. board: a unix stream socket of whatever is at the other
 * end of the wires of gpiochip0 and of every spidev. Each connection begins with a line of text:
 *
 *   in N    the board drives line N: it sends '0' or '1', its level first, then each change
 *   out N   this process drives it: the same the other way
 *   spi     for each exchange u32 length and these bytes of MOSI, answered by as many of MISO
 *
 * With EDGEFERRY_BUS_RS485 set, serial ports are said to turn an RS-485 transceiver.
 *
 * A transfer takes the time that its clock gives it. Lines that are requested twice are busy.
 */
#include "bus.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/gpio.h>
#include <linux/serial.h>
#include <linux/spi/spidev.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LINES_MAX 64
#define FDS_MAX 256

struct pin {
	int fd, board, out; /* fd: the caller's; out: the thread's end of it */
	unsigned chip, offset;
	bool used, input, low, v2;
	volatile int level; /* of the wire */
};

static struct pin pins[FDS_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int spi_board = -1;
static uint32_t spi_speed = 1000000;

static const char *folder(void)
{
	const char *f = getenv("EDGEFERRY_BUS");

	return f ? f : "/nonexistent";
}

static int board(const char *format, unsigned n)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char text[32];
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t size = (size_t)snprintf(text, sizeof text, format, n);

	snprintf(a.sun_path, sizeof a.sun_path, "%.90s/board", folder());
	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ||
		write(fd, text, size) != (ssize_t)size) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Line n of a chip's description, 0 its label; false when there is none. */
static bool described(unsigned chip, unsigned n, char *text, size_t size)
{
	char path[128];
	FILE *f;
	bool found = false;

	snprintf(path, sizeof path, "%.90s/gpiochip%u", folder(), chip);
	f = fopen(path, "re");
	if (!f)
		return false;
	for (unsigned i = 0; i <= n; i++)
		found = fgets(text, (int)size, f) != NULL;
	fclose(f);
	if (found)
		text[strcspn(text, "\n")] = '\0';
	return found;
}

static unsigned n_lines(unsigned chip)
{
	unsigned n = 0;
	char text[64];

	while (described(chip, n + 1, text, sizeof text))
		n++;
	return n;
}

static struct pin *pin_of(int fd)
{
	for (int i = 0; i < FDS_MAX; i++)
		if (pins[i].used && pins[i].fd == fd)
			return &pins[i];
	return NULL;
}

static void forget(struct pin *p)
{
	p->used = false;
	close(p->out);
	if (p->board >= 0)
		shutdown(p->board, SHUT_RDWR); /* ends its thread */
}

static bool is_busy(unsigned chip, unsigned offset)
{
	for (int i = 0; i < FDS_MAX; i++) {
		char byte;

		if (!pins[i].used || pins[i].chip != chip || pins[i].offset != offset)
			continue;
		/* the caller's end is closed when its other end says so */
		if (recv(pins[i].out, &byte, 1, MSG_PEEK | MSG_DONTWAIT) != 0)
			return true;
		forget(&pins[i]);
	}
	return false;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void tell_edge(struct pin *p, bool rising)
{
	struct gpioevent_data v1 = {
		now_ns(), rising ? GPIOEVENT_EVENT_RISING_EDGE : GPIOEVENT_EVENT_FALLING_EDGE};
	struct gpio_v2_line_event v2 = {.timestamp_ns = now_ns(),
		.id = rising ? GPIO_V2_LINE_EVENT_RISING_EDGE : GPIO_V2_LINE_EVENT_FALLING_EDGE,
		.offset = p->offset};

	if (p->v2)
		send(p->out, &v2, sizeof v2, MSG_NOSIGNAL);
	else
		send(p->out, &v1, sizeof v1, MSG_NOSIGNAL);
}

/* The interrupt of an input. Ends with the board; a caller that closed its end is not told. */
static void *watch(void *ctx)
{
	struct pin *p = ctx;
	int fd = p->board;
	char byte;

	while (read(fd, &byte, 1) == 1) {
		int level = byte == '1';

		if (level == p->level)
			continue;
		p->level = level;
		tell_edge(p, level != p->low);
	}
	return NULL;
}

static int request(unsigned chip, unsigned offset, bool input, bool low, bool on, bool v2)
{
	struct pin *p = NULL;
	pthread_t thread;
	int pair[2];
	char byte = '0';

	if (offset >= n_lines(chip))
		return errno = EINVAL, -1;
	if (is_busy(chip, offset))
		return errno = EBUSY, -1;
	for (int i = 0; !p && i < FDS_MAX; i++)
		p = pins[i].used ? NULL : &pins[i];
	if (!p || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return errno = ENOMEM, -1;
	if (pin_of(pair[0])) /* closed by its owner, and given out again */
		forget(pin_of(pair[0]));
	*p = (struct pin){pair[0], chip ? -1 : board(input ? "in %u\n" : "out %u\n", offset),
		pair[1], chip, offset, true, input, low, v2, on != low};
	if (input && p->board >= 0) {
		if (read(p->board, &byte, 1) == 1)
			p->level = byte == '1';
		if (pthread_create(&thread, NULL, watch, p) == 0)
			pthread_detach(thread);
	} else if (p->board >= 0) {
		byte = p->level ? '1' : '0';
		send(p->board, &byte, 1, MSG_NOSIGNAL);
	}
	return pair[0];
}

static void drive(struct pin *p, bool on)
{
	char byte = on != p->low ? '1' : '0';

	p->level = byte == '1';
	if (p->board >= 0)
		send(p->board, &byte, 1, MSG_NOSIGNAL);
}

static int line_ioctl(struct pin *p, unsigned long code, void *arg)
{
	struct gpiohandle_data *v1 = arg;
	struct gpio_v2_line_values *v2 = arg;

	switch (code) {
	case GPIOHANDLE_GET_LINE_VALUES_IOCTL:
		v1->values[0] = p->level != p->low;
		return 0;
	case GPIOHANDLE_SET_LINE_VALUES_IOCTL:
		drive(p, v1->values[0]);
		return 0;
	case GPIO_V2_LINE_GET_VALUES_IOCTL:
		v2->bits = p->level != p->low;
		return 0;
	case GPIO_V2_LINE_SET_VALUES_IOCTL:
		drive(p, v2->bits & v2->mask & 1);
		return 0;
	default:
		return errno = ENOTTY, -1;
	}
}

static int v1_ioctl(unsigned chip, unsigned long code, void *arg)
{
	struct gpioline_info *info = arg;
	struct gpiohandle_request *handle = arg;
	struct gpioevent_request *event = arg;

	switch (code) {
	case GPIO_GET_LINEINFO_IOCTL:
		info->flags = 0;
		memset(info->name, 0, sizeof info->name);
		memset(info->consumer, 0, sizeof info->consumer);
		if (!described(chip, info->line_offset + 1, info->name, sizeof info->name))
			return errno = EINVAL, -1;
		return 0;
	case GPIO_GET_LINEHANDLE_IOCTL:
		handle->fd = request(chip, handle->lineoffsets[0], false,
			handle->flags & GPIOHANDLE_REQUEST_ACTIVE_LOW, handle->default_values[0],
			false);
		return handle->fd < 0 ? -1 : 0;
	case GPIO_GET_LINEEVENT_IOCTL:
		event->fd = request(chip, event->lineoffset, true,
			event->handleflags & GPIOHANDLE_REQUEST_ACTIVE_LOW, false, false);
		return event->fd < 0 ? -1 : 0;
	default:
		return errno = ENOTTY, -1;
	}
}

static int v2_ioctl(unsigned chip, unsigned long code, void *arg)
{
	struct gpio_v2_line_info *info = arg;
	struct gpio_v2_line_request *q = arg;
	bool on = false;

	if (code == GPIO_V2_GET_LINEINFO_IOCTL) {
		uint32_t offset = info->offset;

		memset(info, 0, sizeof *info);
		info->offset = offset;
		if (!described(chip, offset + 1, info->name, sizeof info->name))
			return errno = EINVAL, -1;
		return 0;
	}
	if (code != GPIO_V2_GET_LINE_IOCTL)
		return errno = ENOTTY, -1;
	for (uint32_t i = 0; i < q->config.num_attrs; i++)
		if (q->config.attrs[i].attr.id == GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES)
			on = q->config.attrs[i].attr.values & 1;
	q->fd = request(chip, q->offsets[0], q->config.flags & GPIO_V2_LINE_FLAG_INPUT,
		q->config.flags & GPIO_V2_LINE_FLAG_ACTIVE_LOW, on, true);
	return q->fd < 0 ? -1 : 0;
}

static int chip_ioctl(unsigned chip, unsigned long code, void *arg)
{
	struct gpiochip_info *info = arg;

	if (code != GPIO_GET_CHIPINFO_IOCTL)
		return code == GPIO_V2_GET_LINEINFO_IOCTL || code == GPIO_V2_GET_LINE_IOCTL
			       ? v2_ioctl(chip, code, arg)
			       : v1_ioctl(chip, code, arg);
	memset(info, 0, sizeof *info);
	snprintf(info->name, sizeof info->name, "gpiochip%u", chip);
	if (!described(chip, 0, info->label, sizeof info->label))
		strcpy(info->label, "no lines");
	info->lines = n_lines(chip);
	return 0;
}

static bool all(int fd, void *data, size_t size, bool out)
{
	for (uint8_t *p = data; size;) {
		ssize_t n = out ? send(fd, p, size, MSG_NOSIGNAL) : read(fd, p, size);

		if (n <= 0)
			return false;
		p += n;
		size -= (size_t)n;
	}
	return true;
}

#define SLEEP_LATE_NS 150000

static void transfer(struct spi_ioc_transfer *t)
{
	uint8_t *rx = (uint8_t *)(uintptr_t)t->rx_buf;
	uint64_t end =
		now_ns() + t->len * 8ull * 1000000000 / (t->speed_hz ? t->speed_hz : spi_speed);
	int64_t left;

	if (spi_board < 0)
		spi_board = board("spi\n", 0);
	if (spi_board < 0 || !all(spi_board, &t->len, 4, true) ||
		!all(spi_board, (void *)(uintptr_t)t->tx_buf, t->len, true) ||
		!all(spi_board, rx, t->len, false)) {
		memset(rx, 0xff, t->len); /* nobody drives the wire */
		if (spi_board >= 0)
			close(spi_board);
		spi_board = -1;
	}
	/* A sleep ends later than a controller's interrupt would: the last bit is waited. */
	left = (int64_t)(end - now_ns()) - SLEEP_LATE_NS;
	if (left > 0)
		nanosleep(&(struct timespec){left / 1000000000, left % 1000000000}, NULL);
	while (now_ns() < end)
		;
}

/* Lines go on moving while a transfer takes its time. */
static int spi_ioctl(unsigned long code, void *arg)
{
	static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER;

	switch (code) {
	case SPI_IOC_WR_MODE:
	case SPI_IOC_WR_MODE32:
	case SPI_IOC_WR_BITS_PER_WORD:
		return 0;
	case SPI_IOC_WR_MAX_SPEED_HZ:
		spi_speed = *(uint32_t *)arg;
		return 0;
	case SPI_IOC_MESSAGE(1):
		if (((struct spi_ioc_transfer *)arg)->len > 4096)
			return errno = EMSGSIZE, -1;
		pthread_mutex_lock(&one);
		transfer(arg);
		pthread_mutex_unlock(&one);
		return (int)((struct spi_ioc_transfer *)arg)->len;
	default:
		return errno = ENOTTY, -1;
	}
}

/* Of every serial port at once, while EDGEFERRY_BUS_RS485 is set: a driver that can turn the line.
 */
static int rs485_ioctl(unsigned long code, struct serial_rs485 *arg)
{
	static struct serial_rs485 now = {.delay_rts_after_send = 3};

	if (code == TIOCGRS485)
		*arg = now;
	else
		now = *arg;
	return 0;
}

int ioctl(int fd, unsigned long code, ...)
{
	char link[32], path[64] = "";
	struct pin *p;
	unsigned chip;
	va_list ap;
	void *arg;
	int r = -2;

	va_start(ap, code);
	arg = va_arg(ap, void *);
	va_end(ap);
	code &= UINT32_MAX; /* as the kernel: some have it in an int, which grows its sign */
	if (getenv("EDGEFERRY_BUS_RS485") && (code == TIOCGRS485 || code == TIOCSRS485))
		return rs485_ioctl(code, arg);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	if (_IOC_TYPE(code) == 0xB4 || _IOC_TYPE(code) == SPI_IOC_MAGIC) {
		ssize_t n = readlink(link, path, sizeof path - 1);

		path[n > 0 ? n : 0] = '\0';
		if (strncmp(path, "/dev/spidev", 11) == 0)
			return spi_ioctl(code, arg);
		pthread_mutex_lock(&lock);
		if (sscanf(path, "/dev/gpiochip%u", &chip) == 1)
			r = chip_ioctl(chip, code, arg);
		else if ((p = pin_of(fd)))
			r = line_ioctl(p, code, arg);
		pthread_mutex_unlock(&lock);
		if (r > -2)
			return r;
	}
	return (int)syscall(SYS_ioctl, fd, code, arg);
}

/* ---- a /dev and a /sys in which the devices are ---- */

static bool put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	return f && fputs(text, f) >= 0 && fclose(f) == 0;
}

static bool mount_over(const char *name)
{
	static const char *const kept[] = {"null", "zero", "full", "random", "urandom", "tty"};
	char path[64], real[64], pts[64];

	snprintf(path, sizeof path, "%s/dev", name);
	if (mount("tmpfs", path, "tmpfs", 0, "mode=755") < 0)
		return false;
	for (size_t i = 0; i < sizeof kept / sizeof *kept + 5; i++) {
		const char *device = i < sizeof kept / sizeof *kept ? kept[i] : "null";

		snprintf(real, sizeof real, "/dev/%s", device);
		snprintf(path, sizeof path, "%s/dev/%s", name,
			i < sizeof kept / sizeof *kept
				? device
				: (const char *const[]){"gpiochip0", "gpiochip1", "gpiochip2",
					  "spidev0.0",
					  "spidev10.0"}[i - sizeof kept / sizeof *kept]);
		if (!put(path, "") ||
			(mount(real, path, NULL, MS_BIND, NULL) < 0 && access(real, F_OK) == 0))
			return false;
	}
	snprintf(pts, sizeof pts, "%s/dev/pts", name);
	snprintf(path, sizeof path, "%s/dev/ptmx", name);
	mkdir(pts, 0755);
	if (mount("/dev/pts", pts, NULL, MS_BIND, NULL) < 0 || symlink("pts/ptmx", path) < 0)
		return false;
	snprintf(path, sizeof path, "%s/dev", name);
	return mount(path, "/dev", NULL, MS_MOVE, NULL) == 0;
}

static bool make_sys(void)
{
	if (mount("tmpfs", "/sys", "tmpfs", 0, "mode=755") < 0)
		return false;
	mkdir("/sys/bus", 0755);
	mkdir("/sys/bus/gpio", 0755);
	mkdir("/sys/bus/gpio/devices", 0755);
	mkdir("/sys/dev", 0755);
	mkdir("/sys/dev/char", 0755);
	mkdir("/sys/dev/char/1:3", 0755);
	for (int i = 0; i < 3; i++) {
		char path[64];

		snprintf(path, sizeof path, "/sys/bus/gpio/devices/gpiochip%d", i);
		mkdir(path, 0755);
		strcat(path, "/dev");
		if (!put(path, "1:3\n"))
			return false;
	}
	return symlink("/sys/bus/gpio", "/sys/dev/char/1:3/subsystem") == 0;
}

bool bus_enter(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char name[] = "/tmp/edgeferry-bus-XXXXXX", path[64], map[64];
	bool done;

	if (unshare(CLONE_NEWNS) < 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
			return false;
		snprintf(map, sizeof map, "%u %u 1\n", uid, uid);
		put("/proc/self/setgroups", "deny");
		if (!put("/proc/self/uid_map", map))
			return false;
		snprintf(map, sizeof map, "%u %u 1\n", gid, gid);
		put("/proc/self/gid_map", map);
	}
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 || !mkdtemp(name))
		return false;
	snprintf(path, sizeof path, "%s/dev", name);
	mkdir(path, 0755);
	done = mount_over(name) && make_sys();
	rmdir(path);
	rmdir(name);
	return done;
}
