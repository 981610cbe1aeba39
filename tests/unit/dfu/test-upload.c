/* SPDX-License-Identifier: Apache-2.0 */
/* The upload engine against a model of node and line in virtual time (F-15, F-16, F-32). */
#include "dfu/smp-map.h"
#include "dfu/upload.h"
#include "unit.h"
#include "wire/cbor.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define IMAGE_MAX (256u << 10)
#define FLIGHT_MAX 256
#define AROUND 26u /* session, COBS and its end */

struct flight {
	uint64_t at_us;
	bool to_node;
	size_t size;
	uint8_t data[SMP_MESSAGE_MAX];
};

/* What line and node do wrong. */
struct trouble {
	unsigned lose, duplicate, reorder; /* per thousand messages, each way */
	uint32_t reset_at;		   /* node forgets everything once it wants this offset */
	uint64_t silent_after_us;
	uint32_t lose_request, lose_answer; /* this one */
	uint64_t verify_us; /* it takes for the whole image, and hears nothing meanwhile */
	const char *lie;    /* see node_answer */
	bool bit_errors;    /* loss grows with the size of a message: lose is per 128 bytes */
	double flip;	    /* chance of each bit */
};

static struct {
	struct trouble t;
	uint32_t rng;
	uint64_t now_us, line_free_us[2];
	uint32_t around; /* bytes that session and frame put around a message */
	struct flight flight[FLIGHT_MAX];
	size_t n_flight;
	/* node */
	uint8_t flash[IMAGE_MAX];
	uint32_t wanted, size, buf, under_way, max_under_way, requests, answers;
	uint64_t busy_until_us;
	uint32_t ahead; /* it keeps what comes before its turn, so far */
	uint8_t have[IMAGE_MAX];
	bool open, was_reset, verdict;
	uint8_t sha[32];
	/* outcome */
	unsigned ended;
	bool again;
	struct error e;
	uint32_t progress;
} world;

static uint8_t image[IMAGE_MAX];
static struct smp_client client;
static struct upload upload;

static unsigned chance(void)
{
	world.rng = world.rng * 1664525u + 1013904223u;
	return (world.rng >> 10) % 1000;
}

static bool spoilt(size_t bytes)
{
	world.rng = world.rng * 1664525u + 1013904223u;
	return world.rng / 4294967296.0 >= pow(1 - world.t.flip, 8.0 * (double)bytes);
}

/* 115200 baud and a millisecond of turnaround, in order unless the line is troubled. */
static void put_flight(bool to_node, const uint8_t *data, size_t size)
{
	unsigned lose = world.t.lose;
	unsigned copies;
	uint64_t start = world.line_free_us[to_node];

	if (start < world.now_us)
		start = world.now_us;
	world.line_free_us[to_node] = start + (size + world.around) * 87;
	if (world.t.flip > 0 && spoilt(size + world.around))
		return;
	if (world.t.bit_errors)
		lose = lose * (unsigned)(size / 128 + 1);
	copies = chance() < lose ? 0 : chance() < world.t.duplicate ? 2 : 1;
	while (copies--) {
		struct flight *f = &world.flight[world.n_flight++];

		ck_assert_uint_lt(world.n_flight, FLIGHT_MAX);
		f->to_node = to_node;
		f->size = size;
		memcpy(f->data, data, size);
		f->at_us = world.line_free_us[to_node] + 1000;
		if (chance() < world.t.reorder)
			f->at_us += 200000;
	}
}

static int send_to_node(void *ctx, const uint8_t *message, size_t size)
{
	ck_assert_uint_le(size, world.buf);
	if (++world.requests == world.t.lose_request)
		return 0;
	put_flight(true, message, size);
	return 0;
}

