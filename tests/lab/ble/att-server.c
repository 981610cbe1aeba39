/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A BLE peripheral without bluetoothd: HCI host and ATT server over a controller of btvirt's (its
 * server's socket, H4). It has the SMP service alone; values of its characteristic go to and from a
 * node (edgeferry-node --ble), or are counted and dropped.
 *
 *   att-server H4-SOCKET ADDRESS NAME MTU NODE-SOCKET|sink
 *
 * A connection in the air is one to the node, and the end of either ends the other. With sink a
 * value of one byte is answered by a notification of how many bytes came before it (u32,
 * little-endian). SIGUSR1 cuts the connection. A virtual controller tells of an advertiser once,
 * when either advertising or scanning begins, so advertising is begun anew four times a second.
 * Nor does it notice that a peer is gone, as a real one does when nothing comes any more: SIGTERM
 * ends the connection first.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { H4_COMMAND = 1, H4_ACL, H4_SCO, H4_EVENT };
enum {
	HCI_DISCONNECT = 0x0406,
	HCI_EVENT_MASK = 0x0c01,
	HCI_RESET = 0x0c03,
	LE_EVENT_MASK = 0x2001,
	LE_BUFFERS = 0x2002,
	LE_ADDRESS = 0x2005,
	LE_ADV_PARAMETERS = 0x2006,
	LE_ADV_DATA = 0x2008,
	LE_SCAN_DATA = 0x2009,
	LE_ADV_ENABLE = 0x200a,
};
enum { CID_ATT = 4, CID_SIGNALS = 5, CID_SECURITY = 6 };
enum { SERVICE = 1, DECLARATION, VALUE, CONFIGURATION, LAST = CONFIGURATION };

#define QUEUE 64 /* fragments on their way to the controller */
#define FRAGMENT_MAX 260
#define ATT_MAX 520

static const uint8_t service_uuid[16] = {0x84, 0xaa, 0x60, 0x74, 0x52, 0x8a, 0x8b, 0x86, 0xd3, 0x4c,
	0xb7, 0x1d, 0x1d, 0xdc, 0x53, 0x8d};
static const uint8_t value_uuid[16] = {0x48, 0x7c, 0x99, 0x74, 0x01, 0x26, 0x9e, 0xae, 0x01, 0x4e,
	0xce, 0xfb, 0x28, 0x78, 0x2e, 0xda};

static struct {
	int h4, node;
	const char *node_path;
	bool sink;
	uint16_t mtu_most, mtu;
	uint8_t address[6];
	const char *name;
	int connection; /* -1: none */
	bool notify;
	uint8_t in[8192];
	size_t in_size;
	uint16_t done, acl_size;
	uint8_t answer[64];
	int credits, acl_count;
	struct {
		uint16_t size;
		uint8_t first;
		uint8_t data[FRAGMENT_MAX];
	} queue[QUEUE];
	unsigned head, tail;
	uint8_t pdu[ATT_MAX + 8];
	size_t pdu_size;
	uint32_t counted;
} s = {.h4 = -1, .node = -1, .connection = -1};

static volatile sig_atomic_t cut, leave;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "att-server: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] | p[1] << 8);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static int connect_unix(const char *path, int type)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	return fd;
}

static void h4_write(const uint8_t *data, size_t size)
{
	while (size) {
		ssize_t n = write(s.h4, data, size);

		if (n < 0 && errno != EINTR)
			fail("controller");
		if (n > 0) {
			data += n;
			size -= (size_t)n;
		}
	}
}

static void command(uint16_t opcode, const void *data, uint8_t size)
{
	uint8_t p[260] = {H4_COMMAND};

	put16(p + 1, opcode);
	p[3] = size;
	memcpy(p + 4, data, size);
	h4_write(p, 4u + size);
}

/* ACL */

static void pump(void)
{
	while (s.tail != s.head && s.credits > 0 && s.connection >= 0) {
		uint8_t p[5 + FRAGMENT_MAX] = {H4_ACL};
		unsigned i = s.tail++ % QUEUE;

		put16(p + 1, (unsigned)s.connection | (s.queue[i].first ? 0u : 1u << 12));
		put16(p + 3, s.queue[i].size);
		memcpy(p + 5, s.queue[i].data, s.queue[i].size);
		h4_write(p, 5u + s.queue[i].size);
		s.credits--;
	}
}

static unsigned fragments(size_t size)
{
	return (unsigned)((size + 4 + s.acl_size - 1) / s.acl_size);
}

static bool room(void)
{
	return QUEUE - (s.head - s.tail) >= fragments(ATT_MAX);
}

