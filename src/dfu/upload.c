/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/upload.h"
#include "dfu/smp-map.h"
#include "wire/cbor.h"
#include <string.h>

#define ERASE_US 3000000u   /* the node may erase its slot before it answers the first request */
#define VERIFY_US 10000000u /* and check the whole image: P-256 takes 8 s on a slow Cortex-M0 */
#define TIMEOUTS_MAX 8u	    /* in a row */
#define REFUSED_MAX 24u	    /* times that it does not take what it wants, without progress */
#define FUTILE_MAX 128u	    /* answers without any */
#define CHUNK_MIN 64u
#define QUEUE_BYTES 12288u /* of the link's queue that a window may fill */
#define ALIGN 16u	   /* of data that a node may keep before its turn */
#define DATA_OFFSETS (1u << 24)

/*
 * On a line that spoils a frame every n bytes, frames with h bytes around their data carry most
 * when they are about sqrt(h * n) long. n is counted, as if there had been TRUSTED clean bytes
 * before: an image is over before a line is known well, and a frame that is a third too short costs
 * less than one that is lost.
 */
#define AROUND 40u
#define TRUSTED 4096u
#define LOSSES_KEPT 32u
#define CRC_SIZE 2u

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

/* The chunk at an offset may be sent without CBOR around it. */
static bool compact(const struct upload *u, uint32_t at)
{
	return u->config.ahead && at && at < DATA_OFFSETS;
}

static uint32_t upload_size(const struct upload *u, uint32_t at, uint32_t end)
{
	uint32_t most = compact(u, at) ? u->config.buf - EF_SMP_HEADER_SIZE - EF_DATA_HEAD
				       : upload_chunk(u->config.buf, at, u->config.size);
	uint32_t size = most < u->chunk ? most : u->chunk;

	if (size >= end - at)
		return end - at;
	/* so that what comes behind it begins where a node can keep it */
	if (u->config.ahead && (at + size) / ALIGN * ALIGN > at)
		size = (at + size) / ALIGN * ALIGN - at;
	return size;
}

static size_t put_data(const struct upload *u, uint8_t *body, uint32_t at, uint32_t size)
{
	body[0] = (uint8_t)(at >> 16);
	body[1] = (uint8_t)(at >> 8);
	body[2] = (uint8_t)at;
	memcpy(body + EF_DATA_HEAD, u->config.image + at, size);
	return EF_DATA_HEAD + size;
}

static size_t put_upload(const struct upload *u, uint8_t *body, uint32_t at, uint32_t size)
{
	struct cbor_writer w;

	cbor_write_init(&w, body, SMP_MESSAGE_MAX);
	cbor_open_map(&w);
	cbor_put_text(&w, "off");
	cbor_put_uint(&w, at);
	if (at == 0) {
		cbor_put_text(&w, "len");
		cbor_put_uint(&w, u->config.size);
		cbor_put_text(&w, "sha");
		cbor_put_bytes(&w, u->config.sha, sizeof u->config.sha);
	}
	cbor_put_text(&w, "data");
	cbor_put_bytes(&w, u->config.image + at, size);
	cbor_close(&w);
	return w.used;
}

/*
 * Nothing is under way behind the first and the last one, so no answer tells that they were lost:
 * they are sent again. A node that has them says so again; one that is at work on them may miss
 * that, and is waited for. But a stock server would begin anew with the first.
 */
static void upload_patience(const struct upload *u, uint32_t end, struct smp_call *call)
{
	if (!call->offset && u->config.erase_us) {
		call->least_us = u->config.erase_us;
		return;
	}
	if (!call->offset)
		call->total_us = ERASE_US;
	if (end == u->config.size)
		call->total_us += VERIFY_US;
	call->soon = call->total_us && call->offset;
}

/* False when no request is left: the next answer or time-out makes room. */
static bool upload_send(struct upload *u, uint32_t at, uint32_t size, uint32_t *order)
{
	uint8_t body[SMP_MESSAGE_MAX];
	struct smp_call call = {
		.op = EF_SMP_WRITE,
		.group = compact(u, at) ? EF_GROUP_EDGEFERRY : EF_GROUP_IMAGE,
		.command = compact(u, at) ? EF_EF_DATA : EF_IMAGE_UPLOAD,
		.done = upload_answer,
		.ctx = u,
		.offset = at,
		.length = size,
		.alone = u->config.window == 1,
	};
	size_t n = compact(u, at) ? put_data(u, body, at, size) : put_upload(u, body, at, size);

	upload_patience(u, at + size, &call);
	if (smp_client_call(u->client, u->now_us, &call, body, n, order) < 0)
		return false;
	u->under_way++;
	u->requests++;
	u->payload += size;
	u->line_bytes += size + AROUND;
	u->budget -= size < u->budget ? size : u->budget;
	if (at + size > u->sent)
		u->sent = at + size;
	return true;
}

