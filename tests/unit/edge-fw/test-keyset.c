/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key sets (E-06, E-07): who may change them, in which steps, and that a node is neither left
 * without keys nor taken back to old ones.
 */
#include "flash-keys.h"
#include "node.h"
#include <string.h>

enum { KEYS = 6 };

static EVP_PKEY *key[KEYS];
static struct test_keyset set0, set1, set2;
static struct test_document doc;

static struct test_keyset make_set(unsigned number, unsigned threshold, unsigned n, unsigned first)
{
	struct test_keyset s = {.n = n, .threshold = threshold, .number = number};

	for (unsigned i = 0; i < n; i++)
		s.keys[i] = key[first + i];
	return s;
}

static void put_factory(unsigned threshold)
{
	struct factory f;

	set0.threshold = threshold;
	test_factory_make(&f, node.key, 1);
	test_factory_keys(&f, &set0);
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
}

/* Two of three; the image that runs is signed by key 2, which is in every set. */
static void setup(int fast)
{
	for (unsigned i = 0; i < KEYS; i++)
		key[i] = test_key_new();
	node_make(fast);
	test_image_make(&node.old, key[2], OLD, OLD_COUNTER, 3000);
	test_image_make(&node.fresh, key[2], NEW, NEW_COUNTER, 4001);
	node_put_image(0, &node.old);
	set0 = make_set(0, 2, 3, 0);
	set1 = make_set(1, 2, 3, 1);
	set2 = make_set(2, 2, 3, 2);
	put_factory(2);
	node_start();
}

static void teardown(void)
{
	for (unsigned i = 0; i < KEYS; i++)
		EVP_PKEY_free(key[i]);
	node_free();
}

static struct factory in_force(void)
{
	struct factory f;

	keyset_load(&f);
	return f;
}

static enum ef_reason check(const struct test_document *d)
{
	struct factory f = in_force(), next;

	return keyset_check(d->data, d->size, &f, &next);
}

static struct reply bring(const struct test_document *d)
{
	uint8_t buf[PORT_MESSAGE_MAX - EF_SMP_HEADER_SIZE];
	struct cbor_writer w;

	cbor_write_init(&w, buf, sizeof(buf));
	cbor_open_map(&w);
	cbor_put_text(&w, "doc");
	cbor_put_bytes(&w, d->data, d->size);
	cbor_close(&w);
	return gateway_ask(&node.agent, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_KEYS, buf, w.used);
}

static uint32_t asked(void)
{
	struct reply r =
		gateway_ask(&node.agent, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_KEYS, "\xa0", 1);
	return reply_uint(&r, "set");
}

START_TEST(rotation) /* K to K+1 to K+2, and each step by power-up */
{
	setup(_i);
	ck_assert_uint_eq(asked(), 0);
	test_document_whole(&doc, &set1, &set0, 2, 2);
	struct reply r = bring(&doc);
	assert_good(r);
	ck_assert_uint_eq(reply_uint(&r, "set"), 1);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert_uint_eq(asked(), 1);
	assert_refused(bring(&doc), METADATA_ROLLBACK); /* it is in force already */
	test_document_whole(&doc, &set2, &set1, 2, 2);
	assert_good(bring(&doc));
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert_uint_eq(asked(), 2);
	/* who the device is has not changed */
	struct factory f = in_force();
	ck_assert_uint_eq(f.hardware_revision, 3);
	ck_assert_uint_eq(f.device_id[0], 0xd1);
	teardown();
}
END_TEST

START_TEST(thresholds) /* of both sets, for all numbers of signatures */
{
	setup(1);
	for (unsigned t0 = 0; t0 <= 3; t0++)
		for (unsigned t1 = 1; t1 <= 3; t1++)
			for (unsigned n_new = 0; n_new <= 3; n_new++)
				for (unsigned n_old = 0; n_old <= 3; n_old++) {
					put_factory(t0);
					set1.threshold = t1;
					test_document_whole(&doc, &set1, &set0, n_new, n_old);
					/* a factory page that says nothing means two of three */
					bool enough = n_new >= t1 && n_old >= (t0 ? t0 : 2);
					ck_assert_int_eq(check(&doc),
						enough ? EF_REASON_OK : EF_REASON_BAD_SIGNATURE);
				}
	teardown();
}
END_TEST

