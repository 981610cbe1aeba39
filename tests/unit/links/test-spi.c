/* SPDX-License-Identifier: Apache-2.0 */
/* The SPI link against a scripted peripheral, through libgpiod and spidev on an emulated kernel. */
#include "lab/bus.h"
#include "links/link.h"
#include "unit.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include "wire/spi.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static sd_event *event;
static struct link *link_;
static char directory[40];
static int listener = -1;
static pthread_t thread;
static unsigned messages, drains;
static uint8_t last[4096];
static size_t last_size;

/* The peripheral, in a thread of its own. */
static struct {
	int ready, spi;
	uint8_t answer[4200]; /* MISO of each exchange */
	size_t answer_size;
	volatile unsigned exchanges;
	volatile uint32_t length; /* of the last one */
	volatile bool never_ready, stop;
	uint8_t seen[4096];
} board;

static void set_ready(bool on)
{
	if (board.ready >= 0)
		send(board.ready, on ? "1" : "0", 1, MSG_NOSIGNAL);
}

static void accept_wire(void)
{
	int fd = accept(listener, NULL, NULL);
	char text[16] = "";

	for (size_t i = 0; i < sizeof text - 1 && read(fd, text + i, 1) == 1 && text[i] != '\n';
		i++)
		;
	if (text[0] == 'i') {
		board.ready = fd;
		set_ready(!board.never_ready);
	} else {
		board.spi = fd;
	}
}

static bool exchange(void)
{
	uint32_t n, got = 0;
	ssize_t r;

	if (recv(board.spi, &n, 4, MSG_WAITALL) != 4)
		return false;
	for (; got < n && (r = read(board.spi, board.seen + got, n - got)) > 0; got += (uint32_t)r)
		;
	set_ready(false);
	send(board.spi, board.answer, n, MSG_NOSIGNAL);
	board.length = n;
	board.exchanges++;
	set_ready(true);
	return true;
}

static void *run(void *ctx)
{
	while (!board.stop) {
		struct pollfd p[] = {{listener, POLLIN, 0}, {board.spi, POLLIN, 0}};

		poll(p, 2, 10);
		if (p[0].revents)
			accept_wire();
		if (p[1].revents && !exchange())
			board.spi = ef_close(board.spi);
	}
	return NULL;
}

static void on_message(void *ctx, const uint8_t *data, size_t size)
{
	messages++;
	last_size = size;
	memcpy(last, data, size);
}

static void on_lost(void *ctx, const struct error *e)
{
	ck_abort_msg("%s", e->detail);
}

static void on_drained(void *ctx)
{
	drains++;
}

static void setup(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	char path[80];
	FILE *f;

	ck_assert_int_ge(sd_event_new(&event), 0);
	strcpy(directory, "/tmp/edgeferry-spi-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	setenv("EDGEFERRY_BUS", directory, 1);
	snprintf(path, sizeof path, "%s/gpiochip0", directory);
	f = fopen(path, "we");
	fputs("board\nREADY\n", f);
	fclose(f);
	snprintf(a.sun_path, sizeof a.sun_path, "%s/board", directory);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	memset(&board, 0, sizeof board);
	board.ready = board.spi = -1;
	messages = drains = 0;
	pthread_create(&thread, NULL, run, NULL);
}

static void teardown(void)
{
	char command[80];

	link_spi.close(link_);
	link_ = NULL;
	board.stop = true;
	pthread_join(thread, NULL);
	ef_close(board.ready);
	ef_close(board.spi);
	listener = ef_close(listener);
	sd_event_unref(event);
	snprintf(command, sizeof command, "rm -r %s", directory);
	ck_assert_int_eq(system(command), 0);
}

static void open_link_at(uint32_t clock)
{
	struct link_spec spec = {.device = "/dev/spidev0.0", .baud = clock, .ready = "READY"};
	struct link_callbacks cb = {NULL, on_message, on_lost, on_drained, NULL};
	struct error e = {0};

	ck_assert_msg(link_spi.open(&link_, event, &spec, &cb, &e) == EF_REASON_OK, "%s", e.detail);
}

static void open_link(void)
{
	open_link_at(8000000);
}

static void turns(unsigned ms)
{
	for (uint64_t end = now_monotonic_us() + ms * USEC_PER_MSEC; now_monotonic_us() < end;)
		sd_event_run(event, 5000);
}

/* Both ways in one exchange; then one more for what may have come of it, and then none. */
START_TEST(carries_messages)
{
	uint8_t data[1000];
	size_t size;

	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)i;
	spi_put(board.answer, data, 300);
	open_link();
	turns(100);
	ck_assert_uint_eq(board.exchanges, 0); /* nothing to say, nobody called */
	ck_assert_int_eq(link_spi.send(link_, data, sizeof data), 0);
	ck_assert_uint_gt(link_spi.queued(link_), sizeof data);
	while (!board.exchanges)
		sd_event_run(event, 5000);
	spi_put(board.answer, NULL, 0);
	turns(300);
	ck_assert_uint_ge(messages, 1);
	ck_assert_uint_eq(last_size, 300);
	ck_assert_mem_eq(last, data, 300);
	ck_assert_uint_eq(drains, 1);
	ck_assert_uint_le(board.exchanges, 3);
	size = board.exchanges;
	turns(300);
	ck_assert_uint_eq(board.exchanges, size); /* it rests */
}
END_TEST