/* What is lost comes first. */
static bool upload_one(struct upload *u)
{
	const struct piece *lost = pieces_lost(&u->pieces);
	uint32_t next = u->pieces.n ? u->pieces.list[u->pieces.n - 1].end : u->acked;
	uint32_t order, size;

	if (lost) {
		size = upload_size(u, lost->at, lost->end);
		return upload_send(u, lost->at, size, &order) &&
		       pieces_resend(&u->pieces, size, order);
	}
	if (next == u->config.size || u->pieces.n >= PIECES_NEW)
		return false;
	size = upload_size(u, next, u->config.size);
	if (u->config.ahead && next != u->acked && next + size - u->acked > u->config.ahead)
		return false;
	return upload_send(u, next, size, &order) &&
	       pieces_add(&u->pieces, next, next + size, order);
}

static void upload_fill(struct upload *u)
{
	/* one, to see whether there is anybody; a line that lets little through gets more */
	uint32_t window = !u->started || u->timeouts == 1 ? 1 : u->config.window;

	while (u->under_way < window) {
		if (u->budget == 0) {
			upload_fail(u, EF_REASON_NODE_UNREACHABLE, "too much is lost on the line");
			return;
		}
		if (u->config.may_send && !u->config.may_send(u->config.ctx, u->under_way))
			return;
		if (!upload_one(u))
			return;
	}
}

void upload_go_on(struct upload *u, uint64_t now_us)
{
	u->now_us = now_us;
	upload_fill(u);
}

static uint32_t square_root(uint64_t n)
{
	uint32_t r = 0;

	for (uint32_t bit = 1u << 16; bit; bit >>= 1)
		if ((uint64_t)(r | bit) * (r | bit) <= n)
			r |= bit;
	return r;
}

static void upload_adapt(struct upload *u)
{
	uint32_t chunk = u->losses ? square_root((TRUSTED + u->line_bytes) / u->losses * AROUND)
				   : u->chunk_max;

	/* nothing comes through at all: the count lags behind */
	chunk >>= u->lost_in_a_row > 4 ? 4 : u->lost_in_a_row > 1 ? u->lost_in_a_row - 1 : 0;
	if (chunk < CHUNK_MIN)
		chunk = CHUNK_MIN;
	u->chunk = chunk < u->chunk_max ? chunk : u->chunk_max;
}

/*
 * With a CRC nearly all that is lost would come through; what is lost all the same is counted anew,
 * and without what was sent before.
 */
static void upload_repair(struct upload *u)
{
	uint64_t frame = u->chunk + AROUND;

	if (u->asked_repair || !u->config.repair ||
		u->losses * frame * frame < CRC_SIZE * (TRUSTED + u->line_bytes))
		return;
	u->asked_repair = true;
	if (!u->config.repair(u->config.ctx))
		return;
	u->losses = 0;
	u->line_bytes = 0;
	u->counted_from = u->client->next_order;
}

/* n of those that were sent before order. */
static void upload_lost(struct upload *u, unsigned n, uint32_t order)
{
	if (!n || (int32_t)(order - u->counted_from) <= 0)
		return;
	u->losses += n;
	u->lost_in_a_row += n;
	while (u->losses > LOSSES_KEPT) {
		u->losses /= 2;
		u->line_bytes /= 2;
	}
	upload_repair(u);
	upload_adapt(u);
}

static void upload_timeout(struct upload *u)
{
	smp_client_forget(u->client, u, u->client->next_order);
	u->under_way = 0;
	pieces_lose(&u->pieces, u->client->next_order);
	if (++u->timeouts > TIMEOUTS_MAX) {
		upload_fail(u, EF_REASON_NODE_UNREACHABLE, "no answer any more");
		return;
	}
	upload_lost(u, 1, u->client->next_order);
	upload_fill(u);
}

