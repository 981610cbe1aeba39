/* SPDX-License-Identifier: Apache-2.0 */
/* Stock SMP clients: no preflight, no session, framings and errors of their own. */
#include "boot/secrets.h"
#include "plain-client.h"
#include "wire/cobs.h"
#include <string.h>

static void setup(void)
{
	node_make(true);
	node_allow_plain();
}

#define CHANGE(client, command, body) \
	client_ask(client, EF_SMP_WRITE, EF_GROUP_IMAGE, command, body, sizeof(body) - 1)

static struct client_upload whole(const struct test_image *i)
{
	return (struct client_upload){.data = i->data, .size = i->size, .sha = true};
}

static bool mentions(const struct client_answer *a, const void *what, size_t size)
{
	return memmem(a->body, a->size, what, size) != NULL;
}

START_TEST(whole_update)
{
	for (unsigned kind = 0; kind < CLIENT_KINDS; kind++) {
		static struct sim fresh;
		struct client_upload u = whole(&node.fresh);
		struct client_answer a;
		struct client c;

		if (kind == 0)
			fresh = sim;
		sim = fresh;
		node_start();
		client_start(&c, (enum client_kind)kind);
		a = client_echo(&c, "hello");
		ck_assert(client_good(&a) && mentions(&a, "\x61r\x65hello", 8));
		a = client_list(&c);
		ck_assert(client_good(&a) && mentions(&a, node.old.digest, 32));
		a = client_upload(&c, &u);
		ck_assert(client_good(&a) && a.off == u.size && a.match);
		ck_assert(node_slot_is(1, &node.fresh));
		a = client_set_state(&c, node.fresh.digest, false);
		ck_assert(client_good(&a) && mentions(&a, node.fresh.digest, 32));
		ck_assert_int_eq(node_state().phase, PHASE_PENDING);
		a = client_reset(&c);
		ck_assert(client_good(&a) && a.op == EF_SMP_WRITE_RSP);
		node_start();
		ck_assert(node_slot_is(0, &node.fresh));
		client_start(&c, (enum client_kind)kind);
		ck_assert_int_eq(node_state().phase, PHASE_TRIAL);
		a = client_upload(&c, &u); /* the way back lies there */
		ck_assert(kind == NEWTMGR ? a.rc == EF_SMP_BAD_STATE && a.has_rsn
					  : a.reason == EF_REASON_TRIAL_RUNNING);
		a = client_set_state(&c, NULL, true);
		ck_assert(client_good(&a));
		ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
		ck_assert_uint_eq(node_state().floor, NEW_COUNTER);
	}
}
END_TEST

/* A node that its maker did not open to them tells what it is, and changes nothing. */
START_TEST(closed_node)
{
	static struct sim before;
	static const struct {
		uint16_t group;
		uint8_t command, op;
	} changes[] = {{EF_GROUP_OS, EF_OS_RESET, 2}, {EF_GROUP_OS, EF_OS_DATETIME, 2},
		{EF_GROUP_IMAGE, EF_IMAGE_STATE, 2}, {EF_GROUP_IMAGE, EF_IMAGE_UPLOAD, 2},
		{EF_GROUP_IMAGE, EF_IMAGE_ERASE, 2}, {EF_GROUP_SETTINGS, EF_SETTINGS_VALUE, 2},
		{EF_GROUP_SETTINGS, EF_SETTINGS_DELETE, 2},
		{EF_GROUP_SETTINGS, EF_SETTINGS_COMMIT, 2},
		{EF_GROUP_SETTINGS, EF_SETTINGS_STORE, 0},
		{EF_GROUP_SETTINGS, EF_SETTINGS_STORE, 2}, {EF_GROUP_EDGEFERRY, EF_EF_CRASH, 2},
		{EF_GROUP_EDGEFERRY, EF_EF_KEY, 2}};

	node_free();
	node_make(true);
	node_start();
	before = sim;
	for (unsigned kind = 0; kind < CLIENT_KINDS; kind++) {
		struct client_upload u = whole(&node.fresh);
		struct client_answer a;
		struct client c;

		client_start(&c, (enum client_kind)kind);
		a = client_echo(&c, "hello");
		ck_assert(client_good(&a));
		a = client_list(&c);
		ck_assert(client_good(&a) && mentions(&a, node.old.digest, 32));
		a = client_upload(&c, &u);
		ck_assert_uint_eq(a.rc, EF_SMP_ACCESS_DENIED);
		a = client_set_state(&c, node.old.digest, true);
		ck_assert_uint_eq(a.rc, EF_SMP_ACCESS_DENIED);
		for (size_t i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
			a = client_ask(
				&c, changes[i].op, changes[i].group, changes[i].command, "\xa0", 1);
			ck_assert_uint_eq(a.rc, EF_SMP_ACCESS_DENIED);
		}
	}
	ck_assert(memcmp(before.flash, sim.flash, sim.size) == 0);
	/* in our own framing the upload without preflight is refused as ever, all else is as it was
	 */
	node.agent.line.framing = FRAMING_COBS;
	assert_refused(gateway_upload(&node.agent, &node.fresh, 300), IMAGE_UNSIGNED);
	assert_good(gateway_preflight(&node.agent, &node.fresh));
	struct reply r = gateway_upload(&node.agent, &node.fresh, 300);
	ck_assert(reply_good(&r) && r.match);
}
END_TEST

