/* SPDX-License-Identifier: Apache-2.0 */
/* Console lines, raw messages, and the three framings on one line (E-09, F-16). */
#include "unit.h"
#include "wire/crc.h"
#include "wire/line.h"
#include <edgeferry/smp.h>
#include <stdio.h>
#include <string.h>

#define MESSAGE_MAX 1024u

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* A request with a body of random bytes behind the head of a map. */
static size_t make_request(uint8_t *m, size_t body, uint32_t *state)
{
	static const uint8_t ops[] = {0, 2, 8, 10};
	const struct ef_smp_header h = {
		.op = body > 255 ? EF_SMP_WRITE : ops[next_random(state) % 4] & 2,
		.version = next_random(state) % 2,
		.length = (uint16_t)body,
		.group = next_random(state) % 4 ? next_random(state) % 4 : 239,
		.seq = (uint8_t)next_random(state),
		.command = (uint8_t)(next_random(state) % 9),
	};

	ef_smp_header_encode(&h, m);
	for (size_t i = 0; i < body; i++)
		m[EF_SMP_HEADER_SIZE + i] =
			(uint8_t)(next_random(state) % 3 ? next_random(state) : 0);
	if (body)
		m[EF_SMP_HEADER_SIZE] = 0xbf;
	return EF_SMP_HEADER_SIZE + body;
}

/* As newtmgr does it, written apart from the code under test: all of it in base64, then cut. */
static size_t reference_console(const uint8_t *m, size_t size, uint8_t *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t plain[MESSAGE_MAX + 8], text[2 * MESSAGE_MAX];
	uint16_t crc = crc16_xmodem(0, m, size);
	size_t n = 0, used = 0, all = size + 4;

	plain[0] = (uint8_t)((size + 2) >> 8);
	plain[1] = (uint8_t)(size + 2);
	memcpy(plain + 2, m, size);
	plain[size + 2] = (uint8_t)(crc >> 8);
	plain[size + 3] = (uint8_t)crc;
	plain[all] = plain[all + 1] = 0;
	for (size_t i = 0; i < all; i += 3) {
		text[n++] = (uint8_t)digits[plain[i] >> 2];
		text[n++] = (uint8_t)digits[(plain[i] & 3) << 4 | plain[i + 1] >> 4];
		text[n++] = i + 1 < all
				    ? (uint8_t)digits[(plain[i + 1] & 15) << 2 | plain[i + 2] >> 6]
				    : '=';
		text[n++] = i + 2 < all ? (uint8_t)digits[plain[i + 2] & 63] : '=';
	}
	for (size_t at = 0; at < n; at += 124) {
		size_t part = n - at < 124 ? n - at : 124;

		out[used++] = at ? 4 : 6;
		out[used++] = at ? 20 : 9;
		memcpy(out + used, text + at, part);
		used += part;
		out[used++] = '\n';
	}
	return used;
}

static size_t encode(enum framing framing, const uint8_t *m, size_t size, uint8_t *out)
{
	size_t used = 0, at = 0, n;

	switch (framing) {
	case FRAMING_COBS:
		return frame_encode(m, size, out);
	case FRAMING_CONSOLE:
		while ((n = console_encode(m, size, &at, out + used)))
			used += n;
		return used;
	default:
		memcpy(out, m, size);
		return size;
	}
}

static uint8_t buf[MESSAGE_MAX + 2];

/* Feeds all of it; how many messages came, the last one's size in *last. */
static unsigned feed(struct line_receiver *r, const void *bytes, size_t size, size_t *last)
{
	unsigned messages = 0;

	for (size_t i = 0; i < size; i++) {
		size_t n = line_receive(r, ((const uint8_t *)bytes)[i]);

		if (n) {
			*last = n;
			messages++;
		}
	}
	return messages;
}

static void expect_taken(
	struct line_receiver *r, enum framing framing, const uint8_t *m, size_t size)
{
	uint8_t line[2 * MESSAGE_MAX];
	size_t n = encode(framing, m, size, line), last = 0;

