/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the bootloader and out again, for nodes whose application takes no image. Whatever ends an
 * operation inside, a failure as well, the node is told to start its application again; only a
 * node that did not answer before stays where it can be reached.
 */
#include "dfu/node-internal.h"
#include "util/time-util.h"
#include <stdlib.h>
#include <string.h>

#define SETTLE_US USEC_PER_SEC /* stock agents answer a reset a quarter of a second before it */

enum ef_reason entry_init(struct node *n, const struct node_config *config, struct error *e)
{
	n->entry = config->entry;
	if (n->entry != NODE_ENTRY_LINES)
		return EF_REASON_OK;
	if (!config->lines.reset) {
		n->entry = NODE_ENTRY_AGENT; /* nothing is owned */
		return error_set(
			e, EF_REASON_CONFIG, "%s: Entry=lines without ResetLine=", config->name);
	}
	n->lines = config->lines;
	n->lines.reset = strdup(config->lines.reset);
	n->lines.boot = config->lines.boot ? strdup(config->lines.boot) : NULL;
	if (!n->lines.reset || (config->lines.boot && !n->lines.boot))
		return error_set(e, EF_REASON_NO_MEMORY, "%s", config->name);
	return EF_REASON_OK;
}

void entry_stop(struct node *n)
{
	entry_cancel(n->pulse);
	n->pulse = NULL;
	if (n->entry == NODE_ENTRY_LINES) {
		free((char *)n->lines.reset);
		free((char *)n->lines.boot);
	}
}

/* The node was told, by whichever way. */
static void restarted(struct node *n)
{
	session_close(&n->session);
	if (n->op.result.reason) /* entry_abandon */
		node_done_now(n);
	else
		node_next(n);
}

static void reset_told(struct node *n, const uint8_t *body, size_t size)
{
	restarted(n); /* whether it did, step_return finds out */
}

static void by_smp(struct node *n, bool to_boot)
{
	const struct node_request request = {
		.what = to_boot ? "reset to the bootloader" : "reset",
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_OS,
		.command = EF_OS_RESET,
		.then = reset_told,
		.silent = reset_told,
		.may_hang_up = true,
	};
	uint8_t body[NODE_BODY_MAX];

	node_send(n, &request, body, node_put_reset(body, sizeof body, to_boot));
}

static void pulsed(void *ctx, const struct error *e)
{
	struct node *n = ctx;

	n->pulse = NULL;
	if (e)
		node_fail_with(n, e);
	else
		restarted(n);
	node_wake(n);
}

static void by_lines(struct node *n, bool to_boot)
{
	struct error e = {0};

	/* nobody is there to answer, and a port on USB goes away meanwhile */
	smp_client_forget_all(&n->client);
	session_close(&n->session);
	if (n->link)
		n->ops->close(n->link);
	n->link = NULL;
	if (entry_begin(&n->pulse, n->event, &n->lines, to_boot, pulsed, n, &e))
		node_fail_with(n, &e);
}

static void restart(struct node *n, bool to_boot)
{
	if (n->entry == NODE_ENTRY_LINES)
		by_lines(n, to_boot);
	else
		by_smp(n, to_boot);
}

void step_enter(struct node *n)
{
	if (n->entry == NODE_ENTRY_AGENT || n->op.place == PLACE_INSIDE || n->identity.bootloader) {
		node_next(n);
		return;
	}
	n->op.place = PLACE_ENTERING;
	restart(n, true);
}

void step_leave(struct node *n)
{
	if (n->op.place != PLACE_INSIDE || n->op.was_silent) {
		node_next(n);
		return;
	}
	n->op.place = PLACE_LEAVING;
	restart(n, false);
}

bool entry_from_silence(struct node *n)
{
	if (n->entry != NODE_ENTRY_LINES || n->op.place != PLACE_AS_FOUND ||
		n->op.plan->seen != entry_seen)
		return false;
	n->op.was_silent = true;
	n->identity.bootloader = false; /* of another time */
	node_goto(n, step_enter);
	return true;
}

bool entry_abandon(struct node *n)
{
	if ((n->op.place != PLACE_INSIDE && n->op.place != PLACE_ENTERING) || n->op.was_silent ||
		(n->entry == NODE_ENTRY_SMP && !n->link))
		return false;
	upload_stop(&n->upload);
	smp_client_forget_all(&n->client);
	n->request.then = NULL;
	entry_cancel(n->pulse);
	n->pulse = NULL;
	node_rate_drop(n);
	n->op.waiting = false;
	n->op.place = PLACE_LEAVING;
	restart(n, false);
	return true;
}

/* A plain SMP device does not say where it is: after a reset it is taken to be where it was sent.
 */
enum node_seen entry_seen(struct node *n)
{
	bool there = n->identity.plain || n->identity.bootloader == (n->op.place == PLACE_ENTERING);

	if (!there && (n->op.place == PLACE_ENTERING || node_active_slot(&n->identity)))
		return NODE_WAIT_ON;
	n->op.place = n->op.place == PLACE_ENTERING ? PLACE_INSIDE : PLACE_AS_FOUND;
	n->op.waiting = false;
	node_next(n);
	return NODE_WAIT_ON;
}

static void return_late(struct node *n)
{
	bool entering = n->op.place == PLACE_ENTERING;

	if (!n->op.heard)
		node_fail(n, EF_REASON_NODE_UNREACHABLE, "no answer %s",
			entering ? "from the bootloader: are Entry= and its lines right?"
				 : "since it was told to leave its bootloader");
	else
		node_fail(n, EF_REASON_NODE_UNREACHABLE, "the node stays in its %s",
			entering ? "application: are Entry= and its lines right?" : "bootloader");
}

void step_return(struct node *n)
{
	uint64_t now = now_monotonic_us();

	if (n->op.place != PLACE_ENTERING && n->op.place != PLACE_LEAVING) {
		node_next(n);
	} else if (!n->op.waiting) {
		n->op.waiting = true;
		n->op.heard = false;
		n->op.until_us = now + SETTLE_US + n->timing.slow_us;
		n->op.wake_us = now + SETTLE_US;
	} else if (now >= n->op.until_us) {
		n->op.waiting = false;
		return_late(n);
	} else {
		step_ask(n);
	}
}
