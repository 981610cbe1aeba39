/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node on a shared line speaks in its turn: one request, with the session that it may need first,
 * or a slice of an upload. Who does not answer loses the turn and asks for another (F-32).
 */
#include "dfu/node-internal.h"
#include "util/time-util.h"

#define SLICE_US (400 * USEC_PER_MSEC)
#define SESSION_US (12 * USEC_PER_SEC) /* a slow core computes in a handshake */

static const struct node_timing timing = {
	.first_us = 500 * USEC_PER_MSEC,
	.ask_us = 1500 * USEC_PER_MSEC,
	.slow_us = 20 * USEC_PER_SEC,
	.look_us = 1000 * USEC_PER_MSEC,
	.poll_us = 300 * USEC_PER_MSEC,
	.reset_us = 4 * USEC_PER_SEC,
};

static void granted(void *ctx)
{
	struct node *n = ctx;

	n->turn_us = now_monotonic_us();
	n->client.backoff = 0; /* nobody else is on the line: what is lost is not crowded out */
	if (n->upload.running)
		upload_go_on(&n->upload, n->turn_us);
	else if (n->request.then)
		node_send_now(n);
	else
		node_turn_leave(n);
	node_wake(n);
}

void node_turn_init(struct node *n)
{
	n->turn = (struct turn){.granted = granted, .ctx = n};
	if (!n->spec.shared)
		return;
	n->timing = timing;
	n->window_max = 1; /* an answer would meet the next request */
	n->session.longest_us = SESSION_US;
}

bool node_turn(struct node *n)
{
	if (!n->spec.shared)
		return true;
	n->again_until_us = 0;
	if (n->turn.state == TURN_HELD)
		return true;
	turn_ask(n->spec.shared, &n->turn);
	return false;
}

bool node_turn_again(struct node *n)
{
	n->turn.silent = true;
	if (!n->spec.shared || now_monotonic_us() >= n->again_until_us)
		return false;
	turn_leave(n->spec.shared, &n->turn);
	turn_ask(n->spec.shared, &n->turn);
	return true;
}

void node_turn_heard(struct node *n)
{
	n->turn.silent = false;
}

void node_turn_leave(struct node *n)
{
	if (n->spec.shared)
		turn_leave(n->spec.shared, &n->turn);
}

bool node_turn_upload(void *ctx, uint32_t under_way)
{
	struct node *n = ctx;
	struct shared *s = n->spec.shared;

	if (!s || (n->turn.state == TURN_HELD &&
			  (!turn_wanted(s) || now_monotonic_us() - n->turn_us < SLICE_US)))
		return true;
	if (!under_way) { /* what is under way is answered in this turn */
		turn_leave(s, &n->turn);
		turn_ask(s, &n->turn);
	}
	return false;
}
