/* SPDX-License-Identifier: Apache-2.0 */
/* A node's operations against a model node on a socket: each of them well, and each of its failures
 * (F-15, F-16, F-17, F-22, F-32, E-12, S-35). */
#include "dfu/image-openssl.h"
#include "dfu/node-internal.h"
#include "fake-node.h"
#include "unit.h"
#include "util/fdio.h"
#include "util/time-util.h"
#include <errno.h>
#include <string.h>

static sd_event *event;
static struct fake fake;
static struct node *node;
static struct node_identity identity;
static unsigned dones;
static struct error result;
static uint8_t *image, hash[32];
static size_t image_size;
static uint64_t progress_last;
static bool free_in_done;

static const struct node_timing quick = {
	.first_us = SMP_TIMEOUT_MIN_US,
	.ask_us = 700000,
	.slow_us = 800000,
	.look_us = 300000,
	.poll_us = 30000,
	.reset_us = 250000,
};

static void on_done(void *ctx, const struct error *e)
{
	ck_assert_ptr_eq(ctx, &dones);
	dones++;
	result = *e;
	if (free_in_done) {
		node_free(node);
		node = NULL;
	}
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
	ck_assert_uint_le(done, total);
	progress_last = done;
}

/* Runs until done, at most so long; then a little longer, since done comes once. */
static enum ef_reason wait_done(unsigned ms)
{
	uint64_t end = now_monotonic_us() + ms * 1000ull;

	while (!dones && now_monotonic_us() < end)
		sd_event_run(event, 20000);
	ck_assert_msg(dones == 1, "%u callbacks within %u ms", dones, ms);
	for (int i = 0; i < 3; i++)
		sd_event_run(event, 1000);
	ck_assert_uint_eq(dones, 1);
	dones = 0;
	return result.reason;
}

static void setup(void)
{
	struct image_memory m;
	struct ef_image_source src;
	struct ef_image_info info;

	ck_assert_int_ge(sd_event_new(&event), 0);
	fake_open(&fake, event);
	node = fake_reach(&fake, event, &quick);
	ck_assert_int_eq(file_read(VECTOR_DIR "/good-p256.bin", 1 << 20, &image, &image_size), 0);
	m = (struct image_memory){image, image_size};
	image_source_memory(&src, &m);
	ck_assert_int_eq(ef_image_inspect(&src, &info), EF_REASON_OK);
	memcpy(hash, info.digest, 32);
	dones = 0;
	progress_last = 0;
	free_in_done = false;
}

static void teardown(void)
{
	node_free(node);
	node = NULL;
	fake_close(&fake);
	sd_event_unref(event);
	free(image);
}

enum operation { IDENTIFY, STAGE, ACTIVATE, SELF_TEST_OP, CONFIRM, REVERT, OPERATIONS };

/* Puts the model where the operation has something to do, and starts it. */
static void prepare(enum operation op)
{
	struct fake_slot *to = &fake.slot[op == ACTIVATE ? 1 : 0];

	if (op == IDENTIFY || op == STAGE)
		return;
	if (op != ACTIVATE) {
		fake.slot[1] = fake.slot[0];
		fake.trial = true;
		fake.test = 1;
	}
	to->present = true;
	memcpy(to->hash, hash, 32);
	strcpy(to->version, "1.2.3+4");
}

static int start(enum operation op)
{
	switch (op) {
	case IDENTIFY:
		return node_identify(node, &identity, on_done, &dones);
	case STAGE:
		return node_stage(node, image, image_size, NULL, on_progress, on_done, &dones);
	case ACTIVATE:
		return node_activate(node, hash, 77, 2, on_done, &dones);
	case SELF_TEST_OP:
		return node_self_test(node, hash, 1, on_done, &dones);
	case CONFIRM:
		return node_confirm(node, hash, on_done, &dones);
	default:
		return node_revert(node, 2, on_done, &dones);
	}
}

static enum ef_reason perform(enum operation op)
{
	ck_assert_int_eq(start(op), 0);
	ck_assert_int_eq(start(IDENTIFY), -EBUSY);
	return wait_done(30000);
}

