/* SPDX-License-Identifier: Apache-2.0 */
#include "upload-world.h"
#include "dfu/smp-map.h"
#include "wire/cbor.h"
#include <math.h>
#include <string.h>

struct world world;
uint8_t image[WORLD_IMAGE_MAX];
struct smp_client client;
struct upload upload;

static unsigned chance(void)
{
	world.rng = world.rng * 1664525u + 1013904223u;
	return (world.rng >> 10) % 1000;
}

/* Repaired: one wrong bit, but for that in a code byte or one that makes a byte 0. */
static bool spoilt(size_t bytes, bool repaired)
{
	double bits = 8.0 * (double)bytes, good = pow(1 - world.t.flip, bits);

	if (repaired)
		good += 0.987 * bits * world.t.flip * pow(1 - world.t.flip, bits - 1);
	world.rng = world.rng * 1664525u + 1013904223u;
	return world.rng / 4294967296.0 >= good;
}

/* 115200 baud and a millisecond of turnaround, in order unless the line is troubled. */
static void put_flight(bool to_node, const uint8_t *data, size_t size)
{
	unsigned lose = world.t.lose;
	unsigned copies;
	uint64_t start = world.line_free_us[to_node];
	bool checked = to_node && world.checked;
	size_t bytes = size + world.around + (checked ? 2 : 0);

	if (start < world.now_us)
		start = world.now_us;
	world.line_free_us[to_node] = start + bytes * 87;
	if (world.t.flip > 0 && spoilt(bytes, checked))
		return;
	if (world.t.bit_errors)
		lose = lose * (unsigned)(size / 128 + 1);
	copies = chance() < lose ? 0 : chance() < world.t.duplicate ? 2 : 1;
	while (copies--) {
		struct flight *f = &world.flight[world.n_flight++];

		ck_assert_uint_lt(world.n_flight, WORLD_FLIGHT_MAX);
		f->to_node = to_node;
		f->size = size;
		memcpy(f->data, data, size);
		f->at_us = world.line_free_us[to_node] + 1000;
		if (chance() < world.t.reorder)
			f->at_us += 200000;
	}
}

int world_send(void *ctx, const uint8_t *message, size_t size)
{
	ck_assert_uint_le(size, world.buf);
	if (++world.requests == world.t.lose_request)
		return 0;
	put_flight(true, message, size);
	return 0;
}

static void answer_node(const struct ef_smp_header *h, uint64_t off, bool kept, const char *lie)
{
	struct ef_smp_header back = *h;
	uint8_t message[128];
	struct cbor_writer w;

	cbor_write_init(&w, message + EF_SMP_HEADER_SIZE, sizeof message - EF_SMP_HEADER_SIZE);
	cbor_open_map(&w);
	if (!lie || strcmp(lie, "no-offset") != 0) {
		cbor_put_text(&w, "off");
		cbor_put_uint(&w, off);
	}
	if (kept) {
		cbor_put_text(&w, "kept");
		cbor_put_bool(&w, true);
	}
	if (off == world.size && world.size) {
		cbor_put_text(&w, "match");
		cbor_put_bool(&w, world.verdict);
	}
	if (lie && !strcmp(lie, "reason")) {
		cbor_put_text(&w, "err");
		cbor_open_map(&w);
		cbor_put_text(&w, "group");
		cbor_put_uint(&w, EF_GROUP_EDGEFERRY);
		cbor_put_text(&w, "rc");
		cbor_put_uint(&w, EF_REASON_NODE_FLASH);
		cbor_close(&w);
	}
	if (lie && !strcmp(lie, "rc")) {
		cbor_put_text(&w, "rc");
		cbor_put_uint(&w, EF_SMP_INVALID);
	}
	cbor_close(&w);
	back.op++;
	back.length = (uint16_t)w.used;
	if (lie && !strcmp(lie, "seq"))
		back.seq ^= 0x80;
	if (lie && !strcmp(lie, "length"))
		back.length++;
	if (lie && !strcmp(lie, "group"))
		back.group++;
	if (lie && !strcmp(lie, "nonsense"))
		memset(message + EF_SMP_HEADER_SIZE, 0x1c, w.used);
	ef_smp_header_encode(&back, message);
	if (++world.answers == world.t.lose_answer)
		return;
	put_flight(false, message, EF_SMP_HEADER_SIZE + w.used);
}

struct chunk {
	uint64_t off, len;
	struct smp_string sha, data;
};

static void node_read(
	const struct ef_smp_header *h, const uint8_t *body, size_t size, struct chunk *c)
{
	static const struct smp_field fields[] = {
		{"off", SMP_UINT, true, offsetof(struct chunk, off), UINT32_MAX},
		{"len", SMP_UINT, false, offsetof(struct chunk, len), UINT32_MAX},
		{"sha", SMP_BYTES, false, offsetof(struct chunk, sha), 32},
		{"data", SMP_BYTES, true, offsetof(struct chunk, data), 0},
	};

	if (h->group == EF_GROUP_IMAGE) {
		ck_assert_int_eq(h->command, EF_IMAGE_UPLOAD);
		ck_assert(smp_body_read(body, size, fields, 4, c));
		return;
	}
	ck_assert_uint_ne(world.ahead, 0);
	ck_assert_int_eq(h->command, EF_EF_DATA);
	ck_assert_uint_gt(size, EF_DATA_HEAD);
	c->off = (uint32_t)body[0] << 16 | (uint32_t)body[1] << 8 | body[2];
	c->data = (struct smp_string){body + EF_DATA_HEAD, size - EF_DATA_HEAD};
}

