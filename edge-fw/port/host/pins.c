/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board around the chip, for a gateway whose GPIO and SPI are emulated (tests/lab/bus.c says
 * how the two talk): ready is line 0, reset (active low) line 1, boot line 2, and the SPI
 * peripheral, which moves one exchange while the program has armed it.
 */
#include "boot/retained.h"
#include "host.h"
#include "wire/spi.h"
#include <edgeferry/session.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define MESSAGE_MAX (PORT_MESSAGE_MAX + EF_SESSION_OVERHEAD)
#define EXCHANGE_MAX 4096u
#define ANSWERS (PORT_WINDOW + 1u)

enum { PIN_READY, PIN_RESET, PIN_BOOT, PINS, WIRE_LISTENER = PINS, WIRE_SPI };

static struct {
	int epoll, listener;
	int wire[PINS], spi; /* connections; -1: none */
	bool level[PINS];
	bool in_reset;
	bool armed;
	size_t in_size; /* of the message that came; 0: none */
	uint8_t in[MESSAGE_MAX];
	size_t out_size[ANSWERS], n_out; /* answers that wait, oldest first */
	uint8_t out[ANSWERS][MESSAGE_MAX];
} pins = {.epoll = -1};

static void set_ready(bool on)
{
	char byte = on ? '1' : '0';

	pins.level[PIN_READY] = on;
	if (pins.wire[PIN_READY] >= 0)
		send(pins.wire[PIN_READY], &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hear(int fd, uint32_t what)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u32 = what};

	epoll_ctl(pins.epoll, EPOLL_CTL_ADD, fd, &e);
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

static void connected(void)
{
	char text[32] = "", level;
	unsigned n;
	int fd = accept4(pins.listener, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	for (size_t i = 0; i < sizeof(text) - 1 && all(fd, text + i, 1, false) && text[i] != '\n';
		i++)
		;
	if (sscanf(text, "in %u\n", &n) == 1 && n == PIN_READY) {
		if (pins.wire[n] >= 0)
			close(pins.wire[n]);
		pins.wire[n] = fd;
		level = pins.level[n] ? '1' : '0';
		send(fd, &level, 1, MSG_NOSIGNAL);
	} else if (sscanf(text, "out %u\n", &n) == 1 && (n == PIN_RESET || n == PIN_BOOT)) {
		if (pins.wire[n] >= 0)
			close(pins.wire[n]);
		pins.wire[n] = fd;
		hear(fd, n);
	} else if (strcmp(text, "spi\n") == 0) {
		if (pins.spi >= 0)
			close(pins.spi);
		pins.spi = fd;
		hear(fd, WIRE_SPI);
	} else {
		close(fd);
	}
}

/* The chip starts when reset is let go; its ROM looks at boot then. */
static void pin_changed(unsigned pin)
{
	struct retained r;

	if (pin != PIN_RESET || pins.in_reset == !pins.level[PIN_RESET])
		return;
	pins.in_reset = !pins.level[PIN_RESET];
	if (pins.in_reset)
		return;
	retained_load(&r);
	r.stay = pins.level[PIN_BOOT];
	r.next_cause = PORT_CAUSE_POWER;
	retained_store(&r);
	host_restart();
}

static void pin_heard(unsigned pin)
{
	char byte;

	if (read(pins.wire[pin], &byte, 1) != 1) { /* let go: it keeps its level */
		close(pins.wire[pin]);
		pins.wire[pin] = -1;
		return;
	}
	pins.level[pin] = byte == '1';
	pin_changed(pin);
}

static void answered(size_t n)
{
	size_t size;

	if (!pins.n_out || n < pins.out_size[0] + SPI_OVERHEAD)
		return; /* it was cut: it stays */
	size = --pins.n_out;
	memmove(pins.out_size, pins.out_size + 1, size * sizeof(*pins.out_size));
	memmove(pins.out, pins.out + 1, size * sizeof(*pins.out));
}

static void exchange(void)
{
	static uint8_t tx[EXCHANGE_MAX], rx[EXCHANGE_MAX];
	uint32_t n;
	size_t size;

	if (!all(pins.spi, &n, 4, false) || n > EXCHANGE_MAX || !all(pins.spi, rx, n, false)) {
		close(pins.spi);
		pins.spi = -1;
		return;
	}
	if (!pins.armed || pins.in_reset) {
		memset(tx, 0xff, n);
		all(pins.spi, tx, n, true);
		return;
	}
	memset(tx, 0, n);
	spi_put(tx, pins.out[0], pins.n_out ? pins.out_size[0] : 0);
	pins.armed = false;
	set_ready(false);
	all(pins.spi, tx, n, true);
	answered(n);
	if (spi_get(rx, n, &size) == SPI_MESSAGE && size <= sizeof(pins.in)) {
		memcpy(pins.in, rx + SPI_HEADER_SIZE, size);
		pins.in_size = size;
	}
}

void host_pins_look(void)
{
	struct epoll_event e;

	for (;;) {
		e.events = 0;
		if (pins.epoll < 0 || epoll_wait(pins.epoll, &e, 1, pins.in_reset ? 100 : 0) < 0)
			return;
		if (e.events == 0 && !pins.in_reset)
			return;
		if (e.events == 0)
			continue;
		if (e.data.u32 == WIRE_LISTENER)
			connected();
		else if (e.data.u32 == WIRE_SPI)
			exchange();
		else
			pin_heard(e.data.u32);
	}
}

int host_pins_fd(void)
{
	return pins.epoll;
}

/* What was loaded has been taken and answered when the next is asked for: the peripheral is armed.
 */
static size_t spi_receive(uint8_t *message, size_t size)
{
	size_t n = pins.in_size;

	pins.in_size = 0;
	if (n && n <= size) {
		memcpy(message, pins.in, n);
		return n;
	}
	if (!pins.armed) {
		pins.armed = true;
		set_ready(true);
	}
	return 0;
}

static void spi_send(const uint8_t *message, size_t size)
{
	if (pins.n_out == ANSWERS || size > MESSAGE_MAX)
		return;
	memcpy(pins.out[pins.n_out], message, size);
	pins.out_size[pins.n_out++] = size;
	if (pins.armed) { /* calls: something waits */
		set_ready(false);
		set_ready(true);
	}
}

static void spi_start(void)
{
	pins.armed = false;
	pins.in_size = pins.n_out = 0;
	set_ready(false);
	host_packet_start();
}

static int no_fd(void)
{
	return -1; /* what there is to hear comes by way of the pins */
}

static const struct host_packets packets = {spi_receive, spi_send};
static const struct host_line spi_line = {
	host_packet_read, host_packet_write, no_fd, NULL, NULL, spi_start};

int host_open_pins(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	strcpy(a.sun_path, path);
	for (int i = 0; i < PINS; i++)
		pins.wire[i] = -1;
	pins.spi = -1;
	pins.level[PIN_RESET] = true; /* pulled up */
	unlink(path);
	pins.epoll = epoll_create1(EPOLL_CLOEXEC);
	pins.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (pins.listener < 0 || bind(pins.listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(pins.listener, 4) < 0)
		return -errno;
	hear(pins.listener, WIRE_LISTENER);
	return 0;
}

int host_open_spi(const char *path)
{
	int r = host_open_pins(path);

	host_packet_init(&packets);
	host.line = &spi_line;
	return r;
}
