/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many links that are ready at once cost no more each than one does (F-32): the loop handles one
 * source a turn, and the kernel must not list all the others anew at every turn.
 */
#include "links/link.h"
#include "unit.h"
#include "util/cleanup.h"
#include "wire/cobs.h"
#include <edgeferry/smp.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define LINKS 64
#define MESSAGES 30 /* of 600 bytes: five reads of a stream */

static sd_event *event;
static struct link *links[LINKS];
static unsigned heard[LINKS], lost;
static char device[64];
static int listener = -1, peers[LINKS];

static void on_message(void *ctx, const uint8_t *data, size_t size)
{
	ck_assert_uint_eq(size, 600);
	++*(unsigned *)ctx;
}

static void on_lost(void *ctx, const struct error *e)
{
	links[(unsigned *)ctx - heard] = NULL;
	lost++;
}

static void open_all(const struct link_ops *ops)
{
	const struct link_spec spec = {.device = device};
	struct error e = {0};

	for (int i = 0; i < LINKS; i++) {
		const struct link_callbacks cb = {&heard[i], on_message, on_lost, NULL, NULL};

		ck_assert_msg(ops->open(&links[i], event, &spec, &cb, &e) == 0, "%s", e.detail);
		if (ops == &link_sim)
			peers[i] = accept(listener, NULL, NULL);
	}
}

static void close_all(const struct link_ops *ops)
{
	for (int i = 0; i < LINKS; i++) {
		if (links[i])
			ops->close(links[i]);
		ef_close(peers[i]);
	}
	ef_close(listener);
	sd_event_unref(event);
}

static void listen_as(struct sockaddr *a, socklen_t size, int type)
{
	memset(peers, -1, sizeof peers);
	ck_assert_int_ge(sd_event_new(&event), 0);
	listener = socket(a->sa_family, type, 0);
	ck_assert_int_eq(bind(listener, a, size), 0);
}

static void start_streams(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(device, sizeof device, "/tmp/edgeferry-many-%d", getpid());
	strcpy(a.sun_path, device);
	listen_as((struct sockaddr *)&a, sizeof a, SOCK_STREAM);
	ck_assert_int_eq(listen(listener, LINKS), 0);
	open_all(&link_sim);
	unlink(device);
}

static void start_datagrams(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof a;

	listen_as((struct sockaddr *)&a, size, SOCK_DGRAM);
	getsockname(listener, (struct sockaddr *)&a, &size);
	snprintf(device, sizeof device, "127.0.0.1:%u", ntohs(a.sin_port));
	open_all(&link_udp);
}

static unsigned all_heard(void)
{
	unsigned n = 0;

	for (int i = 0; i < LINKS; i++)
		n += heard[i];
	return n;
}

/* After a turn of one: what the kernel would tell of at the next. */
static int told_again(void)
{
	struct epoll_event found[LINKS + 8];

	ck_assert_int_gt(sd_event_run(event, 1000000), 0);
	return epoll_wait(sd_event_get_fd(event), found, LINKS + 8, 0);
}

START_TEST(streams_F32)
{
	uint8_t data[600] = {1}, frame[EF_SMP_FRAME_MAX(600)];
	size_t n = frame_encode(data, sizeof data, frame);

	start_streams();
	for (int i = 0; i < LINKS; i++)
		for (int k = 0; k < MESSAGES; k++)
			ck_assert_int_eq(write(peers[i], frame, n), (ssize_t)n);
	ck_assert_int_le(told_again(), 1);
	close_all(&link_sim);
}
END_TEST

/* Nothing of what came before a hang-up is lost, though each is told of once only. */
START_TEST(what_is_left_is_read_F17)
{
	uint8_t data[600] = {1}, frame[EF_SMP_FRAME_MAX(600)];
	size_t n = frame_encode(data, sizeof data, frame);

	start_streams();
	for (int i = 0; i < LINKS; i++) {
		for (int k = 0; k < MESSAGES; k++)
			ck_assert_int_eq(write(peers[i], frame, n), (ssize_t)n);
		peers[i] = ef_close(peers[i]);
	}
	while (lost < LINKS && sd_event_run(event, 1000000) > 0)
		;
	ck_assert_uint_eq(lost, LINKS);
	ck_assert_uint_eq(all_heard(), LINKS * MESSAGES);
	close_all(&link_sim);
}
END_TEST

/* A queue that the other end takes in small pieces goes out to its last byte. */
START_TEST(what_is_left_is_written)
{
	uint8_t data[600] = {1}, bytes[500], buf[700];
	struct frame_receiver r;
	unsigned frames = 0;
	int sent = 0, room = 4096;
	ssize_t n;

	start_streams();
	frame_receiver_init(&r, buf, sizeof buf);
	fcntl(peers[0], F_SETFL, O_NONBLOCK);
	setsockopt(peers[0], SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
	for (int i = 0; i < 100000 && frames < 2000; i++) {
		while (sent < 2000 && link_sim.send(links[0], data, sizeof data) == 0)
			sent++;
		sd_event_run(event, 0);
		n = read(peers[0], bytes, sizeof bytes);
		for (ssize_t k = 0; k < n; k++)
			frames += frame_receive(&r, bytes[k]) > 0;
	}
	ck_assert_uint_eq(frames, 2000);
	close_all(&link_sim);
}
END_TEST

START_TEST(datagrams_F32)
{
	uint8_t data[600] = {1}, first[600];
	struct sockaddr_in from[LINKS];
	socklen_t size;

	start_datagrams();
	for (int i = 0; i < LINKS; i++) {
		ck_assert_int_eq(link_udp.send(links[i], data, sizeof data), 0);
		size = sizeof from[i];
		while (recvfrom(listener, first, sizeof first, MSG_DONTWAIT,
			       (struct sockaddr *)&from[i], &size) < 0)
			sd_event_run(event, 1000);
	}
	for (int k = 0; k < 3; k++)
		for (int i = 0; i < LINKS; i++)
			sendto(listener, data, sizeof data, 0, (struct sockaddr *)&from[i],
				sizeof from[i]);
	while (all_heard() < 3 * LINKS && sd_event_run(event, 1000000) > 0)
		;
	ck_assert_uint_eq(all_heard(), 3 * LINKS);
	for (int i = 0; i < LINKS; i++)
		sendto(listener, data, sizeof data, 0, (struct sockaddr *)&from[i], sizeof from[i]);
	ck_assert_int_le(told_again(), 1);
	close_all(&link_udp);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("links/many");
	TCase *c = tcase_create("many");

	tcase_set_timeout(c, 30);
	tcase_add_test(c, streams_F32);
	tcase_add_test(c, what_is_left_is_read_F17);
	tcase_add_test(c, what_is_left_is_written);
	tcase_add_test(c, datagrams_F32);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