START_TEST(identify)
{
	fake.board = "board\x1b[31m\nwith a name that is far too long";
	ck_assert_int_eq(perform(IDENTIFY), EF_REASON_OK);
	ck_assert_str_eq(identity.board, "board?[31m?with a name that is f"); /* S-35 */
	ck_assert_uint_eq(identity.hardware, 3);
	ck_assert_uint_eq(identity.buf, 512);
	ck_assert_uint_eq(identity.window, 4);
	ck_assert_uint_eq(identity.floor, 2);
	ck_assert(!identity.bootloader && !identity.plain && !identity.trial);
	ck_assert(identity.slots[0].present && identity.slots[0].active);
	ck_assert(identity.slots[0].confirmed);
	ck_assert_uint_eq(identity.slots[0].version.major, 1);
	ck_assert(!identity.slots[1].present);
	ck_assert_str_eq(identity.info, "app 1.0.0 on fake-board");
}
END_TEST

/* The line for people is not needed for anything: whatever is wrong with it, the node is known. */
START_TEST(info_is_optional)
{
	fake.fault[FAKE_INFO] = (enum fake_fault)_i;
	ck_assert_msg(perform(IDENTIFY) == EF_REASON_OK, "%s", result.detail);
	ck_assert_str_eq(identity.info, "");
	ck_assert_str_eq(identity.board, "fake-board");
}
END_TEST

/* E-12: an answer that does not repeat the nonce is an answer to something else. */
START_TEST(replayed_identity)
{
	fake.wrong_nonce = true;
	ck_assert_int_eq(perform(IDENTIFY), EF_REASON_NODE_PROTOCOL);
}
END_TEST

START_TEST(plain_node)
{
	fake.plain = true;
	strcpy(fake.slot[0].version, "1.0.0.7"); /* as MCUboot writes the build number */
	ck_assert_int_eq(perform(IDENTIFY), EF_REASON_OK);
	ck_assert(identity.plain);
	ck_assert_uint_eq(identity.buf, 400);
	ck_assert_uint_eq(identity.slots[0].version.build, 7);
	fake.fault[FAKE_PARAMS] = FAKE_RC;
	ck_assert_int_eq(perform(IDENTIFY), EF_REASON_NODE_PROTOCOL);
	fake.fault[FAKE_PARAMS] = FAKE_WELL;
	ck_assert_int_eq(perform(STAGE), EF_REASON_OK);
	ck_assert_mem_eq(fake.flash, image, image_size);
	ck_assert_uint_eq(fake.count[FAKE_PREFLIGHT], 0);
}
END_TEST

/* The whole way of an image, on one open link. */
START_TEST(whole_way)
{
	ck_assert_int_eq(perform(STAGE), EF_REASON_OK);
	ck_assert_mem_eq(fake.flash, image, image_size);
	ck_assert_uint_eq(progress_last, image_size);
	ck_assert_int_eq(perform(STAGE), EF_REASON_OK); /* holds it already */
	ck_assert_uint_eq(fake.count[FAKE_PREFLIGHT], 1);
	ck_assert_int_eq(perform(ACTIVATE), EF_REASON_OK);
	ck_assert_uint_eq(fake.boots, 1);
	ck_assert_uint_eq(fake.deadline, 77);
	ck_assert_int_eq(perform(SELF_TEST_OP), EF_REASON_OK);
	ck_assert_int_eq(perform(CONFIRM), EF_REASON_OK);
	ck_assert(!fake.trial);
	ck_assert_int_eq(perform(CONFIRM), EF_REASON_OK); /* twice is once */
	ck_assert_uint_eq(fake.count[FAKE_CONFIRM], 1);
	ck_assert_int_eq(perform(REVERT), EF_REASON_OK); /* nothing to take back */
	ck_assert_uint_eq(fake.boots, 1);
	ck_assert_int_eq(perform(STAGE), EF_REASON_OK); /* it runs it */
	ck_assert_int_eq(perform(ACTIVATE), EF_REASON_OK);
	ck_assert_uint_eq(fake.boots, 1);
}
END_TEST

START_TEST(reverts_a_trial)
{
	prepare(REVERT);
	ck_assert_int_eq(perform(REVERT), EF_REASON_OK);
	ck_assert_uint_eq(fake.boots, 1);
	ck_assert_uint_eq(fake.slot[0].hash[0], 0x11);
	/* Pending but not yet booted: taken away without a reset. */
	fake.slot[1].present = fake.pending = true;
	ck_assert_int_eq(perform(REVERT), EF_REASON_OK);
	ck_assert_uint_eq(fake.boots, 1);
	ck_assert(!fake.pending);
}
END_TEST

