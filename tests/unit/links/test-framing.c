/* SPDX-License-Identifier: Apache-2.0 */
/* Messages in and out of each framing, among all that a stock node's line also carries. */
#include "links/framing.h"
#include "unit.h"
#include <string.h>

static uint8_t buf[2048], wire[4096], message[1024];
static struct framer framer;

static void make_answer(size_t size)
{
	for (size_t i = 0; i < size; i++)
		message[i] = (uint8_t)(i * 37 + 11);
	memcpy(message,
		(uint8_t[]){
			0x0b, 0, (uint8_t)((size - 8) >> 8), (uint8_t)(size - 8), 0, 1, 7, 1, 0xbf},
		9);
}

static unsigned feed(const uint8_t *data, size_t size, uint64_t now, size_t expect)
{
	unsigned n = 0;

	for (size_t i = 0; i < size; i++) {
		size_t got = framer_receive(&framer, now, data[i]);

		if (!got)
			continue;
		ck_assert_uint_eq(got, expect);
		ck_assert_mem_eq(buf, message, got);
		n++;
	}
	return n;
}

START_TEST(there_and_back)
{
	static const size_t sizes[] = {9, 10, 99, 100, 255, 256, 1000};
	static const char log[] = "*** Booting MCUboot ***\r\nuart:~$ ";

	for (int kind = FRAMING_COBS; kind <= FRAMING_RAW; kind++)
		for (size_t i = 0; i < 7; i++) {
			size_t n;

			make_answer(sizes[i]);
			framer_init(&framer, (enum framing)kind, buf, sizeof buf);
			n = framing_encode((enum framing)kind, message, sizes[i], wire);
			ck_assert_uint_le(n, framing_max((enum framing)kind, sizes[i]));
			ck_assert_uint_eq(feed(wire, n, 1, sizes[i]), 1);
			ck_assert_uint_eq(feed((const uint8_t *)log, sizeof log - 1, 1, 0), 0);
			if (kind == FRAMING_COBS)
				feed((const uint8_t[]){0}, 1, 1, 0);
			ck_assert_uint_eq(feed(wire, n, 2000001, sizes[i]), 1);
			ck_assert_uint_eq(feed(wire, n, 2000001, sizes[i]), 1);
		}
}
END_TEST

/* A raw message has no end that is seen: silence is one. */
START_TEST(torn_raw)
{
	make_answer(50);
	framer_init(&framer, FRAMING_RAW, buf, sizeof buf);
	ck_assert_uint_eq(feed(message, 30, 1, 50), 0);
	ck_assert_uint_eq(feed(message, 50, 1 + FRAMING_RAW_IDLE_US, 50), 1);
}
END_TEST

/* F-32: a header that announces more than there is room for, and any noise, is passed over. */
START_TEST(noise)
{
	uint32_t rng = 1;

	for (int kind = FRAMING_COBS; kind <= FRAMING_RAW; kind++) {
		uint8_t small[64];

		framer_init(&framer, (enum framing)kind, small, sizeof small);
		for (uint32_t i = 0; i < 100000; i++) {
			rng = rng * 1664525u + 1013904223u;
			if (framer_receive(&framer, i, (uint8_t)(rng >> 24)) > sizeof small)
				ck_abort();
		}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("framing");
	TCase *c = tcase_create("framing");

	tcase_add_test(c, there_and_back);
	tcase_add_test(c, torn_raw);
	tcase_add_test(c, noise);
	suite_add_tcase(s, c);
	return s;
}
UNIT_MAIN(suite())