START_TEST(signatures_that_do_not_count)
{
	setup(1);
	/* the same key twice, in either set */
	test_document_make(&doc, &set1);
	test_document_sign(&doc, set1.keys[0], 0, false);
	test_document_sign(&doc, set1.keys[0], 0, false);
	test_document_sign(&doc, set0.keys[0], 0, true);
	test_document_sign(&doc, set0.keys[1], 1, true);
	ck_assert_int_eq(check(&doc), EF_REASON_BAD_FORMAT);
	test_document_whole(&doc, &set1, &set0, 2, 1);
	test_document_sign(&doc, set0.keys[0], 0, true);
	ck_assert_int_eq(check(&doc), EF_REASON_BAD_FORMAT);
	/* by a key of neither set; by one under the other's name */
	test_document_whole(&doc, &set1, &set0, 2, 1);
	test_document_sign(&doc, key[5], 1, true);
	ck_assert_int_eq(check(&doc), EF_REASON_BAD_SIGNATURE);
	test_document_whole(&doc, &set1, &set0, 2, 1);
	test_document_sign(&doc, set0.keys[1], 2, true);
	ck_assert_int_eq(check(&doc), EF_REASON_BAD_SIGNATURE);
	/* one that does not hold spoils it, though there are enough without it */
	test_document_whole(&doc, &set1, &set0, 2, 3);
	doc.data[doc.size - 1] ^= 1;
	ck_assert_int_eq(check(&doc), EF_REASON_BAD_SIGNATURE);
	/* a key that is not there */
	test_document_whole(&doc, &set1, &set0, 2, 2);
	test_document_sign(&doc, set0.keys[2], 3, true);
	ck_assert_int_eq(check(&doc), EF_REASON_BAD_FORMAT);
	/* a signature for another purpose: of the running image (S-04) */
	test_document_make(&doc, &set1);
	memcpy(doc.data + doc.size, node.old.data + node.old.size - 65, 65);
	doc.data[doc.size] = 0;
	doc.size += 65;
	ck_assert_int_eq(check(&doc), EF_REASON_BAD_SIGNATURE);
	teardown();
}
END_TEST

START_TEST(steps) /* by exactly one, never back */
{
	setup(1);
	for (unsigned number = 0; number < 5; number++) {
		struct test_keyset s = set1;
		s.number = number;
		test_document_whole(&doc, &s, &set0, 2, 2);
		ck_assert_int_eq(check(&doc), number == 0   ? EF_REASON_METADATA_ROLLBACK
					      : number == 1 ? EF_REASON_OK
							    : EF_REASON_REQUIREMENT);
	}
	test_document_whole(&doc, &set1, &set0, 2, 2);
	assert_good(bring(&doc));
	test_document_whole(&doc, &set2, &set1, 2, 2);
	assert_good(bring(&doc));
	/* an old set again, signed as it was, and signed afresh by whoever still has its keys */
	test_document_whole(&doc, &set1, &set0, 2, 2);
	assert_refused(bring(&doc), METADATA_ROLLBACK);
	set1.number = 3;
	test_document_whole(&doc, &set1, &set0, 2, 2);
	assert_refused(bring(&doc), BAD_SIGNATURE);
	ck_assert_uint_eq(asked(), 2);
	teardown();
}
END_TEST

START_TEST(malformed)
{
	struct test_document bad;

	setup(1);
	set1 = make_set(1, 1, 1, 2);
	test_document_whole(&doc, &set1, &set0, 1, 2);
	ck_assert_int_eq(check(&doc), EF_REASON_OK);
	for (size_t bit = 0; bit < 8 * doc.size; bit++) {
		bad = doc;
		bad.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_msg(check(&bad) != EF_REASON_OK, "bit %zu", bit);
	}
	for (size_t size = 0; size < doc.size; size++) {
		bad = doc;
		bad.size = size;
		ck_assert_int_ne(check(&bad), EF_REASON_OK);
	}
	bad = doc;
	bad.size++;
	ck_assert_int_eq(check(&bad), EF_REASON_BAD_FORMAT);
	/* a key twice, and keys out of order */
	set1 = make_set(1, 1, 2, 2);
	test_document_make(&doc, &set1);
	bad = doc;
	memcpy(bad.data + 8, bad.data + 8 + 64, 64);
	ck_assert_int_eq(check(&bad), EF_REASON_BAD_FORMAT);
	memcpy(bad.data + 8 + 64, doc.data + 8, 64);
	ck_assert_int_eq(check(&bad), EF_REASON_BAD_FORMAT);
	/* numbers that do not go together */
	static const uint8_t numbers[][2] = {{0, 0}, {0, 1}, {1, 0}, {1, 2}, {5, 1}, {255, 255}};
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++) {
		bad = doc;
		memcpy(bad.data + 4, numbers[i], 2);
		ck_assert_int_eq(check(&bad), EF_REASON_BAD_FORMAT);
	}
	assert_rc(gateway_ask(&node.agent, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_KEYS,
			  "\xa1\x63"
			  "doc\x01",
			  6),
		INVALID);
	teardown();
}
END_TEST