/* A node that answers to sessions only has nothing for who knows none, whatever its maker allowed.
 */
START_TEST(node_that_wants_sessions)
{
	static const struct secret_key key = {.required = true};
	static struct sim before;

	ck_assert_int_eq(secrets_store(&key), 0);
	node_start();
	before = sim;
	for (unsigned kind = 0; kind < CLIENT_KINDS; kind++) {
		struct client_upload u = whole(&node.fresh);
		struct client_answer a;
		struct client c = {.kind = (enum client_kind)kind, .largest = 400};

		a = client_echo(&c, "hello");
		ck_assert(client_good(&a));
		a = client_list(&c);
		ck_assert_uint_eq(a.rc, EF_SMP_ACCESS_DENIED);
		a = client_upload(&c, &u);
		ck_assert_uint_eq(a.rc, EF_SMP_ACCESS_DENIED);
		a = client_ask(&c, EF_SMP_WRITE, EF_GROUP_OS, EF_OS_RESET, "\xa0", 1);
		ck_assert_uint_eq(a.rc, EF_SMP_ACCESS_DENIED);
	}
	ck_assert(memcmp(before.flash, sim.flash, sim.size) == 0);
}
END_TEST

/* E-01, as far as it goes: the header is all there is, and for one that cannot be right nothing is
 * erased. */
START_TEST(bad_headers_erase_nothing)
{
	static struct test_image bad;
	struct client c;
	uint32_t before = sim.operations, state = 1, refused = 0;

	memset(sim.flash + sim.board.slot[1].offset, 0x33, sim.board.slot[1].size);
	client_start(&c, SMPCLIENT_RAW);
	for (unsigned i = 0; i < 2000; i++) {
		struct client_upload u = whole(&bad);
		struct client_answer a;
		uint32_t at;

		state = state * 1664525u + 1013904223u;
		at = state >> 8 & 31;
		bad = node.fresh;
		/* all but the payload's size, which may be another as long as it fits, and the
		 * version */
		if ((at >= 12 && at < 16) || (at >= 20 && at < 28))
			at &= 3;
		if (at == 8 || at == 9)
			memset(bad.data + 8, 0xff, 2);
		else
			bad.data[at] ^= (uint8_t)(1 + (state >> 16) % 255);
		if (at == 10 || at == 11)
			bad.data[11] |= 0x80;
		a = client_chunk(&c, &u, 0);
		refused += a.reason == EF_REASON_BAD_IMAGE;
	}
	ck_assert_uint_eq(refused, 2000);
	ck_assert_uint_eq(sim.operations, before);
	static const struct {
		uint32_t at;
		uint8_t value;
		enum ef_reason reason;
	} rows[] = {
		{14, 1, EF_REASON_BAD_IMAGE},	 /* a payload larger than the file */
		{16, 4, EF_REASON_BAD_IMAGE},	 /* encrypted */
		{16, 0x20, EF_REASON_BAD_IMAGE}, /* for RAM */
		{4, 1, EF_REASON_BAD_IMAGE},	 /* load address */
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct client_upload u = whole(&bad);

		bad = node.fresh;
		bad.data[rows[i].at] = rows[i].value;
		struct client_answer a = client_chunk(&c, &u, 0);
		ck_assert_int_eq(a.reason, rows[i].reason);
	}
	/* sizes of the file */
	struct client_upload u = whole(&node.fresh);
	u.size = sim.board.slot[0].size + 1;
	struct client_answer a = client_chunk(&c, &u, 0);
	ck_assert_int_eq(a.reason, EF_REASON_TOO_LARGE);
	u.size = node.fresh.tlv_at + 52 + 4; /* ends with the head of the unprotected area */
	a = client_chunk(&c, &u, 0);
	ck_assert_int_eq(a.reason, EF_REASON_BAD_IMAGE);
	/* the first chunk has the whole header */
	u = whole(&node.fresh);
	u.chunk = 31;
	a = client_chunk(&c, &u, 0);
	ck_assert_int_eq(a.reason, EF_REASON_BAD_IMAGE);
	ck_assert_uint_eq(sim.operations, before);
}
END_TEST

