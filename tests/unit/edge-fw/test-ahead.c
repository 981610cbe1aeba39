/* SPDX-License-Identifier: Apache-2.0 */
/* Data that comes before its turn: what is kept, what is not, and that the image is whole (F-16).
 */
#include "agent/ahead.h"
#include "node.h"
#include <stdio.h>
#include <string.h>

#define CHUNK 208u /* no multiple of a block */
#define CHUNKS_MAX 256u

static uint32_t rng;

static uint32_t chance(uint32_t below)
{
	rng = rng * 1664525u + 1013904223u;
	return (rng >> 8) % below;
}

static void setup(void)
{
	node_make(true);
	node_start();
}

static void start_upload(void)
{
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	assert_good(gateway_chunk(&node.agent, &node.fresh, 0, CHUNK));
}

static uint32_t size_at(uint32_t at)
{
	return node.fresh.size - at < CHUNK ? node.fresh.size - at : CHUNK;
}

static bool send_chunk(uint32_t at, uint32_t size, uint32_t *off)
{
	struct reply r = gateway_chunk(&node.agent, &node.fresh, at, size);

	ck_assert(reply_good(&r));
	*off = r.off;
	return reply_uint(&r, "kept") == 1;
}

/* A sender that sees nothing but the answers, and loses some of both. */
static void finish(unsigned lose)
{
	bool there[CHUNKS_MAX] = {0};
	uint32_t off = 0, tries = 0;

	ck_assert_uint_lt(node.fresh.size / CHUNK, CHUNKS_MAX);
	while (off < node.fresh.size) {
		uint32_t first = off / CHUNK, at = (first + chance(6)) * CHUNK;
		uint32_t answer;
		bool kept;

		ck_assert_uint_lt(tries++, 20000);
		if (at >= node.fresh.size || there[at / CHUNK] || chance(100) < lose)
			continue;
		kept = send_chunk(at, size_at(at), &answer);
		if (chance(100) < lose)
			continue;
		if (kept)
			there[at / CHUNK] = true;
		ck_assert_uint_ge(answer, off);
		off = answer;
	}
	ck_assert(node_slot_is(1, &node.fresh));
}

START_TEST(any_order)
{
	for (uint32_t seed = 1; seed <= 60; seed++) {
		rng = seed;
		setup();
		start_upload();
		finish(seed % 40);
		node_free();
	}
}
END_TEST

START_TEST(what_is_kept)
{
	uint32_t off;

	setup();
	start_upload();
	ck_assert(!send_chunk(CHUNK + 200, 16, &off)); /* begins within a word of 16 */
	ck_assert(!send_chunk(CHUNK + 16, 15, &off));  /* ends within one */
	ck_assert(!send_chunk((CHUNK + ahead_span()) / 16 * 16, 16, &off)); /* too far */
	ck_assert_uint_eq(off, CHUNK);
	ck_assert(send_chunk(2 * CHUNK, CHUNK, &off));
	ck_assert(send_chunk(2 * CHUNK, CHUNK, &off)); /* once more */
	ck_assert(send_chunk(2 * CHUNK + 32, 64, &off));
	ck_assert(send_chunk(3 * CHUNK, CHUNK, &off));	  /* lengthens it */
	ck_assert(!send_chunk(4 * CHUNK - 16, 32, &off)); /* half of it */
	ck_assert_uint_eq(off, CHUNK);
	for (uint32_t i = 1; i < AHEAD_PIECES; i++)
		ck_assert(send_chunk((3 + 2 * i) * CHUNK, 16, &off));
	ck_assert(!send_chunk(20 * CHUNK, 16, &off)); /* no room for another piece */
	ck_assert(!send_chunk(CHUNK, CHUNK, &off));   /* the missing one: that is in order */
	ck_assert_uint_eq(off, 4 * CHUNK);
	/* more than is missing: what is there stays as it is */
	ck_assert(!send_chunk(4 * CHUNK, 2 * CHUNK, &off));
	ck_assert_uint_eq(off, 5 * CHUNK + 16);
	node_free();
}
END_TEST

/* An upload that nobody vouched for erases as it goes: there everything comes in its turn. */
START_TEST(stock_client_keeps_order)
{
	uint32_t off;

	setup();
	node_allow_plain();
	assert_good(gateway_chunk(&node.agent, &node.fresh, 0, CHUNK));
	ck_assert(!send_chunk(2 * CHUNK, CHUNK, &off));
	ck_assert_uint_eq(off, CHUNK);
	node_free();
}
END_TEST

