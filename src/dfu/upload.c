/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/upload.h"
#include "dfu/smp-map.h"
#include "wire/cbor.h"
#include <string.h>

#define ERASE_US 3000000u  /* the node may erase its slot before it answers the first request */
#define VERIFY_US 10000000u /* and check the whole image: P-256 takes 8 s on a slow Cortex-M0 */
#define TIMEOUTS_MAX 8u	   /* in a row */
#define REWINDS_MAX 24u	   /* without a byte of progress in between */
#define CHUNK_MIN 64u
#define GOOD_RUN 16u	   /* chunks in a row after which the line is trusted with larger ones */
#define QUEUE_BYTES 12288u /* of the link's queue that a window may fill */

static size_t head_size(uint64_t v)
{
	return v < 24 ? 1 : v <= UINT8_MAX ? 2 : v <= UINT16_MAX ? 3 : v <= UINT32_MAX ? 5 : 9;
}

/* {"off": …, ["len": …, "sha": h'…',] "data": h'…'}, everything but the data. */
static size_t body_overhead(uint32_t offset, uint32_t size, uint32_t chunk)
{
	size_t n = 2 + 4 + head_size(offset) + 5 + head_size(chunk);

	if (offset == 0)
		n += 4 + head_size(size) + 4 + 2 + 32;
	return n;
}

uint32_t upload_chunk(uint32_t buf, uint32_t offset, uint32_t size)
{
	uint32_t left = size - offset, chunk, around;

	if (buf < EF_SMP_HEADER_SIZE + body_overhead(offset, size, 0) + 1)
		return 0;
	around = EF_SMP_HEADER_SIZE + (uint32_t)body_overhead(offset, size, 0);
	chunk = buf - around < left ? buf - around : left;
	/* The length of the data has a head of its own, which grows with it. */
	while (EF_SMP_HEADER_SIZE + body_overhead(offset, size, chunk) + chunk > buf)
		chunk--;
	return chunk;
}

static void upload_fill(struct upload *u);
static void upload_answer(void *ctx, const struct smp_request *q, const uint8_t *body, size_t size);

void upload_stop(struct upload *u)
{
	if (!u->running)
		return;
	u->running = false;
	u->under_way = 0;
	smp_client_forget(u->client, u, u->client->next_order);
}

static void upload_end(struct upload *u, struct error *e, bool again)
{
	upload_stop(u);
	u->config.ended(u->config.ctx, e, again);
}

void upload_interrupt(struct upload *u)
{
	struct error none = {0};

	upload_end(u, &none, true);
}

static void upload_fail(struct upload *u, enum ef_reason reason, const char *text)
{
	struct error e = {0};

	error_set(&e, reason, "upload: %s", text);
	upload_end(u, &e, false);
}

static void upload_send(struct upload *u, uint32_t chunk)
{
	const struct upload_config *k = &u->config;
	uint8_t body[SMP_MESSAGE_MAX];
	struct smp_call call = {
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_IMAGE,
		.command = EF_IMAGE_UPLOAD,
		.least_us = u->next == 0 ? ERASE_US : 0,
		.done = upload_answer,
		.ctx = u,
		.offset = u->next,
		.length = chunk,
	};
	struct cbor_writer w;
	uint32_t order;

	cbor_write_init(&w, body, sizeof body);
	cbor_open_map(&w);
	cbor_put_text(&w, "off");
	cbor_put_uint(&w, u->next);
	if (u->next == 0) {
		cbor_put_text(&w, "len");
		cbor_put_uint(&w, k->size);
		cbor_put_text(&w, "sha");
		cbor_put_bytes(&w, k->sha, sizeof k->sha);
	}
	cbor_put_text(&w, "data");
	cbor_put_bytes(&w, k->image + u->next, chunk);
	cbor_close(&w);
	if (u->next + chunk == k->size)
		call.least_us = VERIFY_US;
	if (smp_client_call(u->client, u->now_us, &call, body, w.used, &order) < 0)
		return; /* no request left: the next answer or time-out makes room */
	u->under_way++;
	u->requests++;
	u->payload += chunk;
	u->budget -= chunk < u->budget ? chunk : u->budget;
	u->next += chunk;
	if (u->next > u->sent)
		u->sent = u->next;
}

static void upload_fill(struct upload *u)
{
	uint32_t window = u->started ? u->config.window : 1;

	while (u->under_way < window && u->next < u->config.size) {
		uint32_t chunk = upload_chunk(u->config.buf, u->next, u->config.size);
		uint32_t before = u->under_way;

		if (chunk > u->chunk)
			chunk = u->chunk;
		if (u->budget == 0) {
			upload_fail(u, EF_REASON_NODE_UNREACHABLE, "too much is lost on the line");
			return;
		}
		upload_send(u, chunk);
		if (u->under_way == before)
			return;
	}
}

static void upload_shrink(struct upload *u)
{
	u->good = 0;
	u->chunk /= 2;
	if (u->chunk < CHUNK_MIN)
		u->chunk = CHUNK_MIN < u->chunk_max ? CHUNK_MIN : u->chunk_max;
}