/* Wherever the head of the unprotected area is cut; a tail is dropped (S-11). */
START_TEST(any_chunks)
{
	static struct test_image padded;
	struct client c;
	uint32_t slot = sim.board.slot[1].offset;

	client_start(&c, SMPCLIENT_RAW);
	padded = node.fresh;
	memset(padded.data + padded.size, 0x77, 700);
	for (uint32_t tail = 0; tail <= 700; tail += 700)
		for (uint32_t chunk = 32; chunk < 1000; chunk += chunk < 80 ? 1 : 61) {
			struct client_upload u = whole(&padded);

			u.size += tail;
			u.chunk = chunk;
			u.sha = false;
			memset(sim.flash + slot, (int)chunk, sim.board.slot[1].size);
			struct client_answer a = client_upload(&c, &u);
			ck_assert(client_good(&a) && a.match && a.off == u.size);
			ck_assert(node_slot_is(1, &node.fresh));
			ck_assert(memmem(sim.flash + slot, sim.board.slot[1].size,
					  padded.data + node.fresh.size, 100) == NULL);
		}
}
END_TEST

START_TEST(pages_are_erased_as_they_are_reached)
{
	struct client_upload u = whole(&node.fresh);
	struct client c;
	uint32_t page = sim.board.page, before = sim.erases;

	memset(sim.flash + sim.board.slot[1].offset, 0, sim.board.slot[1].size);
	client_start(&c, SMPCLIENT_RAW);
	u.chunk = 300;
	for (uint32_t off = 0; off < u.size;) {
		struct client_answer a = client_chunk(&c, &u, off);
		ck_assert(client_good(&a));
		off = a.off;
		ck_assert_uint_le(sim.erases - before, off / page + 1);
	}
	ck_assert_uint_eq(node.agent.upload.erases, (u.size + page - 1) / page);
}
END_TEST

/* An image whose end is not what its header promised, or that is signed by nobody. */
START_TEST(bad_images)
{
	static struct test_image bad;
	struct client_upload u = whole(&bad);
	struct client_answer a;
	struct client c;

	client_start(&c, NEWTMGR);
	test_image_make(&bad, node.other_key, NEW, NEW_COUNTER, 2000);
	u.size = bad.size;
	a = client_upload(&c, &u);
	ck_assert(a.has_match && !a.match && a.rc == EF_SMP_INVALID && a.has_rsn);
	ck_assert_uint_eq(a.off, u.size);
	a = client_set_state(&c, bad.digest, false);
	ck_assert_uint_eq(a.rc, EF_SMP_NO_ENTRY);
	client_start(&c, SMPCLIENT_CONSOLE);
	a = client_upload(&c, &u);
	ck_assert(a.has_match && !a.match && a.reason == EF_REASON_IMAGE_KEY);
	/* no unprotected area where it should be, or one that does not fit */
	for (unsigned i = 0; i < 4; i++) {
		bad = node.fresh;
		u.size = bad.size;
		bad.data[bad.tlv_at + 52 + i] ^= i == 2 ? 0xff : 0x80;
		a = client_upload(&c, &u);
		ck_assert_uint_ne(a.reason, EF_REASON_OK);
		a = client_chunk(&c, &u, bad.size - 100); /* and the rest of it goes nowhere */
		ck_assert(client_good(&a) && a.off == 0);
		a = client_set_state(&c, bad.digest, false);
		ck_assert_int_eq(a.reason, EF_REASON_NOT_FOUND);
	}
	/* below the floor */
	test_image_make(&bad, node.key, NEW, OLD_COUNTER - 1, 2000);
	u.size = bad.size;
	a = client_upload(&c, &u);
	ck_assert(a.has_match && !a.match && a.reason == EF_REASON_FLOOR);
	/* the next good one works */
	u = whole(&node.fresh);
	a = client_upload(&c, &u);
	ck_assert(client_good(&a) && a.match && node_slot_is(1, &node.fresh));
}
END_TEST