	ck_assert_msg(feed(r, line, n, &last) == 1, "framing %d, %zu bytes", framing, size);
	ck_assert_uint_eq(last, size);
	ck_assert_mem_eq(buf, m, size);
	ck_assert_int_eq(r->framing, framing);
}

START_TEST(console_is_what_newtmgr_sends)
{
	uint8_t m[MESSAGE_MAX], want[2 * MESSAGE_MAX], got[2 * MESSAGE_MAX];
	uint32_t state = 1;

	for (size_t body = 0; body < 700; body++) {
		size_t size = make_request(m, body, &state);
		size_t n = reference_console(m, size, want);

		ck_assert_uint_eq(encode(FRAMING_CONSOLE, m, size, got), n);
		ck_assert_mem_eq(got, want, n);
	}
}
END_TEST

START_TEST(every_framing_every_length)
{
	uint8_t m[MESSAGE_MAX];
	struct line_receiver r;
	uint32_t state = 2;

	line_receiver_init(&r, buf, sizeof(buf));
	for (size_t body = 1; body <= MESSAGE_MAX - EF_SMP_HEADER_SIZE; body++)
		for (unsigned f = 0; f < 3; f++)
			expect_taken(&r, (enum framing)f, m, make_request(m, body, &state));
	ck_assert_uint_eq(line_dropped(&r), 0);
}
END_TEST

START_TEST(framings_change_from_message_to_message)
{
	uint8_t m[MESSAGE_MAX];
	struct line_receiver r;
	uint32_t state = 3;

	line_receiver_init(&r, buf, sizeof(buf));
	for (unsigned i = 0; i < 20000; i++) {
		static const char *const between[] = {"", "\n", "\r\n", "0", "00", "000"};
		const char *gap = between[next_random(&state) % 6];
		size_t size = make_request(m, 1 + next_random(&state) % 200, &state), last;

		/* line ends and empty frames between messages mean nothing */
		for (const char *p = gap; *p; p++)
			ck_assert_uint_eq(feed(&r, *p == '0' ? "" : p, 1, &last), 0);
		if (*gap == '\n' || *gap == '\r') {
			/* what a text leaves behind ends with the next 00 or console message */
			expect_taken(&r, FRAMING_CONSOLE, m, size);
			continue;
		}
		expect_taken(&r, (enum framing)(next_random(&state) % 3), m, size);
	}
}
END_TEST

/* A person typed something, or a program printed its log: a console client is heard all the same.
 */
START_TEST(console_after_text)
{
	static const char *const texts[] = {"help", "\n", "\r\n", "*** Booting Zephyr ***\r\n",
		"\6", "\4", "\6\6", "\6\11", "\6\11AAA", "\4\24AAAAAAAA", "\377", "uart:~$ \33[m"};
	uint8_t m[64], text[4];
	struct line_receiver r;
	uint32_t state = 4;
	size_t last;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		line_receiver_init(&r, buf, sizeof(buf));
		ck_assert_uint_eq(feed(&r, texts[i], strlen(texts[i]), &last), 0);
		size_t size = make_request(m, 20, &state);
		uint8_t line[256];
		size_t n = encode(FRAMING_CONSOLE, m, size, line);
		unsigned first = feed(&r, line, n, &last);

		/* a console line that was begun swallows the first; the client asks again */
		if (texts[i][0] && texts[i][0] < 7 && texts[i][1] > 8)
			ck_assert_uint_eq(first, 0);
		else
			ck_assert_msg(first == 1, "text %zu", i);
		expect_taken(&r, FRAMING_CONSOLE, m, size);
	}
	for (unsigned i = 0; i < 65536; i++) {
		uint8_t line[256];
		size_t size = make_request(m, 20, &state);

		text[0] = (uint8_t)i;
		text[1] = (uint8_t)(i >> 8);
		line_receiver_init(&r, buf, sizeof(buf));
		feed(&r, text, 2, &last);
		feed(&r, line, encode(FRAMING_CONSOLE, m, size, line), &last);
		/* the beginning of a COBS frame is believed until its end or a silence */
		if ((text[0] == 1 && text[1] == 1) || (text[0] == 2 && (text[1] & ~10u) == 0) ||
			text[1] >= 0xe0)
			line_idle(&r, LINE_IDLE_MS);
		expect_taken(&r, FRAMING_CONSOLE, m, size);
	}
}
END_TEST

