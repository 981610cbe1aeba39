/* SPDX-License-Identifier: Apache-2.0 */
/* The SMP server: requests, uploads, trials, and what an image may not do to flash. */
#include "agent/text.h"
#include "node.h"
#include <string.h>

static void setup(void)
{
	node_make(true);
	node_start();
}

static struct reply ask(uint8_t op, uint16_t group, uint8_t command, const char *body, size_t size)
{
	return gateway_ask(&node.agent, op, group, command, body, size);
}
#define ASK(op, group, command, body) ask(EF_SMP_##op, group, command, body, sizeof(body) - 1)

/* ---- requests ---- */

START_TEST(malformed_bodies)
{
	static const struct {
		const char *body;
		size_t size;
		enum ef_smp_rc rc;
	} rows[] = {
#define ROW(body, rc) {body, sizeof(body) - 1, rc}
		ROW("", EF_SMP_INVALID),
		ROW("\x80", EF_SMP_INVALID), /* an array */
		ROW("\xa1", EF_SMP_INVALID), /* ends early */
		ROW("\xa1\x61\x64", EF_SMP_INVALID),
		ROW("\xa1\x61\x64\x01", EF_SMP_INVALID),	       /* a number for a text */
		ROW("\xa1\x61\x64\x41x", EF_SMP_INVALID),	       /* bytes for a text */
		ROW("\xa2\x61\x64\x61x\x61\x64\x61y", EF_SMP_INVALID), /* twice */
		ROW("\xa1\x61\x64\x78\xff", EF_SMP_INVALID),
		ROW("\xa1\x61\x64\x7f\x61x\xff", EF_SMP_INVALID), /* in pieces */
		ROW("\xa0", EF_SMP_INVALID),			  /* d is missing */
		ROW("\xa1\x61\x64\x61x", EF_SMP_OK),
		ROW("\xbf\x61\x64\x61x\xff", EF_SMP_OK),
		/* unknown keys, of any kind */
		ROW("\xa3\x61z\xa1\x01\x82\x02\x03\x61\x64\x61x\x61y\xf6", EF_SMP_OK),
		ROW("\xa2\x05\x06\x61\x64\x61x", EF_SMP_OK),
#undef ROW
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct reply r =
			ask(EF_SMP_WRITE, EF_GROUP_OS, EF_OS_ECHO, rows[i].body, rows[i].size);
		ck_assert_msg(r.answered && r.rc == rows[i].rc, "row %zu: %u", i, (unsigned)r.rc);
	}
}
END_TEST

START_TEST(messages_that_are_no_requests) /* E-09 */
{
	uint8_t m[12] = {EF_SMP_READ | 8, 0, 0, 1, 0, EF_GROUP_OS, 9, EF_OS_PARAMS, 0xa0};

	ck_assert_uint_gt(agent_request(&node.agent, m, 9), 0);
	ck_assert_uint_eq(node.agent.response[6], 9);	  /* sequence */
	ck_assert_uint_eq(node.agent.response[0], 1 | 8); /* read response, version 1 */
	for (size_t size = 0; size < 9; size++)
		ck_assert_uint_eq(agent_request(&node.agent, m, size), 0);
	ck_assert_uint_eq(agent_request(&node.agent, m, 10), 0); /* longer than it says */
	m[0] |= 0x20;
	ck_assert_uint_eq(agent_request(&node.agent, m, 9), 0);
	m[0] = EF_SMP_READ_RSP;
	ck_assert_uint_eq(agent_request(&node.agent, m, 9), 0);
}
END_TEST

START_TEST(echo)
{
	struct reply r = ASK(WRITE, EF_GROUP_OS, EF_OS_ECHO, "\xa1\x61\x64\x65hello");
	uint8_t body[600] = {0xa1, 0x61, 'd', 0x79, 500 >> 8, 500 & 255};

	ck_assert_uint_eq(r.size, 10);
	ck_assert(memcmp(r.body, "\xbf\x61r\x65hello\xff", 10) == 0);
	memset(body + 6, 'x', 500);
	assert_rc(gateway_ask(&node.agent, EF_SMP_WRITE, 0, EF_OS_ECHO, body, 506), MSG_SIZE);
}
END_TEST