static void upload_advance(struct upload *u, uint32_t off)
{
	u->acked = off;
	u->refused = 0;
	if (u->sent < off)
		u->sent = off;
	if (u->config.progress)
		u->config.progress(u->config.ctx, off);
}

/* What became of the piece that was answered. Returns false when that ended the upload. */
static bool upload_piece(struct upload *u, const struct smp_request *q, bool kept, bool progress)
{
	struct piece *p = pieces_find(&u->pieces, q->order);

	if (p && p->at == u->acked && ++u->refused > REFUSED_MAX) {
		upload_fail(u, EF_REASON_NODE_PROTOCOL,
			"the node takes nothing at the offset it wants");
		return false;
	}
	if (p && kept && p->at > u->acked) {
		pieces_settle(&u->pieces, p, PIECE_KEPT);
		progress = true;
	} else if (p) {
		pieces_settle(&u->pieces, p, PIECE_LOST);
	}
	u->futile = progress ? 0 : u->futile + 1;
	if (u->futile > FUTILE_MAX) {
		upload_fail(u, EF_REASON_NODE_PROTOCOL, "the node takes nothing");
		return false;
	}
	return true;
}

/* The node wants off. Returns false when that ended the upload. */
static bool upload_wanted(struct upload *u, const struct smp_request *q, uint32_t off, bool kept)
{
	struct error none = {0};
	bool progress = off > u->acked;

	/* What it can want: after the first answer, where an earlier upload broke off; later, no
	 * byte that it was never sent. */
	if (off > (u->started && !u->config.anywhere ? u->sent : u->config.size)) {
		upload_fail(u, EF_REASON_NODE_PROTOCOL, "the node wants bytes it was not sent");
		return false;
	}
	if (off < u->acked) {
		upload_end(u, &none, true);
		return false;
	}
	u->resumed |= !u->started && off != q->call.length;
	u->started = true;
	if (progress)
		pieces_trim(&u->pieces, off); /* the answer was lost, not the frame */
	upload_lost(u, pieces_lose(&u->pieces, q->order), q->order);
	u->timeouts = u->lost_in_a_row = 0;
	upload_adapt(u);
	if (progress)
		upload_advance(u, off);
	if (off == u->config.size) {
		upload_end(u, &none, false);
		return false;
	}
	return upload_piece(u, q, kept, progress);
}

struct upload_reply {
	uint64_t off;
	bool match, kept;
};

static bool upload_parse(
	struct upload *u, const uint8_t *body, size_t size, struct upload_reply *answer)
{
	static const struct smp_field fields[] = {
		{"off", SMP_UINT, true, offsetof(struct upload_reply, off), UINT32_MAX},
		{"match", SMP_BOOL, false, offsetof(struct upload_reply, match), 0},
		{"kept", SMP_BOOL, false, offsetof(struct upload_reply, kept), 0},
	};
	struct error e = {0};
	bool unsupported;

	if (smp_body_status(body, size, "upload", &unsupported, &e)) {
		/* It had accepted the preflight, and has forgotten it: it was reset. What it went
		 * on from was not what it took it for: it has forgotten that, and takes it anew. */
		upload_end(u, &e,
			e.reason == EF_REASON_IMAGE_UNSIGNED ||
				(u->resumed && (e.reason == EF_REASON_IMAGE_DIGEST ||
						       e.reason == EF_REASON_BAD_IMAGE ||
						       e.reason == EF_REASON_PATCH)));
		return false;
	}
	if (!smp_body_read(body, size, fields, 3, answer)) {
		upload_fail(u, EF_REASON_NODE_PROTOCOL, "the answer has no offset");
		return false;
	}
	if (!answer->match) {
		upload_fail(u, EF_REASON_IMAGE_DIGEST, "the node holds other bytes than were sent");
		return false;
	}
	return true;
}

static void upload_answer(void *ctx, const struct smp_request *q, const uint8_t *body, size_t size)
{
	struct upload_reply answer = {.match = true};
	struct upload *u = ctx;

	u->now_us = q->answered_us;
	u->under_way--;
	if (!body) {
		upload_timeout(u);
		return;
	}
	/* The line keeps order: what was sent before and has no answer yet will not get one. */
	u->under_way -= smp_client_forget(u->client, u, q->order);
	if (upload_parse(u, body, size, &answer) &&
		upload_wanted(u, q, (uint32_t)answer.off, answer.kept))
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
	u->counted_from = client->next_order;
	u->running = true;
	upload_fill(u);
	return true;
}
