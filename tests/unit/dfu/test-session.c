/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway's end of the session against a node made of the same engine's other half, with a
 * clock and a wire that the test holds; and the files that keys are kept in.
 */
#include "dfu/session.h"
#include "unit.h"
#include "util/time-util.h"
#include <errno.h>
#include <string.h>

#define PATIENCE (5 * USEC_PER_SEC)
#define MESSAGES 32

static struct session s;
static uint64_t now;

/* What the gateway sent, and what it was told. */
static struct {
	uint8_t data[256];
	size_t size;
} sent[MESSAGES];
static unsigned n_sent, opened, lost, failures, messages;
static struct error error;
static uint8_t message[256];
static size_t message_size;

/* The node. */
static struct {
	struct ef_session_hello hello;
	uint8_t version, psk[32], secret[32];
	struct ef_session keys;
} node;
static uint8_t psk[32];
static enum ef_reason key_reason;

static int on_send(void *ctx, const uint8_t *frame, size_t size)
{
	ck_assert_ptr_eq(ctx, &n_sent);
	ck_assert_uint_lt(n_sent, MESSAGES);
	ck_assert_uint_le(size, sizeof(sent[0].data));
	memcpy(sent[n_sent].data, frame, size);
	sent[n_sent++].size = size;
	return 0;
}

static void on_message(void *ctx, const uint8_t *data, size_t size)
{
	messages++;
	memcpy(message, data, size);
	message_size = size;
}

static void on_opened(void *ctx)
{
	opened++;
}

static void on_failed(void *ctx, const struct error *e)
{
	failures++;
	error = *e;
}

static void on_lost(void *ctx)
{
	lost++;
}

static enum ef_reason on_key(void *ctx, uint8_t key[32], struct error *e)
{
	memcpy(key, psk, 32);
	return key_reason ? error_set(e, key_reason, "the file") : EF_REASON_OK;
}

static const struct session_events events = {
	.send = on_send,
	.message = on_message,
	.opened = on_opened,
	.failed = on_failed,
	.lost = on_lost,
	.key = on_key,
};

static void setup(void)
{
	memset(&node, 0, sizeof(node));
	memset(psk, 0x11, 32);
	memset(node.psk, 0x11, 32);
	memset(node.hello.board, 0x22, 4);
	node.hello.flags = EF_SESSION_HAS_KEY;
	node.hello.counter = 7;
	node.version = EF_SESSION_VERSION;
	now = 1000 * USEC_PER_SEC;
	n_sent = opened = lost = failures = messages = 0;
	memset(&error, 0, sizeof(error));
	key_reason = EF_REASON_OK;
	session_init(&s, &events, &n_sent, node.hello.board);
}

static void receive(const void *data, size_t size)
{
	session_receive(&s, now, data, size);
}

/* The node answers what was sent last; false: it does not. */
static bool node_answers(void)
{
	uint8_t out[EF_SESSION_HANDSHAKE_SIZE];
	struct ef_session_handshake hs;
	const uint8_t *frame = sent[n_sent - 1].data;
	size_t size = sent[n_sent - 1].size;

	if (frame[0] == EF_SESSION_HELLO) {
		ef_session_put_hello_answer(&node.hello, ef_session_get_hello(frame, size), out);
		out[1] = node.version;
		receive(out, EF_SESSION_HELLO_ANSWER_SIZE);
		return true;
	}
	if (!ef_session_accept(&hs, &node.hello, node.psk, frame, size))
		return false;
	node.hello.counter++;
	node.secret[1]++;
	ck_assert(ef_session_answer(&hs, node.secret, out, &node.keys));
	receive(out, sizeof(out));
	return true;
}

static void open_session(void)
{
	session_open(&s, now, PATIENCE);
	ck_assert(node_answers());
	ck_assert(node_answers());
	ck_assert_int_eq(s.state, SESSION_OPEN);
}

/* Time passes until the session wants something, up to a limit. */
static bool wait_for_it(void)
{
	if (session_deadline(&s) == UINT64_MAX)
		return false;
	now = session_deadline(&s);
	session_tick(&s, now);
	return true;
}