START_TEST(params_and_info)
{
	struct reply r = gateway_read(&node.agent, EF_GROUP_OS, EF_OS_PARAMS);
	static const char info[] = "app 1.0.0 on sim (host)";

	ck_assert_uint_eq(reply_uint(&r, "buf_size"), PORT_MESSAGE_MAX);
	ck_assert_uint_eq(reply_uint(&r, "buf_count"), PORT_WINDOW);
	r = gateway_read(&node.agent, EF_GROUP_OS, EF_OS_INFO);
	ck_assert(r.size > sizeof(info));
	ck_assert(memcmp(r.body + r.size - sizeof(info), info, sizeof(info) - 1) == 0);
	node_serve();
	r = gateway_read(&node.agent, EF_GROUP_OS, EF_OS_INFO);
	ck_assert(memmem(r.body, r.size, "bootloader 0.1.0 on sim (host)", 30) != NULL);
}
END_TEST

START_TEST(identify)
{
	struct reply r;

	sim.power = (struct port_power){.battery = 42};
	r = ASK(READ, EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY, "\xa1\x65nonce\x43xyz");
	assert_good(r);
	ck_assert_uint_eq(reply_uint(&r, "v"), 1);
	ck_assert_uint_eq(reply_uint(&r, "hwrev"), 3);
	ck_assert_uint_eq(reply_uint(&r, "mode"), 1);
	ck_assert_uint_eq(reply_uint(&r, "slot"), sim.board.slot[0].size);
	ck_assert_uint_eq(reply_uint(&r, "floor"), OLD_COUNTER);
	ck_assert_uint_eq(reply_uint(&r, "trial"), 0);
	ck_assert_uint_eq(reply_uint(&r, "test"), SELF_TEST_PASSED);
	ck_assert_uint_eq(reply_uint(&r, "bat"), 42);
	ck_assert_uint_eq(reply_uint(&r, "ext"), 0);
	ck_assert_uint_eq(reply_uint(&r, "plain"), 0);
	ck_assert(memcmp(r.body + r.size - 11, "\x65nonce\x43xyz\xff", 11) == 0);
	/* a nonce has an end */
	uint8_t body[64] = {0xa1, 0x65, 'n', 'o', 'n', 'c', 'e', 0x58, 33};
	assert_rc(gateway_ask(&node.agent, EF_SMP_READ, EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY, body,
			  9 + 33),
		INVALID);
}
END_TEST

static void poll_agent(void *ctx)
{
	(void)ctx;
	while (agent_poll(&node.agent))
		;
}

START_TEST(reset)
{
	struct retained r;

	assert_rc(ASK(WRITE, EF_GROUP_OS, EF_OS_RESET,
			  "\xa1\x69"
			  "boot_mode\x02"),
		INVALID);
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	assert_good(ASK(WRITE, EF_GROUP_OS, EF_OS_RESET,
		"\xa1\x69"
		"boot_mode\x01"));
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_RESET);
	retained_load(&r);
	ck_assert(r.stay && r.next_cause == PORT_CAUSE_REQUEST);
	ck_assert_int_eq(node_boot(), SIM_SERVING);
	node_start();
}
END_TEST

/* ---- frames ---- */

static void line_in(const uint8_t *message, size_t size, int damage)
{
	size_t n = frame_encode(message, size, sim.input + sim.in_size);

	if (damage >= 0)
		sim.input[sim.in_size + (size_t)damage] ^= 0x10;
	sim.in_size += n;
}

START_TEST(frames_in_and_out)
{
	uint8_t m[9] = {EF_SMP_READ | 8, 0, 0, 1, 0, EF_GROUP_OS, 1, EF_OS_PARAMS, 0xa0};
	uint8_t answers[512];
	struct frame_receiver r;
	uint8_t seen[4];
	unsigned n = 0;

	sim.input[sim.in_size++] = 0;
	sim.input[sim.in_size++] = 0x55; /* noise */
	sim.input[sim.in_size++] = 0;
	for (uint8_t seq = 1; seq <= 4; seq++) {
		m[6] = seq;
		line_in(m, sizeof(m), seq == 3 ? 5 : -1);
	}
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	frame_receiver_init(&r, answers, sizeof(answers));
	for (size_t i = 0; i < sim.out_size; i++)
		if (frame_receive(&r, sim.output[i]))
			seen[n++] = answers[6];
	ck_assert_uint_eq(n, 3);
	ck_assert(memcmp(seen, "\1\2\4", 3) == 0);
}
END_TEST