/* E-10, F-15: a reset with a hole in what is there; it goes on in front of the hole. */
START_TEST(reset_with_a_hole)
{
	for (uint32_t hole = 1; hole < 40; hole++)
		for (uint32_t behind = 0; behind < 4; behind++) {
			uint32_t off = CHUNK, before, answer;

			rng = hole;
			setup();
			start_upload();
			while (off < hole * CHUNK && off + CHUNK < node.fresh.size)
				send_chunk(off, CHUNK, &off);
			before = off;
			for (uint32_t i = 1; i <= behind; i++)
				if (before + i * CHUNK < node.fresh.size)
					send_chunk(before + i * CHUNK, size_at(before + i * CHUNK),
						&answer);
			agent_init(&node.agent, node.agent.program);
			assert_good(gateway_preflight(&node.agent, &node.fresh));
			send_chunk(0, CHUNK, &off);
			ck_assert_uint_le(off, before > CHUNK ? before : CHUNK);
			ck_assert_uint_ge(off + port_board()->page + 64, before);
			if (off % CHUNK && off < node.fresh.size) { /* to the sender's own steps */
				uint32_t rest = CHUNK - off % CHUNK;

				if (rest > node.fresh.size - off)
					rest = node.fresh.size - off;
				send_chunk(off, rest, &off);
			}
			finish(10);
			node_free();
		}
}
END_TEST

/* In threes with the last one first. */
static void send_backwards(void *ctx)
{
	struct node_attempt *s = ctx;
	struct reply r = gateway_preflight(&node.agent, &node.fresh);

	*s = (struct node_attempt){0};
	if (reply_good(&r))
		r = gateway_chunk(&node.agent, &node.fresh, 0, CHUNK);
	for (uint32_t tries = 0; reply_good(&r) && r.off < node.fresh.size; tries++) {
		uint32_t first = r.off;

		ck_assert_uint_lt(tries, CHUNKS_MAX);
		for (uint32_t i = 3; i-- && reply_good(&r);) {
			uint32_t at = first + i * CHUNK;

			if (at < node.fresh.size)
				r = gateway_chunk(&node.agent, &node.fresh, at, size_at(at));
		}
	}
	s->refused = r.reason;
	s->whole = reply_good(&r);
}

/*
 * F-18, I-2: power goes at every operation of such an upload, in every way. What ran runs on. The
 * next upload goes on from what is there; should that be torn where it looked whole, the check of
 * the image says so, and the one after it begins anew.
 */
START_TEST(power_cuts)
{
	unsigned anew;

	setup();
	unsigned cuts = node_cut_everywhere(send_backwards, &anew);
	ck_assert_uint_ge(cuts, 60);
	printf("# %u cuts, %u uploads began anew\n", cuts, anew);
	ck_assert_uint_le(anew, cuts / 4);
	node_free();
}
END_TEST

START_TEST(data_command)
{
	uint8_t body[3 + CHUNK] = {0, 0, CHUNK};
	struct reply r;

	setup();
	memcpy(body + 3, node.fresh.data + CHUNK, CHUNK);
	start_upload();
	r = gateway_ask(
		&node.agent, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_DATA, body, sizeof(body));
	ck_assert(reply_good(&r));
	ck_assert_uint_eq(r.off, 2 * CHUNK);
	assert_rc(gateway_ask(&node.agent, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_DATA, body, 2),
		INVALID);
	body[2] = 0; /* the beginning has more to say than that */
	assert_rc(gateway_ask(&node.agent, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_DATA, body,
			  sizeof(body)),
		INVALID);
	/* without an upload it is nothing */
	agent_init(&node.agent, node.agent.program);
	body[2] = CHUNK;
	r = gateway_ask(
		&node.agent, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_DATA, body, sizeof(body));
	ck_assert(reply_good(&r));
	ck_assert_uint_eq(r.off, 0);
	node_free();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ahead");
	TCase *c = tcase_create("ahead");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, any_order);
	tcase_add_test(c, what_is_kept);
	tcase_add_test(c, stock_client_keeps_order);
	tcase_add_test(c, reset_with_a_hole);
	tcase_add_test(c, power_cuts);
	tcase_add_test(c, data_command);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