/* A message that was cut is fetched by an exchange of its length. */
START_TEST(cut_messages)
{
	uint8_t data[700] = {1}, ask[20] = {2};

	spi_put(board.answer, data, sizeof data);
	open_link();
	ck_assert_int_eq(link_spi.send(link_, ask, sizeof ask), 0);
	for (int i = 0; i < 100 && !messages; i++)
		sd_event_run(event, 5000);
	ck_assert_uint_ge(messages, 1);
	ck_assert_uint_eq(last_size, sizeof data);
	ck_assert_mem_eq(last, data, sizeof data);
}
END_TEST

/* F-32: a length that no exchange has is not asked for; noise is no message. */
START_TEST(lies_F32)
{
	static const uint8_t data[4089] = {3};
	uint8_t ask[20] = {2};
	unsigned before;

	spi_put(board.answer, data, 4089);
	open_link();
	ck_assert_int_eq(link_spi.send(link_, ask, sizeof ask), 0);
	turns(200);
	ck_assert_uint_eq(messages, 0);
	ck_assert_uint_eq(board.length, SPI_LEAST);
	ck_assert_uint_le(board.exchanges, 2);
	memset(board.answer, 0xff, sizeof board.answer);
	ck_assert_int_eq(link_spi.send(link_, ask, sizeof ask), 0);
	turns(200);
	ck_assert_uint_eq(messages, 0);
	before = board.exchanges;
	/* it calls without end, with nothing to say: an exchange each, and the loop goes on */
	spi_put(board.answer, NULL, 0);
	for (int i = 0; i < 50; i++) {
		set_ready(false);
		set_ready(true);
	}
	turns(300);
	ck_assert_uint_le(board.exchanges, before + 50);
	ck_assert_uint_eq(messages, 0);
	spi_put(board.answer, data, 8);
	board.answer[8] ^= 1;
	ck_assert_int_eq(link_spi.send(link_, ask, sizeof ask), 0);
	turns(100);
	ck_assert_uint_eq(messages, 0);
}
END_TEST

START_TEST(waits_for_ready)
{
	uint8_t data[1000] = {7};
	int sent = 0;

	board.never_ready = true;
	open_link();
	ck_assert_int_eq(link_spi.send(link_, data, 4089), -EMSGSIZE);
	while (link_spi.send(link_, data, sizeof data) == 0)
		ck_assert_int_lt(++sent, 17);
	ck_assert_int_eq(sent, 16);
	ck_assert_int_eq(link_spi.send(link_, data, sizeof data), -ENOBUFS);
	turns(300);
	ck_assert_uint_eq(board.exchanges, 0);
	set_ready(true);
	turns(300);
	ck_assert_uint_ge(board.exchanges, 16);
	ck_assert_uint_eq(link_spi.queued(link_), 0);
}
END_TEST

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	++*(unsigned *)userdata;
	sd_event_source_set_time_relative(s, 2000);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

/* An exchange of 80 ms, and a timer beside it that is not kept waiting (F-32). */
START_TEST(the_loop_goes_on_F32)
{
	uint8_t data[1000] = {7};
	sd_event_source *tick = NULL;
	unsigned ticks = 0;

	open_link_at(100000);
	sd_event_add_time_relative(event, &tick, CLOCK_MONOTONIC, 0, 1, on_tick, &ticks);
	/* 40 of them; one at most, while the loop waited. Again where the machine was held up. */
	for (int i = 0; i < 5 && ticks < 5; i++) {
		ticks = drains = 0;
		ck_assert_int_eq(link_spi.send(link_, data, sizeof data), 0);
		while (!drains)
			sd_event_run(event, 100000);
	}
	ck_assert_uint_ge(ticks, 5);
	sd_event_source_disable_unref(tick);
}
END_TEST

/* Closed in the middle of an exchange: no callback comes, and nothing of it is left. */
START_TEST(closed_in_an_exchange)
{
	uint8_t data[1000] = {7};

	open_link_at(100000);
	ck_assert_int_eq(link_spi.send(link_, data, sizeof data), 0);
	while (!board.length)
		sd_event_run(event, 5000);
	link_spi.close(link_);
	link_ = NULL;
	turns(100);
	ck_assert_uint_eq(messages + drains, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("spi");
	TCase *c = tcase_create("spi");

	if (!bus_enter()) {
		puts("1..0 # SKIP no mount namespaces here");
		exit(0);
	}
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, carries_messages);
	tcase_add_test(c, cut_messages);
	tcase_add_test(c, lies_F32);
	tcase_add_test(c, waits_for_ready);
	tcase_add_test(c, the_loop_goes_on_F32);
	tcase_add_test(c, closed_in_an_exchange);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