/* ---- preflight and upload ---- */

START_TEST(preflight_reasons)
{
	static struct test_image i;

	test_image_make(&i, node.other_key, NEW, NEW_COUNTER, 100);
	assert_refused(gateway_preflight(&node.agent, &i), IMAGE_KEY);
	test_image_make(&i, node.key, NEW, OLD_COUNTER - 1, 100);
	assert_refused(gateway_preflight(&node.agent, &i), FLOOR);
	test_image_make(&i, node.key, NEW, NEW_COUNTER, 100);
	node.agent.factory.class_id[0] ^= 1;
	assert_refused(gateway_preflight(&node.agent, &i), NOT_COMPATIBLE);
	node.agent.factory.class_id[0] ^= 1;
	assert_good(gateway_preflight(&node.agent, &i));
	test_image_make(&i, node.key, NEW, NEW_COUNTER, sim.board.slot[0].size);
	assert_refused(gateway_preflight(&node.agent, &i), TOO_LARGE);
	assert_rc(ASK(WRITE, EF_GROUP_EDGEFERRY, EF_EF_PREFLIGHT, "\xa0"), INVALID);
	assert_rc(ASK(WRITE, EF_GROUP_EDGEFERRY, EF_EF_PREFLIGHT,
			  "\xa3\x63hdr\x41x\x63tlv\x41x\x64size\x01"),
		INVALID);
	/* a middle of another place than where the payload ends */
	test_image_make(&i, node.key, NEW, NEW_COUNTER, 101);
	assert_refused(gateway_preflight_of(&node.agent, &node.fresh, &i), BAD_IMAGE);
}
END_TEST

START_TEST(preflight_believes_no_bit) /* E-01: nothing forged gets as far as an erase */
{
	static struct test_image forged;
	const struct test_image *good = &node.fresh;
	uint32_t before = sim.operations, tried = 0;

	for (uint32_t bit = 0; bit < 8 * good->size; bit++, tried++) {
		if (bit == 8 * EF_IMAGE_HEADER_SIZE) /* of the payload only what is sent as it is */
			bit = 8 * (good->tlv_at - good->tlv_at % 64);
		bool payload = bit >= 8 * EF_IMAGE_HEADER_SIZE && bit < 8 * good->tlv_at;
		forged = *good;
		forged.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		struct reply r = gateway_preflight_of(
			&node.agent, payload ? good : &forged, payload ? &forged : good);
		ck_assert_msg(r.answered && r.reason, "bit %u", (unsigned)bit);
	}
	/* and all of the payload in the middle's state */
	for (uint32_t bit = 8 * EF_IMAGE_HEADER_SIZE; bit < 8 * good->tlv_at; bit += 97, tried++) {
		forged = *good;
		forged.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
		assert_refused(gateway_preflight_of(&node.agent, good, &forged), IMAGE_DIGEST);
	}
	ck_assert_uint_gt(tried, 2000);
	ck_assert_uint_eq(sim.operations, before);
	assert_good(gateway_preflight(&node.agent, good));
	ck_assert_uint_eq(sim.operations, before);
}
END_TEST

