/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rate of a serial line, raised for an upload (SPEC-dfu, "Rate"). Whether the line carries it
 * shows in echoes; the node goes back by itself when nothing that it can read comes, so after any
 * doubt the gateway is at the first rate and quiet until the node is, too.
 */
#include "dfu/node-internal.h"
#include "util/time-util.h"

#define QUIET_US (2300 * USEC_PER_MSEC) /* the node's 2 s and some */
#define ECHOES 4u
#define ECHO_SIZE 128u

static void put_link(struct node *n, uint32_t baud)
{
	n->ops->set_rate(n->link, baud);
	smp_client_set_baud(&n->client, baud);
}

void node_rate_reset(struct node *n)
{
	n->rate.next = n->ops->set_rate ? n->rate.most : 0;
	n->rate.raised = false;
}

void node_rate_drop(struct node *n)
{
	if (!n->rate.raised)
		return;
	n->rate.raised = false;
	n->rate.next /= 2;
	if (n->link)
		put_link(n, n->spec.baud);
}

/* The node may be at either rate: the step is run again when it is surely at the first one. */
static void be_quiet(struct node *n)
{
	node_rate_drop(n);
	n->op.wake_us = now_monotonic_us() + QUIET_US;
}

static void rate_request(struct node *n, uint32_t baud, node_answer then, node_answer silent,
	node_answer unsupported)
{
	const struct node_request request = {
		.what = "rate",
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_RATE,
		.then = then,
		.unsupported = unsupported,
		.silent = silent,
		.optional = true,
	};
	uint8_t body[NODE_BODY_MAX];

	node_send(n, &request, body, node_put_rate(body, sizeof body, baud));
}

static void ask_echo(struct node *n);

static void echo_lost(struct node *n, const uint8_t *body, size_t size)
{
	be_quiet(n);
}

static void echoed(struct node *n, const uint8_t *body, size_t size)
{
	if (++n->rate.echoes < ECHOES)
		ask_echo(n);
	else
		node_next(n);
}

static void ask_echo(struct node *n)
{
	const struct node_request request = {
		.what = "echo",
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_OS,
		.command = EF_OS_ECHO,
		.then = echoed,
		.unsupported = echoed, /* it heard, and was heard */
		.silent = echo_lost,
		.optional = true,
	};
	uint8_t body[ECHO_SIZE + 8];

	node_send(n, &request, body, node_put_echo(body, sizeof body, ECHO_SIZE));
}

static void raise_answered(struct node *n, const uint8_t *body, size_t size)
{
	if (n->ops->set_rate(n->link, n->rate.next) < 0) {
		n->rate.raised = true; /* the node is; be_quiet ends it */
		be_quiet(n);
		return;
	}
	smp_client_set_baud(&n->client, n->rate.next);
	n->rate.raised = true;
	n->rate.echoes = 0;
	ask_echo(n);
}

static void raise_refused(struct node *n, const uint8_t *body, size_t size)
{
	n->rate.raised = body == NULL; /* no answer: who knows */
	if (n->rate.raised) {
		be_quiet(n);
	} else {
		n->rate.next /= 2;
		step_raise(n);
	}
}

static void raise_unsupported(struct node *n, const uint8_t *body, size_t size)
{
	n->rate.next = 0;
	node_next(n);
}

void step_raise(struct node *n)
{
	if (n->rate.next <= n->spec.baud || n->identity.plain || !n->link)
		node_next(n);
	else
		rate_request(n, n->rate.next, raise_answered, raise_refused, raise_unsupported);
}

static void lower_answered(struct node *n, const uint8_t *body, size_t size)
{
	uint32_t next = n->rate.next;

	node_rate_drop(n);
	n->rate.next = next; /* it was good */
	node_next(n);
}

static void lower_lost(struct node *n, const uint8_t *body, size_t size)
{
	be_quiet(n);
}

void step_lower(struct node *n)
{
	if (n->rate.raised)
		rate_request(n, 0, lower_answered, lower_lost, lower_lost);
	else
		node_next(n);
}
