/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One image to several members of a line, which is a model here: every member hears every block, or
 * misses what it is told to miss (F-16, F-20, F-32).
 */
#include "dfu/spread.h"
#include "unit.h"
#include <edgeferry/smp.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#define MEMBERS 64u
#define BLOCKS 60u
#define SIZE (BLOCKS * SPREAD_BLOCK - 100)

struct model {
	struct spread_member m;
	uint8_t have[BLOCKS / 8 + 1];
	uint64_t misses; /* these blocks, the first time that they come */
	bool dead, lies;
	unsigned asked, over;
};

static struct {
	sd_event *event;
	struct shared *line;
	struct spread *spread;
	struct model members[MEMBERS];
	unsigned n, sent[BLOCKS], blocks;
	struct model *asked; /* it answers from the loop */
	uint32_t asked_from;
	sd_event_source *answer;
	uint64_t began_us;
} world;

static uint8_t image[SIZE];

/* The link below */

struct link {
	int unused;
};
static struct link below;

static enum ef_reason line_open(struct link **ret, sd_event *event, const struct link_spec *spec,
	const struct link_callbacks *cb, struct error *e)
{
	*ret = &below;
	return EF_REASON_OK;
}

static int line_send(struct link *l, const uint8_t *data, size_t size)
{
	const uint8_t *d = data + EF_SHARED_HEAD + EF_SMP_HEADER_SIZE;
	uint32_t block = (uint32_t)d[EF_SPREAD_ID] << 8 | d[EF_SPREAD_ID + 1];

	ck_assert_uint_eq(data[1], EF_SHARED_ALL);
	ck_assert_uint_lt(block, BLOCKS);
	ck_assert_mem_eq(d + EF_SPREAD_HEAD, image + block * SPREAD_BLOCK,
		size - EF_SHARED_HEAD - EF_SMP_HEADER_SIZE - EF_SPREAD_HEAD);
	world.sent[block]++;
	world.blocks++;
	for (unsigned i = 0; i < world.n; i++) {
		struct model *x = &world.members[i];

		if (x->misses >> block & 1)
			x->misses &= ~(1ull << block);
		else if (!x->dead)
			x->have[block / 8] |= (uint8_t)(1u << block % 8);
	}
	return 0;
}

static size_t line_queued(const struct link *l)
{
	return 0;
}

static void line_close(struct link *l)
{
}

static const struct link_ops line_ops = {.name = "model",
	.open = line_open,
	.send = line_send,
	.queued = line_queued,
	.close = line_close};

/* Members */

static int on_answer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct model *x = world.asked;
	uint8_t missing[BLOCKS / 8 + 1];
	uint32_t next;

	if (x->dead) {
		spread_leave(&x->m); /* as its owner does when the patience is over */
		return 0;
	}
	spread_took(&x->m, SPREAD_ASK, 5000);
	for (size_t i = 0; i < sizeof missing; i++)
		missing[i] = x->lies ? 0xff : (uint8_t)~x->have[i];
	if (!spread_told(&x->m, world.asked_from, missing, sizeof missing, &next)) {
		world.asked_from = next;
		spread_told(&x->m, next, missing, 0, &next);
	}
	return 0;
}

static void ask(void *ctx, uint32_t from)
{
	struct model *x = ctx;
	uint64_t us = x->dead ? spread_patience(&x->m, SPREAD_ASK, 1000000) : 1000;

	x->asked++;
	world.asked = x;
	world.asked_from = from;
	sd_event_source_set_time_relative(world.answer, us);
	sd_event_source_set_enabled(world.answer, SD_EVENT_ONESHOT);
}

static void progress(void *ctx, uint32_t sent)
{
	ck_assert_uint_le(sent, SIZE);
}

static void over(void *ctx)
{
	((struct model *)ctx)->over++;
}

static const struct spread_calls calls = {ask, progress, over};

static void come(unsigned i)
{
	struct model *x = &world.members[i];

	x->m = (struct spread_member){.calls = &calls, .ctx = x, .image = image, .size = SIZE};
	memset(x->m.hash, 0x5a, sizeof x->m.hash);
	spread_come(world.spread, &x->m);
}

static void setup(void)
{
	const struct link_spec spec = {.device = "model"};
	struct error e = {0};

	memset(&world, 0, sizeof world);
	for (uint32_t i = 0; i < SIZE; i++)
		image[i] = (uint8_t)(i * 31 ^ i >> 7);
	ck_assert_int_ge(sd_event_new(&world.event), 0);
	ck_assert_int_ge(sd_event_add_time(world.event, &world.answer, CLOCK_MONOTONIC, 0, 1000,
				 on_answer, NULL),
		0);
	sd_event_source_set_enabled(world.answer, SD_EVENT_OFF);
	ck_assert_int_eq(shared_new(&world.line, world.event, &line_ops, &spec, 1, &e), 0);
	ck_assert_int_eq(spread_new(&world.spread, world.event, world.line, 12000000, &e), 0);
}

static void teardown(void)
{
	spread_free(world.spread);
	shared_free(world.line);
	sd_event_source_disable_unref(world.answer);
	sd_event_unref(world.event);
}

static unsigned listeners(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < world.n; i++)
		n += world.members[i].m.state != SPREAD_OUT;
	return n;
}

/* All of the first n come and listen; until they are out. */
static void run(unsigned n)
{
	world.n = n;
	for (unsigned i = 0; i < n; i++)
		come(i);
	for (unsigned i = 0; i < n; i++) {
		ck_assert(spread_worth(&world.members[i].m));
		spread_listening(&world.members[i].m);
	}
	sd_event_now(world.event, CLOCK_MONOTONIC, &world.began_us);
	while (listeners())
		ck_assert_int_ge(sd_event_run(world.event, 30000000), 0);
}

