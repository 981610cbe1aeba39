/* SPDX-License-Identifier: Apache-2.0 */
/* Staging by patch against a model node: what is sent and what not, and what goes wrong with it
 * (E-04, F-15, F-22, F-32). What comes out of real ones is patch-node.py's affair. */
#include "dfu/node-internal.h"
#include "fake-node.h"
#include "unit.h"
#include "util/fdio.h"
#include "util/time-util.h"
#include <string.h>

static sd_event *event;
static struct fake fake;
static struct node *node;
static unsigned dones;
static struct error result;
static uint8_t *image, patch_data[3000];
static size_t image_size;
static struct node_patch patch;
static uint64_t progress_last;

static void on_done(void *ctx, const struct error *e)
{
	dones++;
	result = *e;
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
	ck_assert_uint_le(done, total);
	ck_assert_uint_eq(total, image_size + patch.size);
	progress_last = done;
}

static void setup(void)
{
	static const struct node_timing quick = {.first_us = SMP_TIMEOUT_MIN_US,
		.ask_us = 700000,
		.slow_us = 800000,
		.look_us = 300000,
		.poll_us = 30000,
		.reset_us = 250000};

	ck_assert_int_ge(sd_event_new(&event), 0);
	fake_open(&fake, event);
	node = fake_reach(&fake, event, &quick);
	ck_assert_int_eq(file_read(VECTOR_DIR "/good-p256.bin", 1 << 20, &image, &image_size), 0);
	fake.models = 1u << 1;
	fake.page = 4096;
	fake.comes_out = image;
	fake.comes_out_size = (uint32_t)image_size;
	for (size_t i = 0; i < sizeof patch_data; i++)
		patch_data[i] = (uint8_t)(i * i >> 3);
	memcpy(patch_data, "EP\1\1", 4);
	patch = (struct node_patch){patch_data, sizeof patch_data, {0}};
	memset(patch.base, 0x11, sizeof patch.base);
	dones = 0;
	progress_last = 0;
}

static void teardown(void)
{
	node_free(node);
	fake_close(&fake);
	sd_event_unref(event);
	free(image);
}

static enum ef_reason stage(const struct node_patch *p)
{
	uint64_t end = now_monotonic_us() + 30 * USEC_PER_SEC;

	dones = 0;
	ck_assert_int_eq(
		node_stage(node, image, image_size, p, p ? on_progress : NULL, on_done, NULL), 0);
	while (!dones && now_monotonic_us() < end)
		sd_event_run(event, 20000);
	ck_assert_uint_eq(dones, 1);
	return result.reason;
}

START_TEST(sent_in_its_place)
{
	ck_assert_msg(stage(&patch) == EF_REASON_OK, "%s", result.detail);
	ck_assert_mem_eq(fake.flash, patch_data, sizeof patch_data);
	ck_assert_uint_eq(fake.size, sizeof patch_data);
	ck_assert_uint_eq(progress_last, image_size + sizeof patch_data);
	ck_assert_uint_ge(fake.count[FAKE_PATCH], 5);
	ck_assert_int_eq(stage(&patch), EF_REASON_OK); /* holds it already */
	ck_assert_uint_eq(fake.count[FAKE_PREFLIGHT], 1);
}
END_TEST

/* Nothing but identify and image state; and the whole image comes then. */
static void refused_unsent(const char *why)
{
	ck_assert_int_eq(stage(&patch), EF_REASON_PATCH);
	ck_assert_msg(strstr(result.detail, why) != NULL, "%s", result.detail);
	ck_assert_uint_eq(fake.count[FAKE_PREFLIGHT] + fake.count[FAKE_UPLOAD], 0);
}

