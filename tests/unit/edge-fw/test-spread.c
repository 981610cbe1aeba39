/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks that come to all nodes of a line: what is taken, what is not, and that the image is whole
 * (F-16, E-02, E-09). */
#include "agent/spread.h"
#include "node.h"
#include "secure.h"
#include <stdio.h>
#include <string.h>

#define BLOCK 240u
#define FIRST 64u
#define MAP_MAX 200u

static void setup_clear(void)
{
	node_make(true);
	node_start();
}

static uint32_t blocks(void)
{
	return (node.fresh.size + BLOCK - 1) / BLOCK;
}

/* A block as a gateway makes it, of any image. */
static size_t put_block(uint8_t *message, const struct test_image *i, uint32_t number)
{
	uint32_t at = number * BLOCK, n = i->size - at < BLOCK ? i->size - at : BLOCK;
	struct ef_smp_header h = {.op = EF_SMP_WRITE,
		.version = 1,
		.length = (uint16_t)(EF_SPREAD_HEAD + n),
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_BLOCK};
	uint8_t *d = message + EF_SMP_HEADER_SIZE;

	ef_smp_header_encode(&h, message);
	memcpy(d, i->digest, EF_SPREAD_ID);
	d[EF_SPREAD_ID] = (uint8_t)(number >> 8);
	d[EF_SPREAD_ID + 1] = (uint8_t)number;
	memcpy(d + EF_SPREAD_HEAD, i->data + at, n);
	return EF_SMP_HEADER_SIZE + EF_SPREAD_HEAD + n;
}

static void spread_block(uint32_t number)
{
	uint8_t message[PORT_MESSAGE_MAX];

	spread_receive(&node.agent, message, put_block(message, &node.fresh, number));
}

static struct reply ask_number(uint8_t op, const char *key, uint32_t number)
{
	uint8_t body[32];
	struct cbor_writer w;

	cbor_write_init(&w, body, sizeof(body));
	cbor_open_map(&w);
	cbor_put_text(&w, key);
	cbor_put_uint(&w, number);
	cbor_close(&w);
	return gateway_ask(&node.agent, op, EF_GROUP_EDGEFERRY, EF_EF_SPREAD, body, w.used);
}

static struct reply join(uint32_t block)
{
	return ask_number(EF_SMP_WRITE, "block", block);
}

/* How many blocks are missing from a number on, as the node's bitmap says. */
static unsigned missing_from(uint32_t from)
{
	struct reply reply = ask_number(EF_SMP_READ, "from", from);
	struct cbor_reader r;
	const uint8_t *map;
	const char *key;
	size_t size;
	uint64_t n;
	unsigned count = 0;

	ck_assert(reply_good(&reply));
	cbor_read_init(&r, reply.body, reply.size);
	ck_assert(cbor_enter(&r) && cbor_get_text(&r, &key, &size) && cbor_get_uint(&r, &n));
	ck_assert_uint_eq(n, from);
	ck_assert(cbor_get_text(&r, &key, &size) && cbor_get_bytes(&r, &map, &size));
	ck_assert_uint_eq(size, (blocks() - from + 7) / 8);
	for (size_t i = 0; i < size * 8; i++)
		count += map[i / 8] >> i % 8 & 1;
	return count;
}

static void begin(void)
{
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	assert_good(gateway_chunk(&node.agent, &node.fresh, 0, FIRST));
	assert_good(join(BLOCK));
}

/* What the gateway does at the end: it asks where to go on, and sends what is wanted there. */
static struct reply finish(void)
{
	struct reply r = gateway_chunk(&node.agent, &node.fresh, 0, FIRST);

	while (reply_good(&r) && !r.has_match) {
		uint32_t n = node.fresh.size - r.off, off = r.off;

		r = gateway_chunk(&node.agent, &node.fresh, off, n < 300 ? n : 300);
		ck_assert_uint_gt(r.off, off);
	}
	return r;
}

static bool whole(void)
{
	struct reply r = finish();

	return reply_good(&r) && r.match && node_slot_is(1, &node.fresh);
}

