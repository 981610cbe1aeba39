/* SPDX-License-Identifier: Apache-2.0 */
/* The upload engine against a model of node and line in virtual time (F-15, F-16, F-32). */
#include "upload-world.h"
#include "wire/cbor.h"
#include <errno.h>
#include <string.h>

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
				world_make();
				world.ahead = (b + w + s) % 2 ? 8192 : 0;
				world_run(sizes[s], bufs[b], windows[w]);
				world_has(sizes[s]);
				/* No byte is sent twice. */
				ck_assert_uint_eq(upload.payload, sizes[s]);
				ck_assert_uint_eq(world.asked, 0);
			}
}
END_TEST

/* The point of the window: the line never waits for the node. */
START_TEST(window_keeps_the_line_busy)
{
	uint64_t one, four, wire;

	world_run(39999, 512, 1);
	one = world.now_us;
	world_make();
	world_run(39999, 512, 4);
	four = world.now_us;
	wire = (39999 + world.requests * 22ull) * 87;
	ck_assert_uint_lt(four, wire * 104 / 100);
	ck_assert_uint_gt(one, four * 105 / 100);
}
END_TEST

START_TEST(resumes_where_the_node_says)
{
	world_run(39999, 512, 4);
	world.ended = 0;
	world.wanted = 30000; /* broken off there */
	memset(world.have + 30000, 0, 9999);
	memset(world.flash + 30000, 0, 9999);
	world.progress = 0;
	world_run(39999, 512, 4);
	world_has(39999);
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
			world_make();
			world.t = t[i];
			world.rng = seed * 7919;
			world.ahead = seed & 1 ? 8192 : 0;
			world_run(20000, 512, 1 + seed % 8);
			ck_assert_msg(world.e.reason == EF_REASON_OK, "case %zu seed %u: %s", i,
				seed, world.e.detail);
			world_has(20000);
		}
}
END_TEST

/* A line on which next to nothing gets through: an end, and a reason. */
START_TEST(hopeless_line)
{
	for (uint32_t seed = 1; seed <= 10; seed++) {
		world_make();
		world.t.lose = 950;
		world.rng = seed;
		world_run(20000, 512, 4);
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
		world_make();
		world.ahead = keeps ? 8192 : 0;
		world_run(39999, 512, 4);
		all = world.requests;
		for (uint32_t at = 1; at <= all; at++) {
			world_make();
			world.ahead = keeps ? 8192 : 0;
			world.t.lose_request = at;
			world_run(39999, 512, 4);
			world_has(39999);
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

	world_run(39999, 512, 1);
	clean = world.now_us;
	world_make();
	world.t = (struct trouble){.lose_request = 20};
	world_run(39999, 512, 1);
	world_has(39999);
	ck_assert_uint_lt(world.now_us, clean + 200000);
	world_make();
	world.t = (struct trouble){.silent_after_us = 1000000};
	world_run(39999, 512, 1);
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
			world_make();
			world.ahead = i & 4 ? 8192 : 0;
			world_run(39999, i & 8 ? 1024 : 512, window);
			clean = world.now_us;
			all = world.requests;
			world_make();
			world.ahead = i & 4 ? 8192 : 0;
			if (answer)
				world.t.lose_answer = all;
			else
				world.t.lose_request = all;
			world_run(39999, i & 8 ? 1024 : 512, window);
			world_has(39999);
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

		world_make();
		world.ahead = i & 4 ? 8192 : 0;
		world_run(39999, 512, 1 + i % 4);
		all = world.requests;
		world_make();
		world.ahead = i & 4 ? 8192 : 0;
		world.t.verify_us = 8000000;
		if (i & 8)
			world.t.lose_answer = all;
		world_run(39999, 512, 1 + i % 4);
		world_has(39999);
		ck_assert_uint_lt(world.now_us, 8000000 + 8000000);
		ck_assert_uint_le(world.requests, all + 12);
		ck_assert_uint_le(upload.payload, 39999 + 512);
	}
}
END_TEST

/* F-15: the node was reset; it must be identified and asked anew. */
START_TEST(node_resets)
{
	for (uint32_t at = 1; at < 20000; at += 1499) {
		world_make();
		world.t.reset_at = at;
		world_run(20000, 512, 4);
		if (world.again) {
			ck_assert_int_eq(world.e.reason, EF_REASON_OK);
			world.ended = 0;
			world.progress = 0;
			world_run(20000, 512, 4);
		}
		world_has(20000);
	}
}
END_TEST

START_TEST(silent_node)
{
	static const uint64_t after[] = {1, 100000, 500000};

	for (size_t i = 0; i < 3; i++) {
		world_make();
		world.t.silent_after_us = after[i];
		world_run(20000, 512, 4);
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
			world_make();
			world.t.lie = t[i].lie;
			world.ahead = window == 8 ? 8192 : 0;
			world_run(20000, 512, window);
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
	world_run(5000, 512, 4);
	ck_assert_int_eq(world.e.reason, EF_REASON_IMAGE_DIGEST);
}
END_TEST

START_TEST(stop_in_the_middle)
{
	struct upload_config k = {
		.image = image, .size = 20000, .buf = 512, .window = 4, .ended = world_ended};

	world.buf = 512;
	smp_client_init(&client, world_send, NULL, 115200);
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
	smp_client_init(&client, world_send, NULL, 115200);
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
	tcase_add_checked_fixture(c, world_make, NULL);
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