/* COBS stays able to carry everything: also what looks like a console message. */
START_TEST(cobs_is_transparent)
{
	uint8_t m[MESSAGE_MAX];
	struct line_receiver r;
	uint32_t state = 5;

	line_receiver_init(&r, buf, sizeof(buf));
	for (unsigned at = EF_SMP_HEADER_SIZE; at < 300; at++) {
		size_t size = make_request(m, 400, &state);
		memcpy(m + at, "\n\6\11AAwAAAAAAAAAAAAA\n", 20);
		m[at - 1] = 1;
		expect_taken(&r, FRAMING_COBS, m, size);
	}
}
END_TEST

START_TEST(console_bit_flips) /* E-09 */
{
	uint8_t m[200], line[400], bad[400];
	struct line_receiver r;
	uint32_t state = 6;
	size_t size = make_request(m, 150, &state), n = encode(FRAMING_CONSOLE, m, size, line),
	       last = 0;
	unsigned taken = 0;

	for (size_t bit = 0; bit < 8 * n; bit++) {
		line_receiver_init(&r, buf, sizeof(buf));
		memcpy(bad, line, n);
		bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (feed(&r, bad, n, &last)) {
			/* what no check covers: the last bits of the last character */
			taken++;
			ck_assert_uint_eq(last, size);
			ck_assert_mem_eq(buf, m, size);
		}
		/* and the line is free again, at once or with the next */
		feed(&r, line, n, &last);
		ck_assert_uint_eq(feed(&r, line, n, &last), 1);
	}
	ck_assert_uint_le(taken, 4);
}
END_TEST

START_TEST(console_limits)
{
	uint8_t m[MESSAGE_MAX + 8], line[2 * MESSAGE_MAX];
	struct line_receiver r;
	uint32_t state = 7;
	size_t last = 0, n;
	static const struct {
		const char *line;
		unsigned dropped;
	} rows[] = {
		{"\6\11\n", 0},			   /* nothing yet */
		{"\4\24AAAA\n", 1},		   /* goes on with nothing */
		{"\6\11AAAA\n", 1},		   /* a message of no bytes */
		{"\6\11AAM=\n", 0},		   /* 3 bytes are announced */
		{"\6\11AAMAAAAA\n", 1},		   /* and come: too short for a message */
		{"\6\11AAwAAAAAAAAAAAAAAAA\n", 1}, /* not whole groups of four */
		{"\6\11AAwA=AAA\n", 1},		   /* more behind the end */
		{"\6\11A===\n", 1}, {"\6\11AA-A\n", 1},
		{"\6\11//8A\n", 0}, /* 65535 bytes: until they do not fit */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		line_receiver_init(&r, buf, sizeof(buf));
		ck_assert_uint_eq(feed(&r, rows[i].line, strlen(rows[i].line), &last), 0);
		ck_assert_msg(line_dropped(&r) == rows[i].dropped, "row %zu: %u", i,
			(unsigned)line_dropped(&r));
		expect_taken(&r, FRAMING_CONSOLE, m, make_request(m, 30, &state));
	}
	/* one byte more than the buffer */
	line_receiver_init(&r, buf, sizeof(buf));
	n = encode(FRAMING_CONSOLE, m, make_request(m, MESSAGE_MAX - 7, &state), line);
	ck_assert_uint_eq(feed(&r, line, n, &last), 0);
	ck_assert_uint_eq(line_dropped(&r), 1);
	expect_taken(&r, FRAMING_CONSOLE, m, make_request(m, MESSAGE_MAX - 8, &state));
	/* lines of 128 bytes are taken, longer ones are not: carriage returns fill them up here */
	for (unsigned fill = 0; fill < 4; fill++) {
		n = encode(FRAMING_CONSOLE, m, make_request(m, 81, &state), line);
		ck_assert_uint_eq(n, 127);
		line[n - 1] = '\r';
		for (unsigned i = 0; i < fill; i++)
			line[n - 1 + i] = '\r';
		line[n - 1 + fill] = '\n';
		ck_assert_uint_eq(feed(&r, line, n + fill, &last), fill <= 1);
	}
}
END_TEST