START_TEST(revocation)
{
	static struct test_image by_revoked;

	setup(_i);
	test_image_make(&by_revoked, key[0], NEW, NEW_COUNTER, 2000);
	assert_good(gateway_preflight(&node.agent, &by_revoked));
	test_document_whole(&doc, &set1, &set0, 2, 2);
	assert_good(bring(&doc));
	assert_refused(gateway_preflight(&node.agent, &by_revoked), IMAGE_KEY);
	/* nor is what was approved before taken any more */
	assert_refused(gateway_upload(&node.agent, &by_revoked, 300), IMAGE_UNSIGNED);
	node_stage();
	node_start();
	ck_assert(node_slot_is(0, &node.fresh));
	teardown();
}
END_TEST

START_TEST(not_under_what_runs) /* a set that the running image is not signed under */
{
	setup(_i);
	set1 = make_set(1, 2, 3, 3);
	test_document_whole(&doc, &set1, &set0, 2, 2);
	assert_refused(bring(&doc), IMAGE_KEY);
	ck_assert_uint_eq(asked(), 0);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	/* nor while the way back may need the old one */
	node_stage();
	node_start();
	set1 = make_set(1, 2, 3, 1);
	test_document_whole(&doc, &set1, &set0, 2, 2);
	assert_refused(bring(&doc), TRIAL_RUNNING);
	teardown();
}
END_TEST

START_TEST(no_fallback_by_a_revoked_key)
{
	setup(_i);
	/* the fallback is by key 0, which set 1 leaves out */
	test_image_make(&node.old, key[0], OLD, OLD_COUNTER, 3000);
	node_put_image(0, &node.old);
	memset(sim.flash + sim.board.state.offset, 0xff, sim.board.state.size);
	test_image_make(&node.fresh, key[2], NEW, OLD_COUNTER, 4001);
	node_put_on_trial();
	assert_good(gateway_state(&node.agent, NULL, true, 0));
	test_document_whole(&doc, &set1, &set0, 2, 2);
	assert_good(bring(&doc));
	node_damage(0, 500);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	teardown();
}
END_TEST

START_TEST(publishers_document) /* as edgeferry-repo made it */
{
	EVP_PKEY *published = test_key_read(VECTORS "/p256.pub.pem");
	FILE *f = fopen(VECTORS "/../keyset.bin", "re");
	struct factory page, next;

	ck_assert(published && f);
	doc.size = fread(doc.data, 1, sizeof(doc.data), f);
	fclose(f);
	test_factory_make(&page, published, 1);
	ck_assert_int_eq(keyset_check(doc.data, doc.size, &page, &next), EF_REASON_OK);
	ck_assert_uint_eq(next.n_keys, 2);
	ck_assert_uint_eq(next.threshold, 1);
	ck_assert_uint_eq(next.key_set, 1);
	/* the key that is in both is the same in both */
	ck_assert(memcmp(&next.keys[0], &page.keys[0], sizeof(page.keys[0])) == 0 ||
		  memcmp(&next.keys[1], &page.keys[0], sizeof(page.keys[0])) == 0);
	EVP_PKEY_free(published);
}
END_TEST

/* ---- what is kept ---- */

static uint8_t *copy(unsigned i)
{
	return sim.flash + sim.board.keys.offset + i * sim.board.page;
}