static size_t echo(uint8_t out[EF_SMP_HEADER_SIZE + 1], uint8_t seq)
{
	struct ef_smp_header h = {.op = EF_SMP_WRITE, .version = 1, .length = 1, .seq = seq};

	ef_smp_header_encode(&h, out);
	out[EF_SMP_HEADER_SIZE] = 0xa0;
	return EF_SMP_HEADER_SIZE + 1;
}

static bool zero(const void *data, size_t size)
{
	const uint8_t *p = data;

	while (size--)
		if (*p++)
			return false;
	return true;
}

START_TEST(opens)
{
	uint8_t m[EF_SMP_HEADER_SIZE + 1], frame[64];
	size_t n = echo(m, 1);

	ck_assert_int_eq(session_send(&s, m, n), -ENOTCONN);
	session_open(&s, now, PATIENCE);
	session_open(&s, now, PATIENCE); /* once is enough */
	ck_assert_uint_eq(n_sent, 1);
	ck_assert(node_answers());
	ck_assert_int_eq(session_send(&s, m, n), -ENOTCONN);
	ck_assert(node_answers());
	ck_assert_uint_eq(n_sent, 2);
	ck_assert_uint_eq(opened, 1);
	ck_assert_uint_eq(failures + lost, 0);
	ck_assert(session_ready(&s, now));
	ck_assert_uint_eq(session_deadline(&s), UINT64_MAX);
	ck_assert(zero(&s.hs, sizeof(s.hs)));

	ck_assert_int_eq(session_send(&s, m, n), 0);
	ck_assert_int_eq(
		ef_session_open(&node.keys, sent[2].data, sent[2].size), EF_SESSION_OPENED);
	ck_assert_mem_eq(sent[2].data + EF_SESSION_HEAD, m, n);
	memcpy(frame + EF_SESSION_HEAD, m, n);
	receive(frame, ef_session_seal(&node.keys, frame, n));
	ck_assert_uint_eq(messages, 1);
	ck_assert_uint_eq(message_size, n);
	ck_assert_mem_eq(message, m, n);
	session_close(&s);
	ck_assert(zero(&s.keys, sizeof(s.keys)));
	ck_assert_int_eq(session_send(&s, m, n), -ENOTCONN);
}
END_TEST

START_TEST(nobody_there)
{
	uint64_t start = now;

	session_open(&s, now, PATIENCE);
	while (wait_for_it())
		;
	ck_assert_uint_eq(failures, 1);
	ck_assert_int_eq(error.reason, EF_REASON_NODE_UNREACHABLE);
	ck_assert_uint_eq(now - start, PATIENCE);
	ck_assert_uint_ge(n_sent, 4);
	ck_assert_uint_le(n_sent, 8);
	for (unsigned i = 0; i < n_sent; i++)
		ck_assert_uint_eq(sent[i].data[0], EF_SESSION_HELLO);
	ck_assert_int_eq(s.state, SESSION_CLOSED);
}
END_TEST

static void assert_refused(enum ef_reason reason)
{
	session_open(&s, now, PATIENCE);
	node_answers();
	ck_assert_uint_eq(failures, 1);
	ck_assert_int_eq(error.reason, reason);
	ck_assert_int_eq(s.state, SESSION_CLOSED);
	ck_assert_uint_eq(n_sent, 1);
}

START_TEST(a_node_without_a_key)
{
	node.hello.flags = 0;
	assert_refused(EF_REASON_NODE_KEY);
}
END_TEST

START_TEST(cables_swapped) /* F-22 */
{
	s.board[1] ^= 1;
	assert_refused(EF_REASON_NODE_MISMATCH);
}
END_TEST

START_TEST(another_version)
{
	node.version = 2;
	assert_refused(EF_REASON_NODE_PROTOCOL);
}
END_TEST

START_TEST(no_counter_left)
{
	node.hello.counter = 0;
	assert_refused(EF_REASON_NODE_FLASH);
}
END_TEST

START_TEST(a_key_that_cannot_be_read)
{
	key_reason = EF_REASON_CONFIG;
	assert_refused(EF_REASON_CONFIG);
	ck_assert_str_eq(error.detail, "the file");
}
END_TEST