START_TEST(raw_messages)
{
	/* what smpclient sends for "read the image states", in both versions; zeros may come before
	 */
	static const uint8_t read_v1[] = {0, 0, 0, 1, 0, 1, 5, 0, 0xa0},
			     read_v2[] = {8, 0, 0, 1, 0, 1, 5, 0, 0xa0}, zeros[8];
	uint8_t m[MESSAGE_MAX + 64];
	struct line_receiver r;
	uint32_t state = 8;
	size_t last = 0;

	for (size_t n = 0; n < sizeof(zeros); n++) {
		line_receiver_init(&r, buf, sizeof(buf));
		feed(&r, zeros, n, &last);
		expect_taken(&r, FRAMING_RAW, read_v1, sizeof(read_v1));
		feed(&r, zeros, n, &last);
		expect_taken(&r, FRAMING_RAW, read_v2, sizeof(read_v2));
	}
	/* too long for the buffer: passed over as a whole, nothing in it is taken for a message */
	size_t size = make_request(m, MESSAGE_MAX, &state);
	for (size_t i = EF_SMP_HEADER_SIZE + 1; i + sizeof(read_v1) < size; i += sizeof(read_v1))
		memcpy(m + i, read_v1, sizeof(read_v1));
	ck_assert_uint_eq(feed(&r, m, size, &last), 0);
	ck_assert_uint_eq(line_dropped(&r), 1);
	expect_taken(&r, FRAMING_RAW, read_v1, sizeof(read_v1));
	/* longer than any message: it is none */
	m[2] = 0x10;
	m[3] = 1;
	feed(&r, m, 9, &last);
	ck_assert_uint_ne(r.state, FRAMING_RAW);
}
END_TEST

START_TEST(silence_ends_a_message)
{
	uint8_t m[64], line[200];
	struct line_receiver r;
	uint32_t state = 9;
	size_t last = 0;

	for (unsigned f = 0; f < 3; f++) {
		uint32_t limit = f == FRAMING_RAW ? LINE_RAW_IDLE_MS : LINE_IDLE_MS;

		line_receiver_init(&r, buf, sizeof(buf));
		size_t size = make_request(m, 40, &state),
		       n = encode((enum framing)f, m, size, line);
		for (size_t cut = 1; cut < n; cut++) {
			uint32_t before;

			feed(&r, line, cut, &last);
			line_idle(&r, LINE_IDLE_MS - 1);
			if (cut > 9)
				line_idle(&r, limit - 1);
			ck_assert_msg(
				feed(&r, line + cut, n - cut, &last) == 1, "%u at %zu", f, cut);
			before = line_dropped(&r);
			feed(&r, line, cut, &last);
			line_idle(&r, limit);
			ck_assert_uint_le(line_dropped(&r), before + 1);
			if (cut > 9)
				ck_assert_uint_eq(line_dropped(&r), before + 1);
			for (unsigned g = 0; g < 3; g++)
				expect_taken(&r, (enum framing)g, m, size);
		}
		line_idle(&r, limit);
		ck_assert_uint_eq(feed(&r, "", 1, &last), 0);
	}
}
END_TEST