/* The node's own reason is what the user sees; nothing is uploaded (E-01, F-22). */
START_TEST(preflight_refuses)
{
	static const uint32_t reasons[] = {EF_REASON_NOT_COMPATIBLE, EF_REASON_FLOOR,
		EF_REASON_IMAGE_KEY, EF_REASON_NODE_BATTERY};

	for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++) {
		fake.preflight_reason = reasons[i];
		ck_assert_uint_eq(perform(STAGE), reasons[i]);
		ck_assert_ptr_nonnull(strstr(result.detail, "lamp"));
	}
	/* A reason that is not a node's to give. */
	fake.preflight_reason = EF_REASON_SERVER_LOST;
	ck_assert_uint_eq(perform(STAGE), EF_REASON_NODE_PROTOCOL);
	ck_assert_uint_eq(fake.count[FAKE_UPLOAD], 0);
}
END_TEST

START_TEST(images_that_never_leave)
{
	uint8_t nothing[64] = {0};

	ck_assert_int_eq(node_stage(node, nothing, sizeof nothing, NULL, NULL, on_done, &dones), 0);
	ck_assert_int_eq(wait_done(2000), EF_REASON_BAD_IMAGE);
	ck_assert_uint_eq(fake.count[FAKE_IDENTIFY], 0);
	ck_assert_int_eq(node_stage(node, image, 0, NULL, NULL, on_done, &dones), 0);
	ck_assert_int_eq(wait_done(2000), EF_REASON_BAD_IMAGE);
}
END_TEST

START_TEST(image_not_kept)
{
	fake.forget_staged = true;
	ck_assert_int_eq(perform(STAGE), EF_REASON_IMAGE_DIGEST);
	fake.forget_staged = false;
	fake.bad_match = true;
	fake.open = false;
	ck_assert_int_eq(perform(STAGE), EF_REASON_IMAGE_DIGEST);
	ck_assert_int_eq(perform(ACTIVATE), EF_REASON_NOT_FOUND);
	ck_assert_uint_eq(fake.boots, 0);
}
END_TEST

/* F-15: reset in the middle of the transfer, at several places, with and without the port going. */
START_TEST(reset_during_upload)
{
	fake.reset_at = 1 + (uint32_t)_i * 7000;
	ck_assert_int_eq(perform(STAGE), EF_REASON_OK);
	ck_assert_uint_eq(fake.boots, 1);
	ck_assert_mem_eq(fake.flash, image, image_size);
}
END_TEST

START_TEST(noisy_line)
{
	fake.lose = 30;
	fake.duplicate = 50;
	fake.rng = 99;
	ck_assert_int_eq(perform(STAGE), EF_REASON_OK);
	ck_assert_mem_eq(fake.flash, image, image_size);
}
END_TEST

START_TEST(trial_goes_wrong)
{
	prepare(ACTIVATE);
	fake.refuse_at_boot = true; /* the bootloader looks again */
	ck_assert_int_eq(perform(ACTIVATE), EF_REASON_IMAGE_SIGNATURE);
	fake.refuse_at_boot = false;
	fake.stays_in_bootloader = true;
	ck_assert_int_eq(perform(ACTIVATE), EF_REASON_NODE_UNREACHABLE);
}
END_TEST

START_TEST(reset_is_lost)
{
	prepare(ACTIVATE);
	fake.deaf_to_first_reset = true;
	ck_assert_int_eq(perform(ACTIVATE), EF_REASON_OK);
	ck_assert_uint_eq(fake.count[FAKE_RESET], 2);
	ck_assert_uint_eq(fake.boots, 1); /* never a reset too many: it would end the trial */
}
END_TEST

START_TEST(port_goes_and_comes_back)
{
	prepare(ACTIVATE);
	fake.hang_up_at_reset = true;
	ck_assert_int_eq(perform(ACTIVATE), EF_REASON_OK);
	ck_assert_int_eq(perform(REVERT), EF_REASON_OK);
	ck_assert_uint_eq(fake.boots, 2);
}
END_TEST

START_TEST(self_test_outcomes)
{
	prepare(SELF_TEST_OP);
	fake.test = 2;
	ck_assert_int_eq(perform(SELF_TEST_OP), EF_REASON_SELF_TEST);
	fake.test = 0;
	ck_assert_int_eq(perform(SELF_TEST_OP), EF_REASON_SELF_TEST); /* too late */
	memset(fake.slot[0].hash, 0x22, 32);
	ck_assert_int_eq(perform(SELF_TEST_OP), EF_REASON_NODE_REVERTED);
	fake.revert = EF_REASON_NOT_CONFIRMED;
	ck_assert_int_eq(perform(SELF_TEST_OP), EF_REASON_NOT_CONFIRMED);
	ck_assert_int_eq(perform(CONFIRM), EF_REASON_NOT_CONFIRMED);
	ck_assert_uint_eq(fake.count[FAKE_CONFIRM], 0);
}
END_TEST

