/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One wrong bit of a session's frame on a serial line is turned back, and nothing else (SPEC-dfu
 * section 1; F-16). That what was turned back wrongly is not acted on is the session's to prove.
 */
#include "unit.h"
#include "vectors.h"
#include "wire/cobs.h"
#include "wire/crc.h"
#include <edgeferry/session.h>
#include <edgeferry/smp.h>

#define FILE_NAME "session.txt"
#define FRAME_MAX 4095u /* with the CRC: the last 32767 bits are told apart */

static uint32_t state = 1;

static uint32_t draw(uint32_t below)
{
	state = state * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)state * below >> 32);
}

/* A frame of size bytes with its CRC that begins so. Returns its copy as it should come out. */
static uint8_t *make(uint8_t *frame, size_t size, const void *head, size_t head_size)
{
	static uint8_t want[FRAME_MAX];
	uint16_t crc;

	for (size_t i = 0; i < size; i++)
		frame[i] = (uint8_t)draw(256);
	memcpy(frame, head, head_size);
	crc = crc16_xmodem(0, frame, size - 2);
	frame[size - 2] = (uint8_t)(crc >> 8);
	frame[size - 1] = (uint8_t)crc;
	memcpy(want, frame, size);
	if (want[0] == EF_SESSION_CHECKED)
		want[0] = EF_SESSION_REQUEST;
	return want;
}

static void flip(uint8_t *frame, size_t bit)
{
	frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
}

static const uint8_t checked[] = {EF_SESSION_CHECKED};

/* What the code leans on, from the polynomial alone. */
START_TEST(each_bit_leaves_a_remainder_of_its_own)
{
	static uint8_t seen[0x10000];
	uint32_t r = 1;

	memset(seen, 0, sizeof(seen));
	for (unsigned bit = 0; bit < 32767; bit++) {
		r = r & 0x8000 ? (r << 1 ^ 0x11021) : r << 1;
		ck_assert_uint_lt(r, 0x10000);
		ck_assert_uint_eq(seen[r]++, 0);
		ck_assert_int_eq(__builtin_parity(r), 1); /* that of two is even */
	}
}
END_TEST

START_TEST(every_bit_of_a_checked_request)
{
	static const size_t sizes[] = {10, 31, 64, 255, 256, 535, 1055, FRAME_MAX};
	static uint8_t frame[FRAME_MAX], copy[FRAME_MAX];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		size_t size = sizes[i], step = size > 1100 ? 41 : 1;
		uint8_t *want = make(frame, size, checked, 1);

		memcpy(copy, frame, size);
		ck_assert(frame_sound(copy, size));
		ck_assert_mem_eq(copy, want, size);
		for (size_t bit = 0; bit < 8 * size; bit += step) {
			memcpy(copy, frame, size);
			flip(copy, bit);
			ck_assert_msg(frame_sound(copy, size), "%zu bytes, bit %zu", size, bit);
			ck_assert_mem_eq(copy, want, size);
		}
	}
}
END_TEST

START_TEST(two_wrong_bits_are_not_taken_for_one)
{
	static uint8_t frame[1055];
	static const struct {
		size_t size, step;
	} all[] = {{31, 1}, {535, 97}, {1055, 397}};

	for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
		size_t size = all[i].size;

		make(frame, size, checked, 1);
		for (size_t a = 0; a < 8 * size; a += all[i].step)
			for (size_t b = 0; b < a; b++) {
				uint8_t copy[1055];

				memcpy(copy, frame, size);
				flip(copy, a);
				flip(copy, b);
				ck_assert_msg(!frame_sound(copy, size),
					"bits %zu, %zu of %zu bytes", a, b, size);
			}
	}
}
END_TEST

/* Three may look like one: what comes out differs from what was sent, which the tag says. */
START_TEST(three_wrong_bits_are_no_frame)
{
	static uint8_t frame[535], copy[535];
	unsigned taken = 0;

	for (unsigned i = 0; i < 20000; i++) {
		uint8_t *want = make(frame, sizeof(frame), checked, 1);
		size_t a = draw(8 * 533), b = draw(8 * 533), c = draw(8 * 533);

		if (a == b || b == c || a == c)
			continue;
		memcpy(copy, frame, sizeof(frame));
		flip(copy, a);
		flip(copy, b);
		flip(copy, c);
		if (!frame_sound(copy, sizeof(copy)))
			continue;
		taken++;
		ck_assert_mem_ne(copy, want, sizeof(copy) - 2);
	}
	ck_assert_uint_gt(taken, 0);
}
END_TEST

static void assert_refused(const uint8_t *frame, size_t size, size_t from, size_t to)
{
	uint8_t copy[128];

	for (size_t bit = 8 * from; bit < 8 * to; bit++) {
		memcpy(copy, frame, size);
		flip(copy, bit);
		ck_assert_msg(!frame_sound(copy, size), "%02x, bit %zu", frame[0], bit);
	}
}

/* No tag: hello, what is in the clear, what is for all nodes, what no session knows. */
START_TEST(what_no_tag_decides_about_stays_wrong)
{
	static const uint8_t heads[][6] = {{EF_SMP_WRITE | 8}, {EF_SMP_READ}, {EF_SESSION_HELLO},
		{EF_SESSION_HELLO_ANSWER}, {EF_SESSION_HANDSHAKE}, {0xff},
		{EF_SHARED_TO_NODE, 5, 0x12, 0x34, EF_SMP_WRITE | 8},
		{EF_SHARED_TO_NODE, EF_SHARED_ALL, 0x12, 0x34, EF_SMP_WRITE | 8, 0},
		{EF_SHARED_TO_NODE, 5, 0x12, 0x34, EF_SESSION_HANDSHAKE},
		{EF_SHARED_TO_NODE, 5, 0x12, 0x34, EF_SESSION_CHECKED}};
	uint8_t frame[80];

	for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++) {
		make(frame, sizeof(frame), heads[i], sizeof(heads[i]));
		ck_assert(frame_sound(frame, sizeof(frame)));
		assert_refused(frame, sizeof(frame), 0, sizeof(frame));
	}
}
END_TEST

