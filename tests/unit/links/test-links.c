/* SPDX-License-Identifier: Apache-2.0 */
/* Links over real descriptors: a unix socket, a pseudo-terminal (F-17, F-21, F-26, F-32). */
#include "links/link.h"
#include "unit.h"
#include "util/cleanup.h"
#include "wire/cobs.h"
#include <edgeferry/smp.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pty.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

static sd_event *event;
static struct link *link_;
static const struct link_ops *ops;
static unsigned messages, losses, drains;
static bool close_in_callback;
static uint8_t last[8192];
static size_t last_size;
static char device[64], directory[64];
static int peer = -1, listener = -1, keep = -1;

static void on_message(void *ctx, const uint8_t *data, size_t size)
{
	ck_assert_ptr_eq(ctx, &messages);
	messages++;
	last_size = size;
	memcpy(last, data, size);
	if (close_in_callback) {
		ops->close(link_);
		link_ = NULL;
	}
}

static void on_lost(void *ctx, const struct error *e)
{
	losses++;
	link_ = NULL;
	ck_assert_int_eq(e->reason, EF_REASON_NODE_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(e->detail, device));
}

static void on_drained(void *ctx)
{
	drains++;
}

static const struct link_callbacks callbacks = {&messages, on_message, on_lost, on_drained, NULL};

static void turn(unsigned ms)
{
	for (unsigned i = 0; i < 40; i++)
		if (sd_event_run(event, i ? 0 : ms * 1000ull) == 0 && i)
			break;
}

static enum ef_reason open_link(struct error *e)
{
	struct link_spec spec = {.device = device, .baud = 250000};

	error_clear(e);
	return ops->open(&link_, event, &spec, &callbacks, e);
}

static void setup_common(void)
{
	ck_assert_int_ge(sd_event_new(&event), 0);
	strcpy(directory, "/tmp/edgeferry-links-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void setup_sim(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	setup_common();
	ops = link_find("sim");
	snprintf(device, sizeof device, "%.40s/node", directory);
	strcpy(a.sun_path, device);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(listener, 1), 0);
}

static void setup_uart(void)
{
	setup_common();
	ops = link_find("uart");
	ck_assert_int_eq(openpty(&peer, &keep, device, NULL, NULL), 0);
	fcntl(peer, F_SETFL, O_NONBLOCK);
}

static uint16_t udp_port(int fd)
{
	struct sockaddr_in a;
	socklen_t n = sizeof a;

	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	return ntohs(a.sin_port);
}

static int udp_bound(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	return fd;
}

static void setup_udp(void)
{
	setup_common();
	ops = link_find("udp");
	peer = udp_bound();
	snprintf(device, sizeof device, "127.0.0.1:%u", udp_port(peer));
}

static void teardown(void)
{
	if (link_)
		ops->close(link_);
	ef_close(peer);
	ef_close(listener);
	ef_close(keep);
	if (ops == &link_sim)
		unlink(device);
	rmdir(directory);
	sd_event_unref(event);
}

static void connect_both(void)
{
	struct error e = {0};

	ck_assert_msg(open_link(&e) == EF_REASON_OK, "%s", e.detail);
	if (ops == &link_sim) {
		peer = accept(listener, NULL, NULL);
		ck_assert_int_ge(peer, 0);
		fcntl(peer, F_SETFL, O_NONBLOCK);
	}
}

static size_t peer_frames(struct frame_receiver *r, size_t *size)
{
	uint8_t bytes[4096];
	size_t frames = 0;
	ssize_t n;

	while ((n = read(peer, bytes, sizeof bytes)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			size_t got = frame_receive(r, bytes[i]);

			frames += got > 0;
			if (got)
				*size = got;
		}
	return frames;
}

/* Both kinds carry messages both ways, zeros included, and say when the queue is empty. */
START_TEST(carries_messages)
{
	uint8_t data[600], frame[EF_SMP_FRAME_MAX(600)], buf[700];
	struct frame_receiver r;
	size_t n, size = 0;

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)i;
	frame_receiver_init(&r, buf, sizeof buf);
	connect_both();
	ck_assert_int_ge(ops->send(link_, data, sizeof data), 0);
	ck_assert_uint_gt(ops->queued(link_), sizeof data);
	turn(100);
	ck_assert_uint_eq(ops->queued(link_), 0);
	ck_assert_uint_eq(drains, 1);
	ck_assert_uint_eq(peer_frames(&r, &size), 1);
	ck_assert_uint_eq(size, sizeof data);
	ck_assert_mem_eq(buf, data, size);
	ck_assert_uint_eq(r.dropped, 0);

	/* An answer in three pieces, after half a frame of noise that the 00 ends. */
	n = frame_encode(data, 300, frame);
	ck_assert_int_eq(write(peer, "\x09noise\x00", 7), 7);
	ck_assert_int_eq(write(peer, frame, 10), 10);
	turn(50);
	ck_assert_uint_eq(messages, 0);
	ck_assert_int_eq(write(peer, frame + 10, n - 11), (ssize_t)n - 11);
	turn(50);
	ck_assert_int_eq(write(peer, frame + n - 1, 1), 1);
	turn(50);
	ck_assert_uint_eq(messages, 1);
	ck_assert_uint_eq(last_size, 300);
	ck_assert_mem_eq(last, data, 300);
}
END_TEST