/* E-05: who it is was asked before it went back, what runs there after: the reason is found all the
 * same. */
START_TEST(reverts_between_two_answers)
{
	prepare(SELF_TEST_OP);
	fake.test = 0;
	fake.restarts_before_state = true;
	ck_assert_int_eq(perform(SELF_TEST_OP), EF_REASON_NOT_CONFIRMED);
}
END_TEST

START_TEST(confirm_without_effect)
{
	prepare(CONFIRM);
	fake.never_confirms = true;
	ck_assert_int_eq(perform(CONFIRM), EF_REASON_NODE_PROTOCOL);
}
END_TEST

/*
 * Every operation, every command that it uses, every fault: one end, a reason, in bounded time, and
 * the node can be used again. Silence during an upload takes its half minute: test-upload.c has it.
 */
START_TEST(every_failure)
{
	static const struct {
		enum operation op;
		enum fake_command command;
	} used[] = {{IDENTIFY, FAKE_IDENTIFY}, {IDENTIFY, FAKE_STATE}, {STAGE, FAKE_STATE},
		{STAGE, FAKE_PREFLIGHT}, {STAGE, FAKE_UPLOAD}, {ACTIVATE, FAKE_IDENTIFY},
		{ACTIVATE, FAKE_TEST}, {SELF_TEST_OP, FAKE_IDENTIFY}, {SELF_TEST_OP, FAKE_STATE},
		{CONFIRM, FAKE_CONFIRM}, {CONFIRM, FAKE_STATE}, {REVERT, FAKE_STATE}};
	enum fake_fault fault = (enum fake_fault)(FAKE_WELL + 1 + _i % (FAKE_FAULTS - 1));
	size_t k = (size_t)_i / (FAKE_FAULTS - 1);
	enum fake_command c = used[k].command;
	enum ef_reason r;

	if (c == FAKE_UPLOAD && (fault == FAKE_SILENT || fault == FAKE_BABBLE))
		return;
	prepare(used[k].op);
	fake.fault[c] = fault;
	fake.fault_after[c] = c == FAKE_UPLOAD ? 5 : 0;
	r = perform(used[k].op);
	/* {} is what preflight, test and confirm answer when all is well; confirm is looked after.
	 */
	if (fault == FAKE_EMPTY && c == FAKE_PREFLIGHT)
		ck_assert_int_eq(r, EF_REASON_IMAGE_UNSIGNED);
	else if (fault == FAKE_REFUSE && used[k].op != SELF_TEST_OP)
		ck_assert_int_eq(r, EF_REASON_NODE_FLASH);
	else
		ck_assert_msg(r == EF_REASON_NODE_PROTOCOL || r == EF_REASON_NODE_UNREACHABLE ||
				      r == EF_REASON_NODE_REVERTED,
			"%s", reason_word(r));
	fake.fault[c] = FAKE_WELL;
	ck_assert_msg(perform(IDENTIFY) == EF_REASON_OK, "afterwards: %s", result.detail);
}
END_TEST

#define EVERY_FAILURE (12 * (FAKE_FAULTS - 1))

/* One bad answer while the node starts does no harm. */
START_TEST(faults_while_waiting)
{
	prepare(ACTIVATE);
	fake.fault[FAKE_IDENTIFY] = (enum fake_fault)_i;
	fake.fault_after[FAKE_IDENTIFY] = 1;
	fake.fault_times[FAKE_IDENTIFY] = 1;
	ck_assert_msg(perform(ACTIVATE) == EF_REASON_OK, "%s", result.detail);
}
END_TEST

/* F-17: nobody there. */
START_TEST(unreachable)
{
	for (enum operation op = IDENTIFY; op < OPERATIONS; op++) {
		unlink(fake.path);
		ck_assert_int_eq(perform(op), EF_REASON_NODE_UNREACHABLE);
		if (op != SELF_TEST_OP) /* which waits, and says so */
			ck_assert_ptr_nonnull(strstr(result.detail, fake.path));
		teardown();
		setup();
	}
}
END_TEST

