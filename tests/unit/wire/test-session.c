/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The session engine against the vectors of docs/SPEC-session.md, and both of its ends against each
 * other. Built once for each library that can stand behind it: OpenSSL, BearSSL for cores with a
 * narrow and with a wide multiplier.
 */
#include "unit.h"
#include "vectors.h"
#include "wire/session-crypto.h"
#include <edgeferry/session.h>

#define FILE_NAME "session.txt"
#define MESSAGE_MAX 256u
#define FRAME_MAX (MESSAGE_MAX + EF_SESSION_OVERHEAD)

static uint8_t psk[32], gateway_secret[32], node_secret[32], token[EF_SESSION_TOKEN_SIZE];
static struct ef_session_hello me;
static struct ef_session gateway, node;

static void take(const char *name, void *buf, size_t size)
{
	ck_assert_uint_eq(vector(FILE_NAME, name, buf, size), size);
}

static void assert_vector(const char *name, const void *data, size_t size)
{
	uint8_t want[FRAME_MAX];

	ck_assert_msg(vector(FILE_NAME, name, want, sizeof(want)) == size &&
			      memcmp(want, data, size) == 0,
		"%s", name);
}

/* Both ends of a fresh session. */
static void meet(void)
{
	uint8_t first[EF_SESSION_HANDSHAKE_SIZE], second[EF_SESSION_HANDSHAKE_SIZE];
	struct ef_session_handshake a, b;

	ck_assert(ef_session_begin(&a, &me, psk, gateway_secret, first));
	ck_assert(ef_session_accept(&b, &me, psk, first, sizeof(first)));
	ck_assert(ef_session_answer(&b, node_secret, second, &node));
	ck_assert(ef_session_finish(&a, second, sizeof(second), &gateway));
}

static void setup(void)
{
	uint8_t counter[4];

	memset(&me, 0, sizeof(me));
	take("psk", psk, sizeof(psk));
	take("gateway-secret", gateway_secret, 32);
	take("node-secret", node_secret, 32);
	take("token", token, sizeof(token));
	take("board", me.board, sizeof(me.board));
	take("device", me.device, sizeof(me.device));
	take("counter", counter, sizeof(counter));
	me.flags = EF_SESSION_HAS_KEY | EF_SESSION_REQUIRED;
	me.counter = counter[0] | (uint32_t)counter[1] << 8 | (uint32_t)counter[2] << 16 |
		     (uint32_t)counter[3] << 24;
	meet();
}

static size_t message(const char *name, uint8_t *frame)
{
	return vector(FILE_NAME, name, frame + EF_SESSION_HEAD, MESSAGE_MAX);
}

static size_t seal(struct ef_session *s, const char *name, uint8_t *frame)
{
	return ef_session_seal(s, frame, message(name, frame));
}

START_TEST(documented)
{
	vectors_documented(FILE_NAME, "SPEC-session.md");
}
END_TEST

START_TEST(hello)
{
	uint8_t frame[EF_SESSION_HELLO_ANSWER_SIZE], version;
	struct ef_session_hello h = {0};

	ef_session_put_hello(token, frame);
	assert_vector("hello", frame, EF_SESSION_HELLO_SIZE);
	ck_assert_mem_eq(ef_session_get_hello(frame, EF_SESSION_HELLO_SIZE), token, 8);
	ck_assert_ptr_null(ef_session_get_hello(frame, EF_SESSION_HELLO_SIZE - 1));
	ck_assert_ptr_null(ef_session_get_hello(frame, EF_SESSION_HELLO_SIZE + 1));

	ef_session_put_hello_answer(&me, NULL, frame);
	assert_vector("no-session", frame, sizeof(frame));
	ef_session_put_hello_answer(&me, token, frame);
	assert_vector("hello-answer", frame, sizeof(frame));
	ck_assert_mem_eq(ef_session_get_hello_answer(frame, sizeof(frame), &version, &h), token, 8);
	ck_assert_uint_eq(version, 1);
	ck_assert_uint_eq(h.flags, me.flags);
	ck_assert_mem_eq(h.board, me.board, 4);
	ck_assert_mem_eq(h.device, me.device, 16);
	ck_assert_uint_eq(h.counter, me.counter);
	ck_assert_ptr_null(ef_session_get_hello_answer(frame, sizeof(frame) - 1, &version, &h));
	frame[0] = EF_SESSION_HELLO;
	ck_assert_ptr_null(ef_session_get_hello_answer(frame, sizeof(frame), &version, &h));
}
END_TEST

