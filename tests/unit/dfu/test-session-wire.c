/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An image goes to a node in a session, engine against engine (OpenSSL on one end, BearSSL on the
 * other), and one frame after the other is lost, spoiled, doubled, late, or the last thing before
 * the node is reset. Each time the image must be there in the end, whole, without a wrong byte in
 * the slot (E-09, E-10, F-15, F-16).
 */
#include "dfu/node-messages.h"
#include "dfu/session.h"
#include "dfu/smp-client.h"
#include "dfu/upload.h"
#include "edge-node.h"
#include "unit.h"
#include "util/time-util.h"
#include <string.h>

#define BUF 512u
#define QUEUE 64

enum mishap { LOST, SPOILED, DOUBLED, LATE, RESET, MISHAPS };

struct frame {
	uint8_t data[EDGE_FRAME_MAX];
	size_t size;
};

static struct frame down[QUEUE], up[QUEUE];
static unsigned n_down, n_up, frames, hit;
static enum mishap mishap;
static uint64_t now;
static struct session session;
static struct smp_client client;
static struct upload upload;
static struct {
	unsigned opened, failed, lost, answered, ended, resets;
	bool again, accepted;
	struct error error;
} seen;

static void put(struct frame *queue, unsigned *n, const uint8_t *data, size_t size)
{
	ck_assert_uint_lt(*n, QUEUE);
	ck_assert_uint_le(size, EDGE_FRAME_MAX);
	memcpy(queue[*n].data, data, size);
	queue[(*n)++].size = size;
}

/* Every frame goes through here. */
static void carry(struct frame *queue, unsigned *n, const uint8_t *data, size_t size)
{
	struct frame f = {.size = size};

	memcpy(f.data, data, size);
	if (++frames != hit) {
		put(queue, n, f.data, size);
		return;
	}
	switch (mishap) {
	case LOST:
		break;
	case SPOILED: /* in a way that the CRC does not see */
		f.data[size * 2 / 3] ^= 4;
		put(queue, n, f.data, size);
		break;
	case DOUBLED:
		put(queue, n, f.data, size);
		put(queue, n, f.data, size);
		break;
	case LATE:
		if (*n) { /* the one before comes after it */
			f = queue[*n - 1];
			memcpy(queue[*n - 1].data, data, size);
			queue[*n - 1].size = size;
		}
		put(queue, n, f.data, f.size);
		break;
	case RESET:
		edge_node_reset();
		n_down = 0;
		seen.resets++;
		break;
	default:
		break;
	}
}

static int to_link(void *ctx, const uint8_t *frame, size_t size)
{
	carry(down, &n_down, frame, size);
	return 0;
}

static int to_session(void *ctx, const uint8_t *message, size_t size)
{
	return session_send(&session, message, size);
}

static void on_message(void *ctx, const uint8_t *message, size_t size)
{
	smp_client_receive(&client, now, message, size);
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

/* One thing that happens next; false: nothing will. */
static bool happen(void)
{
	uint8_t answer[EDGE_FRAME_MAX];
	struct frame f;
	uint64_t at = session_deadline(&session), other = smp_client_deadline(&client);
	size_t n;

	if (n_down) {
		f = down[0];
		memmove(down, down + 1, --n_down * sizeof(*down));
		n = edge_node_receive(f.data, f.size, answer);
		if (n)
			carry(up, &n_up, answer, n);
		return true;
	}
	if (n_up) {
		f = up[0];
		memmove(up, up + 1, --n_up * sizeof(*up));
		now += 20 * USEC_PER_MSEC;
		session_receive(&session, now, f.data, f.size);
		return true;
	}
	if (other < at)
		at = other;
	if (at == UINT64_MAX)
		return false;
	now = at;
	session_tick(&session, now);
	smp_client_tick(&client, now);
	return true;
}

static bool open_session(void)
{
	unsigned before = seen.opened;

	session_close(&session);
	session_open(&session, now, 5 * USEC_PER_SEC);
	while (seen.opened == before && !seen.failed)
		ck_assert(happen());
	return seen.opened > before;
}

static void answered(void *ctx, const struct smp_request *q, const uint8_t *body, size_t size)
{
	seen.answered++;
	seen.accepted = body != NULL;
}

static bool preflight(void)
{
	const struct smp_call call = {.op = EF_SMP_WRITE,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_PREFLIGHT,
		.total_us = 20 * USEC_PER_SEC,
		.done = answered};
	const struct edge_image image = edge_node_image();
	struct ef_image_info info = {.total_size = image.size};
	unsigned before = seen.answered, lost = seen.lost;
	uint8_t body[BUF];
	uint32_t order;
	size_t n;

	info.header.hdr_size = (uint16_t)(image.data[8] | image.data[9] << 8);
	info.header.img_size = image.tlv_at - info.header.hdr_size;
	n = node_put_preflight(body, sizeof(body), image.data, &info, NULL);
	ck_assert_int_eq(smp_client_call(&client, now, &call, body, n, &order), 0);
	while (seen.answered == before && seen.lost == lost)
		ck_assert(happen());
	return seen.answered > before && seen.accepted;
}

static void on_ended(void *ctx, const struct error *e, bool again)
{
	seen.ended++;
	seen.again = again;
	seen.error = *e;
}

static bool send_image(void)
{
	const struct edge_image image = edge_node_image();
	struct upload_config config = {.image = image.data,
		.size = image.size,
		.buf = BUF,
		.window = 4,
		.ended = on_ended};
	unsigned before = seen.ended;

	memcpy(config.sha, image.digest, 32); /* names the transfer, no more */
	ck_assert(upload_start(&upload, &client, &config, now));
	while (seen.ended == before)
		ck_assert(happen());
	ck_assert_int_eq(seen.error.reason, EF_REASON_OK);
	return !seen.again;
}

/* The whole way, begun anew as often as it must be. Returns how often. */
static unsigned deliver(void)
{
	for (unsigned tries = 1; tries < 5; tries++)
		if (open_session() && preflight() && send_image())
			return tries;
	ck_abort_msg("not delivered");
	return 0;
}

static void begin(void)
{
	edge_node_start();
	n_down = n_up = frames = 0;
	memset(&seen, 0, sizeof(seen));
	memset(&upload, 0, sizeof(upload));
	now = 1000 * USEC_PER_SEC;
	session_init(&session, &events, NULL, edge_node_class());
	smp_client_init(&client, to_session, NULL, 0);
}

static void end(void)
{
	upload_stop(&upload);
	smp_client_forget_all(&client);
	session_close(&session);
}

START_TEST(every_frame)
{
	unsigned all, runs = 0;

	mishap = (enum mishap)_i;
	hit = 0;
	begin();
	ck_assert_uint_eq(deliver(), 1);
	ck_assert(edge_node_holds());
	all = frames;
	ck_assert_uint_gt(all, 20);
	end();
	for (hit = 1; hit <= all; hit++) {
		unsigned tries;

		begin();
		tries = deliver();
		ck_assert_msg(edge_node_holds(), "frame %u: a wrong byte", hit);
		ck_assert_msg(
			tries <= (mishap == RESET ? 2u : 1u), "frame %u: %u tries", hit, tries);
		ck_assert_msg(now < 1060 * USEC_PER_SEC, "frame %u: took too long", hit);
		ck_assert_uint_eq(seen.resets, mishap == RESET);
		ck_assert_uint_eq(seen.failed, 0);
		end();
		runs++;
	}
	ck_assert_uint_eq(runs, all);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session-wire");
	TCase *t = tcase_create("wire");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, edge_node_make, edge_node_free);
	tcase_add_loop_test(t, every_frame, 0, MISHAPS);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