static void l2cap(uint16_t cid, const uint8_t *data, size_t size)
{
	uint8_t p[ATT_MAX + 8];

	if (s.connection < 0 || QUEUE - (s.head - s.tail) < fragments(size))
		return;
	put16(p, (unsigned)size);
	put16(p + 2, cid);
	memcpy(p + 4, data, size);
	for (size_t at = 0; at < size + 4; at += s.acl_size) {
		unsigned i = s.head++ % QUEUE;

		s.queue[i].first = at == 0;
		s.queue[i].size =
			(uint16_t)(size + 4 - at < s.acl_size ? size + 4 - at : s.acl_size);
		memcpy(s.queue[i].data, p + at, s.queue[i].size);
	}
	pump();
}

static void notify(const uint8_t *value, size_t size)
{
	uint8_t p[ATT_MAX] = {0x1b, VALUE, 0};

	if (!s.notify)
		return;
	if (size > s.mtu - 3u)
		size = s.mtu - 3u;
	memcpy(p + 3, value, size);
	l2cap(CID_ATT, p, size + 3);
}

/* The node */

static void advertise(bool on)
{
	uint8_t enable = on;

	command(LE_ADV_ENABLE, &enable, 1);
}

static void hang_up(void)
{
	uint8_t p[3] = {0, 0, 0x13};

	if (s.connection < 0)
		return;
	put16(p, (unsigned)s.connection);
	command(HCI_DISCONNECT, p, sizeof p);
}

static void node_close(void)
{
	if (s.node >= 0)
		close(s.node);
	s.node = -1;
}

static void to_node(const uint8_t *value, size_t size)
{
	uint8_t count[4];

	if (!s.sink) {
		if (s.node >= 0 && size && send(s.node, value, size, MSG_NOSIGNAL) < 0)
			hang_up();
		return;
	}
	if (size != 1) {
		s.counted += (uint32_t)size;
		return;
	}
	put16(count, s.counted & 0xffff);
	put16(count + 2, s.counted >> 16);
	notify(count, sizeof count);
	s.counted = 0;
}

static void from_node(void)
{
	uint8_t value[ATT_MAX];
	ssize_t n = recv(s.node, value, ATT_MAX - 8, 0);

	if (n > 0) {
		notify(value, (size_t)n);
	} else if (n == 0 || errno != EINTR) { /* it was reset */
		node_close();
		hang_up();
	}
}

/* ATT (Core 5.3, vol. 3, F, 3.4): as much as a client needs to find one characteristic */

static void att_error(uint8_t op, uint16_t handle, uint8_t code)
{
	uint8_t p[5] = {1, op, (uint8_t)handle, (uint8_t)(handle >> 8), code};

	l2cap(CID_ATT, p, sizeof p);
}

static size_t attribute(unsigned handle, uint8_t *value)
{
	switch (handle) {
	case SERVICE:
		memcpy(value, service_uuid, 16);
		return 16;
	case DECLARATION:
		value[0] = 0x14; /* write without response, notify */
		put16(value + 1, VALUE);
		memcpy(value + 3, value_uuid, 16);
		return 19;
	case CONFIGURATION:
		put16(value, s.notify);
		return 2;
	default:
		return 0;
	}
}

static void find_information(uint16_t from, uint16_t to)
{
	static const uint16_t types[] = {
		[SERVICE] = 0x2800, [DECLARATION] = 0x2803, [CONFIGURATION] = 0x2902};
	uint8_t p[32] = {5, 1};
	size_t n = 2;

	if (from == VALUE && to >= VALUE) {
		p[1] = 2;
		put16(p + 2, VALUE);
		memcpy(p + 4, value_uuid, 16);
		l2cap(CID_ATT, p, 20);
		return;
	}
	for (unsigned h = from; h <= to && h <= LAST && h != VALUE; h++, n += 4) {
		put16(p + n, h);
		put16(p + n + 2, types[h]);
	}
	if (n > 2)
		l2cap(CID_ATT, p, n);
	else
		att_error(4, from, 0x0a);
}

static void read_by_group(uint8_t op, uint16_t from, uint16_t type)
{
	uint8_t p[24] = {0x11, 20};

	if (from > SERVICE || type != 0x2800) {
		att_error(op, from, 0x0a);
		return;
	}
	put16(p + 2, SERVICE);
	put16(p + 4, LAST);
	memcpy(p + 6, service_uuid, 16);
	l2cap(CID_ATT, p, 22);
}