START_TEST(upload_needs_preflight)
{
	static struct test_image other;
	uint32_t before = sim.operations;

	assert_refused(gateway_upload(&node.agent, &node.fresh, 300), IMAGE_UNSIGNED);
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	test_image_make(&other, node.key, NEW, NEW_COUNTER, 5000);
	assert_refused(gateway_upload(&node.agent, &other, 300), IMAGE_UNSIGNED); /* another size */
	other = node.fresh;
	other.data[21] ^= 1;
	assert_refused(gateway_upload(&node.agent, &other, 300), IMAGE_DIGEST); /* another header */
	assert_refused(gateway_chunk(&node.agent, &node.fresh, 0, 31), IMAGE_DIGEST);
	ck_assert_uint_eq(sim.operations, before);
	/* and data without a beginning goes nowhere */
	struct reply r = gateway_chunk(&node.agent, &node.fresh, 300, 300);
	ck_assert(reply_good(&r) && r.off == 0);
	ck_assert_uint_eq(sim.operations, before);
}
END_TEST

static bool in_area(uint32_t at, const struct port_area *a)
{
	return at >= a->offset && at - a->offset < a->size;
}

START_TEST(upload_in_any_chunks)
{
	static const uint32_t chunks[] = {32, 33, 100, 255, 512, 513, 900};
	static struct sim before;

	before = sim;
	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
		sim = before;
		memset(sim.flash + sim.board.slot[1].offset, (int)i, sim.board.slot[1].size);
		agent_init(&node.agent, node.agent.program);
		assert_good(gateway_preflight(&node.agent, &node.fresh));
		struct reply r = gateway_upload(&node.agent, &node.fresh, chunks[i]);
		ck_assert(reply_good(&r) && r.match && r.off == node.fresh.size);
		ck_assert(node_slot_is(1, &node.fresh));
		/* nothing but slot 1, and a note of it in the state */
		for (uint32_t at = 0; at < sim.size; at++)
			ck_assert(sim.flash[at] == before.flash[at] ||
				  in_area(at, &sim.board.slot[1]) || in_area(at, &sim.board.state));
	}
}
END_TEST

START_TEST(upload_out_of_order)
{
	struct reply r;

	assert_good(gateway_preflight(&node.agent, &node.fresh));
	r = gateway_chunk(&node.agent, &node.fresh, 0, 300);
	ck_assert_uint_eq(r.off, 300);
	uint32_t before = sim.operations;
	r = gateway_chunk(&node.agent, &node.fresh, 600, 300); /* one was lost */
	ck_assert(reply_good(&r) && r.off == 300 && !r.has_match);
	r = gateway_chunk(&node.agent, &node.fresh, 0, 300); /* again */
	ck_assert(reply_good(&r) && r.off == 300);
	r = gateway_chunk(&node.agent, &node.fresh, 299, 300);
	ck_assert(reply_good(&r) && r.off == 300);
	ck_assert_uint_eq(sim.operations, before);
	/* more than there is */
	node.fresh.size += 1000;
	r = gateway_chunk(&node.agent, &node.fresh, 300, 900);
	node.fresh.size -= 1000;
	while (r.off < node.fresh.size - 800)
		r = gateway_chunk(&node.agent, &node.fresh, r.off, 100);
	before = sim.operations;
	assert_rc(gateway_chunk(&node.agent, &node.fresh, r.off, 900), INVALID);
	ck_assert_uint_eq(sim.operations, before);
}
END_TEST

START_TEST(upload_broken_off)
{
	static struct test_image other;
	struct reply r;

	assert_good(gateway_preflight(&node.agent, &node.fresh));
	for (uint32_t off = 0; off < 1500; off += 300)
		gateway_chunk(&node.agent, &node.fresh, off, 300);
	r = gateway_chunk(&node.agent, &node.fresh, 0, 300); /* the same file: goes on */
	ck_assert_uint_eq(r.off, 1500);
	test_image_make(&other, node.key, NEW + 1, NEW_COUNTER, 4001); /* another: anew */
	assert_good(gateway_preflight(&node.agent, &other));
	r = gateway_upload(&node.agent, &other, 300);
	ck_assert(reply_good(&r) && r.match);
	ck_assert(node_slot_is(1, &other));
	/* the answer to the last chunk was lost */
	r = gateway_chunk(&node.agent, &other, 3900, other.size - 3900);
	ck_assert(reply_good(&r) && r.match && r.off == other.size);
	r = gateway_chunk(&node.agent, &other, 0, 300);
	ck_assert(reply_good(&r) && r.match && r.off == other.size);
}
END_TEST

