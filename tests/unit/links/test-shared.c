/* SPDX-License-Identifier: Apache-2.0 */
/* A line that several nodes share: addresses, turns, another gateway (F-17, F-20, F-32). */
#include "links/shared.h"
#include "unit.h"
#include "util/time-util.h"
#include <edgeferry/smp.h>
#include <errno.h>
#include <string.h>

#define ENDS 3u
#define SENDER 0x1234u

/* The link below, in memory: one of its kind at a time. */
struct link {
	struct link_callbacks cb;
	uint8_t sent[64];
	size_t size;
};
static struct link below;
static bool below_open, below_broken;

static enum ef_reason below_open_(struct link **ret, sd_event *event, const struct link_spec *spec,
	const struct link_callbacks *cb, struct error *e)
{
	ck_assert(!below_open);
	if (below_broken)
		return error_set(e, EF_REASON_NODE_UNREACHABLE, "%s: broken", spec->device);
	below_open = true;
	below.cb = *cb;
	*ret = &below;
	return EF_REASON_OK;
}

static int below_send(struct link *l, const uint8_t *data, size_t size)
{
	memcpy(l->sent, data, size);
	l->size = size;
	return 0;
}

static size_t below_queued(const struct link *l)
{
	return 0;
}

static void below_close(struct link *l)
{
	below_open = false;
}

static const struct link_ops below_ops = {.name = "below",
	.open = below_open_,
	.send = below_send,
	.queued = below_queued,
	.close = below_close};

/* An end is a node's: its link and its turn. */
struct end {
	struct link *link;
	struct turn turn;
	unsigned heard, lost, granted;
	uint64_t granted_us;
	uint8_t last[16];
};
static struct end ends[ENDS];
static struct shared *line;
static sd_event *event;
static char order[16];

static void on_message(void *ctx, const uint8_t *data, size_t size)
{
	struct end *e = ctx;

	e->heard++;
	memcpy(e->last, data, size);
}

static void on_lost(void *ctx, const struct error *e)
{
	((struct end *)ctx)->lost++;
	((struct end *)ctx)->link = NULL;
}

static void on_granted(void *ctx)
{
	struct end *e = ctx;

	e->granted++;
	e->granted_us = now_monotonic_us();
	order[strlen(order)] = (char)('0' + (e - ends));
}

static enum ef_reason open_end(unsigned i, uint8_t address)
{
	struct link_spec spec = {.shared = line, .address = address};
	struct link_callbacks cb = {.ctx = &ends[i], .message = on_message, .lost = on_lost};
	struct error e = {0};

	return link_shared.open(&ends[i].link, event, &spec, &cb, &e);
}

static void setup(void)
{
	struct link_spec spec = {.device = "/dev/line"};
	struct error e = {0};

	memset(ends, 0, sizeof(ends));
	memset(order, 0, sizeof(order));
	below_open = below_broken = false;
	ck_assert_int_ge(sd_event_new(&event), 0);
	ck_assert_int_eq(shared_new(&line, event, &below_ops, &spec, SENDER, &e), EF_REASON_OK);
	for (unsigned i = 0; i < ENDS; i++) {
		ends[i].turn = (struct turn){.granted = on_granted, .ctx = &ends[i]};
		ck_assert_int_eq(open_end(i, (uint8_t)(i + 1)), EF_REASON_OK);
	}
}

static void teardown(void)
{
	for (unsigned i = 0; i < ENDS; i++) {
		turn_leave(line, &ends[i].turn);
		link_shared.close(ends[i].link);
	}
	ck_assert(!below_open);
	shared_free(line);
	sd_event_unref(event);
}

static void turn_loop(unsigned ms)
{
	uint64_t end = now_monotonic_us() + ms * USEC_PER_MSEC;

	do
		sd_event_run(event, 1000);
	while (now_monotonic_us() < end);
}

/* An answer, or another's question, with our number or not. */
static void hear(uint8_t type, uint8_t address, bool ours)
{
	uint8_t frame[] = {type, address, SENDER >> 8, SENDER & 0xff, 'h', 'i'};

	frame[3] ^= !ours;
	below.cb.message(below.cb.ctx, frame, sizeof(frame));
}

START_TEST(addresses)
{
	ck_assert_int_eq(link_shared.send(ends[1].link, (const uint8_t *)"ask", 3), 0);
	ck_assert_uint_eq(below.size, EF_SHARED_HEAD + 3);
	ck_assert_uint_eq(below.sent[0], EF_SHARED_TO_NODE);
	ck_assert_uint_eq(below.sent[1], 2);
	ck_assert_uint_eq(below.sent[2] << 8 | below.sent[3], SENDER);
	ck_assert_mem_eq(below.sent + EF_SHARED_HEAD, "ask", 3);
	hear(EF_SHARED_FROM_NODE, 2, true);
	ck_assert_uint_eq(ends[1].heard, 1);
	ck_assert_mem_eq(ends[1].last, "hi", 2);
	hear(EF_SHARED_FROM_NODE, 9, true);  /* nobody's */
	hear(EF_SHARED_FROM_NODE, 1, false); /* asked by another gateway */
	hear(EF_SHARED_TO_NODE, 1, true);    /* our own echo */
	below.cb.message(below.cb.ctx, (const uint8_t *)"\xf1\x01\x00\x00", 4);
	ck_assert_uint_eq(ends[0].heard + ends[1].heard + ends[2].heard, 1);
	link_shared.close(ends[2].link);
	ck_assert_int_eq(open_end(2, 1), EF_REASON_BUSY);
	ends[2].link = NULL;
}
END_TEST

