/* SPDX-License-Identifier: Apache-2.0 */
/* The node's end of the session: what it answers, what it drops, what it keeps (SPEC-session). */
#include "secure.h"
#include <string.h>

START_TEST(without_a_key)
{
	uint8_t frame[EF_SESSION_HANDSHAKE_SIZE];
	struct ef_session_hello h = ask_hello();

	ck_assert_uint_eq(h.flags, 0);
	ck_assert_uint_eq(h.counter, 0);
	ck_assert_mem_eq(h.board, node.agent.factory.class_id, 4);
	ck_assert_mem_eq(h.device, node.agent.factory.device_id, 16);
	ck_assert(ef_session_begin(&hs, &h, shared.psk, secret, frame));
	ck_assert_uint_eq(to_node(frame, sizeof(frame)), 0);
	/* and in the clear it does all there is */
	ck_assert_uint_eq(state_in_the_clear(), 0);
}
END_TEST

START_TEST(outside_of_a_session)
{
	static const struct {
		uint8_t op;
		uint16_t group;
		uint8_t command;
		const char *body;
		uint32_t rc;
	} cases[] = {
		{EF_SMP_WRITE, EF_GROUP_OS, EF_OS_ECHO, "\xa1\x61\x64\x61x", 0},
		{EF_SMP_READ, EF_GROUP_OS, EF_OS_PARAMS, "\xa0", 0},
		{EF_SMP_READ, EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY, "\xa0", 0},
		{EF_SMP_WRITE, EF_GROUP_OS, EF_OS_RESET, "\xa0", EF_SMP_ACCESS_DENIED},
		{EF_SMP_READ, EF_GROUP_OS, EF_OS_INFO, "\xa0", EF_SMP_ACCESS_DENIED},
		{EF_SMP_READ, EF_GROUP_IMAGE, EF_IMAGE_STATE, "\xa0", EF_SMP_ACCESS_DENIED},
		{EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_STATE, "\xa0", EF_SMP_ACCESS_DENIED},
		{EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_UPLOAD, "\xa0", EF_SMP_ACCESS_DENIED},
		{EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_ERASE, "\xa0", EF_SMP_ACCESS_DENIED},
		{EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_PREFLIGHT, "\xa0", EF_SMP_ACCESS_DENIED},
		{EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_KEY, "\xa0", EF_SMP_ACCESS_DENIED},
		{EF_SMP_READ, 64, 0, "\xa0", EF_SMP_NOT_SUPPORTED},
	};
	uint32_t operations = sim.operations;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		ck_assert_uint_eq(rc_in_the_clear(cases[i].op, cases[i].group, cases[i].command,
					  cases[i].body, strlen(cases[i].body)),
			cases[i].rc);
	}
	ck_assert_uint_eq(sim.operations, operations);
	ck_assert(!node.agent.reset);
	/* a key alone keeps nobody out */
	put_key(false);
	ck_assert_uint_eq(ask_hello().flags, EF_SESSION_HAS_KEY | EF_SESSION_REPAIRS);
	ck_assert_uint_eq(state_in_the_clear(), 0);
}
END_TEST

START_TEST(a_session)
{
	uint8_t frame[ROOM];
	struct ef_session_hello h = ask_hello();

	ck_assert_uint_eq(h.flags, EF_SESSION_HAS_KEY | EF_SESSION_REQUIRED | EF_SESSION_REPAIRS);
	ck_assert_uint_eq(h.counter, 1);
	ck_assert(meet());
	ck_assert_uint_eq(ask_hello().counter, 2); /* which does not disturb it */
	for (int i = 0; i < 10; i++)
		assert_works();
	ck_assert_uint_eq(rc_in_session(to_node(frame, seal(frame, EF_SMP_READ, EF_GROUP_IMAGE,
							       EF_IMAGE_STATE, "\xa0", 1))),
		0);
	/* what is no request is dropped, in a session as outside, and the session goes on */
	memset(frame + EF_SESSION_HEAD, 0xff, 20);
	ck_assert_uint_eq(to_node(frame, ef_session_seal(&gateway, frame, 20)), 0);
	assert_works();
	/* being in a session is for the requests of the session */
	ck_assert_uint_eq(state_in_the_clear(), EF_SMP_ACCESS_DENIED);
	assert_works();
}
END_TEST