static void answer_node(const struct ef_smp_header *h, uint64_t off, bool kept, const char *lie)
{
	struct ef_smp_header back = *h;
	uint8_t message[128];
	struct cbor_writer w;

	cbor_write_init(&w, message + EF_SMP_HEADER_SIZE, sizeof message - EF_SMP_HEADER_SIZE);
	cbor_open_map(&w);
	if (!lie || strcmp(lie, "no-offset") != 0) {
		cbor_put_text(&w, "off");
		cbor_put_uint(&w, off);
	}
	if (kept) {
		cbor_put_text(&w, "kept");
		cbor_put_bool(&w, true);
	}
	if (off == world.size && world.size) {
		cbor_put_text(&w, "match");
		cbor_put_bool(&w, world.verdict);
	}
	if (lie && !strcmp(lie, "reason")) {
		cbor_put_text(&w, "err");
		cbor_open_map(&w);
		cbor_put_text(&w, "group");
		cbor_put_uint(&w, EF_GROUP_EDGEFERRY);
		cbor_put_text(&w, "rc");
		cbor_put_uint(&w, EF_REASON_NODE_FLASH);
		cbor_close(&w);
	}
	if (lie && !strcmp(lie, "rc")) {
		cbor_put_text(&w, "rc");
		cbor_put_uint(&w, EF_SMP_INVALID);
	}
	cbor_close(&w);
	back.op++;
	back.length = (uint16_t)w.used;
	if (lie && !strcmp(lie, "seq"))
		back.seq ^= 0x80;
	if (lie && !strcmp(lie, "length"))
		back.length++;
	if (lie && !strcmp(lie, "group"))
		back.group++;
	if (lie && !strcmp(lie, "nonsense"))
		memset(message + EF_SMP_HEADER_SIZE, 0x1c, w.used);
	ef_smp_header_encode(&back, message);
	if (++world.answers == world.t.lose_answer)
		return;
	put_flight(false, message, EF_SMP_HEADER_SIZE + w.used);
}

struct chunk {
	uint64_t off, len;
	struct smp_string sha, data;
};

static void node_read(
	const struct ef_smp_header *h, const uint8_t *body, size_t size, struct chunk *c)
{
	static const struct smp_field fields[] = {
		{"off", SMP_UINT, true, offsetof(struct chunk, off), UINT32_MAX},
		{"len", SMP_UINT, false, offsetof(struct chunk, len), UINT32_MAX},
		{"sha", SMP_BYTES, false, offsetof(struct chunk, sha), 32},
		{"data", SMP_BYTES, true, offsetof(struct chunk, data), 0},
	};

	if (h->group == EF_GROUP_IMAGE) {
		ck_assert_int_eq(h->command, EF_IMAGE_UPLOAD);
		ck_assert(smp_body_read(body, size, fields, 4, c));
		return;
	}
	ck_assert_uint_ne(world.ahead, 0);
	ck_assert_int_eq(h->command, EF_EF_DATA);
	ck_assert_uint_gt(size, EF_DATA_HEAD);
	c->off = (uint32_t)body[0] << 16 | (uint32_t)body[1] << 8 | body[2];
	c->data = (struct smp_string){body + EF_DATA_HEAD, size - EF_DATA_HEAD};
}

/* True: kept before its turn. */
static bool node_take(const struct chunk *c, const char *lie)
{
	bool kept = world.open && c->off > world.wanted &&
		    c->off + c->data.size - world.wanted <= world.ahead && c->off % 16 == 0;

	if (lie && !strcmp(lie, "stuck"))
		return false;
	if (lie && !strcmp(lie, "keeps-all"))
		return true;
	if (!kept && (!world.open || c->off != world.wanted))
		return false;
	memcpy(world.flash + c->off, c->data.data, c->data.size);
	memset(world.have + c->off, 1, c->data.size);
	while (world.wanted < world.size && world.have[world.wanted])
		world.wanted++;
	return kept;
}

