/* SPDX-License-Identifier: Apache-2.0 */
/* Lines through the real libgpiod on an emulated kernel (tests/lab/bus.c). */
#include "lab/bus.h"
#include "links/lines.h"
#include "links/link.h"
#include "unit.h"
#include "util/cleanup.h"
#include <fcntl.h>
#include <linux/serial.h>
#include <pthread.h>
#include <pty.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static sd_event *event;
static char directory[40];
static int listener = -1;
static char edges[64];
static struct line *line;
static bool close_at_once;

static void put(const char *name, const char *text)
{
	char path[80];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", directory, name);
	f = fopen(path, "we");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void setup(void)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	ck_assert_int_ge(sd_event_new(&event), 0);
	strcpy(directory, "/tmp/edgeferry-lines-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	setenv("EDGEFERRY_BUS", directory, 1);
	put("gpiochip0", "pinctrl-rp1\nMCU_READY\nMCU_RESET\n\nTWICE\n");
	put("gpiochip1", "other:chip\nTWICE\nnear:1\n");
	snprintf(a.sun_path, sizeof a.sun_path, "%s/board", directory);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listener, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(listener, 8), 0);
	edges[0] = '\0';
	close_at_once = false;
}

static void teardown(void)
{
	char command[80];

	line_close(line);
	line = NULL;
	listener = ef_close(listener);
	sd_event_unref(event);
	snprintf(command, sizeof command, "rm -r %s", directory);
	ck_assert_int_eq(system(command), 0);
}

/* The board's end of the line that was asked for, and what was said of it. */
static int board(const char *said)
{
	int fd = accept(listener, NULL, NULL);
	char text[32] = "";

	for (size_t i = 0; i < sizeof text - 1 && read(fd, text + i, 1) == 1 && text[i] != '\n';
		i++)
		;
	text[strcspn(text, "\n")] = '\0';
	ck_assert_str_eq(text, said);
	return fd;
}

static char level(int fd)
{
	char byte = '?';

	ck_assert_int_eq(read(fd, &byte, 1), 1);
	return byte;
}

static void on_change(void *ctx, bool on)
{
	strcat(edges, on ? "+" : "-");
	if (close_at_once) {
		line_close(line);
		line = NULL;
	}
}

static void turns(void)
{
	for (int i = 0; i < 20; i++)
		sd_event_run(event, 10000);
}

START_TEST(outputs)
{
	static const struct {
		const char *spec, *said;
		char on, off;
	} t[] = {
		{"pinctrl-rp1:1", "out 1", '1', '0'},
		{"MCU_RESET", "out 1", '1', '0'},
		{"!pinctrl-rp1:2", "out 2", '0', '1'},
		{"!MCU_READY", "out 0", '0', '1'},
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct error e = {0};
		int fd;

		ck_assert_msg(
			line_output(&line, t[i].spec, true, &e) == EF_REASON_OK, "%s", e.detail);
		fd = board(t[i].said);
		ck_assert_int_eq(level(fd), t[i].on); /* from the first moment, without a glitch */
		ck_assert_int_eq(line_set(line, false), 0);
		ck_assert_int_eq(level(fd), t[i].off);
		ck_assert_int_eq(line_get(line), 0);
		ck_assert_int_eq(line_set(line, true), 0);
		ck_assert_int_eq(level(fd), t[i].on);
		ck_assert_int_eq(line_get(line), 1);
		line_close(line);
		line = NULL;
		close(fd);
	}
}
END_TEST

/* Accepts with a level already sent, as the board does. */
static void *serve_in(void *ctx)
{
	int *fd = ctx;

	*fd = board("in 0");
	ck_assert_int_eq(write(*fd, "0", 1), 1);
	return NULL;
}

START_TEST(edges_through_the_loop)
{
	static const char *const specs[] = {"MCU_READY", "!pinctrl-rp1:0"};
	static const char *const seen[] = {"+-+", "-+-"};

	for (int i = 0; i < 2; i++) {
		struct error e = {0};
		pthread_t thread;
		int fd = -1;

		edges[0] = '\0';
		pthread_create(&thread, NULL, serve_in, &fd);
		ck_assert_msg(
			line_input(&line, event, specs[i], on_change, NULL, &e) == EF_REASON_OK,
			"%s", e.detail);
		pthread_join(thread, NULL);
		ck_assert_int_eq(line_get(line), i);
		ck_assert_int_eq(write(fd, "1", 1), 1);
		turns();
		ck_assert_int_eq(line_get(line), !i);
		ck_assert_int_eq(write(fd, "01", 2), 2);
		turns();
		ck_assert_str_eq(edges, seen[i]);
		close_at_once = i == 1;
		ck_assert_int_eq(write(fd, "010101", 6), 6);
		turns();
		if (close_at_once)
			ck_assert_uint_eq(strlen(edges), 4); /* no callback comes after it */
		line_close(line);
		line = NULL;
		close(fd);
	}
}
END_TEST