START_TEST(any_order_and_twice)
{
	begin();
	ck_assert_uint_eq(missing_from(0), blocks());
	for (uint32_t i = blocks(); i-- > 0;) {
		spread_block(i);
		spread_block(i);
		ck_assert_uint_eq(missing_from(0), i);
	}
	ck_assert(whole());
	ck_assert_uint_eq(node.agent.upload.wanted, node.fresh.size);
}
END_TEST

/* Each hole, and each pair of holes, is filled by the node's own upload. */
START_TEST(holes)
{
	for (uint32_t i = 0; i < blocks(); i++) {
		uint32_t j = (i * 7 + 3) % blocks();
		begin();
		for (uint32_t k = 0; k < blocks(); k++)
			if (k != i && k != j)
				spread_block(k);
		ck_assert_uint_eq(missing_from(0), i == j ? 1 : 2);
		ck_assert_uint_eq(
			missing_from(blocks() - 1), i == blocks() - 1 || j == blocks() - 1 ? 1 : 0);
		ck_assert(whole());
		assert_good(gateway_read(&node.agent, EF_GROUP_IMAGE, EF_IMAGE_STATE));
		node_free();
		setup_clear();
	}
}
END_TEST

/* E-02, I-1: who spoils a block on the line spoils the broadcast; the image is not bootable, and
 * comes anew. */
START_TEST(spoilt_by_an_attacker)
{
	uint8_t message[PORT_MESSAGE_MAX];
	size_t n;

	begin();
	n = put_block(message, &node.fresh, 3);
	message[n - 1] ^= 1;
	spread_receive(&node.agent, message, n); /* the first one counts */
	for (uint32_t i = 0; i < blocks(); i++)
		spread_block(i);
	struct reply r = finish();
	ck_assert(r.answered && !r.match);
	ck_assert(r.reason == EF_REASON_IMAGE_DIGEST || r.reason == EF_REASON_BAD_IMAGE);
	assert_refused(gateway_state(&node.agent, node.fresh.digest, false, 30), NOT_FOUND);
	ck_assert_uint_le(node.agent.upload.erases, 24);
	/* and its own upload does not mind */
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	r = gateway_upload(&node.agent, &node.fresh, 300);
	ck_assert(reply_good(&r) && r.match && node_slot_is(1, &node.fresh));
}
END_TEST

/* E-09: what is not exactly a block that is missing changes nothing. */
START_TEST(dropped_E09)
{
	static uint8_t before[SIM_SIZE_MAX];
	uint8_t message[PORT_MESSAGE_MAX], good[PORT_MESSAGE_MAX];
	size_t n = put_block(good, &node.fresh, 2);

	spread_block(2); /* nothing is under way */
	begin();
	memcpy(before, sim.flash, sim.size);
	for (size_t i = 0; i < EF_SMP_HEADER_SIZE + EF_SPREAD_ID; i++) {
		if (i == 6 || i == 0) /* the sequence number; the version of SMP */
			continue;
		memcpy(message, good, n);
		message[i] ^= 0x40;
		spread_receive(&node.agent, message, n);
	}
	for (size_t size = 0; size < n; size++)
		spread_receive(&node.agent, good, size);
	memcpy(message, good, n);
	message[EF_SMP_HEADER_SIZE + EF_SPREAD_ID] = 0xff; /* far behind the end */
	spread_receive(&node.agent, message, n);
	n = put_block(message, &node.old, 0);
	spread_receive(&node.agent, message, n); /* another image */
	ck_assert_mem_eq(before, sim.flash, sim.size);
	assert_good(join(0)); /* it listens no more */
	spread_block(2);
	ck_assert_mem_eq(before, sim.flash, sim.size);
	assert_good(join(BLOCK));
	sim.millis += 1000000; /* nobody sent anything for long */
	spread_block(2);
	ck_assert_mem_eq(before, sim.flash, sim.size);
	ck_assert(whole());
}
END_TEST