START_TEST(refused_handshakes_cost_nothing) /* E-09: no flash, no curve, no answer */
{
	uint8_t frame[EF_SESSION_HANDSHAKE_SIZE];
	struct ef_session_hello h = ask_hello(), other;
	struct agent before;
	uint32_t operations;

	ck_assert(meet());
	assert_works();
	h = ask_hello();
	operations = sim.operations;
	before = node.agent;
	shared.psk[5] ^= 1; /* another key */
	ck_assert(ef_session_begin(&hs, &h, shared.psk, secret, frame));
	ck_assert_uint_eq(to_node(frame, sizeof(frame)), 0);
	shared.psk[5] ^= 1;
	other = h; /* another device */
	other.device[15] ^= 1;
	ck_assert(ef_session_begin(&hs, &other, shared.psk, secret, frame));
	ck_assert_uint_eq(to_node(frame, sizeof(frame)), 0);
	other = h; /* the counter of the session before */
	other.counter--;
	ck_assert(ef_session_begin(&hs, &other, shared.psk, secret, frame));
	ck_assert_uint_eq(to_node(frame, sizeof(frame)), 0);
	ck_assert(ef_session_begin(&hs, &h, shared.psk, secret, frame));
	for (size_t bit = 0; bit < 8 * sizeof(frame); bit++) {
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_uint_eq(to_node(frame, sizeof(frame)), 0);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 8; size < sizeof(frame); size++)
		ck_assert_uint_eq(to_node(frame, size), 0);
	ck_assert_mem_eq(&node.agent, &before, sizeof(before));
	ck_assert_uint_eq(sim.operations, operations);
	assert_works(); /* in the session that was */
}
END_TEST

START_TEST(a_recorded_handshake)
{
	uint8_t frame[EF_SESSION_HANDSHAKE_SIZE], answer[EF_SESSION_HANDSHAKE_SIZE], request[ROOM];
	struct ef_session_hello h = ask_hello();
	uint32_t operations;
	size_t n;

	ck_assert(ef_session_begin(&hs, &h, shared.psk, secret, frame));
	ck_assert_uint_eq(to_node(frame, sizeof(frame)), sizeof(answer));
	memcpy(answer, node.agent.response, sizeof(answer));
	operations = sim.operations;
	/* its answer was lost: the same again, and no second counter */
	ck_assert_uint_eq(to_node(frame, sizeof(frame)), sizeof(answer));
	ck_assert_mem_eq(node.agent.response, answer, sizeof(answer));
	ck_assert_uint_eq(sim.operations, operations);
	ck_assert(ef_session_finish(&hs, answer, sizeof(answer), &gateway));
	n = seal_echo(request);
	ck_assert_uint_eq(rc_in_session(to_node(request, n)), 0);
	/* from now on it is a recording */
	ck_assert_uint_eq(to_node(frame, sizeof(frame)), 0);
	assert_works();
	ck_assert_uint_eq(sim.operations, operations);
}
END_TEST

START_TEST(sessions_have_keys_of_their_own) /* on a board without random numbers */
{
	struct ef_session first;
	uint8_t e[32];

	ck_assert(meet());
	first = gateway;
	memcpy(e, node.agent.response + 1, 32);
	secret[1]--; /* the same of the gateway */
	ck_assert(meet());
	ck_assert_mem_ne(node.agent.response + 1, e, 32);
	ck_assert_mem_ne(&first, &gateway, sizeof(first));
}
END_TEST