START_TEST(refusals)
{
	static const struct {
		const char *spec;
		enum ef_reason reason;
		const char *says;
	} t[] = {
		{"pinctrl-bcm2711:1", EF_REASON_CONFIG, "no GPIO chip with this label: gpiodetect"},
		{"pinctrl-rp1:4", EF_REASON_CONFIG, "there is none: gpioinfo"},
		{"pinctrl-rp1:99999999999", EF_REASON_CONFIG, "there is none"},
		{"NOBODY", EF_REASON_CONFIG, "there is none: gpioinfo"},
		{"TWICE", EF_REASON_CONFIG, "more than one has this name: say CHIP-LABEL:OFFSET"},
	};
	struct line *second = NULL;
	struct error e = {0};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		error_clear(&e);
		ck_assert_msg(
			line_output(&line, t[i].spec, true, &e) == t[i].reason, "%s", t[i].spec);
		ck_assert_msg(
			strstr(e.detail, t[i].says) && strstr(e.detail, t[i].spec), "%s", e.detail);
		error_clear(&e);
		ck_assert_msg(line_look(t[i].spec, &e) == t[i].reason, "%s", t[i].spec);
	}
	error_clear(&e);
	ck_assert_int_eq(line_output(&line, "other:chip:1", true, &e), EF_REASON_OK);
	ck_assert_int_eq(line_output(&second, "other:chip:1", true, &e), EF_REASON_BUSY);
	ck_assert_ptr_nonnull(strstr(e.detail, "gpioinfo shows by whom"));
	error_clear(&e);
	ck_assert_int_eq(line_look("other:chip:1", &e), EF_REASON_OK); /* whoever has it */
	line_close(line);
	error_clear(&e);
	ck_assert_int_eq(line_output(&line, "other:chip:1", true, &e), EF_REASON_OK);
}
END_TEST

static void ignore_message(void *ctx, const uint8_t *data, size_t size)
{
}

static void ignore_loss(void *ctx, const struct error *e)
{
}

/* The driver is told to turn the line, what it knows of delays stays, and RS485=no turns it off
 * again. */
START_TEST(rs485_by_the_driver)
{
	const struct link_callbacks cb = {NULL, ignore_message, ignore_loss, NULL, NULL};
	struct serial_rs485 now;
	struct error e = {0};
	char device[64];
	int peer, keep;

	setenv("EDGEFERRY_BUS_RS485", "1", 1);
	ck_assert_int_eq(openpty(&peer, &keep, device, NULL, NULL), 0);
	for (int on = 1; on >= 0; on--) {
		const struct link_spec spec = {.device = device, .baud = 115200, .rs485 = on};
		struct link *l;

		ck_assert_msg(
			link_uart.open(&l, event, &spec, &cb, &e) == EF_REASON_OK, "%s", e.detail);
		ck_assert_int_eq(ioctl(keep, TIOCGRS485, &now), 0);
		ck_assert_int_eq((now.flags & SER_RS485_ENABLED) != 0, on);
		ck_assert_int_eq(now.flags & SER_RS485_RX_DURING_TX, 0); /* it would hear itself */
		ck_assert_uint_eq(now.flags & SER_RS485_RTS_ON_SEND, SER_RS485_RTS_ON_SEND);
		ck_assert_uint_eq(now.delay_rts_after_send, 3);
		link_uart.close(l);
	}
	close(peer);
	close(keep);
	unsetenv("EDGEFERRY_BUS_RS485");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("lines");
	TCase *c = tcase_create("lines");

	if (!bus_enter()) {
		puts("1..0 # SKIP no mount namespaces here");
		exit(0);
	}
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_set_timeout(c, 30);
	tcase_add_test(c, outputs);
	tcase_add_test(c, edges_through_the_loop);
	tcase_add_test(c, refusals);
	tcase_add_test(c, rs485_by_the_driver);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