START_TEST(policy_is_the_factorys) /* a key set says nothing about stock clients */
{
	setup(1);
	test_document_whole(&doc, &set1, &set0, 2, 2);
	assert_good(bring(&doc));
	ck_assert_uint_eq(in_force().flags, 0);
	node_allow_plain();
	ck_assert_uint_eq(in_force().key_set, 1);
	ck_assert_uint_eq(in_force().flags, FACTORY_PLAIN_CLIENTS);
	/* a copy that is mended is whole, and the next set keeps it so */
	copy(0)[3] ^= 1;
	node_start();
	copy(1)[3] ^= 1;
	ck_assert_uint_eq(in_force().key_set, 1);
	node_start();
	test_document_whole(&doc, &set2, &set1, 2, 2);
	assert_good(bring(&doc));
	ck_assert_uint_eq(in_force().flags, FACTORY_PLAIN_CLIENTS);
	teardown();
}
END_TEST

START_TEST(two_copies) /* one of them is enough, and the other is mended at the next start */
{
	struct factory f;

	setup(1);
	test_document_whole(&doc, &set1, &set0, 2, 2);
	assert_good(bring(&doc));
	for (unsigned i = 0; i < 2; i++)
		for (unsigned bit = 0; bit < 8 * sizeof(f); bit += 7) {
			copy(i)[bit / 8] ^= (uint8_t)(1 << bit % 8);
			ck_assert_uint_eq(in_force().key_set, 1);
			ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
			ck_assert(memcmp(copy(0), copy(1), sizeof(f)) == 0);
		}
	/* the factory page itself is not needed any more */
	sim.flash[sim.board.factory.offset + 100] ^= 1;
	ck_assert_uint_eq(in_force().key_set, 1);
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	teardown();
}
END_TEST

START_TEST(both_copies_lost) /* S-14: the factory's keys do not come back by that */
{
	setup(1);
	test_document_whole(&doc, &set1, &set0, 2, 2);
	assert_good(bring(&doc));
	copy(0)[3] ^= 1;
	copy(1)[3] ^= 1;
	ck_assert_uint_eq(in_force().n_keys, 0);
	uint32_t before = sim.operations;
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	ck_assert_uint_eq(sim.operations, before);
	node_serve();
	assert_refused(gateway_preflight(&node.agent, &node.fresh), NO_TRUST);
	teardown();
}
END_TEST

static void bring_it(void *ctx)
{
	(void)ctx;
	bring(&doc);
}

static void boot_it(void *ctx)
{
	(void)ctx;
	boot_main();
}

/* Old or new, and what was seen once stays, however often it is looked at. */
static void settles(unsigned before)
{
	sim_power_on();
	ck_assert_int_eq(node_boot(), SIM_STARTED);
	unsigned seen = in_force().key_set;
	ck_assert(seen == before || seen == before + 1);
	for (int i = 0; i < 5; i++) {
		ck_assert_uint_eq(in_force().key_set, seen);
		ck_assert_uint_gt(in_force().n_keys, 0);
	}
	if (seen == before)
		assert_good(bring(&doc));
	ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
	ck_assert_uint_eq(in_force().key_set, before + 1);
}

START_TEST(cut_at_every_operation) /* E-06, and again at those of the mending after it */
{
	static struct sim start, left;
	uint32_t operations;

	setup(0);
	test_document_whole(&doc, &set1, &set0, 2, 2);
	if (_i) { /* from a set that is in both copies, not from the factory's */
		assert_good(bring(&doc));
		test_document_whole(&doc, &set2, &set1, 2, 2);
		node_start();
	}
	unsigned before = in_force().key_set;
	sim_copy(&start, &sim);
	assert_good(bring(&doc));
	operations = sim.operations - start.operations;
	for (enum sim_cut kind = 0; kind < CUT_KINDS; kind++)
		for (uint32_t at = 0; at < operations * 4; at++) {
			sim_copy(&sim, &start);
			agent_init(&node.agent, node.agent.program);
			sim.random = at;
			sim.cut_kind = kind;
			sim.cut_at = sim.operations + 1 + at % operations;
			ck_assert_int_eq(sim_run(bring_it, NULL), SIM_CUT);
			sim_copy(&left, &sim);
			for (uint32_t chance = 0; chance < 5; chance++) {
				sim_copy(&sim, &left);
				sim.random = chance * 12345;
				settles(before);
			}
			for (uint32_t chance = 0; chance < 28; chance++) {
				sim_copy(&sim, &left);
				sim_power_on();
				sim.random = chance * 54321;
				sim.cut_kind = chance % 3 ? CUT_UNSTABLE : CUT_RANDOM;
				sim.cut_at = sim.operations + 1 + chance % 7;
				sim_run(boot_it, NULL);
				settles(before);
			}
		}
	teardown();
}
END_TEST