START_TEST(handshake)
{
	uint8_t first[EF_SESSION_HANDSHAKE_SIZE], second[EF_SESSION_HANDSHAKE_SIZE];
	struct ef_session_handshake a, b;

	ck_assert(ef_session_begin(&a, &me, psk, gateway_secret, first));
	assert_vector("handshake", first, sizeof(first));
	ck_assert(ef_session_accept(&b, &me, psk, first, sizeof(first)));
	ck_assert(ef_session_answer(&b, node_secret, second, &node));
	assert_vector("handshake-answer", second, sizeof(second));
	ck_assert(ef_session_finish(&a, second, sizeof(second), &gateway));
	assert_vector("key-to-node", gateway.tx.key, 32);
	assert_vector("key-to-node", node.rx.key, 32);
	assert_vector("key-from-node", gateway.rx.key, 32);
	assert_vector("key-from-node", node.tx.key, 32);
}
END_TEST

START_TEST(frames)
{
	static const uint32_t seqs[] = {0, 1, 7, 65535, 65536, 131072};
	uint8_t frame[FRAME_MAX], want[MESSAGE_MAX];
	char name[32];

	for (size_t i = 0; i < sizeof(seqs) / sizeof(*seqs); i++) {
		size_t n, size = vector(FILE_NAME, "request", want, sizeof(want));

		if (seqs[i] == 131072) { /* through the frame that has the key before */
			gateway.tx.next = node.tx.next = 131071;
			node.rx.next = gateway.rx.next = 131071;
			ck_assert_uint_gt(seal(&gateway, "request", frame), 0);
			ck_assert_uint_gt(seal(&node, "response", frame), 0);
		}
		gateway.tx.next = node.tx.next = seqs[i];
		n = seal(&gateway, "request", frame);
		snprintf(name, sizeof(name), "request-%u", seqs[i]);
		assert_vector(name, frame, n);
		ck_assert_int_eq(ef_session_open(&node, frame, n), EF_SESSION_OPENED);
		ck_assert_uint_eq(n, size + EF_SESSION_OVERHEAD);
		ck_assert_mem_eq(frame + EF_SESSION_HEAD, want, size);
		ck_assert_uint_eq(node.rx.next, seqs[i] + 1);

		n = seal(&node, "response", frame);
		snprintf(name, sizeof(name), "response-%u", seqs[i]);
		assert_vector(name, frame, n);
		ck_assert_int_eq(ef_session_open(&gateway, frame, n), EF_SESSION_OPENED);
	}
}
END_TEST

START_TEST(another_key_device_or_counter_is_refused) /* before any curve arithmetic */
{
	uint8_t first[EF_SESSION_HANDSHAKE_SIZE];
	struct ef_session_handshake hs;
	struct ef_session_hello other;

	ck_assert(ef_session_begin(&hs, &me, psk, gateway_secret, first));
	psk[31] ^= 1;
	ck_assert(!ef_session_accept(&hs, &me, psk, first, sizeof(first)));
	psk[31] ^= 1;
	other = me;
	other.device[0] ^= 1;
	ck_assert(!ef_session_accept(&hs, &other, psk, first, sizeof(first)));
	other = me;
	other.board[3] ^= 1;
	ck_assert(!ef_session_accept(&hs, &other, psk, first, sizeof(first)));
	other = me;
	other.counter++; /* the next session's: this message was used */
	ck_assert(!ef_session_accept(&hs, &other, psk, first, sizeof(first)));
	other = me;
	other.flags = 0; /* says nothing about who it is */
	ck_assert(ef_session_accept(&hs, &other, psk, first, sizeof(first)));
}
END_TEST

