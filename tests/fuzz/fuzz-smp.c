/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that says anything: bodies into the parsers, and messages and time-outs into an upload,
 * with the sequence number put right so that they are looked at. The upload ends, or is still
 * bounded.
 */
#include "dfu/node-messages.h"
#include "dfu/smp-map.h"
#include "dfu/upload.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct smp_client client;
	struct upload upload;
	unsigned ended, sent;
};

static int send_nowhere(void *ctx, const uint8_t *message, size_t size)
{
	struct world *w = ctx;

	if (size > 256)
		abort();
	w->sent++;
	return 0;
}

static void on_progress(void *ctx, uint32_t done)
{
	if (done > 3000)
		abort();
}

static void on_ended(void *ctx, const struct error *e, bool again)
{
	struct world *w = ctx;

	if (w->ended++ || strlen(e->detail) >= sizeof e->detail)
		abort();
}

static void parsers(const uint8_t *body, size_t size)
{
	static const uint8_t nonce[NODE_NONCE_SIZE] = "nonce";
	struct node_identity id = {0};
	struct node_made made;
	struct error e = {0};
	bool unsupported;

	smp_body_status(body, size, "fuzz", &unsupported, &e);
	error_clear(&e);
	if (node_parse_identify(body, size, nonce, &id, &e) == EF_REASON_OK) {
		if (memchr(id.board, 0, sizeof id.board) == NULL || id.buf < UPLOAD_BUF_MIN)
			abort();
		for (const char *p = id.board; *p; p++)
			if (*p < ' ' || *p > '~')
				abort();
	}
	if (node_parse_made(body, size, &made) && made.made > made.size)
		abort();
	error_clear(&e);
	node_parse_params(body, size, &id, &e);
	error_clear(&e);
	if (node_parse_state(body, size, &id, &e) && node_active_slot(&id))
		abort();
}

static void answer(struct world *w, uint64_t now, const uint8_t *body, size_t size)
{
	uint8_t message[8 + 255];
	struct ef_smp_header h = {
		.op = EF_SMP_WRITE_RSP,
		.version = 1,
		.length = (uint16_t)size,
		.group = EF_GROUP_IMAGE,
		.command = EF_IMAGE_UPLOAD,
	};

	for (int i = 0; i < SMP_WINDOW_MAX; i++)
		if (w->client.requests[i].used)
			h.seq = w->client.requests[i].seq;
	ef_smp_header_encode(&h, message);
	memcpy(message + 8, body, size);
	smp_client_receive(&w->client, now, message, 8 + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t image[3000];
	struct world w = {0};
	struct upload_config config = {
		.image = image,
		.size = sizeof image,
		.buf = 256,
		.window = 4,
		.ctx = &w,
		.progress = on_progress,
		.ended = on_ended,
	};
	uint64_t now = 1;

	parsers(data, size);
	smp_client_init(&w.client, send_nowhere, &w, 115200);
	smp_client_receive(&w.client, now, data, size);
	upload_start(&w.upload, &w.client, &config, now);
	for (size_t at = 0; at < size && !w.ended;) {
		size_t n = data[at++];

		now += 1000;
		if (n == 0) {
			now = smp_client_deadline(&w.client);
			smp_client_tick(&w.client, now);
			continue;
		}
		if (n > size - at)
			n = size - at;
		answer(&w, now, data + at, n);
		at += n;
		if (!w.ended && smp_client_deadline(&w.client) == UINT64_MAX)
			abort(); /* nothing under way and not ended: stuck */
	}
	/* From here on it is silent. */
	for (int i = 0; !w.ended; i++) {
		if (i > 100)
			abort();
		now = smp_client_deadline(&w.client);
		smp_client_tick(&w.client, now);
	}
	smp_client_forget_all(&w.client);
	return 0;
}
