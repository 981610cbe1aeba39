/* SPDX-License-Identifier: Apache-2.0 */
/* A receiver without repair: it says so, and a wrong bit or a checked request is nothing to it. */
#include "unit.h"
#include "vectors.h"
#include "wire/cobs.h"
#include <edgeferry/session.h>

static size_t take(const char *name, uint8_t *buf, size_t room)
{
	uint8_t line[128];
	struct frame_receiver r;
	size_t n = vector("session.txt", name, line, sizeof(line)), got = 0;

	frame_receiver_init(&r, buf, room);
	for (size_t i = 0; i < n; i++)
		got = frame_receive(&r, line[i]);
	return got;
}

START_TEST(as_it_came_or_not_at_all)
{
	uint8_t buf[128];

	ck_assert(!frame_repairs());
	ck_assert_uint_eq(take("checked-0-flipped", buf, sizeof(buf)), 0);
	ck_assert_uint_eq(take("shared-0-flipped", buf, sizeof(buf)), 0);
	/* no type of a frame that a node knows */
	ck_assert_uint_gt(take("checked-0", buf, sizeof(buf)), 0);
	ck_assert_uint_eq(buf[0], EF_SESSION_CHECKED);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("repair-none");
	TCase *t = tcase_create("none");

	tcase_add_test(t, as_it_came_or_not_at_all);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