START_TEST(another_key)
{
	node.psk[0] ^= 1;
	session_open(&s, now, PATIENCE);
	while (!failures) {
		node_answers(); /* to hello only */
		ck_assert(wait_for_it() || failures);
		ck_assert_uint_lt(now, 1005 * USEC_PER_SEC);
	}
	ck_assert_int_eq(error.reason, EF_REASON_NODE_KEY);
}
END_TEST

START_TEST(a_node_that_never_finishes) /* F-32 */
{
	session_open(&s, now, PATIENCE);
	for (int i = 0; i < 1000 && !failures; i++) {
		if (sent[n_sent - 1].data[0] == EF_SESSION_HELLO) {
			node.hello.counter++;
			node_answers();
		}
		n_sent = 1;
		wait_for_it();
	}
	ck_assert_uint_eq(failures, 1);
	ck_assert_int_eq(error.reason, EF_REASON_NODE_UNREACHABLE);
	ck_assert_uint_lt(now, 1100 * USEC_PER_SEC);
}
END_TEST

START_TEST(a_slow_node) /* computes for four seconds, then sees what came meanwhile */
{
	uint8_t out[EF_SESSION_HANDSHAKE_SIZE], hello[EF_SESSION_HELLO_ANSWER_SIZE];
	struct ef_session_handshake hs;

	session_open(&s, now, PATIENCE);
	node_answers();
	ck_assert(ef_session_accept(&hs, &node.hello, node.psk, sent[1].data, sent[1].size));
	ck_assert(ef_session_answer(&hs, node.secret, out, &node.keys));
	node.hello.counter++;
	while (now < 1004 * USEC_PER_SEC && session_deadline(&s) < 1004 * USEC_PER_SEC)
		wait_for_it();
	/* byte for byte, so that the node computes once */
	ck_assert_uint_eq(n_sent, 6);
	for (int i = 2; i < 6; i += 2) {
		ck_assert_uint_eq(sent[i].size, EF_SESSION_HANDSHAKE_SIZE);
		ck_assert_mem_eq(sent[i].data, sent[1].data, EF_SESSION_HANDSHAKE_SIZE);
		ck_assert_uint_eq(sent[i + 1].data[0], EF_SESSION_HELLO);
	}
	receive(out, sizeof(out));
	ck_assert_uint_eq(opened, 1);
	for (int i = 3; i < 6; i += 2) {
		ef_session_put_hello_answer(
			&node.hello, ef_session_get_hello(sent[i].data, sent[i].size), hello);
		receive(hello, sizeof(hello));
	}
	ck_assert_int_eq(s.state, SESSION_OPEN);
	ck_assert_uint_eq(lost + failures, 0);
}
END_TEST

START_TEST(the_answer_to_a_handshake_is_lost)
{
	session_open(&s, now, PATIENCE);
	node_answers();
	node.hello.counter++; /* it had taken it */
	wait_for_it();
	ck_assert(node_answers()); /* to the hello: begins anew */
	ck_assert(node_answers());
	ck_assert_uint_eq(opened, 1);
	ck_assert_uint_eq(failures, 0);
}
END_TEST

START_TEST(an_answer_comes_twice) /* the second one says nothing of the handshake */
{
	uint8_t answer[EF_SESSION_HELLO_ANSWER_SIZE];

	session_open(&s, now, PATIENCE);
	ef_session_put_hello_answer(
		&node.hello, ef_session_get_hello(sent[0].data, sent[0].size), answer);
	for (int i = 0; i < 5; i++)
		receive(answer, sizeof(answer));
	ck_assert_uint_eq(n_sent, 2);
	ck_assert_uint_eq(failures, 0);
	ck_assert(node_answers());
	ck_assert_uint_eq(opened, 1);
}
END_TEST

START_TEST(a_handshake_is_lost_twice)
{
	session_open(&s, now, PATIENCE);
	node_answers();
	for (int i = 0; i < 2; i++) {
		wait_for_it();
		ck_assert(node_answers());
		ck_assert_uint_eq(failures, 0);
	}
	ck_assert(node_answers());
	ck_assert_uint_eq(opened, 1);
}
END_TEST