START_TEST(refused_before_anything_is_sent)
{
	static uint8_t large[(128 << 10) + 1];
	uint8_t was = patch.base[7];

	fake.models = 0;
	refused_unsent("takes none");
	fake.models = 1u << 2 | 1u;
	refused_unsent("model");
	fake.models = 1u << 1;
	patch.base[7] ^= 1;
	refused_unsent("another image");
	patch.base[7] = was;
	patch.size = 3;
	refused_unsent("model");
	patch_data[3] = 200;
	patch.size = sizeof patch_data;
	refused_unsent("model");
	patch_data[3] = 1;
	fake.page = 128 << 10; /* two for the image, and none of the whole slot behind */
	memcpy(large, patch_data, sizeof patch_data);
	patch.data = large;
	patch.size = sizeof large;
	refused_unsent("room for");
	patch.data = patch_data;
	patch.size = sizeof patch_data;
	ck_assert_int_eq(stage(NULL), EF_REASON_OK);
	ck_assert_mem_eq(fake.flash, image, image_size);
}
END_TEST

START_TEST(room)
{
	struct node_identity id = {.slot_size = 96 << 10, .patch_page = 1024, .patch_models = 2};

	ck_assert_uint_eq(node_patch_room(&id, 60000), (96 << 10) - 59 * 1024);
	ck_assert_uint_eq(node_patch_room(&id, 59 * 1024), (96 << 10) - 59 * 1024);
	ck_assert_uint_eq(node_patch_room(&id, 96 << 10), 1024);
	ck_assert_uint_eq(node_patch_room(&id, (95 << 10) + 1), 1024);
	ck_assert_uint_eq(node_patch_room(&id, (96 << 10) + 1), 0);
	ck_assert_uint_eq(node_patch_room(&id, UINT32_MAX), 0);
	id.patch_page = 0;
	ck_assert_uint_eq(node_patch_room(&id, 60000), 0);
	id.patch_page = UINT32_MAX;
	ck_assert_uint_eq(node_patch_room(&id, 60000), 0);
	id.patch_page = 256 << 10;
	id.slot_size = 512 << 10;
	ck_assert_uint_eq(node_patch_room(&id, 300 << 10), 256 << 10);
	id.patch_models = 0;
	ck_assert_uint_eq(node_patch_room(&id, 60000), 0);
}
END_TEST

/* What the node says of the patch is told; the image itself is not tried by itself (F-22). */
START_TEST(wrong_on_the_node)
{
	fake.patch_why = EF_REASON_BAD_DIGEST;
	ck_assert_int_eq(stage(&patch), EF_REASON_PATCH);
	ck_assert_msg(strstr(result.detail, "bad-digest") != NULL, "%s", result.detail);
	fake.patch_why = 4711;
	ck_assert_int_eq(stage(&patch), EF_REASON_PATCH);
	fake.preflight_reason = EF_REASON_PATCH;
	ck_assert_int_eq(stage(&patch), EF_REASON_PATCH);
	fake.preflight_reason = EF_REASON_FLOOR;
	ck_assert_int_eq(stage(&patch), EF_REASON_FLOOR);
}
END_TEST

START_TEST(reset_while_it_makes)
{
	fake.reset_at_made = (uint32_t)image_size / 2;
	ck_assert_msg(stage(&patch) == EF_REASON_OK, "%s", result.detail);
	ck_assert_uint_eq(fake.count[FAKE_PREFLIGHT], 2);
	ck_assert_uint_eq(fake.boots, 1);
}
END_TEST

/* F-32: whatever it answers, it ends once and in time. */
START_TEST(nonsense)
{
	for (int fault = FAKE_SILENT; fault < FAKE_FAULTS; fault++) {
		enum ef_reason r;

		if (fault == FAKE_BABBLE)
			continue;
		fake.fault[FAKE_PATCH] = (enum fake_fault)fault;
		r = stage(&patch);
		ck_assert_msg(r == EF_REASON_NODE_UNREACHABLE || r == EF_REASON_NODE_PROTOCOL ||
				      r == EF_REASON_NODE_FLASH,
			"fault %d: %s", fault, result.detail);
	}
	fake.fault[FAKE_PATCH] = FAKE_WELL;
	fake.comes_out_size--;
	ck_assert_int_eq(stage(&patch), EF_REASON_NODE_PROTOCOL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("patch");
	TCase *c = tcase_create("patch");

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, sent_in_its_place);
	tcase_add_test(c, refused_before_anything_is_sent);
	tcase_add_test(c, room);
	tcase_add_test(c, wrong_on_the_node);
	tcase_add_test(c, reset_while_it_makes);
	tcase_add_test(c, nonsense);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
