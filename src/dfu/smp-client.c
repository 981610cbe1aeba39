/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/smp-client.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_TIMEOUT_US 1000000u /* before anything was measured */
#define SOON_MIN_US 20000u
#define SOON_TRIPS 2u
#define BACKOFF_MAX 4u
/* Doubling ends there: what is asked a few times is lost too often. */
#define AGAIN_MAX_US 3000000u

void smp_client_set_baud(struct smp_client *c, uint32_t baud)
{
	c->us_per_kib = baud ? (uint32_t)(1024ull * 10 * 1000000 / baud) : 0;
}

void smp_client_init(struct smp_client *c, int (*send)(void *ctx, const uint8_t *, size_t),
	void *ctx, uint32_t baud)
{
	memset(c, 0, sizeof *c);
	c->send = send;
	c->ctx = ctx;
	c->first_us = FIRST_TIMEOUT_US;
	smp_client_set_baud(c, baud);
}

static uint64_t client_timeout(const struct smp_client *c, const struct smp_request *q)
{
	bool soon = q->call.soon && c->srtt_us;
	bool alone = q->call.alone && c->srtt_us && !c->backoff;
	uint64_t trips = SOON_TRIPS * c->srtt_us;
	uint64_t t = c->srtt_us ? c->srtt_us + 4 * c->rttvar_us : c->first_us;
	uint64_t least = c->srtt_us ? SMP_TIMEOUT_MIN_US : 0;
	/* A request may wait for all others in front of it, there and back. */
	uint64_t line = 2 * q->size * c->us_per_kib / 1024;

	if (soon)
		t = trips;
	if (soon || alone)
		least = trips > SOON_MIN_US ? trips : SOON_MIN_US;
	if (t < least)
		t = least;
	/* Those that are sent again have their own doubling. */
	if (!q->call.total_us)
		t <<= c->backoff;
	if (t > SMP_TIMEOUT_MAX_US)
		t = SMP_TIMEOUT_MAX_US;
	if (t < q->call.least_us)
		t = q->call.least_us;
	return t + line;
}

static void client_measure(struct smp_client *c, uint64_t rtt_us)
{
	uint64_t off;

	if (c->srtt_us == 0) {
		c->srtt_us = rtt_us ? rtt_us : 1;
		c->rttvar_us = rtt_us / 2;
		return;
	}
	off = rtt_us > c->srtt_us ? rtt_us - c->srtt_us : c->srtt_us - rtt_us;
	c->rttvar_us = (3 * c->rttvar_us + off) / 4;
	c->srtt_us = (7 * c->srtt_us + rtt_us) / 8;
}

static void request_end(struct smp_request *q)
{
	if (q->copy)
		explicit_bzero(q->copy, q->size); /* it may have held a key */
	free(q->copy);
	q->copy = NULL;
	q->used = false;
}

/* Sequence numbers of requests under way differ; those given up long ago may come again. */
static uint8_t client_next_seq(struct smp_client *c)
{
	bool taken;

	do {
		taken = false;
		c->next_seq++;
		for (int i = 0; i < SMP_WINDOW_MAX; i++)
			taken |= c->requests[i].used && c->requests[i].seq == c->next_seq;
	} while (taken);
	return c->next_seq;
}

int smp_client_call(struct smp_client *c, uint64_t now_us, const struct smp_call *call,
	const uint8_t *body, size_t size, uint32_t *order)
{
	uint8_t message[SMP_MESSAGE_MAX];
	struct ef_smp_header h = {
		.op = call->op,
		.version = 1,
		.length = (uint16_t)size,
		.group = call->group,
		.command = call->command,
	};
	struct smp_request *q = NULL;

	if (size > sizeof message - EF_SMP_HEADER_SIZE)
		return -EMSGSIZE;
	for (int i = 0; i < SMP_WINDOW_MAX && !q; i++)
		if (!c->requests[i].used)
			q = &c->requests[i];
	if (!q)
		return -EBUSY;
	h.seq = client_next_seq(c);
	ef_smp_header_encode(&h, message);
	memcpy(message + EF_SMP_HEADER_SIZE, body, size);
	memset(q, 0, sizeof *q);
	q->call = *call;
	q->size = EF_SMP_HEADER_SIZE + size;
	if (call->total_us) {
		q->copy = malloc(q->size);
		if (!q->copy)
			return -ENOMEM;
		memcpy(q->copy, message, q->size);
	}
	q->used = true;
	q->seq = h.seq;
	q->order = *order = c->next_order++;
	q->sent_us = now_us;
	q->timeout_us = client_timeout(c, q);
	q->expires_us = now_us + q->timeout_us;
	q->gives_up_us = now_us + call->total_us;
	if (q->copy && q->expires_us > q->gives_up_us)
		q->expires_us = q->gives_up_us;
	/* What cannot be sent is lost, and what is lost is dealt with. */
	c->send(c->ctx, message, q->size);
	return 0;
}