static void node_receive(const uint8_t *message, size_t size)
{
	const char *lie = world.t.lie;
	struct ef_smp_header h;
	struct chunk c = {0};
	uint32_t before;
	bool kept;

	if (world.t.silent_after_us && world.now_us >= world.t.silent_after_us)
		return;
	if (world.now_us < world.busy_until_us)
		return;
	ck_assert(ef_smp_header_decode(message, size, &h));
	node_read(&h, message + 8, size - 8, &c);
	if (c.off == 0) {
		ck_assert(c.sha.data && c.len && c.data.size >= 32);
		if (!world.open || world.size != c.len || memcmp(world.sha, c.sha.data, 32) != 0) {
			world.open = true;
			world.wanted = 0;
			memset(world.have, 0, sizeof world.have);
			world.size = (uint32_t)c.len;
			memcpy(world.sha, c.sha.data, 32);
		}
	}
	before = world.wanted;
	kept = node_take(&c, lie);
	if (world.wanted == world.size && before != world.size && world.t.verify_us)
		world.busy_until_us = world.line_free_us[false] = world.now_us + world.t.verify_us;
	if (world.t.reset_at && world.wanted >= world.t.reset_at && !world.was_reset) {
		world.was_reset = true;
		world.open = false;
		world.wanted = 0;
		return;
	}
	if (lie && !strcmp(lie, "beyond"))
		answer_node(&h, world.wanted + 5000, kept, lie);
	else if (lie && !strcmp(lie, "huge"))
		answer_node(&h, UINT64_MAX, kept, lie);
	else
		answer_node(&h, world.open ? world.wanted : 0, kept, lie);
}

static void on_progress(void *ctx, uint32_t done)
{
	ck_assert_uint_gt(done, world.progress);
	world.progress = done;
}

static void on_ended(void *ctx, const struct error *e, bool again)
{
	world.ended++;
	world.e = *e;
	world.again = again;
}

/* Runs until the end or a day has passed. */
static void run(uint32_t size, uint32_t buf, uint32_t window)
{
	struct upload_config k = {
		.image = image,
		.size = size,
		.buf = buf,
		.window = window,
		.ahead = world.ahead,
		.progress = on_progress,
		.ended = on_ended,
	};

	world.buf = buf;
	memset(k.sha, 0xab, 32);
	if (!client.send)
		smp_client_init(&client, send_to_node, NULL, 115200);
	ck_assert(upload_start(&upload, &client, &k, world.now_us));
	while (!world.ended) {
		uint64_t next = smp_client_deadline(&client);
		struct flight f = {.at_us = UINT64_MAX};
		size_t first = 0;

		ck_assert_uint_lt(world.now_us, 86400ull * 1000000);
		ck_assert_uint_le(upload.under_way, window ? window : 1);
		for (size_t i = 0; i < world.n_flight; i++)
			if (world.flight[i].at_us < world.flight[first].at_us)
				first = i;
		if (world.n_flight && world.flight[first].at_us <= next) {
			f = world.flight[first];
			memmove(&world.flight[first], &world.flight[first + 1],
				(--world.n_flight - first) * sizeof f);
			if (f.at_us > world.now_us)
				world.now_us = f.at_us;
			if (f.to_node)
				node_receive(f.data, f.size);
			else
				smp_client_receive(&client, world.now_us, f.data, f.size);
			continue;
		}
		ck_assert_msg(next != UINT64_MAX, "stalled with nothing under way");
		if (next > world.now_us)
			world.now_us = next;
		smp_client_tick(&client, world.now_us);
	}
	ck_assert_uint_eq(world.ended, 1);
	ck_assert_uint_eq(upload.under_way, 0);
	ck_assert_uint_eq(smp_client_deadline(&client), UINT64_MAX); /* nothing is left behind */
}

static void setup(void)
{
	memset(&world, 0, sizeof world);
	memset(&client, 0, sizeof client);
	world.verdict = true;
	for (uint32_t i = 0; i < IMAGE_MAX; i++)
		image[i] = (uint8_t)(i * 7 ^ i >> 8);
}

static void expect_whole(uint32_t size)
{
	ck_assert_msg(world.e.reason == EF_REASON_OK, "%s", world.e.detail);
	ck_assert(!world.again);
	ck_assert_mem_eq(world.flash, image, size);
	ck_assert_uint_eq(world.progress, size);
}