START_TEST(every_bit_of_a_request_counts) /* E-09 */
{
	static uint8_t flash[SIM_SIZE_MAX];
	uint8_t frame[ROOM];
	struct agent before;
	size_t n;

	ck_assert(meet());
	assert_works();
	n = seal_erase(frame);
	before = node.agent;
	memcpy(flash, sim.flash, sim.size);
	for (size_t bit = 0; bit < 8 * n; bit++) {
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_uint_eq(to_node(frame, n), 0);
		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	for (size_t size = 8; size < n; size++)
		ck_assert_uint_eq(to_node(frame, size), 0);
	ck_assert_mem_eq(&node.agent, &before, sizeof(before));
	ck_assert(memcmp(flash, sim.flash, sim.size) == 0);
	ck_assert_uint_eq(rc_in_session(to_node(frame, n)), 0);
}
END_TEST

START_TEST(a_repeated_request_is_done_once)
{
	uint8_t frame[ROOM], late[ROOM], answer[ROOM];
	uint32_t erases;
	size_t n, late_n, m;

	ck_assert(meet());
	late_n = seal_echo(late);
	n = seal_erase(frame);
	m = to_node(frame, n);
	memcpy(answer, node.agent.response, m);
	erases = sim.erases;
	ck_assert_uint_gt(erases, 0);
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(to_node(frame, n), m);
		ck_assert_mem_eq(node.agent.response, answer, m);
	}
	ck_assert_uint_eq(sim.erases, erases);
	ck_assert_uint_eq(to_node(late, late_n), 0); /* reordered */
	ck_assert_uint_eq(to_node(frame, n), m);
	/* another answer has taken the place of the kept one: then there is none */
	ask_hello();
	ck_assert_uint_eq(to_node(frame, n), 0);
	ck_assert_uint_eq(sim.erases, erases);
	ck_assert_uint_eq(rc_in_session((memcpy(node.agent.response, answer, m), m)), 0);
	assert_works();
}
END_TEST

START_TEST(after_a_reset) /* F-15 */
{
	uint8_t frame[ROOM], version;
	struct ef_session_hello h;
	const uint8_t *token;
	size_t n;

	ck_assert(meet());
	assert_works();
	agent_init(&node.agent, node.agent.program);
	n = seal_echo(frame);
	ck_assert_uint_eq(to_node(frame, n), EF_SESSION_HELLO_ANSWER_SIZE);
	token = ef_session_get_hello_answer(
		node.agent.response, EF_SESSION_HELLO_ANSWER_SIZE, &version, &h);
	ck_assert_ptr_nonnull(token);
	ck_assert_mem_eq(token, "\0\0\0\0\0\0\0\0", 8);
	ck_assert_uint_eq(h.counter, 2);
	ck_assert(meet());
	assert_works();
}
END_TEST

START_TEST(a_day)
{
	uint8_t frame[ROOM];

	ck_assert(meet());
	assert_works();
	sim.millis += EF_SESSION_SECONDS * 1000u - 1;
	agent_session_tick(&node.agent);
	assert_works();
	sim.millis += 1;
	agent_session_tick(&node.agent);
	ck_assert_uint_eq(to_node(frame, seal_echo(frame)), EF_SESSION_HELLO_ANSWER_SIZE);
	for (size_t i = 0; i < sizeof(node.agent.session.keys); i++)
		ck_assert_uint_eq(((uint8_t *)&node.agent.session.keys)[i], 0);
	ck_assert(meet());
	assert_works();
}
END_TEST

START_TEST(rekey)
{
	uint8_t frame[ROOM];

	ck_assert(meet());
	gateway.tx.next = node.agent.session.keys.rx.next = 65534;
	node.agent.session.keys.tx.next = gateway.rx.next = 65533;
	for (int i = 0; i < 6; i++)
		assert_works();
	ck_assert_mem_eq(gateway.tx.key, node.agent.session.keys.rx.key, 32);
	gateway.tx.next = node.agent.session.keys.rx.next = EF_SESSION_FRAMES - 1;
	assert_works();
	ck_assert_uint_eq(seal_echo(frame), 0);
	ck_assert(meet());
	assert_works();
	node.agent.session.keys.tx.next = EF_SESSION_FRAMES; /* the other direction's end */
	ck_assert_uint_eq(to_node(frame, seal_echo(frame)), 0);
	ck_assert_uint_eq(to_node(frame, seal_echo(frame)), EF_SESSION_HELLO_ANSWER_SIZE);
	ck_assert(meet());
	assert_works();
}
END_TEST