START_TEST(resume)
{
	struct client_upload u = whole(&node.fresh), part = u;
	struct client_answer a;
	struct client c;

	client_start(&c, SMPCLIENT_CONSOLE);
	part.chunk = 300;
	part.stop_at = 1500;
	a = client_upload(&c, &part);
	ck_assert_uint_eq(a.off, 1500);
	a = client_chunk(&c, &u, 0); /* the same sha: from there */
	ck_assert(client_good(&a) && a.off == 1500);
	a = client_upload(&c, &u);
	ck_assert(client_good(&a) && a.match);
	a = client_chunk(&c, &u, 0); /* the whole of it is there */
	ck_assert(client_good(&a) && a.match && a.off == u.size);
	/* without sha nothing is known to be the same */
	part.sha = u.sha = false;
	a = client_upload(&c, &part);
	ck_assert_uint_eq(a.off, 1500);
	u.chunk = 200;
	a = client_chunk(&c, &u, 0);
	ck_assert(client_good(&a) && a.off == 200);
	a = client_upload(&c, &u);
	ck_assert(client_good(&a) && a.match && node_slot_is(1, &node.fresh));
}
END_TEST

START_TEST(offsets)
{
	struct client_upload u = whole(&node.fresh);
	struct client_answer a;
	struct client c;
	uint32_t before;

	client_start(&c, NEWTMGR);
	u.chunk = 200;
	a = client_chunk(&c, &u, 400); /* nothing was begun */
	ck_assert(client_good(&a) && a.off == 0);
	a = client_chunk(&c, &u, 0);
	ck_assert_uint_eq(a.off, 200);
	before = sim.operations;
	a = client_chunk(&c, &u, 400); /* a gap: what it wants, and no error */
	ck_assert(client_good(&a) && a.off == 200);
	a = client_chunk(&c, &u, 100);
	ck_assert(client_good(&a) && a.off == 200);
	/* more than there is to come */
	u.size += 100;
	for (uint32_t off = 200; !a.rc && off < u.size; off = a.off)
		a = client_chunk(&c, &u, off);
	ck_assert_uint_eq(a.rc, EF_SMP_INVALID);
	ck_assert_uint_gt(sim.operations, before);
	/* another image than number 0; number 0 is refused for its header, with a reason */
	a = CHANGE(&c, EF_IMAGE_UPLOAD,
		"\xa4\x63off\0\x63len\x19\x10\0\x65image\1\x64"
		"data\x41x");
	ck_assert(a.rc == EF_SMP_INVALID && !a.has_rsn);
	a = CHANGE(&c, EF_IMAGE_UPLOAD,
		"\xa4\x63off\0\x63len\x19\x10\0\x65image\0\x64"
		"data\x41x");
	ck_assert(a.rc == EF_SMP_INVALID && a.has_rsn);
	/* what must be there is not */
	a = CHANGE(&c, EF_IMAGE_UPLOAD, "\xa1\x63off\0");
	ck_assert(a.rc == EF_SMP_INVALID && !a.has_rsn);
	a = CHANGE(&c, EF_IMAGE_STATE, "\xa0");
	ck_assert(a.rc == EF_SMP_INVALID && !a.has_rsn);
	a = client_ask(&c, EF_SMP_WRITE, 64, 0, "\xa0", 1);
	ck_assert_uint_eq(a.rc, EF_SMP_NOT_SUPPORTED);
	/* slot 0 is not erased for anybody */
	a = CHANGE(&c, EF_IMAGE_ERASE, "\xa1\x64slot\0");
	ck_assert_uint_eq(a.rc, EF_SMP_INVALID);
	a = CHANGE(&c, EF_IMAGE_ERASE, "\xa1\x64slot\1");
	ck_assert(client_good(&a));
}
END_TEST