static uint64_t took_us(void)
{
	uint64_t now = 0;

	sd_event_now(world.event, CLOCK_MONOTONIC, &now);
	return now - world.began_us;
}

static bool has(unsigned i, uint32_t block)
{
	return world.members[i].have[block / 8] >> block % 8 & 1;
}

/* F-16: what several miss is sent again to all, what one misses is its own business. */
START_TEST(bitmaps)
{
	world.members[0].misses = 1ull << 7 | 1ull << 20;
	world.members[1].misses = 1ull << 7 | 1ull << 59;
	world.members[2].misses = 1ull << 7;
	run(4);
	for (uint32_t b = 0; b < BLOCKS; b++)
		ck_assert_uint_eq(world.sent[b], b == 7 ? 2 : 1);
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_uint_eq(world.members[i].over, 1);
		ck_assert(has(i, 7));
	}
	ck_assert(!has(0, 20) && !has(1, 59));
}
END_TEST

/* What cannot be told from erased flash is not sent, nor counted as missing: no round is for it. */
START_TEST(blank_blocks)
{
	memset(image + SPREAD_FIRST, 0xff, SPREAD_BLOCK - SPREAD_FIRST); /* behind a header */
	memset(image + 10 * SPREAD_BLOCK, 0xff, 2 * SPREAD_BLOCK);
	run(3);
	ck_assert_uint_eq(world.blocks, BLOCKS - 3);
	ck_assert_uint_eq(world.sent[0], 0);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_le(world.members[i].asked, 2);
}
END_TEST

/* F-15: broken off and begun anew, it goes on with what is missing. */
START_TEST(goes_on)
{
	for (unsigned i = 0; i < 4; i++)
		memset(world.members[i].have, 0xff, 5);
	world.members[2].have[3] = 0x7f;
	world.members[3].have[3] = 0x7f; /* block 31 */
	run(4);
	for (uint32_t b = 0; b < BLOCKS; b++)
		ck_assert_uint_eq(world.sent[b], b == 31 || b >= 40);
	for (unsigned i = 0; i < 4; i++)
		ck_assert(has(i, 31) && has(i, 40) && has(i, BLOCKS - 1));
}
END_TEST

/* F-20: one that dies costs three times what the others took to answer, not a second. */
START_TEST(one_dies)
{
	world.members[1].dead = true;
	world.members[0].misses = world.members[2].misses = 1ull << 3;
	run(4);
	ck_assert_uint_eq(world.sent[3], 2);
	ck_assert_uint_eq(world.members[1].over, 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert(i == 1 || (world.members[i].over == 1 && has(i, 3)));
	ck_assert_uint_lt(took_us(), 800000);
}
END_TEST

/* F-32: one that says that it misses everything, alone or with another, ends like all. */
START_TEST(liars)
{
	world.members[0].lies = true;
	run(3);
	ck_assert_uint_eq(world.blocks, BLOCKS);
	ck_assert_uint_eq(world.members[0].over, 1);
	world.blocks = 0;
	world.members[1].lies = true;
	run(3);
	ck_assert_uint_le(world.blocks, 5 * BLOCKS);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_uint_eq(world.members[i].over, 2);
}
END_TEST

static int late(sd_event_source *s, uint64_t usec, void *userdata)
{
	come(3);
	spread_listening(&world.members[3].m);
	return 0;
}

/* One that comes when the others are at it waits for nobody: it is told that there is nothing for
 * it. */
START_TEST(one_is_late)
{
	uint64_t now;

	sd_event_now(world.event, CLOCK_MONOTONIC, &now);
	ck_assert_int_ge(
		sd_event_add_time(world.event, NULL, CLOCK_MONOTONIC, now + 10000, 0, late, NULL),
		0);
	world.n = 4;
	for (unsigned i = 0; i < 3; i++)
		come(i);
	for (unsigned i = 0; i < 3; i++)
		spread_listening(&world.members[i].m);
	sd_event_now(world.event, CLOCK_MONOTONIC, &world.began_us);
	do
		ck_assert_int_ge(sd_event_run(world.event, 30000000), 0);
	while (listeners());
	ck_assert_uint_eq(world.blocks, BLOCKS);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(world.members[i].over, 1);
	ck_assert_uint_lt(took_us(), 2000000);
}
END_TEST

/* F-32: a bitmap a member while it lasts, and nothing is left. */
START_TEST(memory_is_flat)
{
	size_t before, after;

	run(MEMBERS);
	before = mallinfo2().uordblks;
	for (unsigned k = 0; k < 3; k++) {
		memset(world.members, 0, sizeof world.members);
		for (unsigned i = 0; i < MEMBERS; i++)
			world.members[i].misses =
				(uint64_t)i * 0x9e3779b97f4a7c15u >> (64 - BLOCKS);
		run(MEMBERS);
	}
	after = mallinfo2().uordblks;
	ck_assert_uint_le(after, before + 1024);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("spread");
	TCase *c = tcase_create("spread");

	tcase_set_timeout(c, 30);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, bitmaps);
	tcase_add_test(c, blank_blocks);
	tcase_add_test(c, goes_on);
	tcase_add_test(c, one_dies);
	tcase_add_test(c, liars);
	tcase_add_test(c, one_is_late);
	tcase_add_test(c, memory_is_flat);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
