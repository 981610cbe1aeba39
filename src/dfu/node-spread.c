/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node among those that are sent one image at once: its upload is begun, in its own session, then
 * it listens to all. Whatever goes wrong here, its own upload behind it makes up for it.
 */
#include "dfu/node-internal.h"
#include "dfu/smp-map.h"
#include "util/time-util.h"
#include <string.h>

#define ALIGN 16u
#define ASK_US USEC_PER_SEC /* it looks at all of its slot */

static void leave(struct node *n, const uint8_t *body, size_t size)
{
	spread_leave(&n->member);
	node_next(n);
}

/* It listened a moment ago. */
static void lost(struct node *n, const uint8_t *body, size_t size)
{
	if (body)
		leave(n, body, size);
	else
		node_fail(n, EF_REASON_NODE_UNREACHABLE, "no answer any more");
}

/* This turn, which was for that alone. */
static void took(struct node *n, enum spread_phase phase)
{
	spread_took(&n->member, phase, now_monotonic_us() - n->turn_us);
}

static void ask(void *ctx, uint32_t from);

static void told(struct node *n, const uint8_t *body, size_t size)
{
	static const struct smp_field fields[] = {
		{"from", SMP_UINT, true, offsetof(struct node_missing, from), UINT16_MAX},
		{"missing", SMP_BYTES, true, offsetof(struct node_missing, missing), 0},
	};
	struct node_missing answer = {0};
	uint32_t next;

	took(n, SPREAD_ASK);
	if (!smp_body_read(body, size, fields, 2, &answer) || answer.from != n->member.block)
		leave(n, NULL, 0);
	else if (!spread_told(&n->member, (uint32_t)answer.from, answer.missing.data,
			 answer.missing.size, &next))
		ask(n, next);
}

static void ask(void *ctx, uint32_t from)
{
	struct node *n = ctx;
	uint64_t patience = spread_patience(&n->member, SPREAD_ASK, ASK_US);
	const struct node_request request = {
		.what = "missing blocks",
		.op = EF_SMP_READ,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_SPREAD,
		.least_us = patience,
		.total_us = 2 * patience, /* it is asked twice */
		.then = told,
		.silent = lost,
		.optional = true,
	};
	uint8_t body[NODE_BODY_MAX];

	n->member.block = from;
	node_send(n, &request, body, node_put_number(body, sizeof body, "from", from));
	node_wake(n);
}

static void progress(void *ctx, uint32_t sent)
{
	struct node *n = ctx;

	if (n->op.progress)
		n->op.progress(n->op.ctx, sent, n->op.info.total_size);
}

static void over(void *ctx)
{
	node_next(ctx);
	node_wake(ctx);
}

static const struct spread_calls calls = {ask, progress, over};

void node_spread_preflight(struct node *n)
{
	took(n, SPREAD_PREFLIGHT);
}

void node_spread_come(struct node *n)
{
	if (!n->spread || n->op.patch || n->op.info.total_size <= SPREAD_FIRST)
		return;
	n->member.calls = &calls;
	n->member.ctx = n;
	n->member.image = n->op.image;
	n->member.size = n->op.info.total_size;
	memcpy(n->member.hash, n->op.hash, sizeof n->member.hash);
	spread_come(n->spread, &n->member);
}

static void listens(struct node *n, const uint8_t *body, size_t size)
{
	spread_listening(&n->member); /* the group says what comes next */
}

static void begun(struct node *n, const uint8_t *body, size_t size)
{
	static const struct smp_field off = {"off", SMP_UINT, true, 0, UINT32_MAX};
	const struct node_request request = {
		.what = "broadcast",
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_SPREAD,
		.total_us = n->timing.ask_us,
		.then = listens,
		.silent = leave,
		.optional = true,
	};
	uint8_t out[NODE_BODY_MAX];
	uint64_t wanted = 0;

	took(n, SPREAD_BEGIN);
	if (!smp_body_read(body, size, &off, 1, &wanted) || wanted % ALIGN ||
		wanted >= n->op.info.total_size)
		leave(n, NULL, 0);
	else
		node_send(
			n, &request, out, node_put_number(out, sizeof out, "block", SPREAD_BLOCK));
}

void step_spread(struct node *n)
{
	/* The node may erase its slot first. */
	const struct node_request request = {
		.what = "upload",
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_IMAGE,
		.command = EF_IMAGE_UPLOAD,
		.least_us = spread_patience(&n->member, SPREAD_BEGIN, n->timing.slow_us / 4),
		.total_us = n->timing.slow_us,
		.then = begun,
		.silent = leave,
		.optional = true,
	};
	uint8_t body[NODE_BODY_MAX + SPREAD_FIRST];

	if (n->op.patch || n->identity.spread < SPREAD_BLOCK || !spread_worth(&n->member))
		leave(n, NULL, 0);
	else
		node_send(n, &request, body,
			node_put_begin(body, sizeof body, n->op.image, n->op.info.total_size,
				n->op.sha, SPREAD_FIRST));
}