START_TEST(upgrade_only)
{
	static struct test_image same;
	struct client_upload u = whole(&same);
	struct client_answer a;
	struct client c;
	uint32_t before = sim.operations;

	client_start(&c, SMPCLIENT_CONSOLE);
	u.upgrade = true;
	test_image_make(&same, node.key, OLD, OLD_COUNTER, 2000);
	same.data[24] = 9; /* another build of the version that runs: not newer */
	u.size = same.size;
	a = client_chunk(&c, &u, 0);
	ck_assert_int_eq(a.reason, EF_REASON_DOWNGRADE);
	ck_assert_uint_eq(sim.operations, before);
	same.data[22] = 1; /* revision 1 */
	a = client_chunk(&c, &u, 0);
	ck_assert(client_good(&a));
	u = whole(&node.fresh);
	u.upgrade = true;
	a = client_upload(&c, &u);
	ck_assert(client_good(&a) && a.match);
}
END_TEST

/* A plain upload takes the place of one that was vouched for, and the other way round. */
START_TEST(both_kinds_of_upload)
{
	static struct test_image other;
	struct client_upload u = whole(&other);
	struct client_answer a;
	struct client c;
	struct reply r;

	test_image_make(&other, node.key, NEW + 1, NEW_COUNTER, 3500);
	u.size = other.size;
	u.chunk = 300;
	client_start(&c, SMPCLIENT_RAW);
	for (unsigned round = 0; round < 3; round++) {
		node.agent.line.framing = FRAMING_COBS;
		assert_good(gateway_preflight(&node.agent, &node.fresh));
		for (uint32_t off = 0; off < 1500; off += 300)
			gateway_chunk(&node.agent, &node.fresh, off, 300);
		ck_assert(node_state().flags & STATE_UPLOADING);
		u.stop_at = round == 0 ? 900 : 0;
		a = client_upload(&c, &u);
		ck_assert(client_good(&a));
		ck_assert(!(node_state().flags & STATE_UPLOADING));
		if (round == 2)
			ck_assert(a.match && node_slot_is(1, &other));
		/* and the gateway comes again, also after a reset */
		if (round == 1)
			ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
		node.agent.line.framing = FRAMING_COBS;
		assert_good(gateway_preflight(&node.agent, &node.fresh));
		r = gateway_upload(&node.agent, &node.fresh, 300);
		ck_assert(reply_good(&r) && r.match && node_slot_is(1, &node.fresh));
		assert_good(gateway_ask(
			&node.agent, EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_ERASE, "\xa0", 1));
	}
}
END_TEST

static struct test_image coming;

static struct client_answer upload_coming(void)
{
	struct client_upload u = whole(&coming);
	struct client c;

	client_start(&c, SMPCLIENT_RAW);
	u.chunk = 100;
	return client_upload(&c, &u);
}

/* Power goes at every operation of an upload, in every way: what ran runs on, and the next upload
 * of the same image works (F-18). */
START_TEST(power_cuts)
{
	static struct sim before;
	struct client_answer a;
	uint32_t operations;
	unsigned cuts = 0;

	test_image_make(&coming, node.key, NEW, NEW_COUNTER, 700);
	memset(sim.flash + sim.board.slot[1].offset, 0x33, 2048);
	before = sim;
	a = upload_coming();
	ck_assert(client_good(&a) && a.match);
	operations = sim.operations - before.operations;
	for (int kind = 0; kind < CUT_KINDS; kind++)
		for (uint32_t at = 1; at <= operations; at++) {
			sim = before;
			node_start();
			sim.random = at;
			sim.cut_kind = (enum sim_cut)kind;
			sim.cut_at = sim.operations + at;
			a = upload_coming();
			ck_assert(!a.came); /* it is cut off in the midst of a request */
			ck_assert_int_eq(node_power_cycle(), SIM_STARTED);
			ck_assert(node_slot_is(0, &node.old));
			ck_assert_int_eq(node_state().phase, PHASE_CONFIRMED);
			a = upload_coming();
			ck_assert(client_good(&a) && a.match && node_slot_is(1, &coming));
			cuts++;
		}
	ck_assert_uint_ge(cuts, 60);
}
END_TEST

