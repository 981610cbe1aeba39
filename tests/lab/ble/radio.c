/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Bluetooth controller for this kernel (hci_vhci) that is one of btvirt's (its server's socket,
 * H4) with a radio's pace: data waits in it for connection events, PACKETS link layer packets each
 * way in one every EVENT_MS. Commands and events go through as they come. Root's.
 *
 *   radio H4-SOCKET EVENT_MS PACKETS
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

enum { H4_COMMAND = 1, H4_ACL, H4_SCO, H4_EVENT, H4_ISO, H4_VENDOR = 0xff };
enum { DISCONNECTED = 0x05, COMMAND_COMPLETE = 0x0e };

#define LE_BUFFERS 0x2002
#define PACKET_MAX 1024
#define WAITING 256 /* data packets in one direction */
/* What this one says of its buffers: one link layer packet each, and enough for two events. */
#define LINK_PACKET 251

struct way {
	uint8_t data[WAITING][PACKET_MAX];
	size_t size[WAITING];
	unsigned head, tail;
};

static struct way down, up; /* to the air, to the kernel */
static int vhci, air, packets;
static uint8_t in[65536];
static size_t in_size;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "radio: %s: %s\n", what, strerror(errno));
	exit(1);
}

static unsigned get16(const uint8_t *p)
{
	return p[0] | (unsigned)p[1] << 8;
}

static void put(int fd, const uint8_t *p, size_t size)
{
	while (size) {
		ssize_t n = write(fd, p, size);

		if (n < 0 && errno != EINTR)
			fail("write");
		p += n > 0 ? n : 0;
		size -= n > 0 ? (size_t)n : 0;
	}
}

static bool room(const struct way *w)
{
	return w->head - w->tail < WAITING;
}

static void wait_in(struct way *w, const uint8_t *p, size_t size)
{
	unsigned i = w->head++ % WAITING;

	memcpy(w->data[i], p, size);
	w->size[i] = size;
}

static void connection_event(struct way *w, int fd)
{
	for (int n = 0; n < packets && w->tail != w->head; w->tail++) {
		unsigned i = w->tail % WAITING;

		/* 4 bytes of H4 and HCI are not in the air */
		n += (int)((w->size[i] - 5 + LINK_PACKET - 1) / LINK_PACKET);
		put(fd, w->data[i], w->size[i]);
	}
}

/* H4: the size of the packet that begins here, 0 when that is not known yet. */
static size_t whole(const uint8_t *p, size_t left)
{
	size_t head = p[0] == H4_EVENT ? 3 : p[0] == H4_ACL || p[0] == H4_ISO ? 5 : 4;

	if (left < head)
		return 0;
	return head + (p[0] == H4_EVENT ? p[2] : head == 5 ? get16(p + 3) : p[3]);
}

static void from_kernel(void)
{
	uint8_t p[PACKET_MAX];
	ssize_t n = read(vhci, p, sizeof p);

	if (n <= 0)
		fail("vhci");
	if (p[0] == H4_ACL)
		wait_in(&down, p, (size_t)n);
	else if (p[0] != H4_VENDOR)
		put(air, p, (size_t)n);
}

static void to_kernel(uint8_t *p, size_t size)
{
	if (p[0] == H4_ACL) {
		wait_in(&up, p, size);
		return;
	}
	if (p[1] == DISCONNECTED)
		down.tail = down.head;
	if (p[1] == COMMAND_COMPLETE && get16(p + 4) == LE_BUFFERS && size >= 10) {
		p[7] = LINK_PACKET;
		p[8] = 0;
		p[9] = (uint8_t)(2 * packets);
	}
	put(vhci, p, size);
}

static void from_air(void)
{
	size_t at = 0, n;
	ssize_t got = read(air, in + in_size, sizeof in - in_size);

	if (got <= 0)
		fail("btvirt");
	in_size += (size_t)got;
	while (at < in_size && (n = whole(in + at, in_size - at)) && n <= in_size - at) {
		if (n > PACKET_MAX)
			fail("a packet too long");
		if (in[at] == H4_ACL && !room(&up))
			break;
		to_kernel(in + at, n);
		at += n;
	}
	memmove(in, in + at, in_size - at);
	in_size -= at;
}

/* The kernel gives a controller up that does not answer its first command at once. */
static void warm_up(void)
{
	static const uint8_t reset[] = {H4_COMMAND, 0x03, 0x0c, 0};

	put(air, reset, sizeof reset);
	while (!in_size || !whole(in, in_size) || in_size < whole(in, in_size)) {
		ssize_t n = read(air, in + in_size, sizeof in - in_size);

		if (n <= 0)
			fail("btvirt");
		in_size += (size_t)n;
	}
	in_size = 0;
}

int main(int argc, char **argv)
{
	static const uint8_t create[] = {H4_VENDOR, 0};
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	long event_ms;
	uint64_t n;

	if (argc != 4 || (event_ms = atol(argv[2])) < 1 || (packets = atoi(argv[3])) < 1)
		return 64;
	snprintf(a.sun_path, sizeof a.sun_path, "%s", argv[1]);
	air = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(air, (struct sockaddr *)&a, sizeof a) < 0)
		fail(argv[1]);
	warm_up();
	vhci = open("/dev/vhci", O_RDWR);
	if (vhci < 0)
		fail("/dev/vhci");
	put(vhci, create, sizeof create);
	struct timespec every = {event_ms / 1000, event_ms % 1000 * 1000000};
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	timerfd_settime(timer, 0, &(struct itimerspec){every, every}, NULL);
	for (;;) {
		struct pollfd p[3] = {{timer, POLLIN, 0}, {room(&down) ? vhci : -1, POLLIN, 0},
			{room(&up) ? air : -1, POLLIN, 0}};

		if (poll(p, 3, -1) < 0)
			fail("poll");
		if (p[0].revents && read(timer, &n, sizeof n) == sizeof n) {
			connection_event(&down, air);
			connection_event(&up, vhci);
		}
		if (p[1].revents)
			from_kernel();
		if (p[2].revents)
			from_air();
	}
}