START_TEST(every_bit_of_what_a_node_sends_counts) /* E-09 */
{
	uint8_t m[EF_SMP_HEADER_SIZE + 1], frame[64], out[EF_SESSION_HANDSHAKE_SIZE];
	struct ef_session_handshake hs;
	size_t n = echo(m, 1);

	session_open(&s, now, PATIENCE);
	node_answers();
	ck_assert(ef_session_accept(&hs, &node.hello, node.psk, sent[1].data, sent[1].size));
	ck_assert(ef_session_answer(&hs, node.secret, out, &node.keys));
	for (size_t bit = 0; bit < 8 * sizeof(out); bit++) {
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
		receive(out, sizeof(out));
		out[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 0; size < sizeof(out); size++)
		receive(out, size);
	ck_assert_uint_eq(opened, 0);
	receive(out, sizeof(out));
	ck_assert_uint_eq(opened, 1);
	receive(out, sizeof(out)); /* once */
	ck_assert_uint_eq(opened, 1);

	memcpy(frame + EF_SESSION_HEAD, m, n);
	n = ef_session_seal(&node.keys, frame, n);
	for (size_t bit = 0; bit < 8 * n; bit++) {
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		receive(frame, n);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 0; size < n; size++)
		receive(frame, size);
	receive(m, sizeof(m)); /* in the clear */
	ck_assert_uint_eq(messages, 0);
	receive(frame, n);
	ck_assert_uint_eq(messages, 1);
	receive(frame, n); /* replay */
	ck_assert_uint_eq(messages, 1);
	ck_assert_uint_eq(lost + failures, 0);
	ck_assert_int_eq(s.state, SESSION_OPEN);
}
END_TEST

START_TEST(the_same_message_is_the_same_frame)
{
	uint8_t m[EF_SMP_HEADER_SIZE + 1], other[EF_SMP_HEADER_SIZE + 1];
	size_t n = echo(m, 1);

	echo(other, 2);
	open_session();
	session_send(&s, m, n);
	session_send(&s, m, n);
	session_send(&s, other, n);
	session_send(&s, m, n);
	ck_assert_mem_eq(sent[3].data, sent[2].data, sent[2].size);
	ck_assert_mem_ne(sent[4].data, sent[3].data, sent[3].size);
	ck_assert_mem_ne(sent[5].data, sent[3].data, sent[3].size);
	ck_assert_uint_eq(s.keys.tx.next, 3);
	ck_assert_int_eq(session_send(&s, m, SESSION_MESSAGE_MAX + 1), -EMSGSIZE);
	ck_assert_int_eq(session_send(&s, m, EF_SMP_HEADER_SIZE - 1), -EMSGSIZE);
	/* nor does it become a frame of the session before */
	session_close(&s);
	open_session();
	n_sent = 0;
	session_send(&s, m, n);
	ck_assert_int_eq(
		ef_session_open(&node.keys, sent[0].data, sent[0].size), EF_SESSION_OPENED);
}
END_TEST

/* The same frames, of another type, to a node that says it repairs them; until the next session. */
START_TEST(requests_with_a_crc)
{
	uint8_t m[EF_SMP_HEADER_SIZE + 1], other[EF_SMP_HEADER_SIZE + 1];
	size_t n = echo(m, 1);

	echo(other, 2);
	ck_assert(!session_check(&s)); /* none is open */
	open_session();
	ck_assert(!session_check(&s)); /* this node cannot */
	session_send(&s, m, n);
	ck_assert_uint_eq(sent[2].data[0], EF_SESSION_REQUEST);
	session_close(&s);
	node.hello.flags |= EF_SESSION_REPAIRS;
	open_session();
	n_sent = 0;
	session_send(&s, m, n);
	ck_assert_uint_eq(sent[0].data[0], EF_SESSION_REQUEST);
	ck_assert(session_check(&s));
	session_send(&s, m, n); /* the one sent last, once more */
	session_send(&s, other, n);
	ck_assert_uint_eq(sent[1].data[0], EF_SESSION_CHECKED);
	ck_assert_uint_eq(sent[1].size, sent[0].size);
	ck_assert_mem_eq(sent[1].data + 1, sent[0].data + 1, sent[0].size - 1);
	ck_assert_uint_eq(sent[2].data[0], EF_SESSION_CHECKED);
	sent[2].data[0] = EF_SESSION_REQUEST; /* as its line takes it off */
	ck_assert_int_eq(
		ef_session_open(&node.keys, sent[0].data, sent[0].size), EF_SESSION_OPENED);
	ck_assert_int_eq(
		ef_session_open(&node.keys, sent[2].data, sent[2].size), EF_SESSION_OPENED);
	session_close(&s);
	ck_assert(!session_check(&s));
	open_session();
	n_sent = 0;
	session_send(&s, m, n);
	ck_assert_uint_eq(sent[0].data[0], EF_SESSION_REQUEST);
}
END_TEST

static void hint(void)
{
	uint8_t out[EF_SESSION_HELLO_ANSWER_SIZE];

	ef_session_put_hello_answer(&node.hello, NULL, out);
	receive(out, sizeof(out));
}

START_TEST(a_node_that_was_reset_says_so) /* F-15 */
{
	uint8_t out[EF_SESSION_HELLO_ANSWER_SIZE], other[8] = {1};

	hint(); /* of no session */
	session_open(&s, now, PATIENCE);
	hint(); /* not what it was asked */
	ck_assert_int_eq(s.state, SESSION_HELLO);
	node_answers();
	hint();
	ck_assert_int_eq(s.state, SESSION_HANDSHAKE);
	node_answers();
	ef_session_put_hello_answer(&node.hello, other, out); /* somebody else's */
	receive(out, sizeof(out));
	ck_assert_uint_eq(lost, 0);
	hint();
	ck_assert_uint_eq(lost, 1);
	ck_assert_int_eq(s.state, SESSION_CLOSED);
}
END_TEST

/* A stranger who says so again and again does not make the node use up its counters. */
START_TEST(hints_are_not_believed_for_ever)
{
	unsigned handshakes = 0;

	for (int i = 0; i < 600; i++) {
		if (s.state == SESSION_CLOSED) {
			n_sent = 0;
			open_session();
			handshakes++;
		}
		hint();
		now += USEC_PER_SEC;
	}
	ck_assert_uint_ge(handshakes, 10);
	ck_assert_uint_le(handshakes, 66);
}
END_TEST

START_TEST(sessions_end)
{
	uint8_t m[EF_SMP_HEADER_SIZE + 1];
	size_t n = echo(m, 1);

	open_session();
	now += 22 * 3600 * USEC_PER_SEC;
	ck_assert(session_ready(&s, now));
	now += 3600 * USEC_PER_SEC;
	ck_assert(!session_ready(&s, now));
	ck_assert_int_eq(s.state, SESSION_CLOSED);
	n_sent = 0;
	open_session();
	s.keys.tx.next = EF_SESSION_FRAMES - EF_SESSION_REKEY;
	ck_assert(!session_ready(&s, now));
	n_sent = 0;
	open_session();
	s.keys.tx.next = EF_SESSION_FRAMES;
	ck_assert_int_eq(session_send(&s, m, n), -ENOTCONN);
	ck_assert_int_eq(s.state, SESSION_CLOSED);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("session");
	TCase *t = tcase_create("gateway");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, opens);
	tcase_add_test(t, nobody_there);
	tcase_add_test(t, a_node_without_a_key);
	tcase_add_test(t, cables_swapped);
	tcase_add_test(t, another_version);
	tcase_add_test(t, no_counter_left);
	tcase_add_test(t, a_key_that_cannot_be_read);
	tcase_add_test(t, another_key);
	tcase_add_test(t, a_node_that_never_finishes);
	tcase_add_test(t, a_slow_node);
	tcase_add_test(t, the_answer_to_a_handshake_is_lost);
	tcase_add_test(t, an_answer_comes_twice);
	tcase_add_test(t, a_handshake_is_lost_twice);
	tcase_add_test(t, every_bit_of_what_a_node_sends_counts);
	tcase_add_test(t, the_same_message_is_the_same_frame);
	tcase_add_test(t, requests_with_a_crc);
	tcase_add_test(t, a_node_that_was_reset_says_so);
	tcase_add_test(t, hints_are_not_believed_for_ever);
	tcase_add_test(t, sessions_end);
	suite_add_tcase(suite, t);
	return suite;
}
UNIT_MAIN(suite())