START_TEST(upload_goes_on_after_a_reset) /* E-10, F-15 */
{
	uint32_t page = sim.board.page;

	for (uint32_t stop = 300; stop < node.fresh.size; stop += 300) {
		static struct test_image other;
		struct reply r;

		ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
		assert_good(gateway_preflight(&node.agent, &node.fresh));
		for (uint32_t off = 0; off < stop; off += r.off - off)
			r = gateway_chunk(&node.agent, &node.fresh, off, 300);
		ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
		/* not without being vouched for anew; then at most one page and a block is sent
		 * again */
		assert_refused(gateway_chunk(&node.agent, &node.fresh, 0, 300), IMAGE_UNSIGNED);
		assert_good(gateway_preflight(&node.agent, &node.fresh));
		r = gateway_chunk(&node.agent, &node.fresh, 0, 300);
		ck_assert_uint_le(r.off, stop < page ? 300 : stop);
		ck_assert_uint_ge(r.off + page + UPLOAD_BLOCK - 1, stop);
		r = gateway_upload(&node.agent, &node.fresh, 300);
		ck_assert(reply_good(&r) && r.match && node_slot_is(1, &node.fresh));
		/* another image takes its place from the start */
		test_image_make(&other, node.key, NEW + 1, NEW_COUNTER, 2000);
		assert_good(gateway_preflight(&node.agent, &other));
		r = gateway_chunk(&node.agent, &other, 0, 300);
		ck_assert_uint_eq(r.off, 300);
	}
}
END_TEST

START_TEST(upload_of_other_bytes) /* what was vouched for is not what came */
{
	struct reply r;

	assert_good(gateway_preflight(&node.agent, &node.fresh));
	node.fresh.data[2000] ^= 1;
	r = gateway_upload(&node.agent, &node.fresh, 300);
	ck_assert(r.has_match && !r.match);
	ck_assert_int_eq(r.reason, EF_REASON_IMAGE_DIGEST);
	assert_refused(gateway_state(&node.agent, node.fresh.digest, false, 0), NOT_FOUND);
	node.fresh.data[2000] ^= 1;
	r = gateway_upload(&node.agent, &node.fresh, 300);
	ck_assert(reply_good(&r) && r.match);
}
END_TEST

START_TEST(upload_with_a_tail) /* S-11: what stands behind the image does not get into the slot */
{
	static const uint32_t chunks[] = {200, 333, 900};
	uint32_t size = node.fresh.size, slot = sim.board.slot[1].offset;

	memset(node.fresh.data + size, 0x77, 100);
	for (size_t i = 0; i < sizeof(chunks) / sizeof(*chunks); i++) {
		memset(sim.flash + slot, 0xff, sim.board.slot[1].size);
		agent_init(&node.agent, node.agent.program);
		node.fresh.size = size + 100;
		struct reply r = gateway_preflight(&node.agent, &node.fresh);
		ck_assert(reply_good(&r));
		r = gateway_upload(&node.agent, &node.fresh, chunks[i]);
		ck_assert(reply_good(&r) && r.match && r.off == size + 100);
		node.fresh.size = size;
		ck_assert(node_slot_is(1, &node.fresh));
		ck_assert(memchr(sim.flash + slot + size, 0x77, sim.board.slot[1].size - size) ==
			  NULL);
	}
}
END_TEST

START_TEST(upload_into_bad_flash) /* F-19 */
{
	struct reply r;

	assert_good(gateway_preflight(&node.agent, &node.fresh));
	r = gateway_chunk(&node.agent, &node.fresh, 0, 300);
	sim.fault_at = sim.operations + 1;
	assert_refused(gateway_chunk(&node.agent, &node.fresh, r.off, 300), NODE_FLASH);
	r = gateway_chunk(&node.agent, &node.fresh, 600, 300);
	ck_assert_uint_eq(r.off, 0); /* anew */
	assert_refused(gateway_state(&node.agent, node.fresh.digest, false, 0), NOT_FOUND);
}
END_TEST

/* ---- trial ---- */

