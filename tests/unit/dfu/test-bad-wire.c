/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Properties of an update over a bad wire, byte by byte and in virtual time: the gateway's session,
 * client and upload on one end, the edge firmware's receiver and agent on the other. Whatever the
 * wire does, the update is there in the end, whole, or fails with a reason, in bounded time and
 * with a bounded number of bytes; no wrong image is ever good in a slot; and on a clean wire the
 * next one works (F-15, F-16, F-17, F-32, E-09, E-10).
 *
 * Seeds a kind of wire: 30, or BAD_WIRE_SEEDS.
 */
#include "dfu/node-messages.h"
#include "dfu/session.h"
#include "dfu/smp-client.h"
#include "dfu/smp-map.h"
#include "dfu/upload.h"
#include "edge-node.h"
#include "unit.h"
#include "util/time-util.h"
#include "wire/line.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUF 256u
#define BYTE_US 87u /* 115200 baud */
#define FLIGHTS 512u
#define BYTES_MAX 1200u
#define RESTARTS_MAX 5u /* as dfu/node-ops.c has it */
#define HOUR_US (3600 * USEC_PER_SEC)

struct wire {
	const char *name;
	double flip;				    /* chance of each bit */
	unsigned drop;				    /* of 10000 bytes */
	unsigned lose, duplicate, late, half, glue; /* of 1000 frames */
	unsigned reset_every;			    /* frames that the node takes */
	unsigned forge;		 /* of 1000 frames: bits turned, and the CRC made right for them */
	uint32_t garbage;	 /* bytes in front of everything else, from the node's side */
	bool must_work, checked; /* checked: requests have a CRC in the end */
};

static const struct wire wires[] = {
	{.name = "clean", .must_work = true},
	{.name = "noise 1e-6", .flip = 1e-6, .must_work = true},
	{.name = "noise 1e-5", .flip = 1e-5, .must_work = true},
	{.name = "noise 1e-4", .flip = 1e-4, .must_work = true, .checked = true},
	{.name = "noise 1e-3", .flip = 1e-3},
	{.name = "noise 1e-2", .flip = 1e-2},
	{.name = "bytes lost", .drop = 5, .must_work = true},
	{.name = "loss", .lose = 100, .must_work = true},
	{.name = "heavy loss", .lose = 400},
	{.name = "duplication", .duplicate = 300, .must_work = true},
	{.name = "reordering", .late = 100, .must_work = true},
	{.name = "half frames", .half = 40, .must_work = true},
	{.name = "concatenation", .glue = 40, .must_work = true},
	{.name = "forgery", .forge = 200, .must_work = true, .checked = true},
	{.name = "forgery and noise", .forge = 100, .flip = 5e-5, .must_work = true},
	{.name = "all of it",
		.flip = 2e-5,
		.drop = 1,
		.lose = 30,
		.duplicate = 30,
		.late = 30,
		.half = 20,
		.glue = 20},
	{.name = "resets at every 3rd", .reset_every = 3},
	{.name = "resets at every 9th", .reset_every = 9},
	{.name = "resets at every 23rd", .reset_every = 23, .must_work = true},
	{.name = "resets and noise", .reset_every = 29, .flip = 2e-5},
	{.name = "garbage", .garbage = 200000, .must_work = true},
};
#define WIRES ((int)(sizeof wires / sizeof *wires))

struct flight {
	uint64_t at_us;
	bool down;
	size_t size;
	uint8_t data[BYTES_MAX];
};

static struct {
	const struct wire *wire;
	uint64_t rng;
	uint64_t now_us, free_us[2], heard_us;
	struct flight flight[FLIGHTS];
	unsigned n;
	uint64_t bytes, frames, taken;
	/* ends */
	struct line_receiver node_line;
	uint8_t node_buf[EDGE_FRAME_MAX];
	struct frame_receiver gateway_line;
	uint8_t gateway_buf[8192];
} line;

static struct session session;
static struct smp_client client;
static struct upload upload;
static struct {
	unsigned opened, failed, lost, answered, ended, checked;
	bool again, accepted;
	struct error error;
} seen;

static uint32_t random_bits(void)
{
	line.rng ^= line.rng << 13;
	line.rng ^= line.rng >> 7;
	line.rng ^= line.rng << 17;
	return (uint32_t)(line.rng >> 16);
}