static void pieces(const uint8_t *frame, size_t size)
{
	for (size_t n; size; frame += n, size -= n) {
		n = size < 7 ? size : 7;
		ck_assert_int_eq(write(peer, frame, n), (ssize_t)n);
	}
}

/* Nothing is urgent: the loop sleeps on while an answer comes byte by byte, and has it all at once.
 */
START_TEST(calm_wakes_nobody)
{
	uint8_t data[300] = {9}, frame[EF_SMP_FRAME_MAX(300)];
	size_t n = frame_encode(data, sizeof data, frame);

	connect_both();
	ops->set_calm(link_, true);
	ck_assert_int_ge(ops->send(link_, data, sizeof data), 0);
	turn(100); /* written */
	pieces(frame, n / 2);
	ck_assert_int_eq(sd_event_run(event, 0), 0);
	pieces(frame + n / 2, n - n / 2);
	ck_assert_int_eq(sd_event_run(event, 0), 0);
	turn(200); /* the time is up */
	ck_assert_uint_eq(messages, 1);
	ck_assert_mem_eq(last, data, sizeof data);

	/* what nobody asked for: told of once, then left alone until it is whole */
	pieces(frame, n - 1);
	turn(10);
	pieces(frame + n - 1, 1);
	ck_assert_int_eq(sd_event_run(event, 0), 0);
	ck_assert_uint_eq(messages, 1);
	ops->set_calm(link_, false); /* now it is urgent */
	turn(0);
	ck_assert_uint_eq(messages, 2);
}
END_TEST

/* F-17: gone while nothing is read. */
START_TEST(calm_hears_a_hang_up_F17)
{
	uint8_t data[20] = {9};

	connect_both();
	ops->set_calm(link_, true);
	ck_assert_int_ge(ops->send(link_, data, sizeof data), 0);
	turn(100);
	peer = ef_close(peer);
	turn(10);
	ck_assert_uint_eq(losses, 1);
	ck_assert_ptr_null(link_);
}
END_TEST

/* The first frame is taken although the line was left in the middle of one. */
START_TEST(first_frame_survives_old_bytes)
{
	uint8_t data[20] = {1}, buf[700];
	struct frame_receiver r;
	size_t size = 0;

	frame_receiver_init(&r, buf, sizeof buf);
	for (const char *p = "\x20torn"; *p; p++)
		frame_receive(&r, (uint8_t)*p);
	connect_both();
	ck_assert_int_ge(ops->send(link_, data, sizeof data), 0);
	turn(100);
	ck_assert_uint_eq(peer_frames(&r, &size), 1);
}
END_TEST

START_TEST(queue_is_bounded)
{
	uint8_t data[1000] = {7}, buf[1100];
	struct frame_receiver r;
	size_t size = 0, frames = 0;
	int sent = 0;

	frame_receiver_init(&r, buf, sizeof buf);
	connect_both();
	while (ops->send(link_, data, sizeof data) >= 0)
		ck_assert_int_lt(++sent, 17);
	ck_assert_int_eq(sent, 16);
	ck_assert_int_eq(ops->send(link_, data, sizeof data), -ENOBUFS);
	for (int i = 0; i < 50 && frames < 16; i++) {
		turn(20);
		frames += peer_frames(&r, &size);
	}
	ck_assert_uint_eq(frames, 16);
	ck_assert_int_ge(ops->send(link_, data, sizeof data), 0);
}
END_TEST

/* F-17: the wire goes, the link says so once; what was read before is delivered first. */
START_TEST(hang_up)
{
	uint8_t data[20] = {2}, frame[64];
	struct error e;
	size_t n = frame_encode(data, sizeof data, frame);

	connect_both();
	ck_assert_int_eq(write(peer, frame, n), (ssize_t)n);
	turn(50);
	peer = ef_close(peer);
	turn(100);
	turn(10);
	ck_assert_uint_eq(messages, 1);
	ck_assert_uint_eq(losses, 1);
	ck_assert_ptr_null(link_);
	/* And nobody is there to be opened. */
	listener = ef_close(listener);
	ck_assert_int_eq(open_link(&e), EF_REASON_NODE_UNREACHABLE);
}
END_TEST