/* On a shared line: what the tag covers, and neither the head in front of it nor the CRC. */
START_TEST(behind_the_head_of_a_shared_line)
{
	static const uint8_t heads[][5] = {{EF_SHARED_TO_NODE, 5, 0x12, 0x34, EF_SESSION_REQUEST},
		{EF_SHARED_FROM_NODE, 5, 0x12, 0x34, EF_SESSION_RESPONSE}};
	uint8_t frame[100], copy[100];

	for (size_t i = 0; i < 2; i++) {
		uint8_t *want = make(frame, sizeof(frame), heads[i], sizeof(heads[i]));

		assert_refused(frame, sizeof(frame), 0, EF_SHARED_HEAD);
		assert_refused(frame, sizeof(frame), sizeof(frame) - 2, sizeof(frame));
		for (size_t bit = 8 * EF_SHARED_HEAD; bit < 8 * (sizeof(frame) - 2); bit++) {
			memcpy(copy, frame, sizeof(frame));
			flip(copy, bit);
			ck_assert_msg(frame_sound(copy, sizeof(copy)), "bit %zu", bit);
			ck_assert_mem_eq(copy, want, sizeof(copy));
		}
	}
}
END_TEST

static size_t feed(struct frame_receiver *r, const uint8_t *bytes, size_t size)
{
	size_t got = 0;

	for (size_t i = 0; i < size; i++) {
		size_t n = frame_receive(r, bytes[i]);

		got = n ? n : got;
	}
	return got;
}

/* A byte of the line that holds no data, or that becomes 00: the frame falls apart. */
static bool falls_apart(const uint8_t *line, size_t at, unsigned bit)
{
	size_t code = 0;

	while (code < at && line[code])
		code += line[code];
	return code == at || line[at] == 1u << bit;
}

/* Of the bytes on the line, and with the frame behind it. */
START_TEST(every_bit_on_the_line)
{
	static uint8_t frame[602], line[EF_SMP_FRAME_MAX(602)], bad[sizeof(line)], buf[700];
	struct frame_receiver r;
	unsigned lost = 0;

	for (size_t size = 31; size <= 600; size += 569) {
		uint8_t *want = make(frame, size + 2, checked, 1);
		size_t n = frame_encode(frame, size, line);

		frame_receiver_init(&r, buf, sizeof(buf));
		for (size_t bit = 0; bit < 8 * n; bit++) {
			size_t got;

			memcpy(bad, line, n);
			flip(bad, bit);
			got = feed(&r, bad, n);
			if (falls_apart(line, bit / 8, bit % 8)) {
				ck_assert(got != size || memcmp(buf, want, size) != 0);
				feed(&r, (const uint8_t[]){0}, 1);
				lost++;
			} else {
				ck_assert_msg(got == size, "byte %zu of %zu", bit / 8, n);
				ck_assert_mem_eq(buf, want, size);
			}
			ck_assert_uint_eq(feed(&r, line, n), size);
		}
	}
	ck_assert_uint_gt(lost, 16);
	ck_assert_uint_lt(lost, 8 * 600 / 20);
}
END_TEST

START_TEST(vectors)
{
	uint8_t line[128], buf[128], want[128], again[128];
	struct frame_receiver r;
	size_t n, size = vector(FILE_NAME, "request-0", want, sizeof(want));

	frame_receiver_init(&r, buf, sizeof(buf));
	n = vector(FILE_NAME, "checked-0-flipped", line, sizeof(line));
	ck_assert_uint_eq(feed(&r, line, n), size);
	ck_assert_mem_eq(buf, want, size);
	n = vector(FILE_NAME, "checked-0", line, sizeof(line));
	ck_assert_uint_eq(feed(&r, line, n), size);
	ck_assert_mem_eq(buf, want, size);
	want[0] = EF_SESSION_CHECKED; /* as a gateway sends it */
	ck_assert_uint_eq(frame_encode(want, size, again), n);
	ck_assert_mem_eq(again, line, n);
	want[0] = EF_SESSION_REQUEST;
	n = vector(FILE_NAME, "shared-0-flipped", line, sizeof(line));
	ck_assert_uint_eq(feed(&r, line, n), EF_SHARED_HEAD + size);
	ck_assert_mem_eq(buf, "\xf0\x05\x12\x34", EF_SHARED_HEAD);
	ck_assert_mem_eq(buf + EF_SHARED_HEAD, want, size);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("repair");
	TCase *t = tcase_create("repair");

	tcase_set_timeout(t, 120);
	tcase_add_test(t, each_bit_leaves_a_remainder_of_its_own);
	tcase_add_test(t, every_bit_of_a_checked_request);
	tcase_add_test(t, two_wrong_bits_are_not_taken_for_one);
	tcase_add_test(t, three_wrong_bits_are_no_frame);
	tcase_add_test(t, what_no_tag_decides_about_stays_wrong);
	tcase_add_test(t, behind_the_head_of_a_shared_line);
	tcase_add_test(t, every_bit_on_the_line);
	tcase_add_test(t, vectors);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