static bool chance(double p)
{
	return p > 0 && random_bits() < p * 4294967296.0;
}

/* ---- the wire ---- */

static size_t spoil(uint8_t *data, size_t size)
{
	const struct wire *w = line.wire;
	size_t n = 0;

	for (size_t i = 0; i < size; i++) {
		for (int bit = 0; w->flip > 0 && bit < 8; bit++)
			if (chance(w->flip))
				data[i] ^= (uint8_t)(1 << bit);
		if (!chance(w->drop / 1e4))
			data[n++] = data[i];
	}
	return n;
}

static void fly(bool down, const uint8_t *data, size_t size, uint64_t late_us)
{
	struct flight *f = &line.flight[line.n];
	uint64_t start = line.free_us[down] > line.now_us ? line.free_us[down] : line.now_us;

	ck_assert_uint_lt(line.n, FLIGHTS - 1);
	ck_assert_uint_le(size, BYTES_MAX);
	line.free_us[down] = start + size * BYTE_US;
	line.bytes += size;
	line.n++;
	f->down = down;
	f->at_us = line.free_us[down] + 1000 + late_us;
	memcpy(f->data, data, size);
	f->size = spoil(f->data, size);
}

/* One to four bits of a frame behind its first byte, by somebody who knows CRCs; E-09. */
static void forge(uint8_t *frame, size_t size)
{
	for (unsigned flips = 1 + random_bits() % 4; flips; flips--) {
		size_t bit = 8 + random_bits() % (8 * (size - 1));

		frame[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}

static void put(bool down, const uint8_t *frame, size_t size)
{
	const struct wire *w = line.wire;
	uint8_t bytes[BYTES_MAX], forged[BYTES_MAX];
	size_t n = 0;

	line.frames++;
	if (down)
		bytes[n++] = 0;
	memcpy(forged, frame, size);
	if (chance(w->forge / 1e3))
		forge(forged, size);
	n += frame_encode(forged, size, bytes + n);
	if (chance(w->lose / 1e3))
		return;
	if (chance(w->half / 1e3))
		n = 1 + random_bits() % n;
	else if (chance(w->glue / 1e3))
		n--; /* its end is lost: the next one is a part of it */
	fly(down, bytes, n, chance(w->late / 1e3) ? 150000 : 0);
	if (chance(w->duplicate / 1e3))
		fly(down, bytes, n, 0);
}

/* ---- the node ---- */

static void node_hears(const uint8_t *data, size_t size)
{
	uint8_t frame[EDGE_FRAME_MAX], answer[EDGE_FRAME_MAX];

	line_idle(&line.node_line, (uint32_t)((line.now_us - line.heard_us) / 1000));
	line.heard_us = line.now_us;
	for (size_t i = 0; i < size; i++) {
		size_t n = line_receive(&line.node_line, data[i]), back;

		if (!n || line.node_line.framing != FRAMING_COBS)
			continue;
		if (line.wire->reset_every && ++line.taken % line.wire->reset_every == 0) {
			edge_node_reset();
			line_receiver_init(&line.node_line, line.node_buf, sizeof line.node_buf);
			return;
		}
		memcpy(frame, line.node_buf, n);
		back = edge_node_receive(frame, n, answer);
		if (back)
			put(false, answer, back);
	}
}

/* ---- the gateway ---- */

static int to_link(void *ctx, const uint8_t *frame, size_t size)
{
	put(true, frame, size);
	return 0;
}

static int to_session(void *ctx, const uint8_t *message, size_t size)
{
	return session_send(&session, message, size);
}

static void on_message(void *ctx, const uint8_t *message, size_t size)
{
	smp_client_receive(&client, line.now_us, message, size);
}

static void on_opened(void *ctx)
{
	seen.opened++;
}

static void on_failed(void *ctx, const struct error *e)
{
	seen.failed++;
	seen.error = *e;
}

static void on_lost(void *ctx)
{
	seen.lost++;
	if (upload.running)
		upload_interrupt(&upload);
	else
		smp_client_forget_all(&client);
}

static enum ef_reason on_key(void *ctx, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e)
{
	memset(key, EDGE_NODE_KEY, EF_SESSION_KEY_SIZE);
	return EF_REASON_OK;
}

static const struct session_events events = {
	.send = to_link,
	.message = on_message,
	.opened = on_opened,
	.failed = on_failed,
	.lost = on_lost,
	.key = on_key,
};

static void gateway_hears(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		size_t n = frame_receive(&line.gateway_line, data[i]);

		if (n)
			session_receive(&session, line.now_us, line.gateway_buf, n);
	}
}

/* The next thing that happens. There always is one: somebody waits. */
static void happen(void)
{
	uint64_t at = session_deadline(&session), other = smp_client_deadline(&client);
	static struct flight f;
	unsigned first = 0;

	if (other < at)
		at = other;
	for (unsigned i = 1; i < line.n; i++)
		if (line.flight[i].at_us < line.flight[first].at_us)
			first = i;
	if (line.n && line.flight[first].at_us <= at) {
		f = line.flight[first];
		memmove(&line.flight[first], &line.flight[first + 1],
			(--line.n - first) * sizeof f);
		if (f.at_us > line.now_us)
			line.now_us = f.at_us;
		if (f.down)
			node_hears(f.data, f.size);
		else
			gateway_hears(f.data, f.size);
		return;
	}
	ck_assert_msg(at != UINT64_MAX, "%s: everybody waits for ever", line.wire->name);
	if (at > line.now_us)
		line.now_us = at;
	ck_assert_uint_lt(line.now_us, HOUR_US);
	session_tick(&session, line.now_us);
	smp_client_tick(&client, line.now_us);
}

static bool open_session(void)
{
	unsigned before = seen.opened, failed = seen.failed;

	session_close(&session);
	session_open(&session, line.now_us, 20 * USEC_PER_SEC);
	while (seen.opened == before && seen.failed == failed)
		happen();
	return seen.opened > before;
}

static void answered(void *ctx, const struct smp_request *q, const uint8_t *body, size_t size)
{
	bool unsupported;

	seen.answered++;
	seen.accepted = body && smp_body_status(body, size, "preflight", &unsupported,
					&seen.error) == EF_REASON_OK;
	if (!body)
		error_set(&seen.error, EF_REASON_NODE_UNREACHABLE, "no answer");
}

static bool preflight(bool *lost)
{
	const struct smp_call call = {.op = EF_SMP_WRITE,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_PREFLIGHT,
		.least_us = 2 * USEC_PER_SEC,
		.total_us = 20 * USEC_PER_SEC,
		.done = answered};
	const struct edge_image image = edge_node_image();
	struct ef_image_info info = {.total_size = image.size};
	unsigned before = seen.answered, lost_before = seen.lost;
	uint8_t body[512];
	uint32_t order;
	size_t n;

	info.header.hdr_size = (uint16_t)(image.data[8] | image.data[9] << 8);
	info.header.img_size = image.tlv_at - info.header.hdr_size;
	n = node_put_preflight(body, sizeof body, image.data, &info, NULL);
	ck_assert_int_eq(smp_client_call(&client, line.now_us, &call, body, n, &order), 0);
	while (seen.answered == before && seen.lost == lost_before)
		happen();
	*lost = seen.lost != lost_before;
	return seen.answered > before && seen.accepted;
}

static void on_ended(void *ctx, const struct error *e, bool again)
{
	seen.ended++;
	seen.again = again;
	seen.error = *e;
}

static bool on_repair(void *ctx)
{
	seen.checked += session_check(&session);
	return session.checked;
}

static bool send_image(void)
{
	const struct edge_image image = edge_node_image();
	struct upload_config config = {.image = image.data,
		.size = image.size,
		.buf = BUF,
		.window = 4,
		.ahead = 2048,
		.repair = on_repair,
		.ended = on_ended};
	unsigned before = seen.ended;

	memcpy(config.sha, image.digest, 32); /* names the transfer, no more */
	ck_assert(upload_start(&upload, &client, &config, line.now_us));
	while (seen.ended == before)
		happen();
	return seen.error.reason == EF_REASON_OK && !seen.again;
}

/* The whole way, begun anew as often as node_stage begins it anew. */
static bool deliver(void)
{
	for (unsigned tries = 0; tries <= RESTARTS_MAX; tries++) {
		bool lost;

		memset(&seen.error, 0, sizeof seen.error);
		if (!open_session())
			return false;
		if (!preflight(&lost)) {
			if (lost)
				continue;
			return false;
		}
		if (send_image())
			return true;
		if (!seen.again)
			return false;
	}
	error_set(&seen.error, EF_REASON_NODE_UNREACHABLE, "begun anew too often");
	return false;
}

static void wire_up(const struct wire *w)
{
	line.wire = w;
	line.n = 0;
	line.bytes = line.frames = 0;
	line.free_us[0] = line.free_us[1] = line.now_us;
	memset(&upload, 0, sizeof upload);
	session_init(&session, &events, NULL, edge_node_class());
	smp_client_init(&client, to_session, NULL, 115200);
	for (uint32_t left = w->garbage; left; left--) {
		uint8_t b = (uint8_t)random_bits(), other = (uint8_t)random_bits();

		gateway_hears(&b, 1);
		node_hears(&other, 1);
	}
}

static void wire_down(void)
{
	upload_stop(&upload);
	smp_client_forget_all(&client);
	session_close(&session);
}

static void begin(uint64_t seed)
{
	edge_node_start();
	memset(&seen, 0, sizeof seen);
	line.rng = seed * 0x9e3779b97f4a7c15ull + 1;
	line.now_us = line.heard_us = 0;
	line.taken = 0;
	line_receiver_init(&line.node_line, line.node_buf, sizeof line.node_buf);
	frame_receiver_init(&line.gateway_line, line.gateway_buf, sizeof line.gateway_buf);
}

static bool one(const struct wire *w, uint64_t seed)
{
	const struct edge_image image = edge_node_image();
	bool good;

	begin(seed);
	wire_up(w);
	good = deliver();
	ck_assert_msg(
		edge_node_sound(), "%s, seed %lu: a wrong image is good in a slot", w->name, seed);
	if (good)
		ck_assert_msg(
			edge_node_holds(), "%s, seed %lu: done, but not there", w->name, seed);
	else
		ck_assert_msg(seen.error.reason != EF_REASON_OK,
			"%s, seed %lu: failed without a reason", w->name, seed);
	ck_assert_msg(line.now_us < 1200 * USEC_PER_SEC, "%s, seed %lu: %lu s", w->name, seed,
		(unsigned long)(line.now_us / USEC_PER_SEC));
	ck_assert_msg(line.bytes < (RESTARTS_MAX + 1) * (16ull * image.size + 200000),
		"%s, seed %lu: %lu bytes", w->name, seed, line.bytes);
	ck_assert_msg(good || !w->must_work, "%s, seed %lu: %s", w->name, seed, seen.error.detail);
	wire_down();
	if (!good) {
		wire_up(&wires[0]);
		ck_assert_msg(deliver() && edge_node_holds(), "%s, seed %lu: the next one: %s",
			w->name, seed, seen.error.detail);
		wire_down();
	}
	return good;
}

START_TEST(bad_wire)
{
	const struct wire *w = &wires[_i];
	const char *more = getenv("BAD_WIRE_SEEDS");
	uint64_t seeds = more ? strtoull(more, NULL, 10) : w->garbage ? 3 : 30, good = 0;
	uint64_t checked = 0;

	for (uint64_t seed = 1; seed <= seeds; seed++) {
		good += one(w, seed);
		checked += seen.checked != 0;
	}
	printf("# %s: %lu of %lu, %lu with a CRC\n", w->name, good, seeds, checked);
	ck_assert(!w->checked || checked > seeds / 2);
}
END_TEST

/* F-32: 16 MB of garbage, both ways. */
START_TEST(much_garbage)
{
	static const struct wire w = {
		.name = "16 MB of garbage", .garbage = 16u << 20, .must_work = true};

	ck_assert(one(&w, 1));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bad-wire");
	TCase *t = tcase_create("wire");

	tcase_set_timeout(t, 7200);
	tcase_add_checked_fixture(t, edge_node_make, edge_node_free);
	tcase_add_loop_test(t, bad_wire, 0, WIRES);
	tcase_add_test(t, much_garbage);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