START_TEST(close_in_a_callback)
{
	uint8_t data[20] = {3}, frames[128];
	size_t n = frame_encode(data, sizeof data, frames);

	n += frame_encode(data, sizeof data, frames + n);
	connect_both();
	close_in_callback = true;
	ck_assert_int_eq(write(peer, frames, n), (ssize_t)n);
	turn(100);
	ck_assert_uint_eq(messages, 1); /* no callback comes after close */
	ck_assert_uint_eq(losses, 0);
}
END_TEST

/* F-32: a node that babbles costs nothing but its own dropped frames. */
START_TEST(babble)
{
	uint8_t noise[512], data[20] = {4}, frame[64];
	size_t n = frame_encode(data, sizeof data, frame);
	uint32_t state = 5;

	connect_both();
	for (int i = 0; i < 200; i++) {
		for (size_t k = 0; k < sizeof noise; k++) {
			state = state * 1664525u + 1013904223u;
			noise[k] = (uint8_t)(state >> 24);
		}
		ck_assert_int_eq(write(peer, noise, sizeof noise), sizeof noise);
		turn(20);
	}
	messages = 0;
	ck_assert_int_eq(write(peer, "", 1), 1);
	ck_assert_int_eq(write(peer, frame, n), (ssize_t)n);
	turn(50);
	ck_assert_uint_eq(messages, 1);
	ck_assert_mem_eq(last, data, sizeof data);
}
END_TEST

/* F-21: one user at a time, whatever it runs as; free again after close. */
START_TEST(uart_is_exclusive)
{
	struct link_spec spec = {.device = device, .baud = 115200};
	struct link *second = NULL;
	struct error e = {0};
	int other, locked = 0;

	connect_both();
	ck_assert_int_eq(ops->open(&second, event, &spec, &callbacks, &e), EF_REASON_BUSY);
	ck_assert_int_eq(ioctl(keep, TIOCGEXCL, &locked), 0);
	ck_assert_int_eq(locked, 1);
	ops->close(link_);
	link_ = NULL;
	ck_assert_int_eq(ioctl(keep, TIOCGEXCL, &locked), 0);
	ck_assert_int_eq(locked, 0);
	/* A program that only knows flock is respected, too. */
	other = open(device, O_RDWR | O_NOCTTY | O_CLOEXEC);
	ck_assert_int_eq(flock(other, LOCK_EX | LOCK_NB), 0);
	ck_assert_int_eq(open_link(&e), EF_REASON_BUSY);
	close(other);
	ck_assert_int_eq(open_link(&e), EF_REASON_OK);
}
END_TEST

START_TEST(uart_is_raw_at_any_rate)
{
	struct {
		unsigned iflag, oflag, cflag, lflag;
		unsigned char line, cc[19];
		unsigned ispeed, ospeed;
	} t; /* struct termios2, which cannot be included next to <pty.h> */
	const char *all = "\x03\x04\x11\x13\r\n\x7f";
	char got[16];
	struct error e = {0};
	struct link_spec none = {.device = device};

	connect_both();
	ck_assert_int_eq(ioctl(keep, _IOR('T', 0x2A, t), &t), 0);
	ck_assert_uint_eq(t.ospeed, 250000);
	ck_assert_uint_eq(t.ispeed, 250000);
	ck_assert_uint_eq(t.lflag, 0);
	ck_assert_int_eq(write(peer, all, 7), 7); /* nothing is eaten, translated or echoed */
	ck_assert_int_eq(read(peer, got, sizeof got), -1);
	ck_assert_int_eq(errno, EAGAIN);
	ops->close(link_);
	link_ = NULL;
	ck_assert_int_eq(ops->open(&link_, event, &none, &callbacks, &e), EF_REASON_CONFIG);
}
END_TEST