/* True: kept before its turn. */
static bool node_take(const struct chunk *c, const char *lie)
{
	bool kept = world.open && c->off > world.wanted &&
		    c->off + c->data.size - world.wanted <= world.ahead && c->off % 16 == 0;

	if (lie && !strcmp(lie, "stuck"))
		return false;
	if (lie && !strcmp(lie, "keeps-all"))
		return true;
	if (!kept && (!world.open || c->off != world.wanted))
		return false;
	memcpy(world.flash + c->off, c->data.data, c->data.size);
	memset(world.have + c->off, 1, c->data.size);
	while (world.wanted < world.size && world.have[world.wanted])
		world.wanted++;
	return kept;
}

static void node_receive(const uint8_t *message, size_t size)
{
	const char *lie = world.t.lie;
	struct ef_smp_header h;
	struct chunk c = {0};
	uint32_t before;
	bool kept;

	if (world.t.silent_after_us && world.now_us >= world.t.silent_after_us)
		return;
	if (world.now_us < world.busy_until_us)
		return;
	ck_assert(ef_smp_header_decode(message, size, &h));
	node_read(&h, message + 8, size - 8, &c);
	if (c.off == 0) {
		ck_assert(c.sha.data && c.len && c.data.size >= 32);
		if (!world.open || world.size != c.len || memcmp(world.sha, c.sha.data, 32) != 0) {
			world.open = true;
			world.wanted = 0;
			memset(world.have, 0, sizeof world.have);
			world.size = (uint32_t)c.len;
			memcpy(world.sha, c.sha.data, 32);
		}
	}
	before = world.wanted;
	kept = node_take(&c, lie);
	if (world.wanted == world.size && before != world.size && world.t.verify_us)
		world.busy_until_us = world.line_free_us[false] = world.now_us + world.t.verify_us;
	if (world.t.reset_at && world.wanted >= world.t.reset_at && !world.was_reset) {
		world.was_reset = true;
		world.open = false;
		world.wanted = 0;
		return;
	}
	if (lie && !strcmp(lie, "beyond"))
		answer_node(&h, world.wanted + 5000, kept, lie);
	else if (lie && !strcmp(lie, "huge"))
		answer_node(&h, UINT64_MAX, kept, lie);
	else
		answer_node(&h, world.open ? world.wanted : 0, kept, lie);
}

static void on_progress(void *ctx, uint32_t done)
{
	ck_assert_uint_gt(done, world.progress);
	world.progress = done;
}

void world_ended(void *ctx, const struct error *e, bool again)
{
	world.ended++;
	world.e = *e;
	world.again = again;
}

static bool on_repair(void *ctx)
{
	world.asked++;
	world.chunk_asked = upload.chunk;
	world.checked = world.t.repairs;
	return world.checked;
}

/* Runs until the end or a day has passed. */
void world_run(uint32_t size, uint32_t buf, uint32_t window)
{
	struct upload_config k = {
		.image = image,
		.size = size,
		.buf = buf,
		.window = window,
		.ahead = world.ahead,
		.progress = on_progress,
		.repair = on_repair,
		.ended = world_ended,
	};

	world.buf = buf;
	memset(k.sha, 0xab, 32);
	if (!client.send)
		smp_client_init(&client, world_send, NULL, 115200);
	ck_assert(upload_start(&upload, &client, &k, world.now_us));
	while (!world.ended) {
		uint64_t next = smp_client_deadline(&client);
		struct flight f = {.at_us = UINT64_MAX};
		size_t first = 0;

		ck_assert_uint_lt(world.now_us, 86400ull * 1000000);
		ck_assert_uint_le(upload.under_way, window ? window : 1);
		for (size_t i = 0; i < world.n_flight; i++)
			if (world.flight[i].at_us < world.flight[first].at_us)
				first = i;
		if (world.n_flight && world.flight[first].at_us <= next) {
			f = world.flight[first];
			memmove(&world.flight[first], &world.flight[first + 1],
				(--world.n_flight - first) * sizeof f);
			if (f.at_us > world.now_us)
				world.now_us = f.at_us;
			if (f.to_node)
				node_receive(f.data, f.size);
			else
				smp_client_receive(&client, world.now_us, f.data, f.size);
			continue;
		}
		ck_assert_msg(next != UINT64_MAX, "stalled with nothing under way");
		if (next > world.now_us)
			world.now_us = next;
		smp_client_tick(&client, world.now_us);
	}
	ck_assert_uint_eq(world.ended, 1);
	ck_assert_uint_eq(upload.under_way, 0);
	ck_assert_uint_eq(smp_client_deadline(&client), UINT64_MAX); /* nothing is left behind */
}

void world_make(void)
{
	memset(&world, 0, sizeof world);
	memset(&client, 0, sizeof client);
	world.verdict = true;
	for (uint32_t i = 0; i < WORLD_IMAGE_MAX; i++)
		image[i] = (uint8_t)(i * 7 ^ i >> 8);
}

void world_has(uint32_t size)
{
	ck_assert_msg(world.e.reason == EF_REASON_OK, "%s", world.e.detail);
	ck_assert(!world.again);
	ck_assert_mem_eq(world.flash, image, size);
	ck_assert_uint_eq(world.progress, size);
}