static struct smp_request *client_find(struct smp_client *c, const struct ef_smp_header *h)
{
	for (int i = 0; i < SMP_WINDOW_MAX; i++) {
		struct smp_request *q = &c->requests[i];

		if (q->used && q->seq == h->seq && h->op == q->call.op + 1 &&
			h->group == q->call.group && h->command == q->call.command)
			return q;
	}
	return NULL;
}

/* The node is alive and takes requests in order: those behind get their time from now on. */
static void client_refresh(struct smp_client *c, uint64_t now_us)
{
	for (int i = 0; i < SMP_WINDOW_MAX; i++) {
		struct smp_request *q = &c->requests[i];

		if (!q->used || q->again)
			continue;
		q->timeout_us = client_timeout(c, q);
		q->expires_us = now_us + q->timeout_us;
	}
}

void smp_client_receive(struct smp_client *c, uint64_t now_us, const uint8_t *message, size_t size)
{
	struct smp_request *q = NULL, copy;
	struct ef_smp_header h;

	if (ef_smp_header_decode(message, size, &h) && h.length == size - EF_SMP_HEADER_SIZE)
		q = client_find(c, &h);
	if (!q) {
		c->stray++;
		return;
	}
	/* A request that may take the node long says nothing about the line. */
	if (!q->again && !q->call.least_us)
		client_measure(c, now_us - q->sent_us);
	c->backoff = 0;
	copy = *q;
	request_end(q);
	copy.copy = NULL;
	copy.answered_us = now_us;
	client_refresh(c, now_us);
	copy.call.done(copy.call.ctx, &copy, message + EF_SMP_HEADER_SIZE, h.length);
}

uint64_t smp_client_deadline(const struct smp_client *c)
{
	uint64_t first = UINT64_MAX;

	for (int i = 0; i < SMP_WINDOW_MAX; i++)
		if (c->requests[i].used && c->requests[i].expires_us < first)
			first = c->requests[i].expires_us;
	return first;
}

static struct smp_request *client_expired(struct smp_client *c, uint64_t now_us)
{
	struct smp_request *q = NULL;

	for (int i = 0; i < SMP_WINDOW_MAX; i++)
		if (c->requests[i].used && c->requests[i].expires_us <= now_us &&
			(!q || c->requests[i].order < q->order))
			q = &c->requests[i];
	return q;
}

static void request_again(struct smp_client *c, struct smp_request *q, uint64_t now_us)
{
	q->again = true;
	if (q->timeout_us < AGAIN_MAX_US)
		q->timeout_us = q->timeout_us * 2 < AGAIN_MAX_US ? q->timeout_us * 2 : AGAIN_MAX_US;
	q->expires_us = now_us + q->timeout_us;
	if (q->expires_us > q->gives_up_us)
		q->expires_us = q->gives_up_us;
	c->send(c->ctx, q->copy, q->size);
}

void smp_client_tick(struct smp_client *c, uint64_t now_us)
{
	struct smp_request *q, copy;

	/* done may start requests; they expire later than now, so this ends. */
	while ((q = client_expired(c, now_us))) {
		if (q->copy && now_us < q->gives_up_us) {
			request_again(c, q, now_us);
			continue;
		}
		if (!q->copy && c->backoff < BACKOFF_MAX)
			c->backoff++;
		copy = *q;
		request_end(q);
		copy.copy = NULL;
		copy.answered_us = now_us;
		copy.call.done(copy.call.ctx, &copy, NULL, 0);
	}
}

unsigned smp_client_forget(struct smp_client *c, const void *owner, uint32_t order)
{
	unsigned n = 0;

	for (int i = 0; i < SMP_WINDOW_MAX; i++) {
		struct smp_request *q = &c->requests[i];

		if (q->used && q->call.ctx == owner && (int32_t)(q->order - order) < 0) {
			request_end(q);
			n++;
		}
	}
	return n;
}

void smp_client_forget_all(struct smp_client *c)
{
	for (int i = 0; i < SMP_WINDOW_MAX; i++)
		request_end(&c->requests[i]);
}