static void read_by_type(uint8_t op, uint16_t from, uint16_t to, uint16_t type)
{
	uint8_t p[32] = {9, 21};

	if (type != 0x2803 || from > DECLARATION || to < DECLARATION) {
		att_error(op, from, 0x0a);
		return;
	}
	put16(p + 2, DECLARATION);
	attribute(DECLARATION, p + 4);
	l2cap(CID_ATT, p, 23);
}

static void read_one(uint8_t op, uint16_t handle, size_t offset)
{
	uint8_t p[32] = {(uint8_t)(op + 1)}, value[24];
	size_t n = attribute(handle, value);

	if (handle < 1 || handle > LAST || handle == VALUE) {
		att_error(op, handle, handle == VALUE ? 2 : 1);
		return;
	}
	n = offset < n ? n - offset : 0;
	if (n > s.mtu - 1u)
		n = s.mtu - 1u;
	memcpy(p + 1, value + offset, n);
	l2cap(CID_ATT, p, n + 1);
}

static void written(uint16_t handle, const uint8_t *value, size_t size)
{
	if (handle == CONFIGURATION && size)
		s.notify = value[0] & 1;
	else if (handle == VALUE)
		to_node(value, size);
}

static void att(const uint8_t *d, size_t size)
{
	uint8_t p[3] = {0};
	uint16_t a = size >= 3 ? get16(d + 1) : 0, b = size >= 5 ? get16(d + 3) : 0;

	switch (d[0]) {
	case 0x02:
		s.mtu = a < s.mtu_most ? (a < 23 ? 23 : a) : s.mtu_most;
		p[0] = 3;
		put16(p + 1, s.mtu_most);
		l2cap(CID_ATT, p, 3);
		break;
	case 0x04:
		find_information(a, b);
		break;
	case 0x06: /* find the service by its UUID */
		if (size == 23 && a <= SERVICE && get16(d + 5) == 0x2800 &&
			!memcmp(d + 7, service_uuid, 16)) {
			static const uint8_t found[] = {7, SERVICE, 0, LAST, 0};

			l2cap(CID_ATT, found, sizeof found);
		} else {
			att_error(d[0], a, 0x0a);
		}
		break;
	case 0x08:
		read_by_type(d[0], a, b, size == 7 ? get16(d + 5) : 0);
		break;
	case 0x10:
		read_by_group(d[0], a, size == 7 ? get16(d + 5) : 0);
		break;
	case 0x0a:
		read_one(d[0], a, 0);
		break;
	case 0x0c:
		read_one(d[0], a, b);
		break;
	case 0x12:
		p[0] = 0x13;
		l2cap(CID_ATT, p, 1);
		written(a, d + 3, size - 3);
		break;
	case 0x52:
		written(a, d + 3, size - 3);
		break;
	case 0x1e:
		break;
	default:
		if (!(d[0] & 0x40))
			att_error(d[0], 0, 6);
	}
}

static void acl(const uint8_t *p)
{
	uint16_t handle = get16(p), n = get16(p + 2);

	if ((handle >> 12 & 3) != 1)
		s.pdu_size = 0;
	if (s.pdu_size + n > sizeof s.pdu)
		return;
	memcpy(s.pdu + s.pdu_size, p + 4, n);
	s.pdu_size += n;
	if (s.pdu_size < 5 || s.pdu_size < get16(s.pdu) + 4u)
		return;
	if (get16(s.pdu + 2) == CID_ATT) {
		att(s.pdu + 4, s.pdu_size - 4);
	} else if (get16(s.pdu + 2) == CID_SECURITY && s.pdu[4] == 1) {
		static const uint8_t no[] = {5, 5}; /* no pairing here */

		l2cap(CID_SECURITY, no, sizeof no);
	} else if (get16(s.pdu + 2) == CID_SIGNALS && s.pdu[4] != 1 && s.pdu[4] != 0x13) {
		const uint8_t reject[] = {1, s.pdu[5], 2, 0, 0, 0};

		l2cap(CID_SIGNALS, reject, sizeof reject);
	}
	s.pdu_size = 0;
}

/* HCI */

static void connected(uint16_t handle)
{
	s.connection = handle;
	s.mtu = 23;
	s.notify = false;
	s.credits = s.acl_count;
	s.head = s.tail = 0;
	s.pdu_size = 0;
	s.counted = 0;
	printf("connected\n");
	if (s.sink)
		return;
	node_close();
	s.node = connect_unix(s.node_path, SOCK_SEQPACKET);
	if (s.node < 0)
		hang_up();
}