START_TEST(refusals)
{
	assert_rc(join(BLOCK), BAD_STATE);
	assert_rc(ask_number(EF_SMP_READ, "from", 0), BAD_STATE);
	begin();
	assert_rc(join(BLOCK + 8), INVALID);
	assert_rc(join(PORT_MESSAGE_MAX), INVALID);
	assert_rc(join(BLOCK - 16), BAD_STATE); /* another size, now that there are holes */
	assert_rc(ask_number(EF_SMP_READ, "from", blocks()), INVALID);
	assert_rc(ask_number(EF_SMP_READ, "from", UINT32_MAX), INVALID);
	spread_block(1);
	ck_assert(whole());
	assert_rc(join(BLOCK), BAD_STATE);
}
END_TEST

/* A reset in the midst of it: on from the first hole, and never a wrong byte (F-02). */
START_TEST(reset_with_holes)
{
	for (uint32_t hole = 0; hole < blocks(); hole++) {
		begin();
		for (uint32_t k = 0; k < blocks() - 1; k++)
			if (k != hole)
				spread_block(k);
		node_start();
		assert_good(gateway_preflight(&node.agent, &node.fresh));
		struct reply r = gateway_chunk(&node.agent, &node.fresh, 0, FIRST);
		ck_assert(reply_good(&r));
		ck_assert_uint_le(r.off, hole * BLOCK > FIRST ? hole * BLOCK : FIRST);
		ck_assert(whole());
		node_free();
		setup_clear();
	}
}
END_TEST

/* A broadcast, and the node's own upload behind it. */
static void hear_all(void *ctx)
{
	struct node_attempt *h = ctx;
	struct reply r = gateway_preflight(&node.agent, &node.fresh);

	*h = (struct node_attempt){0};
	if (reply_good(&r))
		r = gateway_chunk(&node.agent, &node.fresh, 0, FIRST);
	if (reply_good(&r)) {
		join(BLOCK); /* what goes on in the midst of 16 bytes does not listen again */
		for (uint32_t i = blocks(); i-- > 0;)
			if (i % 7 != 3)
				spread_block(i);
		r = finish();
	}
	h->refused = r.reason;
	h->whole = reply_good(&r) && r.match;
}

/*
 * F-18, I-2: power goes at every operation of a broadcast and of the upload that fills its holes,
 * in every way. What ran runs on, and the next one brings the image; where a block only looked
 * whole the check of the image says so, and the one after it begins anew.
 */
START_TEST(power_cuts_F18)
{
	unsigned anew;

	unsigned cuts = node_cut_everywhere(hear_all, &anew);
	ck_assert_uint_ge(cuts, 60);
	printf("# %u cuts, %u uploads began anew\n", cuts, anew);
}
END_TEST

/* S-31: a node that answers to sessions only listens for the session that asked it to, no longer.
 */
START_TEST(session_only)
{
	put_key(true);
	node_start();
	ck_assert(meet());
	/* as if the upload had been begun in it */
	node.agent.session.inside = true;
	begin();
	node.agent.session.inside = false;
	assert_rc(join(BLOCK), ACCESS_DENIED);
	spread_block(1);
	node.agent.session.inside = true;
	ck_assert_uint_eq(missing_from(0), blocks() - 1);
	node.agent.session.inside = false;
	sim.millis += 10;
	ck_assert(meet()); /* another session */
	spread_block(2);
	node.agent.session.inside = true;
	ck_assert_uint_eq(missing_from(0), blocks() - 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("spread");
	TCase *t = tcase_create("spread"), *in = tcase_create("session");

	tcase_add_checked_fixture(t, setup_clear, node_free);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, any_order_and_twice);
	tcase_add_test(t, holes);
	tcase_add_test(t, spoilt_by_an_attacker);
	tcase_add_test(t, dropped_E09);
	tcase_add_test(t, refusals);
	tcase_add_test(t, reset_with_holes);
	tcase_add_test(t, power_cuts_F18);
	suite_add_tcase(s, t);
	tcase_add_checked_fixture(in, setup, node_free);
	tcase_add_test(in, session_only);
	suite_add_tcase(s, in);
	return s;
}
UNIT_MAIN(suite())