/* The rate while it is open; one that cannot be made changes nothing. */
START_TEST(uart_changes_its_rate)
{
	struct {
		unsigned flags[4];
		unsigned char line, cc[19];
		unsigned ispeed, ospeed;
	} t;

	connect_both();
	ck_assert_int_eq(ops->set_rate(link_, 3000000), 0);
	ck_assert_int_eq(ioctl(keep, _IOR('T', 0x2A, t), &t), 0);
	ck_assert_uint_eq(t.ospeed, 3000000);
	ck_assert_uint_eq(t.flags[3], 0);
	ck_assert_int_eq(ops->set_rate(link_, 250000), 0);
	ck_assert_int_eq(ioctl(keep, _IOR('T', 0x2A, t), &t), 0);
	ck_assert_uint_eq(t.ospeed, 250000);
	ck_assert_ptr_null(link_sim.set_rate);
	ck_assert_ptr_null(link_udp.set_rate);
	ck_assert_ptr_null(link_spi.set_rate);
}
END_TEST

/* A pty has no transceiver to turn: said at once, rather than a bus that stays deaf. */
START_TEST(uart_without_rs485)
{
	struct link_spec spec = {.device = device, .baud = 115200, .rs485 = true};
	struct error e = {0};
	int locked = 1;

	ck_assert_int_eq(ops->open(&link_, event, &spec, &callbacks, &e), EF_REASON_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.detail, "its driver cannot turn the direction"));
	ck_assert_int_eq(ioctl(keep, TIOCGEXCL, &locked), 0);
	ck_assert_int_eq(locked, 0);
}
END_TEST

START_TEST(uart_refuses_what_is_no_port)
{
	static const struct {
		const char *path;
		enum ef_reason reason;
	} t[] = {{"/dev/null", EF_REASON_CONFIG}, {"/nonexistent/tty", EF_REASON_NODE_UNREACHABLE},
		{"/dev/ptmx", EF_REASON_CONFIG}, {"/dev/tty1", EF_REASON_CONFIG}};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct link_spec spec = {.device = t[i].path, .baud = 115200};
		struct error e = {0};
		enum ef_reason r;

		if (access(t[i].path, F_OK) < 0 && t[i].reason == EF_REASON_CONFIG)
			continue;
		r = ops->open(&link_, event, &spec, &callbacks, &e);
		/* No virtual terminals in a container: the device may be dead, or forbidden. */
		ck_assert_msg(r == t[i].reason || (i == 3 && r != EF_REASON_OK), "%s: %s",
			t[i].path, e.detail);
	}
}
END_TEST

START_TEST(kinds)
{
	ck_assert_ptr_eq(link_find("uart"), &link_uart);
	ck_assert_ptr_eq(link_find("sim"), &link_sim);
	ck_assert_ptr_eq(link_find("udp"), &link_udp);
	ck_assert_ptr_eq(link_find("spi"), &link_spi);
	ck_assert_ptr_null(link_find("UART"));
	ck_assert_ptr_null(link_find(""));
}
END_TEST

START_TEST(sim_refuses)
{
	struct link_spec spec = {
		.device = "/tmp/"
			  "a-name-that-is-longer-than-the-name-of-a-unix-socket-may-be-"
			  "which-is-one-hundred-and-eight-bytes-with-its-nul-byte"};
	struct error e = {0};

	ck_assert_int_eq(ops->open(&link_, event, &spec, &callbacks, &e), EF_REASON_CONFIG);
}
END_TEST

/* A message a datagram, both ways, and nobody else's. */
START_TEST(udp_carries_messages)
{
	uint8_t data[1400], got[1500];
	struct sockaddr_storage from;
	socklen_t length = sizeof from;
	int stranger = udp_bound();

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)i;
	connect_both();
	ck_assert_int_eq(ops->send(link_, data, sizeof data), 0);
	ck_assert_int_eq(ops->send(link_, data, 9), 0);
	ck_assert_uint_gt(ops->queued(link_), sizeof data);
	turn(100);
	ck_assert_uint_eq(ops->queued(link_), 0);
	ck_assert_uint_eq(drains, 1);
	ck_assert_int_eq(recvfrom(peer, got, sizeof got, 0, (struct sockaddr *)&from, &length),
		(ssize_t)sizeof data);
	ck_assert_mem_eq(got, data, sizeof data);
	ck_assert_int_eq(recv(peer, got, sizeof got, 0), 9);

	ck_assert_int_eq(sendto(stranger, data, 20, 0, (struct sockaddr *)&from, length), 20);
	turn(50);
	ck_assert_uint_eq(messages, 0); /* not from the node's address and port */
	ck_assert_int_eq(sendto(peer, data, 300, 0, (struct sockaddr *)&from, length), 300);
	ck_assert_int_eq(sendto(peer, data, 0, 0, (struct sockaddr *)&from, length), 0);
	turn(50);
	ck_assert_uint_eq(messages, 1);
	ck_assert_uint_eq(last_size, 300);
	ck_assert_mem_eq(last, data, 300);
	close(stranger);
}
END_TEST