/* A message is exactly as long as the node's buffer, or the image ends in it. */
START_TEST(chunks_fill_the_buffer)
{
	static const uint32_t offsets[] = {0, 1, 23, 24, 255, 256, 65535, 65536, 16000000};
	uint8_t body[5000];

	for (uint32_t buf = UPLOAD_BUF_MIN; buf <= SMP_MESSAGE_MAX; buf++)
		for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
			uint32_t size = offsets[i] + 5000, n = upload_chunk(buf, offsets[i], size);
			struct cbor_writer w;

			ck_assert_uint_ge(n, offsets[i] ? 64 : 32);
			for (uint32_t k = n; k <= n + 1; k++) {
				cbor_write_init(&w, body, sizeof body);
				cbor_open_map(&w);
				cbor_put_text(&w, "off");
				cbor_put_uint(&w, offsets[i]);
				if (offsets[i] == 0) {
					cbor_put_text(&w, "len");
					cbor_put_uint(&w, size);
					cbor_put_text(&w, "sha");
					cbor_put_bytes(&w, image, 32);
				}
				cbor_put_text(&w, "data");
				cbor_put_bytes(&w, image, k);
				cbor_close(&w);
				if (k == n)
					ck_assert_uint_le(w.used + 8, buf);
				else
					ck_assert_uint_gt(w.used + 8, buf);
			}
		}
	ck_assert_uint_eq(upload_chunk(1000, 4000, 4010), 10);
	for (uint32_t buf = 0; buf < 30; buf++)
		ck_assert_uint_eq(upload_chunk(buf, 0, 5000), 0);
}
END_TEST

START_TEST(clean_line)
{
	static const uint32_t bufs[] = {112, 113, 128, 256, 512, 1024, 4096},
			      windows[] = {1, 2, 4, 16};
	static const uint32_t sizes[] = {32, 33, 64, 500, 4096, 39998, 39999};

	for (size_t b = 0; b < 7; b++)
		for (size_t w = 0; w < 4; w++)
			for (size_t s = 0; s < 7; s++) {
				setup();
				world.ahead = (b + w + s) % 2 ? 8192 : 0;
				run(sizes[s], bufs[b], windows[w]);
				expect_whole(sizes[s]);
				/* No byte is sent twice. */
				ck_assert_uint_eq(upload.payload, sizes[s]);
			}
}
END_TEST

/* The point of the window: the line never waits for the node. */
START_TEST(window_keeps_the_line_busy)
{
	uint64_t one, four, wire;

	run(39999, 512, 1);
	one = world.now_us;
	setup();
	run(39999, 512, 4);
	four = world.now_us;
	wire = (39999 + world.requests * 22ull) * 87;
	ck_assert_uint_lt(four, wire * 104 / 100);
	ck_assert_uint_gt(one, four * 105 / 100);
}
END_TEST

START_TEST(resumes_where_the_node_says)
{
	run(39999, 512, 4);
	world.ended = 0;
	world.wanted = 30000; /* broken off there */
	memset(world.have + 30000, 0, 9999);
	memset(world.flash + 30000, 0, 9999);
	world.progress = 0;
	run(39999, 512, 4);
	expect_whole(39999);
	ck_assert_uint_lt(upload.payload, 10000 + 512); /* at most one block again */
}
END_TEST

/* F-16: losses, duplicates and reordering of requests and answers, by seed. */
START_TEST(troubled_line)
{
	static const struct trouble t[] = {{.lose = 10}, {.lose = 100}, {.lose = 200},
		{.duplicate = 100}, {.reorder = 50}, {.lose = 50, .duplicate = 50, .reorder = 50},
		{.lose = 100, .bit_errors = true}};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		for (uint32_t seed = 1; seed <= 20; seed++) {
			setup();
			world.t = t[i];
			world.rng = seed * 7919;
			world.ahead = seed & 1 ? 8192 : 0;
			run(20000, 512, 1 + seed % 8);
			ck_assert_msg(world.e.reason == EF_REASON_OK, "case %zu seed %u: %s", i,
				seed, world.e.detail);
			expect_whole(20000);
		}
}
END_TEST

/* A line on which next to nothing gets through: an end, and a reason. */
START_TEST(hopeless_line)
{
	for (uint32_t seed = 1; seed <= 10; seed++) {
		setup();
		world.t.lose = 950;
		world.rng = seed;
		run(20000, 512, 4);
		ck_assert_int_eq(world.e.reason, EF_REASON_NODE_UNREACHABLE);
		ck_assert_uint_lt(world.now_us, 15 * 60 * 1000000ull);
	}
}
END_TEST

/* F-16: one lost frame, whichever it is, costs one frame; without a node that keeps what comes
 * behind, what was under way. */