/* A sender of COBS frames on a line that damages bytes: the receiver is with it again at once. */
START_TEST(cobs_on_a_bad_line) /* F-16 */
{
	uint8_t m[300], line[400];
	struct line_receiver r;
	uint32_t state = 10;
	unsigned good = 0, damaged = 0;

	line_receiver_init(&r, buf, sizeof(buf));
	for (unsigned i = 0; i < 20000; i++) {
		size_t size = make_request(m, 1 + next_random(&state) % 200, &state), last = 0;
		size_t n = encode(FRAMING_COBS, m, size, line);
		bool bad = next_random(&state) % 2;

		feed(&r, "", 1, &last); /* the gateway's 00 in front */
		if (bad) {
			for (unsigned k = 1 + next_random(&state) % 4; k; k--)
				line[next_random(&state) % n] = (uint8_t)next_random(&state);
			damaged += feed(&r, line, n, &last) == 0;
			feed(&r, "", 1, &last);
		} else if (feed(&r, line, n, &last) == 1) {
			ck_assert_mem_eq(buf, m, size);
			good++;
		}
	}
	/* bytes that turn into a raw header cost the frames behind it: that must stay rare */
	ck_assert_uint_gt(damaged, 9000);
	ck_assert_uint_gt(good, 9900);
}
END_TEST

/* F-32: whatever comes, the receiver stays in its buffer and recovers by silence. */
START_TEST(babble)
{
	uint8_t guarded[96], m[32];
	struct line_receiver r;
	uint32_t state = 11;
	size_t longest = 0;

	memset(guarded, 0x5a, sizeof(guarded));
	line_receiver_init(&r, guarded + 16, 64);
	for (unsigned i = 0; i < 2000000; i++) {
		static const uint8_t likely[] = {0, 2, 8, 10, 6, 9, 4, 20, '\n', 'A', '='};
		uint8_t b = next_random(&state) % 2 ? likely[next_random(&state) % sizeof(likely)]
						    : (uint8_t)next_random(&state);
		size_t n = line_receive(&r, b);
		longest = n > longest ? n : longest;
	}
	ck_assert_uint_le(longest, 64);
	for (int i = 0; i < 16; i++)
		ck_assert(guarded[i] == 0x5a && guarded[80 + i] == 0x5a);
	line_idle(&r, LINE_RAW_IDLE_MS);
	for (unsigned f = 0; f < 3; f++) {
		uint8_t line[128];
		size_t size = make_request(m, 20, &state), last = 0;

		ck_assert_uint_eq(feed(&r, line, encode((enum framing)f, m, size, line), &last), 1);
		ck_assert_mem_eq(guarded + 16, m, size);
	}
}
END_TEST

START_TEST(frames_in_pieces)
{
	uint8_t m[MESSAGE_MAX + 2], want[EF_SMP_FRAME_MAX(MESSAGE_MAX)],
		got[EF_SMP_FRAME_MAX(MESSAGE_MAX)];

	for (size_t size = 8; size <= MESSAGE_MAX; size++)
		for (unsigned kind = 0; kind < 4; kind++) {
			struct frame_sender s;
			uint32_t state = (uint32_t)size;
			size_t n, used = 0;
			uint8_t code;

			for (size_t i = 0; i < size; i++)
				m[i] = kind == 0   ? 0
				       : kind == 1 ? 1
				       : kind == 2 ? (uint8_t)(next_random(&state) % 3)
						   : (uint8_t)(next_random(&state) % 250);
			n = frame_encode(m, size, want);
			frame_send(&s, m, size);
			while (frame_next(&s, &code)) {
				ck_assert_uint_le(used + 1 + s.size, sizeof(got));
				got[used++] = code;
				memcpy(got + used, s.run, s.size);
				used += s.size;
			}
			ck_assert_uint_eq(used, n);
			ck_assert_mem_eq(got, want, n);
		}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("line");
	TCase *c = tcase_create("line");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, console_is_what_newtmgr_sends);
	tcase_add_test(c, every_framing_every_length);
	tcase_add_test(c, framings_change_from_message_to_message);
	tcase_add_test(c, console_after_text);
	tcase_add_test(c, cobs_is_transparent);
	tcase_add_test(c, console_bit_flips);
	tcase_add_test(c, console_limits);
	tcase_add_test(c, raw_messages);
	tcase_add_test(c, silence_ends_a_message);
	tcase_add_test(c, cobs_on_a_bad_line);
	tcase_add_test(c, babble);
	tcase_add_test(c, frames_in_pieces);
	return s;
}

UNIT_MAIN(suite())
