/* SPDX-License-Identifier: Apache-2.0 */
/* Whether two answers of a node say the same: every member counts, and nothing between them. */
#include "../unit.h"
#include "dfu/node.h"
#include <string.h>

#define BETWEEN_SLOT 4	   /* behind present and active */
#define BETWEEN_IDENTITY 6 /* behind id, boot_version and info */

/* Bytes of which a change is seen. */
static size_t bytes_that_count(void)
{
	struct node_identity a, b;
	size_t n = 0;

	memset(&a, 0, sizeof a);
	for (size_t i = 0; i < sizeof a; i++) {
		memset(&b, 0, sizeof b);
		((uint8_t *)&b)[i] = 1;
		n += !node_identity_same(&a, &b);
	}
	return n;
}

START_TEST(every_member_counts)
{
	/* A member more: compare it in node-same.c, too. */
	ck_assert_uint_eq(sizeof(struct node_identity) - bytes_that_count(),
		2 * BETWEEN_SLOT + BETWEEN_IDENTITY);
}
END_TEST

START_TEST(nothing_between_counts)
{
	struct node_identity a, b;

	memset(&a, 0x00, sizeof a);
	memset(&b, 0xff, sizeof b);
	/* all that has a name alike, one by one, so that no copy takes along what lies between */
	b.protocol = b.hardware = b.buf = b.window = b.ahead = b.slot_size = b.floor = 0;
	b.attempts = b.cause = b.address = b.spread = b.battery = b.self_test = 0;
	b.patch_models = b.patch_page = b.patch_memory = 0;
	b.plain = b.bootloader = b.external = b.trial = b.reserved = false;
	b.reverted = EF_REASON_OK;
	memset(b.board, 0, sizeof b.board);
	memset(b.vendor, 0, sizeof b.vendor);
	memset(b.class_id, 0, sizeof b.class_id);
	memset(b.id, 0, sizeof b.id);
	memset(b.boot_version, 0, sizeof b.boot_version);
	memset(b.info, 0, sizeof b.info);
	for (int i = 0; i < 2; i++) {
		struct node_slot *s = &b.slots[i];
		s->present = s->pending = s->confirmed = s->active = false;
		memset(&s->version, 0, sizeof s->version);
		memset(s->hash, 0, sizeof s->hash);
	}
	/* which this is not the way to compare: */
	/* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison,cert-exp42-c,cert-flp37-c) */
	ck_assert(memcmp(&a, &b, sizeof a) != 0);
	ck_assert(node_identity_same(&a, &b));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("same");
	TCase *t = tcase_create("same");

	tcase_add_test(t, every_member_counts);
	tcase_add_test(t, nothing_between_counts);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
