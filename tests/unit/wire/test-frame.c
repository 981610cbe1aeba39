/* SPDX-License-Identifier: Apache-2.0 */
/* CRC, COBS frames and the SMP header (E-09, F-16). */
#include "unit.h"
#include "wire/cobs.h"
#include "wire/crc.h"
#include <edgeferry/session.h>
#include <edgeferry/smp.h>
#include <string.h>

#define DATA_MAX 2100

/* COBS as the paper has it, written apart from the code under test. */
static size_t reference_cobs(const uint8_t *data, size_t size, uint8_t *out)
{
	size_t used = 0, start = 0;

	for (;;) {
		size_t end = start;

		while (end < size && data[end] && end - start < 254)
			end++;
		out[used++] = (uint8_t)(end - start + 1);
		memcpy(out + used, data + start, end - start);
		used += end - start;
		if (end == size)
			return used;
		start = end - start == 254 ? end : end + 1;
	}
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Mixed data: random, with zeros, without, by seed. */
static void fill(uint8_t *data, size_t size, uint32_t seed)
{
	uint32_t state = seed * 2654435761u + 1;

	for (size_t i = 0; i < size; i++) {
		uint8_t b = (uint8_t)next_random(&state);

		if (seed % 3 == 0)
			b = b ? b : 1;
		else if (seed % 3 == 1)
			b = next_random(&state) % 4 ? b : 0;
		data[i] = b;
	}
	if (size)
		data[0] &= 0x1f; /* an SMP message: it has a CRC */
}

static size_t feed(struct frame_receiver *r, const uint8_t *bytes, size_t size, unsigned *frames)
{
	size_t last = 0;

	*frames = 0;
	for (size_t i = 0; i < size; i++) {
		size_t n = frame_receive(r, bytes[i]);

		if (n) {
			last = n;
			++*frames;
		}
	}
	return last;
}

START_TEST(crc_check_values)
{
	const char *nine = "123456789";

	ck_assert_uint_eq(crc16_xmodem(0, nine, 9), 0x31c3);
	ck_assert_uint_eq(crc32_ieee(0, nine, 9), 0xcbf43926);
	/* In two pieces the same. */
	ck_assert_uint_eq(crc16_xmodem(crc16_xmodem(0, nine, 4), nine + 4, 5), 0x31c3);
	ck_assert_uint_eq(crc32_ieee(crc32_ieee(0, nine, 4), nine + 4, 5), 0xcbf43926);
	ck_assert_uint_eq(crc16_xmodem(0, "A", 1), 0x58e5);
}
END_TEST

START_TEST(crc16_equals_bitwise)
{
	for (unsigned start = 0; start < 65536; start += 251)
		for (unsigned b = 0; b < 256; b++) {
			uint8_t byte = (uint8_t)b;
			unsigned c = start ^ b << 8;

			for (int i = 0; i < 8; i++)
				c = c & 0x8000 ? c << 1 ^ 0x1021 : c << 1;
			ck_assert_uint_eq(crc16_xmodem((uint16_t)start, &byte, 1), c & 0xffff);
		}
}
END_TEST

/* The paper's and the encyclopedia's examples hold for the reference; the code equals it. */
START_TEST(cobs_reference_vectors)
{
	static const struct {
		uint8_t in[8], out[9];
		size_t n_in, n_out;
	} v[] = {
		{{0}, {1, 1}, 1, 2},
		{{0, 0}, {1, 1, 1}, 2, 3},
		{{0, 0x11, 0}, {1, 2, 0x11, 1}, 3, 4},
		{{0x11, 0x22, 0, 0x33}, {3, 0x11, 0x22, 2, 0x33}, 4, 5},
		{{0x11, 0x22, 0x33, 0x44}, {5, 0x11, 0x22, 0x33, 0x44}, 4, 5},
		{{0x11, 0, 0, 0}, {2, 0x11, 1, 1, 1}, 4, 5},
	};
	uint8_t in[300], out[310];

	for (size_t i = 0; i < sizeof v / sizeof *v; i++) {
		ck_assert_uint_eq(reference_cobs(v[i].in, v[i].n_in, out), v[i].n_out);
		ck_assert_mem_eq(out, v[i].out, v[i].n_out);
	}
	for (int i = 0; i < 255; i++)
		in[i] = (uint8_t)(i + 1);
	ck_assert_uint_eq(reference_cobs(in, 254, out), 255);
	ck_assert_uint_eq(out[0], 0xff);
	ck_assert_uint_eq(reference_cobs(in, 255, out), 257);
	ck_assert_uint_eq(out[255], 2);
}
END_TEST

static void check_round_trip(const uint8_t *data, size_t size)
{
	static uint8_t plain[DATA_MAX + 2], want[DATA_MAX + 16], got[EF_SMP_FRAME_MAX(DATA_MAX)],
		buf[DATA_MAX + 2];
	struct frame_receiver r;
	uint16_t crc = crc16_xmodem(0, data, size);
	unsigned frames;
	size_t n, want_size;

	memcpy(plain, data, size);
	plain[size] = (uint8_t)(crc >> 8);
	plain[size + 1] = (uint8_t)crc;
	want_size = reference_cobs(plain, size + 2, want);
	/* The reference ends a full run with an empty one; both forms say the same. */
	if (want_size >= 256 && want[want_size - 1] == 1 && want[want_size - 256] == 0xff)
		want_size -= plain[size + 1] != 0;
	memset(got, 0xaa, sizeof got);
	n = frame_encode(data, size, got);
	ck_assert_uint_le(n, EF_SMP_FRAME_MAX(size));
	ck_assert_uint_eq(n, want_size + 1);
	ck_assert_mem_eq(got, want, want_size);
	ck_assert_uint_eq(got[n - 1], 0);
	ck_assert_ptr_null(memchr(got, 0, n - 1));

	/* A buffer of exactly data and CRC is enough. */
	frame_receiver_init(&r, buf, size + 2);
	n = feed(&r, got, n, &frames);
	ck_assert_uint_eq(frames, 1);
	ck_assert_uint_eq(n, size);
	ck_assert_mem_eq(buf, data, size);
	ck_assert_uint_eq(r.dropped, 0);
}

START_TEST(round_trip_every_length)
{
	static uint8_t data[DATA_MAX];

	for (size_t size = 8; size <= 1100; size++)
		for (uint32_t seed = 0; seed < 6; seed++) {
			fill(data, size, (uint32_t)size * 6 + seed);
			check_round_trip(data, size);
		}
	memset(data, 0, sizeof data);
	check_round_trip(data, sizeof data);
	memset(data, 0xff, sizeof data);
	check_round_trip(data, sizeof data);
}
END_TEST

/* E-09: all one-bit flips of a frame are dropped, and the next frame is taken. */
START_TEST(every_bit_flip_is_dropped)
{
	uint8_t data[40], frame[EF_SMP_FRAME_MAX(40)], bad[2 * sizeof frame], buf[64];
	struct frame_receiver r;
	unsigned frames;
	size_t n;

	fill(data, sizeof data, 1);
	n = frame_encode(data, sizeof data, frame);
	for (size_t bit = 0; bit < 8 * n; bit++) {
		memcpy(bad, frame, n);
		memcpy(bad + n, frame, n);
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		frame_receiver_init(&r, buf, sizeof buf);
		feed(&r, bad, 2 * n, &frames);
		/* A spoiled delimiter glues two frames together, and both are lost. */
		ck_assert_uint_eq(frames, bit / 8 == n - 1 ? 0 : 1);
		ck_assert_uint_ge(r.dropped, 1);
		if (frames)
			ck_assert_mem_eq(buf, data, sizeof data);
		ck_assert_uint_eq(feed(&r, frame, n, &frames), sizeof data);
	}
}
END_TEST

/* What ends with a tag has no CRC: 1 byte of COBS and the delimiter are all that is around it. */
START_TEST(a_tag_is_enough)
{
	uint8_t data[64], frame[EF_SMP_FRAME_MAX(64)], buf[64];
	struct frame_receiver r;
	unsigned frames;
	size_t n;

	fill(data, sizeof data, 1);
	frame_receiver_init(&r, buf, sizeof buf);
	for (unsigned type = EF_SESSION_HELLO; type < 0x100; type++) {
		bool tagged = type == EF_SESSION_REQUEST || type == EF_SESSION_RESPONSE;

		data[0] = (uint8_t)type;
		n = frame_encode(data, 60, frame);
		ck_assert_uint_eq(n, 60 + 2 + (tagged ? 0 : 2));
		ck_assert_uint_eq(feed(&r, frame, n, &frames), 60);
		if (type == EF_SESSION_CHECKED)
			data[0] = EF_SESSION_REQUEST;
		ck_assert_mem_eq(buf, data, 60);
	}
	data[0] = EF_SESSION_RESPONSE;
	n = frame_encode(data, 7, frame);
	ck_assert_uint_eq(feed(&r, frame, n, &frames), 0);
	ck_assert_uint_eq(frames, 0); /* shorter than a header */
	n = frame_encode(data, 64, frame);
	ck_assert_uint_eq(feed(&r, frame, n, &frames), 64); /* fills the buffer */
}
END_TEST

START_TEST(short_long_and_torn_are_dropped)
{
	uint8_t data[64] = {1, 2, 0, 3}, frame[EF_SMP_FRAME_MAX(64)], buf[42];
	struct frame_receiver r;
	unsigned frames;
	size_t n;

	frame_receiver_init(&r, buf, sizeof buf);
	feed(&r, (const uint8_t[]){0, 0, 0}, 3, &frames);
	ck_assert_uint_eq(r.dropped, 0); /* empty frames mean nothing */
	for (size_t size = 0; size < EF_SMP_HEADER_SIZE; size++) {
		n = frame_encode(data, size, frame);
		feed(&r, frame, n, &frames);
		ck_assert_uint_eq(frames, 0);
		ck_assert_uint_eq(r.dropped, size + 1);
	}
	r.dropped = 0;
	n = frame_encode(data, 41, frame); /* with its CRC one byte more than the buffer */
	feed(&r, frame, n, &frames);
	ck_assert_uint_eq(frames, 0);
	ck_assert_uint_eq(r.dropped, 1);
	n = frame_encode(data, 40, frame);
	ck_assert_uint_eq(feed(&r, frame, n, &frames), 40);
	for (size_t cut = 1; cut < n - 1; cut++) { /* the start is missing, or the end */
		feed(&r, frame + cut, n - cut, &frames);
		ck_assert_uint_eq(frames, 0);
		feed(&r, frame, n - 1 - cut, &frames);
		ck_assert_uint_eq(frames, 0);
		feed(&r, frame + n - 1, 1, &frames);
		ck_assert_uint_eq(frames, 0);
	}
}
END_TEST

/* F-32: whatever comes, the receiver stays in its buffer and recovers. */
START_TEST(babble_never_leaves_the_buffer)
{
	uint8_t guarded[64], data[20] = {9, 8, 7}, frame[EF_SMP_FRAME_MAX(20)];
	struct frame_receiver r;
	uint32_t state = 7;
	unsigned frames;
	size_t n = frame_encode(data, sizeof data, frame);

	memset(guarded, 0x5a, sizeof guarded);
	frame_receiver_init(&r, guarded + 16, 32);
	for (int i = 0; i < 300000; i++) {
		size_t got = frame_receive(&r, (uint8_t)next_random(&state));

		ck_assert_uint_le(got, 30);
		ck_assert_uint_le(r.used, 32);
	}
	for (int i = 0; i < 16; i++) {
		ck_assert_uint_eq(guarded[i], 0x5a);
		ck_assert_uint_eq(guarded[48 + i], 0x5a);
	}
	frame_receive(&r, 0);
	ck_assert_uint_eq(feed(&r, frame, n, &frames), sizeof data);
}
END_TEST

START_TEST(header_round_trip)
{
	const struct ef_smp_header h = {
		.op = EF_SMP_WRITE,
		.version = 1,
		.length = 0x1234,
		.group = EF_GROUP_EDGEFERRY,
		.seq = 0xfe,
		.command = EF_EF_PREFLIGHT,
	};
	static const uint8_t want[] = {0x0a, 0, 0x12, 0x34, 0, 0xef, 0xfe, 1};
	struct ef_smp_header got;
	uint8_t buf[EF_SMP_HEADER_SIZE];

	ef_smp_header_encode(&h, buf);
	ck_assert_mem_eq(buf, want, sizeof want);
	ck_assert(ef_smp_header_decode(buf, sizeof buf, &got));
	ck_assert_uint_eq(got.op, h.op);
	ck_assert_uint_eq(got.version, h.version);
	ck_assert_uint_eq(got.length, h.length);
	ck_assert_uint_eq(got.group, h.group);
	ck_assert_uint_eq(got.seq, h.seq);
	ck_assert_uint_eq(got.command, h.command);
	for (size_t n = 0; n < sizeof buf; n++)
		ck_assert(!ef_smp_header_decode(buf, n, &got));
	for (int bit = 5; bit < 16; bit++) { /* reserved bits and flags */
		memcpy(buf, want, sizeof want);
		buf[bit / 8] |= (uint8_t)(1 << bit % 8);
		ck_assert(!ef_smp_header_decode(buf, sizeof buf, &got));
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("frame");
	TCase *c = tcase_create("frame");

	tcase_set_timeout(c, 60);
	tcase_add_test(c, crc_check_values);
	tcase_add_test(c, crc16_equals_bitwise);
	tcase_add_test(c, cobs_reference_vectors);
	tcase_add_test(c, round_trip_every_length);
	tcase_add_test(c, every_bit_flip_is_dropped);
	tcase_add_test(c, a_tag_is_enough);
	tcase_add_test(c, short_long_and_torn_are_dropped);
	tcase_add_test(c, babble_never_leaves_the_buffer);
	tcase_add_test(c, header_round_trip);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