START_TEST(lost_frame_costs_one)
{
	uint32_t all;

	for (int keeps = 0; keeps < 2; keeps++) {
		setup();
		world.ahead = keeps ? 8192 : 0;
		run(39999, 512, 4);
		all = world.requests;
		for (uint32_t at = 1; at <= all; at++) {
			setup();
			world.ahead = keeps ? 8192 : 0;
			world.t.lose_request = at;
			run(39999, 512, 4);
			expect_whole(39999);
			ck_assert_msg(world.requests <= all + (keeps ? 1 : 4), "frame %u of %u: %u",
				at, all, world.requests);
			ck_assert_uint_le(upload.payload, 39999 + 512 * (keeps ? 1 : 4));
		}
	}
}
END_TEST

/* F-16: with one request at a time nothing tells of a loss but the time: four round trips of 48 ms;
 * and a node that says nothing is waited for as long as with more of them. */
START_TEST(lost_frame_alone_costs_round_trips)
{
	uint64_t clean;

	run(39999, 512, 1);
	clean = world.now_us;
	setup();
	world.t = (struct trouble){.lose_request = 20};
	run(39999, 512, 1);
	expect_whole(39999);
	ck_assert_uint_lt(world.now_us, clean + 200000);
	setup();
	world.t = (struct trouble){.silent_after_us = 1000000};
	run(39999, 512, 1);
	ck_assert_int_eq(world.e.reason, EF_REASON_NODE_UNREACHABLE);
	ck_assert_uint_gt(world.now_us, 20 * 1000000);
}
END_TEST

/* F-16: nothing comes behind the last frame, which is missed all the same after a few round trips.
 */
START_TEST(lost_last_frame_costs_round_trips)
{
	for (unsigned i = 0; i < 16; i++) {
		uint32_t window = 1 + i % 4, all, n;
		uint64_t clean;

		for (int answer = 0; answer < 2; answer++) {
			setup();
			world.ahead = i & 4 ? 8192 : 0;
			run(39999, i & 8 ? 1024 : 512, window);
			clean = world.now_us;
			all = world.requests;
			setup();
			world.ahead = i & 4 ? 8192 : 0;
			if (answer)
				world.t.lose_answer = all;
			else
				world.t.lose_request = all;
			run(39999, i & 8 ? 1024 : 512, window);
			expect_whole(39999);
			n = world.requests;
			ck_assert_msg(n <= all + 1, "%u requests instead of %u", n, all);
			ck_assert_msg(world.now_us < clean + 1500000, "%llu us instead of %llu",
				(unsigned long long)world.now_us, (unsigned long long)clean);
		}
	}
}
END_TEST

/* F-16: a node that checks the image hears nothing meanwhile, and answers once; or not even that.
 */
START_TEST(node_at_work_is_waited_for)
{
	for (unsigned i = 0; i < 16; i++) {
		uint32_t all;

		setup();
		world.ahead = i & 4 ? 8192 : 0;
		run(39999, 512, 1 + i % 4);
		all = world.requests;
		setup();
		world.ahead = i & 4 ? 8192 : 0;
		world.t.verify_us = 8000000;
		if (i & 8)
			world.t.lose_answer = all;
		run(39999, 512, 1 + i % 4);
		expect_whole(39999);
		ck_assert_uint_lt(world.now_us, 8000000 + 8000000);
		ck_assert_uint_le(world.requests, all + 12);
		ck_assert_uint_le(upload.payload, 39999 + 512);
	}
}
END_TEST

/* A line that spoils every n-th byte gets messages of a length that goes with it, a good one whole
 * buffers again. */
START_TEST(chunks_follow_the_line)
{
	setup();
	world.ahead = 16384;
	run(39999, 1024, 4);
	ck_assert_uint_eq(upload.chunk, 1024);
	setup();
	world.ahead = 16384;
	world.t = (struct trouble){.lose = 100, .bit_errors = true};
	world.rng = 5;
	run(39999, 1024, 4);
	expect_whole(39999);
	ck_assert_uint_lt(upload.chunk, 400);
	ck_assert_uint_ge(upload.chunk, 64);
}
END_TEST

