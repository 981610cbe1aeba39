/* SPDX-License-Identifier: Apache-2.0 */
/* What a line that spoils bits costs an upload (F-15, F-16). */
#include "upload-world.h"
#include <math.h>
#include <stdio.h>

/* A line that spoils every n-th byte gets messages of a length that goes with it, a good one whole
 * buffers again. */
START_TEST(chunks_follow_the_line)
{
	world_make();
	world.ahead = 16384;
	world_run(39999, 1024, 4);
	ck_assert_uint_eq(upload.chunk, 1024);
	world_make();
	world.ahead = 16384;
	world.t = (struct trouble){.lose = 100, .bit_errors = true};
	world.rng = 5;
	world_run(39999, 1024, 4);
	world_has(39999);
	ck_assert_uint_lt(upload.chunk, 400);
	ck_assert_uint_ge(upload.chunk, 64);
}
END_TEST

/* Payload's share of what the line could have carried meanwhile, in percent; mean of seeds. */
static double share(uint32_t buf, double flip, bool repairs, unsigned seeds)
{
	double sum = 0;

	for (unsigned seed = 1; seed <= seeds; seed++) {
		world_make();
		world.ahead = 8192;
		world.around = WORLD_AROUND;
		world.t.flip = flip;
		world.t.repairs = repairs;
		world.rng = seed * 2654435769u;
		world_run(WORLD_IMAGE_MAX, buf, 4);
		world_has(WORLD_IMAGE_MAX);
		sum += 100.0 * WORLD_IMAGE_MAX * 87 / (double)world.now_us;
	}
	return sum / seeds;
}

/* If a frame that is spoilt cost just itself, and all were as long as is best. */
static double best_share(uint32_t buf, double flip)
{
	double best = 0;

	for (uint32_t n = 64; n <= buf - EF_SMP_HEADER_SIZE - EF_DATA_HEAD; n++) {
		double frame = n + EF_SMP_HEADER_SIZE + EF_DATA_HEAD + WORLD_AROUND;
		double s = 100 * pow(1 - flip, 8 * frame) * n / frame;

		best = s > best ? s : best;
	}
	return best;
}

/*
 * With a node that repairs what has one wrong bit, in points of the line's rate; and the length of
 * frames comes back (F-16).
 */
START_TEST(bit_errors_repaired)
{
	static const struct {
		uint32_t buf;
		double flip, most;
	} rows[] = {{512, 1e-6, 1}, {1024, 1e-6, 1}, {512, 1e-5, 1.5}, {1024, 1e-5, 2},
		{512, 1e-4, 13}, {1024, 1e-4, 21}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		double clean = share(rows[i].buf, 0, true, 1);
		double without = share(rows[i].buf, rows[i].flip, false, 20);
		double is = share(rows[i].buf, rows[i].flip, true, 20);

		printf("# %u bytes, %.0e: %.1f %%, %.1f points less than clean; %.1f without "
		       "repair\n",
			rows[i].buf, rows[i].flip, is, clean - is, clean - without);
		ck_assert_double_le(clean - is, rows[i].most);
		ck_assert_uint_le(world.asked, 1);
	}
}
END_TEST

/* Two bytes a frame are worth it when more than one in half of its length's frames is lost. */
START_TEST(repair_is_asked_for_when_it_pays)
{
	static const struct {
		uint32_t buf, lost_at, size;
		bool asked;
	} rows[] = {{1024, 2, 8000, true}, {1024, 180, 200000, true}, {128, 2, 20000, true},
		{128, 300, 50000, false}};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		for (int repairs = 0; repairs < 2; repairs++) {
			world_make();
			world.ahead = 8192;
			world.t.repairs = repairs;
			world.t.lose_request = rows[i].lost_at;
			world_run(rows[i].size, rows[i].buf, 4);
			world_has(rows[i].size);
			ck_assert_uint_eq(world.asked, rows[i].asked);
			if (rows[i].asked)
				ck_assert_uint_eq(world.chunk_asked, rows[i].buf);
			/* what was lost before does not count any more */
			if (world.checked)
				ck_assert_uint_eq(upload.chunk, rows[i].buf);
		}
	world_make(); /* once, whatever comes */
	world.t.lose = 100;
	world.rng = 3;
	world_run(39999, 512, 4);
	world_has(39999);
	ck_assert_uint_eq(world.asked, 1);
}
END_TEST

/* An answer that is lost is no frame that is lost. */
START_TEST(lost_answers_are_no_lost_frames)
{
	world.ahead = 8192;
	world.t.lose_answer = 20;
	world_run(39999, 512, 4);
	world_has(39999);
	ck_assert_uint_eq(upload.losses, 0);
	ck_assert_uint_eq(world.asked, 0);
}
END_TEST

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
		clean = share(rows[i].buf, 0, false, 1);
		is = share(rows[i].buf, rows[i].flip, false, 20);
		best = best_share(rows[i].buf, rows[i].flip);
		printf("# %u bytes, %.0e: %.1f %%, %.1f points less than clean; the best is %.1f "
		       "%%\n",
			rows[i].buf, rows[i].flip, is, clean - is, best);
		ck_assert_double_gt(is, best - rows[i].most);
		ck_assert(rows[i].buf != 512 || rows[i].flip > 1e-5 || clean - is <= 5);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("upload-line");
	TCase *c = tcase_create("upload");

	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, world_make, NULL);
	tcase_add_test(c, chunks_follow_the_line);
	tcase_add_test(c, bit_errors_repaired);
	tcase_add_test(c, repair_is_asked_for_when_it_pays);
	tcase_add_test(c, lost_answers_are_no_lost_frames);
	tcase_add_test(c, bit_errors_cost_little);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