/* F-17: a node that restarts refuses for a while; that is silence, and it is found again. */
START_TEST(udp_survives_a_restart_F17)
{
	uint8_t data[20] = {1}, got[64];
	uint16_t port = udp_port(peer);
	struct sockaddr_in a = {.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	connect_both();
	peer = ef_close(peer);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(ops->send(link_, data, sizeof data), 0);
		turn(30);
	}
	ck_assert_uint_eq(losses, 0);
	peer = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(peer, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(ops->send(link_, data, sizeof data), 0);
	turn(50);
	ck_assert_int_eq(recv(peer, got, sizeof got, 0), (ssize_t)sizeof data);
}
END_TEST

START_TEST(udp_bounds)
{
	static uint8_t data[9000];
	struct link_spec spec = {.device = "node.example"};
	struct error e = {0};
	int sent = 0;

	connect_both();
	ck_assert_int_eq(ops->send(link_, data, 8193), -EMSGSIZE);
	while (ops->send(link_, data, 1000) == 0)
		ck_assert_int_lt(++sent, 17);
	ck_assert_int_eq(sent, 16);
	ck_assert_int_eq(ops->send(link_, data, 1000), -ENOBUFS);
	ops->close(link_);
	link_ = NULL;
	ck_assert_int_eq(ops->open(&link_, event, &spec, &callbacks, &e), EF_REASON_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.detail, "names are not looked up"));
}
END_TEST

/* Whatever fails at opening names the device, what is wrong and what to do: two colons. */
START_TEST(every_refusal_says_the_way_out)
{
	static const struct {
		const char *kind, *device;
		uint32_t baud;
		bool rs485;
	} t[] = {
		{"uart", "/dev/null", 115200, false},
		{"uart", "/nonexistent/tty", 115200, false},
		{"uart", "/dev/ptmx", 115200, true},
		{"udp", "node.example", 0, false},
		{"udp", "203.0.113.1:0", 0, false},
		{"spi", "/dev/null", 1000000, false},
		{"spi", "/nonexistent/spidev0.0", 1000000, false},
		{"spi", "/dev/spidev10.0", 1000000, false},
		{"sim", "/nonexistent/socket", 0, false},
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		const struct link_spec spec = {.device = t[i].device,
			.baud = t[i].baud,
			.rs485 = t[i].rs485,
			.ready = "chip:0"};
		const struct link_ops *kind = link_find(t[i].kind);
		size_t n = strlen(t[i].device);
		struct error e = {0};

		ck_assert(kind->open(&link_, event, &spec, &callbacks, &e) != EF_REASON_OK);
		ck_assert_msg(
			!strncmp(e.detail, t[i].device, n) && e.detail[n] == ':', "%s", e.detail);
		ck_assert_msg(strpbrk(e.detail + n + 1, ":,;?") != NULL, "%s", e.detail);
	}
}
END_TEST

static TCase *both(const char *name, void (*setup)(void))
{
	TCase *c = tcase_create(name);

	tcase_set_timeout(c, 30);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, carries_messages);
	tcase_add_test(c, calm_wakes_nobody);
	tcase_add_test(c, calm_hears_a_hang_up_F17);
	tcase_add_test(c, first_frame_survives_old_bytes);
	tcase_add_test(c, queue_is_bounded);
	tcase_add_test(c, hang_up);
	tcase_add_test(c, close_in_a_callback);
	tcase_add_test(c, babble);
	return c;
}

static Suite *suite(void)
{
	Suite *s = suite_create("links");
	TCase *sim = both("sim", setup_sim), *uart = both("uart", setup_uart);
	TCase *udp = tcase_create("udp");

	tcase_add_test(sim, kinds);
	tcase_add_test(sim, sim_refuses);
	tcase_add_test(sim, every_refusal_says_the_way_out);
	tcase_add_test(uart, uart_is_exclusive);
	tcase_add_test(uart, uart_is_raw_at_any_rate);
	tcase_add_test(uart, uart_changes_its_rate);
	tcase_add_test(uart, uart_without_rs485);
	tcase_add_test(uart, uart_refuses_what_is_no_port);
	suite_add_tcase(s, sim);
	suite_add_tcase(s, uart);
	tcase_add_checked_fixture(udp, setup_udp, teardown);
	tcase_add_test(udp, udp_carries_messages);
	tcase_add_test(udp, udp_survives_a_restart_F17);
	tcase_add_test(udp, udp_bounds);
	suite_add_tcase(s, udp);
	return s;
}

UNIT_MAIN(suite())