/* Payload's share of what the line could have carried meanwhile, in percent; mean of seeds. */
static double share(uint32_t buf, double flip, unsigned seeds)
{
	double sum = 0;

	for (unsigned seed = 1; seed <= seeds; seed++) {
		setup();
		world.ahead = 8192;
		world.around = AROUND;
		world.t.flip = flip;
		world.rng = seed * 2654435769u;
		run(IMAGE_MAX, buf, 4);
		expect_whole(IMAGE_MAX);
		sum += 100.0 * IMAGE_MAX * 87 / (double)world.now_us;
	}
	return sum / seeds;
}

/* If a frame that is spoilt cost just itself, and all were as long as is best. */
static double best_share(uint32_t buf, double flip)
{
	double best = 0;

	for (uint32_t n = 64; n <= buf - EF_SMP_HEADER_SIZE - EF_DATA_HEAD; n++) {
		double frame = n + EF_SMP_HEADER_SIZE + EF_DATA_HEAD + AROUND;
		double s = 100 * pow(1 - flip, 8 * frame) * n / frame;

		best = s > best ? s : best;
	}
	return best;
}

/* What bit errors cost beyond what they must, in points of the line's rate (F-15). */
START_TEST(bit_errors_cost_little)
{
	static const struct {
		uint32_t buf;
		double flip, most;
	} rows[] = {{512, 1e-6, 0.7}, {1024, 1e-6, 0.7}, {512, 1e-5, 0.7}, {1024, 1e-5, 1.7},
		{512, 1e-4, 7}, {1024, 1e-4, 9}};
	double clean, is, best;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		clean = share(rows[i].buf, 0, 1);
		is = share(rows[i].buf, rows[i].flip, 20);
		best = best_share(rows[i].buf, rows[i].flip);
		printf("# %u bytes, %.0e: %.1f %%, %.1f points less than clean; the best is %.1f "
		       "%%\n",
			rows[i].buf, rows[i].flip, is, clean - is, best);
		ck_assert_double_gt(is, best - rows[i].most);
		ck_assert(rows[i].buf != 512 || rows[i].flip > 1e-5 || clean - is <= 5);
	}
}
END_TEST

/* F-15: the node was reset; it must be identified and asked anew. */
START_TEST(node_resets)
{
	for (uint32_t at = 1; at < 20000; at += 1499) {
		setup();
		world.t.reset_at = at;
		run(20000, 512, 4);
		if (world.again) {
			ck_assert_int_eq(world.e.reason, EF_REASON_OK);
			world.ended = 0;
			world.progress = 0;
			run(20000, 512, 4);
		}
		expect_whole(20000);
	}
}
END_TEST

START_TEST(silent_node)
{
	static const uint64_t after[] = {1, 100000, 500000};

	for (size_t i = 0; i < 3; i++) {
		setup();
		world.t.silent_after_us = after[i];
		run(20000, 512, 4);
		ck_assert_int_eq(world.e.reason, EF_REASON_NODE_UNREACHABLE);
		ck_assert_uint_lt(world.now_us, 120 * 1000000ull);
		ck_assert_uint_lt(world.requests, 60);
	}
}
END_TEST

/* F-32: every lie ends in a reason, in bounded time, with a bounded number of requests. */
START_TEST(lying_node)
{
	static const struct {
		const char *lie;
		enum ef_reason reason;
	} t[] = {{"stuck", EF_REASON_NODE_PROTOCOL}, {"keeps-all", EF_REASON_NODE_PROTOCOL},
		{"beyond", EF_REASON_NODE_PROTOCOL}, {"huge", EF_REASON_NODE_PROTOCOL},
		{"no-offset", EF_REASON_NODE_PROTOCOL}, {"nonsense", EF_REASON_NODE_PROTOCOL},
		{"reason", EF_REASON_NODE_FLASH}, {"rc", EF_REASON_NODE_PROTOCOL},
		{"seq", EF_REASON_NODE_UNREACHABLE}, {"length", EF_REASON_NODE_UNREACHABLE},
		{"group", EF_REASON_NODE_UNREACHABLE}};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		for (uint32_t window = 1; window <= 8; window += 7) {
			setup();
			world.t.lie = t[i].lie;
			world.ahead = window == 8 ? 8192 : 0;
			run(20000, 512, window);
			if (!strcmp(t[i].lie, "beyond")) /* believed once, as a resumption */
				ck_assert(world.e.reason == EF_REASON_NODE_PROTOCOL || world.again);
			else
				ck_assert_msg(world.e.reason == t[i].reason, "%s: %s", t[i].lie,
					world.e.detail);
			ck_assert_uint_lt(world.now_us, 120 * 1000000ull);
			ck_assert_uint_lt(world.requests, 300);
		}
}
END_TEST

