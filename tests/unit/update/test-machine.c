/* SPDX-License-Identifier: Apache-2.0 */
/* I-8: every started deployment has exactly one outcome; the table is the one in the design page.
 */
#include "../unit.h"
#include "update/machine.h"
#include "util/fdio.h"
#include <string.h>

static bool may_end(enum deployment_state s, unsigned depth)
{
	struct transition t;

	if (deployment_over(s))
		return true;
	for (size_t ev = 0; depth > 0 && ev < DEPLOYMENT_EVENTS; ev++)
		if (machine_next(s, (enum deployment_event)ev, &t) && may_end(t.next, depth - 1))
			return true;
	return false;
}

START_TEST(every_state_and_event)
{
	for (size_t s = 0; s < DEPLOYMENT_STATES; s++) {
		size_t ways = 0;
		for (size_t ev = 0; ev < DEPLOYMENT_EVENTS; ev++) {
			struct transition t = {.next = (enum deployment_state)99};
			bool moved = machine_next(
				(enum deployment_state)s, (enum deployment_event)ev, &t);
			if (!moved) {
				ck_assert_int_eq(t.next, 99);
				continue;
			}
			ways++;
			ck_assert_int_ne(t.next, s);
			ck_assert_int_lt(t.next, DEPLOYMENT_STATES);
			ck_assert_int_ne(t.action, ACTION_NONE);
			/* ends and only ends end */
			ck_assert_int_eq(t.action == ACTION_END, deployment_over(t.next));
		}
		ck_assert_int_eq(ways == 0, deployment_over((enum deployment_state)s));
		ck_assert(may_end((enum deployment_state)s, 8));
	}
}
END_TEST

/* Up to STAGED nothing runs that did not run before: such a deployment never reverts, it just ends.
 */
START_TEST(before_activation_nothing_reverts)
{
	static const enum deployment_state before[] = {
		DEPLOYMENT_OFFERED, DEPLOYMENT_FETCHING, DEPLOYMENT_STAGED};
	struct transition t;

	for (size_t i = 0; i < 3; i++) {
		ck_assert(machine_next(before[i], EVENT_FAILED, &t));
		ck_assert_int_eq(t.next, DEPLOYMENT_FAILED);
		ck_assert(machine_next(before[i], EVENT_CANCEL, &t));
		ck_assert_int_eq(t.next, DEPLOYMENT_CANCELLED);
	}
	ck_assert(!machine_next(DEPLOYMENT_ACTIVATING, EVENT_CANCEL, &t));
	ck_assert(machine_next(DEPLOYMENT_ACTIVATING, EVENT_FAILED, &t));
	ck_assert_int_eq(t.next, DEPLOYMENT_REVERTING);
	/* only from OFFERED is anything "refused" */
	for (size_t s = 1; s < DEPLOYMENT_STATES; s++)
		ck_assert(!machine_next((enum deployment_state)s, EVENT_REFUSED, &t));
}
END_TEST

/* Nothing is confirmed that was not on trial (S-13). */
START_TEST(confirmed_only_after_trial)
{
	struct transition t;

	for (size_t s = 0; s < DEPLOYMENT_STATES; s++)
		for (size_t ev = 0; ev < DEPLOYMENT_EVENTS; ev++) {
			if (!machine_next((enum deployment_state)s, (enum deployment_event)ev, &t))
				continue;
			if (t.next == DEPLOYMENT_CONFIRMING)
				ck_assert_int_eq(s, DEPLOYMENT_TRIAL);
			if (t.next == DEPLOYMENT_CONFIRMED)
				ck_assert_int_eq(s, DEPLOYMENT_CONFIRMING);
			if (t.next == DEPLOYMENT_REVERTED)
				ck_assert_int_eq(s, DEPLOYMENT_REVERTING);
		}
}
END_TEST

START_TEST(words_go_both_ways)
{
	enum deployment_state s;
	enum component_state c;
	enum deployment_origin o;

	for (size_t i = 0; i < DEPLOYMENT_STATES; i++) {
		ck_assert(deployment_state_from_word(
			deployment_state_word((enum deployment_state)i), &s));
		ck_assert_int_eq(s, i);
	}
	for (size_t i = 0; i <= COMPONENT_SKIPPED; i++) {
		ck_assert(component_state_from_word(
			component_state_word((enum component_state)i), &c));
		ck_assert_int_eq(c, i);
	}
	for (size_t i = 0; i <= ORIGIN_CATCH_UP; i++) {
		ck_assert(deployment_origin_from_word(
			deployment_origin_word((enum deployment_origin)i), &o));
		ck_assert_int_eq(o, i);
	}
	ck_assert(!deployment_state_from_word("Offered", &s));
	ck_assert(!deployment_state_from_word(NULL, &s));
	ck_assert(!component_state_from_word("stage", &c));
	ck_assert(!deployment_origin_from_word("", &o));
}
END_TEST

START_TEST(parts_end_once)
{
	static const enum component_state ends[] = {
		COMPONENT_CONFIRMED, COMPONENT_REVERTED, COMPONENT_SKIPPED};

	for (size_t i = 0; i < 3; i++)
		for (size_t to = 0; to <= COMPONENT_SKIPPED; to++)
			ck_assert_int_eq(part_may_become(ends[i], (enum component_state)to),
				ends[i] == (enum component_state)to);
	ck_assert(!part_may_become(COMPONENT_STAGED, COMPONENT_TRIAL));
	ck_assert(!part_may_become(COMPONENT_STAGED, COMPONENT_CONFIRMED));
	ck_assert(!part_may_become(COMPONENT_PENDING, COMPONENT_ACTIVATING));
	ck_assert(part_may_become(COMPONENT_TRIAL, COMPONENT_CONFIRMED));
}
END_TEST

START_TEST(design_page_shows_this_table)
{
	char *table = NULL;
	size_t size, n;
	uint8_t *page = NULL;

	FILE *f = open_memstream(&table, &size);
	machine_print(f);
	fclose(f);
	ck_assert_int_eq(file_read(TEST_DESIGN, 1 << 20, &page, &n), 0);
	ck_assert_msg(strstr((char *)page, table) != NULL,
		"docs/DESIGN.md does not show the state table, which is:\n%s", table);
	free(page);
	free(table);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/machine");
	TCase *t = tcase_create("table");

	tcase_add_test(t, every_state_and_event);
	tcase_add_test(t, before_activation_nothing_reverts);
	tcase_add_test(t, confirmed_only_after_trial);
	tcase_add_test(t, words_go_both_ways);
	tcase_add_test(t, parts_end_once);
	tcase_add_test(t, design_page_shows_this_table);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