START_TEST(frames_of_the_link) /* through the receiver, as long as they may be */
{
	uint8_t frame[PORT_MESSAGE_MAX + EF_SESSION_OVERHEAD], *m = frame + EF_SESSION_HEAD;
	size_t n = PORT_MESSAGE_MAX - EF_SMP_HEADER_SIZE - 6, got = 0;
	struct frame_receiver r;
	uint8_t in[ROOM];

	ck_assert(meet());
	memset(frame, 'x', sizeof(frame));
	put_request(m, EF_SMP_WRITE, EF_GROUP_OS, EF_OS_ECHO, "\xa1\x61\x64\x79", 4);
	m[2] = (uint8_t)((n + 6) >> 8);
	m[3] = (uint8_t)(n + 6);
	m[12] = (uint8_t)(n >> 8);
	m[13] = (uint8_t)n;
	n = ef_session_seal(&gateway, frame, PORT_MESSAGE_MAX);
	sim.in_at = sim.out_size = 0;
	sim.in_size = frame_encode(frame, n, sim.input);
	while (agent_poll(&node.agent))
		;
	frame_receiver_init(&r, in, sizeof(in));
	for (size_t i = 0; i < sim.out_size; i++)
		got = frame_receive(&r, sim.output[i]);
	ck_assert_uint_gt(got, 0);
	ck_assert_int_eq(ef_session_open(&gateway, in, got), EF_SESSION_OPENED);
	/* it came whole; its echo is longer than an answer may be */
	ck_assert_uint_eq(rc_of(in + EF_SESSION_HEAD, got - EF_SESSION_OVERHEAD), EF_SMP_MSG_SIZE);
}
END_TEST

/* Bytes on the line; the size of the answer, which then stands in answer. */
static size_t on_the_line(const uint8_t *bytes, size_t size, uint8_t answer[ROOM])
{
	struct frame_receiver r;
	size_t got = 0;

	memcpy(sim.input, bytes, size);
	sim.in_at = sim.out_size = 0;
	sim.in_size = size;
	while (agent_poll(&node.agent))
		;
	frame_receiver_init(&r, answer, ROOM);
	for (size_t i = 0; i < sim.out_size; i++) {
		size_t n = frame_receive(&r, sim.output[i]);

		got = n ? n : got;
	}
	return got;
}

static size_t checked(uint8_t *frame, size_t size, uint8_t *line)
{
	frame[0] = EF_SESSION_CHECKED;
	return frame_encode(frame, size, line);
}

START_TEST(a_wrong_bit_is_turned_back) /* F-16 */
{
	uint8_t frame[ROOM], line[ROOM], answer[ROOM];
	unsigned lost = 0;
	size_t n, all;

	ck_assert(meet());
	all = checked(frame, seal_echo(frame), line);
	for (size_t bit = 0; bit < 8 * all; bit++) {
		n = checked(frame, seal_echo(frame), line);
		line[bit / 8 % n] ^= (uint8_t)(1 << bit % 8);
		line[n] = 0; /* whatever became of its end */
		n = on_the_line(line, n + 1, answer);
		if (!n) {
			lost++;
			continue;
		}
		ck_assert_int_eq(ef_session_open(&gateway, answer, n), EF_SESSION_OPENED);
		ck_assert_uint_eq(rc_of(answer + EF_SESSION_HEAD, n - EF_SESSION_OVERHEAD), 0);
	}
	ck_assert_uint_lt(lost, 8 * all / 5); /* four zeros of a short frame are code bytes */
	assert_works();
}
END_TEST

/* E-09: who flips bits on the line, knows how they are turned back and makes every CRC right moves
 * nothing. */