START_TEST(cancel)
{
	unsigned cancelled = 0;

	teardown();
	for (enum operation op = IDENTIFY; op < OPERATIONS; op++)
		for (int turns = 0; turns < 12; turns += 3) {
			setup();
			prepare(op);
			ck_assert_int_eq(start(op), 0);
			for (int i = 0; i < turns && !dones; i++)
				sd_event_run(event, 1000);
			if (!dones) {
				node_cancel(node);
				node_cancel(node);
				ck_assert_uint_eq(dones, 0); /* soon, not at once */
				wait_done(1000);	     /* it may have been over already */
				ck_assert(result.reason == EF_REASON_CANCELLED ||
					  result.reason == EF_REASON_OK);
				cancelled += result.reason == EF_REASON_CANCELLED;
			}
			node_cancel(node); /* nothing under way */
			dones = 0;
			teardown();
		}
	ck_assert_uint_ge(cancelled, OPERATIONS * 2);
	setup();
}
END_TEST

START_TEST(free_at_any_time)
{
	for (enum operation op = IDENTIFY; op < OPERATIONS; op++)
		for (int turns = 0; turns < 40; turns += 3) {
			prepare(op);
			ck_assert_int_eq(start(op), 0);
			for (int i = 0; i < turns && !dones; i++)
				sd_event_run(event, 1000);
			node_free(node);
			node = NULL;
			dones = 0;
			for (int i = 0; i < 3; i++)
				sd_event_run(event, 1000);
			ck_assert_uint_eq(dones, 0);
			teardown();
			setup();
		}
	free_in_done = true;
	ck_assert_int_eq(start(STAGE), 0);
	ck_assert_int_eq(wait_done(5000), EF_REASON_OK);
	ck_assert_ptr_null(node);
}
END_TEST

START_TEST(uuids)
{
	static const uint8_t vendor[16] = {0x06, 0x37, 0xe3, 0x01, 0xe0, 0x5d, 0x50, 0x5b, 0x82,
		0x67, 0x48, 0x6f, 0x56, 0x77, 0xde, 0x9b};
	static const uint8_t class_id[16] = {0xa3, 0x78, 0xd0, 0xe2, 0x78, 0x35, 0x5d, 0xec, 0xb6,
		0x49, 0xdc, 0xfc, 0x07, 0x89, 0x18, 0x56};
	static const char *const bad[] = {"", ",", "acme.example", "acme.example,", ",meter-v2",
		"acme.example,meter,v2", "acme.example, meter", "acme/x,y", "a,b\n"};
	uint8_t v[16], c[16];

	ck_assert(compatible_uuids("acme.example,meter-v2", v, c));
	ck_assert_mem_eq(v, vendor, 16);
	ck_assert_mem_eq(c, class_id, 16);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(!compatible_uuids(bad[i], v, c), "%s", bad[i]);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("node");
	TCase *c = tcase_create("node"), *f = tcase_create("failures");

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, identify);
	tcase_add_loop_test(c, info_is_optional, FAKE_SILENT, FAKE_HANG_UP);
	tcase_add_test(c, replayed_identity);
	tcase_add_test(c, plain_node);
	tcase_add_test(c, whole_way);
	tcase_add_test(c, reverts_a_trial);
	tcase_add_test(c, preflight_refuses);
	tcase_add_test(c, images_that_never_leave);
	tcase_add_test(c, image_not_kept);
	tcase_add_loop_test(c, reset_during_upload, 0, 4);
	tcase_add_test(c, noisy_line);
	tcase_add_test(c, trial_goes_wrong);
	tcase_add_test(c, reset_is_lost);
	tcase_add_test(c, port_goes_and_comes_back);
	tcase_add_test(c, self_test_outcomes);
	tcase_add_test(c, reverts_between_two_answers);
	tcase_add_test(c, confirm_without_effect);
	tcase_add_test(c, unreachable);
	tcase_add_test(c, cancel);
	tcase_add_test(c, free_at_any_time);
	tcase_add_test(c, uuids);
	tcase_set_timeout(f, 60);
	tcase_add_checked_fixture(f, setup, teardown);
	tcase_add_loop_test(f, every_failure, 0, EVERY_FAILURE);
	tcase_add_loop_test(f, faults_while_waiting, 0, FAKE_FAULTS);
	suite_add_tcase(s, c);
	suite_add_tcase(s, f);
	return s;
}

UNIT_MAIN(suite())