START_TEST(no_match)
{
	world.verdict = false;
	run(5000, 512, 4);
	ck_assert_int_eq(world.e.reason, EF_REASON_IMAGE_DIGEST);
}
END_TEST

START_TEST(stop_in_the_middle)
{
	struct upload_config k = {
		.image = image, .size = 20000, .buf = 512, .window = 4, .ended = on_ended};

	world.buf = 512;
	smp_client_init(&client, send_to_node, NULL, 115200);
	ck_assert(upload_start(&upload, &client, &k, 0));
	upload_stop(&upload);
	ck_assert_uint_eq(smp_client_deadline(&client), UINT64_MAX);
	smp_client_tick(&client, 1000000000);
	ck_assert_uint_eq(world.ended, 0);
	k.buf = UPLOAD_BUF_MIN - 1;
	ck_assert(!upload_start(&upload, &client, &k, 0));
}
END_TEST

/* Sequence numbers wrap, and requests under way keep theirs to themselves. */
START_TEST(control_requests_are_sent_again)
{
	struct smp_call call = {.op = EF_SMP_READ, .group = 1, .total_us = 5000000, .done = NULL};
	uint32_t order;

	world.buf = 4096;
	smp_client_init(&client, send_to_node, NULL, 115200);
	for (int i = 0; i < SMP_WINDOW_MAX; i++)
		ck_assert_int_eq(smp_client_call(&client, 0, &call, image, 3, &order), 0);
	ck_assert_int_eq(smp_client_call(&client, 0, &call, image, 3, &order), -EBUSY);
	ck_assert_int_eq(
		smp_client_call(&client, 0, &call, image, SMP_MESSAGE_MAX - 7, &order), -EMSGSIZE);
	for (int i = 0; i < SMP_WINDOW_MAX; i++)
		for (int j = 0; j < i; j++)
			ck_assert_uint_ne(client.requests[i].seq, client.requests[j].seq);
	ck_assert_uint_eq(world.requests, SMP_WINDOW_MAX);
	smp_client_tick(&client, smp_client_deadline(&client));
	ck_assert_uint_eq(world.requests, 2 * SMP_WINDOW_MAX);
	smp_client_forget_all(&client);
	for (int i = 0; i < 1000; i++) {
		ck_assert_int_eq(smp_client_call(&client, 0, &call, image, 3, &order), 0);
		world.n_flight = 0;
		if (i % 5)
			smp_client_forget(&client, NULL, order + 1 - i % 3);
		if (i % 15 == 14)
			smp_client_forget_all(&client);
	}
	smp_client_forget_all(&client);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("upload");
	TCase *c = tcase_create("upload");

	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup, NULL);
	tcase_add_test(c, chunks_fill_the_buffer);
	tcase_add_test(c, clean_line);
	tcase_add_test(c, window_keeps_the_line_busy);
	tcase_add_test(c, resumes_where_the_node_says);
	tcase_add_test(c, troubled_line);
	tcase_add_test(c, hopeless_line);
	tcase_add_test(c, lost_frame_costs_one);
	tcase_add_test(c, lost_frame_alone_costs_round_trips);
	tcase_add_test(c, lost_last_frame_costs_round_trips);
	tcase_add_test(c, node_at_work_is_waited_for);
	tcase_add_test(c, chunks_follow_the_line);
	tcase_add_test(c, bit_errors_cost_little);
	tcase_add_test(c, node_resets);
	tcase_add_test(c, silent_node);
	tcase_add_test(c, lying_node);
	tcase_add_test(c, no_match);
	tcase_add_test(c, stop_in_the_middle);
	tcase_add_test(c, control_requests_are_sent_again);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