START_TEST(trial_is_asked_for)
{
	uint8_t wrong[32] = {1};

	node_stage();
	ck_assert_int_eq(node_state().phase, PHASE_PENDING);
	ck_assert_int_eq(node_state().deadline, 30);
	assert_refused(gateway_state(&node.agent, wrong, false, 0), NOT_FOUND);
	assert_refused(gateway_state(&node.agent, node.old.digest, false, 0), ALREADY_INSTALLED);
	assert_rc(gateway_state(&node.agent, NULL, false, 0), INVALID);
	assert_refused(gateway_state(&node.agent, wrong, true, 0), NOT_FOUND);
	assert_good(gateway_state(&node.agent, NULL, true, 0)); /* what runs is confirmed already */
	ck_assert_int_eq(node_state().phase, PHASE_PENDING);
	/* a new upload, or an erase, calls the trial off */
	assert_good(ASK(WRITE, EF_GROUP_IMAGE, EF_IMAGE_ERASE, "\xa0"));
	ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
	assert_refused(gateway_state(&node.agent, node.fresh.digest, false, 0), NOT_FOUND);
	node_start();
	ck_assert(node_slot_is(0, &node.old));
}
END_TEST

START_TEST(trial_guards_the_way_back)
{
	static struct sim before;

	node_stage();
	node_start();
	before = sim;
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	assert_refused(gateway_upload(&node.agent, &node.fresh, 300), TRIAL_RUNNING);
	assert_refused(ASK(WRITE, EF_GROUP_IMAGE, EF_IMAGE_ERASE, "\xa0"), TRIAL_RUNNING);
	assert_refused(gateway_state(&node.agent, node.old.digest, false, 0), TRIAL_RUNNING);
	node.self_test = SELF_TEST_RUNNING;
	assert_refused(gateway_state(&node.agent, NULL, true, 0), SELF_TEST);
	assert_refused(gateway_state(&node.agent, node.old.digest, true, 0), NOT_FOUND);
	ck_assert(memcmp(before.flash, sim.flash, sim.size) == 0);
	node.self_test = SELF_TEST_PASSED;
	/* the image that answers is looked at once more before it stays */
	sim.flash[sim.board.slot[0].offset + 1000] ^= 1;
	assert_refused(gateway_state(&node.agent, NULL, true, 0), IMAGE_DIGEST);
	sim.flash[sim.board.slot[0].offset + 1000] ^= 1;
	assert_good(gateway_state(&node.agent, node.fresh.digest, true, 0));
	assert_good(gateway_state(&node.agent, node.fresh.digest, true, 0));
}
END_TEST

START_TEST(text_is_cut_off)
{
	char buf[8];
	struct text t;

	text_init(&t, buf, sizeof(buf));
	text_add(&t, "abc");
	text_add_uint(&t, 4294967295u);
	ck_assert_str_eq(buf, "abc4294");
	text_init(&t, buf, sizeof(buf));
	text_add_uint(&t, 0);
	ck_assert_str_eq(buf, "0");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/agent");
	TCase *c = tcase_create("agent");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, node_free);
	tcase_add_test(c, malformed_bodies);
	tcase_add_test(c, messages_that_are_no_requests);
	tcase_add_test(c, echo);
	tcase_add_test(c, params_and_info);
	tcase_add_test(c, identify);
	tcase_add_test(c, reset);
	tcase_add_test(c, frames_in_and_out);
	tcase_add_test(c, preflight_reasons);
	tcase_add_test(c, preflight_believes_no_bit);
	tcase_add_test(c, upload_needs_preflight);
	tcase_add_test(c, upload_in_any_chunks);
	tcase_add_test(c, upload_out_of_order);
	tcase_add_test(c, upload_broken_off);
	tcase_add_test(c, upload_goes_on_after_a_reset);
	tcase_add_test(c, upload_of_other_bytes);
	tcase_add_test(c, upload_with_a_tail);
	tcase_add_test(c, upload_into_bad_flash);
	tcase_add_test(c, trial_is_asked_for);
	tcase_add_test(c, trial_guards_the_way_back);
	tcase_add_test(c, text_is_cut_off);
	return s;
}

UNIT_MAIN(suite())