static void event(const uint8_t *p)
{
	const uint8_t *d = p + 2;

	switch (p[0]) {
	case 0x0e:
		s.done = get16(d + 1);
		memcpy(s.answer, d + 3, p[1] - 3u < sizeof s.answer ? p[1] - 3u : sizeof s.answer);
		break;
	case 0x0f:
		s.done = get16(d + 2);
		break;
	case 0x3e:
		if ((d[0] == 1 || d[0] == 0x0a) && d[1] == 0)
			connected(get16(d + 2));
		break;
	case 0x05:
		s.connection = -1;
		node_close();
		printf("disconnected\n");
		break;
	case 0x13:
		for (unsigned i = 0; i < d[0]; i++)
			s.credits += get16(d + 3 + 4 * i);
		pump();
		break;
	}
}

static void h4_read(void)
{
	size_t at = 0, n;
	ssize_t got = read(s.h4, s.in + s.in_size, sizeof s.in - s.in_size);

	if (got <= 0) {
		if (got < 0 && errno == EINTR)
			return;
		fail("controller");
	}
	s.in_size += (size_t)got;
	for (;;) {
		const uint8_t *p = s.in + at;
		size_t left = s.in_size - at;

		if (left < 5)
			break;
		n = p[0] == H4_EVENT ? 3u + p[2] : 5u + get16(p + 3);
		if (left < n)
			break;
		if (p[0] == H4_EVENT)
			event(p + 1);
		else if (p[0] == H4_ACL)
			acl(p + 1);
		at += n;
	}
	memmove(s.in, s.in + at, s.in_size - at);
	s.in_size -= at;
}

static void command_wait(uint16_t opcode, const void *data, uint8_t size)
{
	s.done = 0;
	command(opcode, data, size);
	while (s.done != opcode)
		h4_read();
}

static void start(void)
{
	uint8_t p[32] = {0};
	size_t n = strlen(s.name);

	command_wait(HCI_RESET, "", 0);
	memset(p, 0xff, 7);
	p[7] = 0x3f;
	command_wait(HCI_EVENT_MASK, p, 8);
	command_wait(LE_EVENT_MASK, "\x1f\0\0\0\0\0\0\0", 8);
	command_wait(LE_BUFFERS, "", 0);
	s.acl_size = get16(s.answer + 1);
	s.acl_count = s.answer[3];
	if (s.acl_size > FRAGMENT_MAX)
		s.acl_size = FRAGMENT_MAX;
	command_wait(LE_ADDRESS, s.address, 6);
	command_wait(LE_ADV_PARAMETERS, "\x20\0\x40\0\0\x01\0\0\0\0\0\0\0\x07\0", 15);
	memset(p, 0, sizeof p);
	p[0] = 21;
	memcpy(p + 1, "\x02\x01\x06\x11\x07", 5);
	memcpy(p + 6, service_uuid, 16);
	command_wait(LE_ADV_DATA, p, 32);
	memset(p, 0, sizeof p);
	p[0] = (uint8_t)(n + 2);
	p[1] = (uint8_t)(n + 1);
	p[2] = 9;
	memcpy(p + 3, s.name, n);
	command_wait(LE_SCAN_DATA, p, 32);
	printf("advertising, %u buffers of %u\n", (unsigned)s.acl_count, s.acl_size);
	advertise(true);
}

static void on_signal(int number)
{
	cut = 1;
	leave = leave || number == SIGTERM;
}

int main(int argc, char **argv)
{
	unsigned a[6];

	if (argc != 6 ||
		sscanf(argv[2], "%x:%x:%x:%x:%x:%x", a, a + 1, a + 2, a + 3, a + 4, a + 5) != 6 ||
		strlen(argv[3]) > 28)
		return 64;
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (int i = 0; i < 6; i++)
		s.address[i] = (uint8_t)a[5 - i];
	s.name = argv[3];
	s.mtu_most = (uint16_t)atoi(argv[4]);
	s.sink = strcmp(argv[5], "sink") == 0;
	s.node_path = argv[5];
	if (s.mtu_most < 23 || s.mtu_most > 517)
		return 64;
	s.h4 = connect_unix(argv[1], SOCK_STREAM);
	if (s.h4 < 0)
		fail(argv[1]);
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = on_signal}, NULL);
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = on_signal}, NULL);
	start();
	while (!leave || s.connection >= 0) {
		struct pollfd p[2] = {{s.h4, POLLIN, 0}, {room() ? s.node : -1, POLLIN, 0}};
		int n = poll(p, 2, 250);

		if (cut) {
			cut = 0;
			hang_up();
		} else if (n == 0 && s.connection < 0) {
			advertise(false);
			advertise(true);
		}
		if (n > 0 && p[0].revents)
			h4_read();
		if (n > 0 && p[1].revents && s.node >= 0)
			from_node();
	}
}