/* From the offset that the node wants; what is under way is behind it and will not be taken. */
static void upload_go_back(struct upload *u)
{
	u->next = u->acked;
	u->rewound = u->client->next_order;
	upload_shrink(u);
}

static void upload_timeout(struct upload *u)
{
	smp_client_forget(u->client, u, u->client->next_order);
	u->under_way = 0;
	if (++u->timeouts > TIMEOUTS_MAX) {
		upload_fail(u, EF_REASON_NODE_UNREACHABLE, "no answer any more");
		return;
	}
	upload_go_back(u);
	upload_fill(u);
}

static void upload_advance(struct upload *u, uint32_t off)
{
	u->acked = off;
	u->timeouts = u->rewinds = 0;
	if (u->next < off)
		u->next = off;
	if (u->sent < off)
		u->sent = off;
	if (++u->good >= GOOD_RUN && u->chunk < u->chunk_max) {
		u->good = 0;
		u->chunk = u->chunk * 2 < u->chunk_max ? u->chunk * 2 : u->chunk_max;
	}
	if (u->config.progress)
		u->config.progress(u->config.ctx, off);
}

/* The node wants off. Returns false when that ended the upload. */
static bool upload_wanted(struct upload *u, const struct smp_request *q, uint32_t off)
{
	struct error none = {0};
	bool current = (int32_t)(q->order - u->rewound) >= 0;

	/* What it can want: after the first answer, where an earlier upload broke off; later, no
	 * byte that it was never sent. */
	if (off > (u->started ? u->sent : u->config.size)) {
		upload_fail(u, EF_REASON_NODE_PROTOCOL, "the node wants bytes it was not sent");
		return false;
	}
	u->started = true;
	if (off < u->acked) {
		upload_end(u, &none, true);
		return false;
	}
	if (off > u->acked)
		upload_advance(u, off);
	if (off == u->config.size) {
		upload_end(u, &none, false);
		return false;
	}
	if (current && off < q->call.offset + q->call.length) {
		if (++u->rewinds > REWINDS_MAX) {
			upload_fail(u, EF_REASON_NODE_PROTOCOL,
				"the node takes nothing at the offset it wants");
			return false;
		}
		upload_go_back(u);
	}
	return true;
}

struct upload_reply {
	uint64_t off;
	bool match;
};

static bool upload_parse(struct upload *u, const uint8_t *body, size_t size, uint32_t *off)
{
	static const struct smp_field fields[] = {
		{"off", SMP_UINT, true, offsetof(struct upload_reply, off), UINT32_MAX},
		{"match", SMP_BOOL, false, offsetof(struct upload_reply, match), 0},
	};
	struct upload_reply answer = {.match = true};
	struct error e = {0};
	bool unsupported;

	if (smp_body_status(body, size, "upload", &unsupported, &e)) {
		/* It had accepted the preflight, and has forgotten it: it was reset. */
		upload_end(u, &e, e.reason == EF_REASON_IMAGE_UNSIGNED);
		return false;
	}
	if (!smp_body_read(body, size, fields, 2, &answer)) {
		upload_fail(u, EF_REASON_NODE_PROTOCOL, "the answer has no offset");
		return false;
	}
	if (!answer.match) {
		upload_fail(u, EF_REASON_IMAGE_DIGEST, "the node holds other bytes than were sent");
		return false;
	}
	*off = (uint32_t)answer.off;
	return true;
}

static void upload_answer(void *ctx, const struct smp_request *q, const uint8_t *body, size_t size)
{
	struct upload *u = ctx;
	uint32_t off;

	u->now_us = q->answered_us;
	u->under_way--;
	if (!body) {
		upload_timeout(u);
		return;
	}
	/* The line keeps order: what was sent before and has no answer yet will not get one. */
	u->under_way -= smp_client_forget(u->client, u, q->order);
	if (upload_parse(u, body, size, &off) && upload_wanted(u, q, off))
		upload_fill(u);
}

bool upload_start(struct upload *u, struct smp_client *client, const struct upload_config *config,
	uint64_t now_us)
{
	memset(u, 0, sizeof *u);
	u->config = *config;
	u->client = client;
	u->now_us = now_us;
	if (u->config.buf > SMP_MESSAGE_MAX)
		u->config.buf = SMP_MESSAGE_MAX;
	if (config->size == 0 || u->config.buf < UPLOAD_BUF_MIN)
		return false;
	if (u->config.window > QUEUE_BYTES / u->config.buf)
		u->config.window = QUEUE_BYTES / u->config.buf;
	if (u->config.window > SMP_WINDOW_MAX)
		u->config.window = SMP_WINDOW_MAX;
	if (u->config.window == 0)
		u->config.window = 1;
	u->chunk = u->chunk_max = u->config.buf;
	u->budget = 8ull * config->size + 65536;
	u->rewound = client->next_order;
	u->running = true;
	upload_fill(u);
	return true;
}