START_TEST(every_bit_of_the_handshake_counts) /* E-09 */
{
	uint8_t first[EF_SESSION_HANDSHAKE_SIZE], second[EF_SESSION_HANDSHAKE_SIZE];
	struct ef_session_handshake a, b, before;
	struct ef_session s;

	ck_assert(ef_session_begin(&a, &me, psk, gateway_secret, first));
	for (size_t bit = 0; bit < 8 * sizeof(first); bit++) {
		first[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!ef_session_accept(&b, &me, psk, first, sizeof(first)));
		first[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert(!ef_session_accept(&b, &me, psk, first, sizeof(first) - 1));
	ck_assert(ef_session_accept(&b, &me, psk, first, sizeof(first)));
	ck_assert(ef_session_answer(&b, node_secret, second, &node));
	before = a;
	memset(&s, 0x55, sizeof(s));
	for (size_t bit = 0; bit < 8 * sizeof(second); bit++) {
		second[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert(!ef_session_finish(&a, second, sizeof(second), &s));
		second[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	ck_assert(!ef_session_finish(&a, second, sizeof(second) - 1, &s));
	ck_assert_mem_eq(&a, &before, sizeof(a));
	for (size_t i = 0; i < sizeof(s); i++)
		ck_assert_uint_eq(((uint8_t *)&s)[i], 0x55);
	/* and after all those it is taken */
	ck_assert(ef_session_finish(&a, second, sizeof(second), &s));
}
END_TEST

START_TEST(every_bit_of_a_frame_counts) /* E-09 */
{
	uint8_t frame[FRAME_MAX], copy[FRAME_MAX];
	struct ef_session before = node;
	size_t n = seal(&gateway, "request", frame);

	for (size_t bit = 0; bit < 8 * n; bit++) {
		memcpy(copy, frame, n);
		copy[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_int_eq(ef_session_open(&node, copy, n), EF_SESSION_DROPPED);
	}
	for (size_t size = 0; size < n; size++) {
		memcpy(copy, frame, n);
		ck_assert_int_eq(ef_session_open(&node, copy, size), EF_SESSION_DROPPED);
	}
	ck_assert_mem_eq(&node, &before, sizeof(node));
	ck_assert_int_eq(ef_session_open(&node, frame, n), EF_SESSION_OPENED);
}
END_TEST

START_TEST(replay_reorder_repeat)
{
	uint8_t frame[4][FRAME_MAX], copy[FRAME_MAX];
	size_t n = 0;

	for (int i = 0; i < 4; i++)
		n = seal(&gateway, "request", frame[i]);
#define OPEN(i) (memcpy(copy, frame[i], n), ef_session_open(&node, copy, n))
	ck_assert_int_eq(OPEN(0), EF_SESSION_OPENED);
	ck_assert_int_eq(OPEN(0), EF_SESSION_REPEATED);
	ck_assert_int_eq(OPEN(2), EF_SESSION_OPENED);
	ck_assert_int_eq(OPEN(1), EF_SESSION_DROPPED); /* late */
	ck_assert_int_eq(OPEN(0), EF_SESSION_DROPPED);
	ck_assert_int_eq(OPEN(2), EF_SESSION_REPEATED);
	ck_assert_int_eq(OPEN(3), EF_SESSION_OPENED);
	ck_assert_int_eq(OPEN(2), EF_SESSION_DROPPED);
	/* a frame of one's own does not come back as the other's */
	ck_assert_int_eq(ef_session_open(&gateway, frame[3], n), EF_SESSION_DROPPED);
}
END_TEST

START_TEST(a_forged_repeat_is_dropped)
{
	uint8_t frame[FRAME_MAX], copy[FRAME_MAX];
	size_t n = seal(&gateway, "request", frame);

	memcpy(copy, frame, n);
	ck_assert_int_eq(ef_session_open(&node, copy, n), EF_SESSION_OPENED);
	frame[n - 1] ^= 1;
	ck_assert_int_eq(ef_session_open(&node, frame, n), EF_SESSION_DROPPED);
}
END_TEST

START_TEST(another_session_says_nothing) /* reset, or two gateways */
{
	uint8_t frame[FRAME_MAX];
	size_t n = seal(&gateway, "request", frame);

	me.counter++;
	gateway_secret[1] ^= 1;
	node_secret[1] ^= 1;
	meet();
	ck_assert_int_eq(ef_session_open(&node, frame, n), EF_SESSION_DROPPED);
}
END_TEST

START_TEST(rekey_over_a_gap)
{
	uint8_t frame[FRAME_MAX], copy[FRAME_MAX], key[32];
	size_t n;

	gateway.tx.next = 65530;
	node.rx.next = 65520;
	memcpy(key, node.rx.key, 32);
	for (int i = 0; i < 10; i++)
		n = seal(&gateway, "request", frame); /* 65539: those before are lost */
	memcpy(copy, frame, n);
	copy[n - 1] ^= 1;
	ck_assert_int_eq(ef_session_open(&node, copy, n), EF_SESSION_DROPPED);
	ck_assert_mem_eq(node.rx.key, key, 32); /* a stranger's frame does not turn the key */
	memcpy(copy, frame, n);
	ck_assert_int_eq(ef_session_open(&node, copy, n), EF_SESSION_OPENED);
	memcpy(copy, frame, n);
	ck_assert_int_eq(ef_session_open(&node, copy, n), EF_SESSION_REPEATED);
	n = seal(&gateway, "request", frame);
	ck_assert_int_eq(ef_session_open(&node, frame, n), EF_SESSION_OPENED);
	ck_assert_uint_eq(node.rx.next, 65541);
}
END_TEST

START_TEST(a_jump_of_two_keys_is_dropped)
{
	uint8_t frame[FRAME_MAX];
	size_t n;

	gateway.tx.next = 65535;
	seal(&gateway, "request", frame);
	seal(&gateway, "request", frame);
	gateway.tx.next = 131071;
	seal(&gateway, "request", frame);
	n = seal(&gateway, "request", frame);
	ck_assert_int_eq(ef_session_open(&node, frame, n), EF_SESSION_DROPPED);
	ck_assert_uint_eq(node.rx.next, 0);
}
END_TEST

START_TEST(the_end)
{
	uint8_t frame[FRAME_MAX];
	size_t n;

	gateway.tx.next = node.rx.next = EF_SESSION_FRAMES - 1;
	n = seal(&gateway, "request", frame);
	ck_assert_uint_gt(n, 0);
	ck_assert_int_eq(ef_session_open(&node, frame, n), EF_SESSION_OPENED);
	ck_assert_uint_eq(seal(&gateway, "request", frame), 0);
	/* nor is anything taken that says to be behind the end */
	frame[4] = 0x80;
	ck_assert_int_eq(ef_session_open(&node, frame, n), EF_SESSION_DROPPED);
}
END_TEST

START_TEST(primitives)
{
	uint8_t seed[32], input[36], out[32], data[40] = "ferry", tag[16];

	/* how a node makes its ephemeral keys, without and with random bytes */
	take("seed", seed, sizeof(seed));
	take("counter", input, 4);
	take("random", input + 4, 32);
	ck_assert(noise_hkdf(seed, input, 4, out, 32));
	assert_vector("node-secret", out, 32);
	ck_assert(noise_hkdf(seed, input, 36, out, 32));
	assert_vector("node-secret-random", out, 32);

	/* how it authenticates a version report (E-12) */
	uint8_t report[128];
	size_t size = vector(FILE_NAME, "report", report, sizeof(report));
	ck_assert(ef_session_report_tag(psk, report, size, out));
	assert_vector("report-tag", out, EF_SESSION_REPORT_TAG);

	ck_assert(noise_encrypt(psk, 5, "ad", 2, data, 5, tag));
	ck_assert(!noise_decrypt(psk, 6, "ad", 2, memcpy(data + 10, data, 5), 5, tag));
	ck_assert(!noise_decrypt(psk, 5, "aD", 2, memcpy(data + 10, data, 5), 5, tag));
	ck_assert(!noise_decrypt(seed, 5, "ad", 2, memcpy(data + 10, data, 5), 5, tag));
	ck_assert(noise_decrypt(psk, 5, "ad", 2, data, 5, tag));
	ck_assert_mem_eq(data, "ferry", 5);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session");
	TCase *t = tcase_create(SESSION_LIBRARY);

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, documented);
	tcase_add_test(t, hello);
	tcase_add_test(t, handshake);
	tcase_add_test(t, frames);
	tcase_add_test(t, another_key_device_or_counter_is_refused);
	tcase_add_test(t, every_bit_of_the_handshake_counts);
	tcase_add_test(t, every_bit_of_a_frame_counts);
	tcase_add_test(t, replay_reorder_repeat);
	tcase_add_test(t, a_forged_repeat_is_dropped);
	tcase_add_test(t, another_session_says_nothing);
	tcase_add_test(t, rekey_over_a_gap);
	tcase_add_test(t, a_jump_of_two_keys_is_dropped);
	tcase_add_test(t, the_end);
	tcase_add_test(t, primitives);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