/* F-17: a line that goes takes all with it, and comes back for the next who opens. */
START_TEST(hang_up_F17)
{
	struct error e = {0};

	error_set(&e, EF_REASON_NODE_UNREACHABLE, "gone");
	below_open = false;
	below.cb.lost(below.cb.ctx, &e);
	for (unsigned i = 0; i < ENDS; i++)
		ck_assert_uint_eq(ends[i].lost, 1);
	below_broken = true;
	ck_assert_int_eq(open_end(0, 1), EF_REASON_NODE_UNREACHABLE);
	ends[0].link = NULL;
	below_broken = false;
	ck_assert_int_eq(open_end(0, 1), EF_REASON_OK);
	ck_assert(below_open);
}
END_TEST

/* F-32: in the order of asking, one at a time, and who asks again goes to the end. */
START_TEST(turns_F32)
{
	for (unsigned i = 0; i < ENDS; i++)
		turn_ask(line, &ends[i].turn);
	turn_ask(line, &ends[0].turn); /* waits already */
	turn_loop(5);
	ck_assert_str_eq(order, "0");
	ck_assert(turn_wanted(line));
	turn_leave(line, &ends[0].turn);
	turn_ask(line, &ends[0].turn);
	turn_loop(5);
	ck_assert_str_eq(order, "01");
	turn_leave(line, &ends[2].turn); /* while it waits */
	turn_leave(line, &ends[1].turn);
	turn_loop(5);
	ck_assert_str_eq(order, "010");
	ck_assert(!turn_wanted(line));
	turn_ask(line, &ends[2].turn);
	turn_leave(line, &ends[0].turn);
	turn_loop(5);
	ck_assert_str_eq(order, "0102");
}
END_TEST

/* F-32: who did not answer has a quarter of the time while others wait, but has that. */
START_TEST(silent_turns_F32)
{
	uint64_t asked = now_monotonic_us();

	ends[0].turn.silent = true;
	for (unsigned i = 0; i < ENDS; i++)
		turn_ask(line, &ends[i].turn);
	turn_loop(200);
	ck_assert_str_eq(order, "0");
	turn_leave(line, &ends[0].turn);
	uint64_t silent_us = now_monotonic_us() - asked;
	turn_ask(line, &ends[0].turn);
	turn_loop(5);
	turn_leave(line, &ends[1].turn);
	turn_ask(line, &ends[1].turn);
	turn_loop(5);
	turn_leave(line, &ends[2].turn);
	turn_loop(5);
	ck_assert_str_eq(order, "0121"); /* in front of it, though they asked later */
	turn_ask(line, &ends[2].turn);
	turn_loop(3 * silent_us / USEC_PER_MSEC + 50);
	turn_leave(line, &ends[1].turn);
	turn_loop(5);
	ck_assert_str_eq(order, "01210"); /* and it is its turn again */
	turn_leave(line, &ends[2].turn);
	turn_leave(line, &ends[0].turn);
	turn_ask(line, &ends[0].turn);
	turn_loop(5);
	ck_assert_str_eq(order, "012100"); /* nobody else wants the line */
}
END_TEST

/* F-20: another gateway's exchange is let come to its end; one that never ends does not stop us. */
START_TEST(another_gateway_F20)
{
	uint64_t start = now_monotonic_us();

	hear(EF_SHARED_TO_NODE, 1, false);
	turn_ask(line, &ends[0].turn);
	turn_loop(40);
	hear(EF_SHARED_FROM_NODE, 1, false);
	turn_loop(200);
	ck_assert_uint_eq(ends[0].granted, 1);
	ck_assert_uint_ge(ends[0].granted_us - start, 95 * USEC_PER_MSEC);
	turn_leave(line, &ends[0].turn);
	start = now_monotonic_us();
	turn_ask(line, &ends[1].turn);
	while (!ends[1].granted && now_monotonic_us() - start < 4 * USEC_PER_SEC) {
		hear(EF_SHARED_TO_NODE, 1, false);
		turn_loop(20);
	}
	ck_assert_uint_ge(ends[1].granted_us - start, USEC_PER_SEC);
	ck_assert_uint_le(ends[1].granted_us - start, 3 * USEC_PER_SEC);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("shared");
	TCase *t = tcase_create("shared");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, addresses);
	tcase_add_test(t, hang_up_F17);
	tcase_add_test(t, turns_F32);
	tcase_add_test(t, silent_turns_F32);
	tcase_add_test(t, another_gateway_F20);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