START_TEST(newer_versions_of_smp)
{
	uint8_t m[9] = {EF_SMP_READ | 2 << 3, 0, 0, 1, 0, EF_GROUP_OS, 9, EF_OS_PARAMS, 0xa0};

	ck_assert_uint_gt(agent_request(&node.agent, m, sizeof(m)), 0);
	ck_assert(memcmp(node.agent.response, "\x11\0\0\6\0\0\x09\6\xbf\x62rc\x0d\xff", 14) == 0);
}
END_TEST

/* ---- the line ---- */

static void poll_agent(void *ctx)
{
	(void)ctx;
	while (agent_poll(&node.agent))
		;
}

/* A gateway, two clients and a person at the same line, in turn. */
START_TEST(one_line_for_all)
{
	uint8_t m[9] = {EF_SMP_READ | 8, 0, 0, 1, 0, EF_GROUP_OS, 1, EF_OS_PARAMS, 0xa0};
	struct client clients[CLIENT_KINDS];
	uint32_t state = 3;

	for (unsigned kind = 0; kind < CLIENT_KINDS; kind++)
		client_start(&clients[kind], (enum client_kind)kind);
	for (unsigned i = 0; i < 300; i++) {
		unsigned who = (state = state * 1664525u + 1013904223u) >> 16 & 3;

		if (who < CLIENT_KINDS) {
			struct client_answer a = client_echo(&clients[who], "x");
			ck_assert(client_good(&a));
			continue;
		}
		struct frame_receiver r;
		uint8_t answer[128];
		size_t n = 0;

		sim.in_at = sim.out_size = 0;
		sim.input[0] = 0;
		sim.in_size = 1 + frame_encode(m, sizeof(m), sim.input + 1);
		ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
		frame_receiver_init(&r, answer, sizeof(answer));
		for (size_t k = 0; k < sim.out_size; k++)
			n = frame_receive(&r, sim.output[k]);
		ck_assert_uint_gt(n, 8);
	}
	ck_assert_uint_eq(line_dropped(&node.agent.line), 0);
	sim.in_at = sim.out_size = 0;
	sim.in_size = 14;
	memcpy(sim.input, "boot\r\nshell> \n", 14);
	ck_assert_int_eq(sim_run(poll_agent, NULL), SIM_NONE);
	ck_assert_uint_eq(sim.out_size, 0);
	struct client_answer a = client_echo(&clients[NEWTMGR], "x");
	ck_assert(client_good(&a));
}
END_TEST

START_TEST(silence)
{
	uint8_t m[9] = {EF_SMP_READ, 0, 0, 200, 0, EF_GROUP_OS, 1, EF_OS_PARAMS, 0xa0};
	struct client_answer a;
	struct client c;

	client_start(&c, SMPCLIENT_RAW);
	for (unsigned wait = 0; wait < 2; wait++) {
		/* 191 bytes of it never come */
		sim.in_at = sim.out_size = 0;
		sim.in_size = sizeof(m);
		memcpy(sim.input, m, sizeof(m));
		sim_run(poll_agent, NULL);
		sim.millis += wait ? LINE_RAW_IDLE_MS : LINE_RAW_IDLE_MS - 1;
		sim_run(poll_agent, NULL);
		a = client_echo(&c, "x");
		ck_assert_int_eq(client_good(&a), wait);
		sim.millis += LINE_RAW_IDLE_MS;
		sim_run(poll_agent, NULL);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/plain");
	TCase *c = tcase_create("plain");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup, node_free);
	tcase_add_test(c, whole_update);
	tcase_add_test(c, closed_node);
	tcase_add_test(c, node_that_wants_sessions);
	tcase_add_test(c, bad_headers_erase_nothing);
	tcase_add_test(c, any_chunks);
	tcase_add_test(c, pages_are_erased_as_they_are_reached);
	tcase_add_test(c, bad_images);
	tcase_add_test(c, resume);
	tcase_add_test(c, offsets);
	tcase_add_test(c, upgrade_only);
	tcase_add_test(c, both_kinds_of_upload);
	tcase_add_test(c, power_cuts);
	tcase_add_test(c, newer_versions_of_smp);
	tcase_add_test(c, one_line_for_all);
	tcase_add_test(c, silence);
	return s;
}

UNIT_MAIN(suite())