/* Which then reads as whole or not, and the mending is cut as well. */
START_TEST(cut_at_the_end_of_the_first_copy)
{
	static struct sim start, left;

	setup(0);
	test_document_whole(&doc, &set1, &set0, 2, 2);
	sim_copy(&start, &sim);
	for (uint32_t chance = 0; chance < 400; chance++) {
		if (chance % 50 == 0) {
			sim_copy(&sim, &start);
			agent_init(&node.agent, node.agent.program);
			sim.random = chance;
			sim.cut_kind = CUT_UNSTABLE;
			sim.cut_at = sim.operations + 3; /* erase, copy, its last word */
			ck_assert_int_eq(sim_run(bring_it, NULL), SIM_CUT);
			sim_copy(&left, &sim);
		}
		sim_copy(&sim, &left);
		sim_power_on();
		sim.random = chance * 54321;
		sim.cut_kind = CUT_UNSTABLE;
		sim.cut_at = sim.operations + 1 + chance % 7;
		sim_run(boot_it, NULL);
		settles(0);
	}
	teardown();
}
END_TEST

START_TEST(cut_with_one_copy_lost) /* the one that is whole is written last */
{
	static struct sim start;
	uint32_t operations;

	for (unsigned lost = 0; lost < 2; lost++) {
		setup(0);
		test_document_whole(&doc, &set1, &set0, 2, 2);
		assert_good(bring(&doc));
		test_document_whole(&doc, &set2, &set1, 2, 2);
		node_start();
		copy(lost)[10] ^= 1;
		sim_copy(&start, &sim);
		assert_good(bring(&doc));
		operations = sim.operations - start.operations;
		for (uint32_t at = 1; at <= operations; at++) {
			sim_copy(&sim, &start);
			agent_init(&node.agent, node.agent.program);
			sim.cut_kind = CUT_RANDOM;
			sim.cut_at = sim.operations + at;
			ck_assert_int_eq(sim_run(bring_it, NULL), SIM_CUT);
			ck_assert_uint_ge(in_force().key_set, 1);
		}
		teardown();
	}
}
END_TEST

START_TEST(bad_flash) /* F-19: said, and the set before stays in force */
{
	setup(0);
	test_document_whole(&doc, &set1, &set0, 2, 2);
	for (enum sim_fault kind = 0; kind < FAULT_READ; kind++)
		for (unsigned page = 0; page < 2; page++) {
			sim.fault = kind;
			sim.bad_page = sim.board.keys.offset / sim.board.page + page + 1;
			uint32_t before = asked();
			struct reply r = bring(&doc);
			ck_assert_int_eq(r.reason,
				before ? EF_REASON_METADATA_ROLLBACK : EF_REASON_NODE_FLASH);
			ck_assert_int_eq(node_boot(), SIM_STARTED);
			ck_assert_uint_ge(asked(), before);
		}
	teardown();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/keyset");
	TCase *c = tcase_create("keyset");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 120);
	tcase_add_loop_test(c, rotation, 0, 2);
	tcase_add_test(c, thresholds);
	tcase_add_test(c, signatures_that_do_not_count);
	tcase_add_test(c, steps);
	tcase_add_test(c, malformed);
	tcase_add_loop_test(c, revocation, 0, 2);
	tcase_add_loop_test(c, not_under_what_runs, 0, 2);
	tcase_add_loop_test(c, no_fallback_by_a_revoked_key, 0, 2);
	tcase_add_test(c, policy_is_the_factorys);
	tcase_add_test(c, publishers_document);
	tcase_add_test(c, two_copies);
	tcase_add_test(c, both_copies_lost);
	tcase_add_loop_test(c, cut_at_every_operation, 0, 2);
	tcase_add_test(c, cut_at_the_end_of_the_first_copy);
	tcase_add_test(c, cut_with_one_copy_lost);
	tcase_add_test(c, bad_flash);
	return s;
}

UNIT_MAIN(suite())