START_TEST(who_flips_bits_gets_nothing)
{
	static uint8_t flash[SIM_SIZE_MAX];
	uint8_t frame[ROOM], bad[ROOM], line[ROOM], answer[ROOM];
	struct agent_session before;
	size_t n, size;

	ck_assert(meet());
	assert_works();
	size = seal_erase(frame);
	memcpy(flash, sim.flash, sim.size);
	before = node.agent.session;
	srand(1);
	for (unsigned i = 0; i < 20000; i++) {
		memcpy(bad, frame, size);
		for (unsigned flips = 1 + i % 3; flips; flips--) {
			unsigned bit = (unsigned)rand() % (8 * (unsigned)(size - 1));

			bad[1 + bit / 8] ^= (uint8_t)(1 << bit % 8);
		}
		if (memcmp(bad, frame, size) == 0)
			continue;
		n = checked(bad, size, line);
		if (i & 4) /* and one more behind the CRC, to be turned back */
			line[1 + (unsigned)rand() % (n - 2)] ^= (uint8_t)(1 << i / 8 % 8);
		line[n] = 0;
		ck_assert_uint_eq(on_the_line(line, n + 1, answer), 0);
	}
	ck_assert_mem_eq(&node.agent.session, &before, sizeof(before));
	ck_assert(memcmp(flash, sim.flash, sim.size) == 0);
	n = on_the_line(line, checked(frame, size, line), answer);
	ck_assert_int_eq(ef_session_open(&gateway, answer, n), EF_SESSION_OPENED);
	/* the same as it would have come without a CRC is the same request: answered, not done
	 * again */
	frame[0] = EF_SESSION_REQUEST;
	size = frame_encode(frame, size, line);
	ck_assert_uint_gt(on_the_line(line, size, answer), 0);
	ck_assert_int_eq(ef_session_open(&gateway, answer, n), EF_SESSION_REPEATED);
}
END_TEST

START_TEST(
	in_no_other_framing) /* a session is made in COBS frames, whatever else the line carries */
{
	static const uint8_t token[EF_SESSION_TOKEN_SIZE] = {1};
	uint8_t frame[ROOM];
	struct agent before;
	size_t size, at = 0, n;

	ck_assert(meet());
	assert_works();
	before = node.agent;
	for (int sealed = 0; sealed < 2; sealed++) {
		ef_session_put_hello(token, frame);
		size = sealed ? seal_echo(frame) : EF_SESSION_HELLO_SIZE;
		sim.in_at = sim.in_size = sim.out_size = at = 0;
		while ((n = console_encode(frame, size, &at, sim.input + sim.in_size)))
			sim.in_size += n;
		while (agent_poll(&node.agent))
			;
		ck_assert_uint_eq(
			node.agent.line.messages, before.line.messages + 1u + (unsigned)sealed);
		ck_assert_uint_eq(sim.out_size, 0);
		ck_assert_mem_eq(&node.agent.session, &before.session, sizeof(before.session));
	}
	node.agent.line.framing = FRAMING_COBS; /* as to_node has it */
	assert_works();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/session");
	TCase *fresh = tcase_create("fresh"), *t = tcase_create("session");

	tcase_add_checked_fixture(fresh, setup, node_free);
	tcase_add_test(fresh, without_a_key);
	suite_add_tcase(s, fresh);
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup_required, node_free);
	tcase_add_test(t, outside_of_a_session);
	tcase_add_test(t, a_session);
	tcase_add_test(t, refused_handshakes_cost_nothing);
	tcase_add_test(t, a_recorded_handshake);
	tcase_add_test(t, sessions_have_keys_of_their_own);
	tcase_add_test(t, every_bit_of_a_request_counts);
	tcase_add_test(t, a_repeated_request_is_done_once);
	tcase_add_test(t, after_a_reset);
	tcase_add_test(t, a_day);
	tcase_add_test(t, rekey);
	tcase_add_test(t, frames_of_the_link);
	tcase_add_test(t, a_wrong_bit_is_turned_back);
	tcase_add_test(t, who_flips_bits_gets_nothing);
	tcase_add_test(t, in_no_other_framing);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
