/* SPDX-License-Identifier: Apache-2.0 */
/* Steps that several operations share: ask, reset, wait for the node to come back. */
#include "dfu/node-internal.h"
#include "util/time-util.h"
#include <openssl/rand.h>
#include <string.h>

#define RESETS_MAX 3u /* times that a node is told to reset */
#define SETTLE_US (300 * USEC_PER_MSEC)

/* Ask: who are you, and what lies in your slots */

static void ask_over(struct node *n)
{
	n->op.heard = true;
	if (!n->op.waiting) {
		node_next(n);
		return;
	}
	if (n->op.plan->seen(n) == NODE_ARRIVED)
		node_done_now(n);
	else if (n->op.waiting && !n->op.finished && n->op.wake_us == UINT64_MAX)
		n->op.wake_us = now_monotonic_us() + n->timing.poll_us;
}

static void ask_silent(struct node *n, const uint8_t *body, size_t size)
{
	if (n->op.waiting)
		n->op.wake_us = now_monotonic_us() + n->timing.poll_us;
	else if (!entry_from_silence(n))
		node_fail(n, EF_REASON_NODE_UNREACHABLE, "no answer");
}

static void ask_failed(struct node *n, const struct error *e)
{
	/* While it restarts, a node may send what is left of a frame, or its boot messages. */
	if (n->op.waiting)
		ask_silent(n, NULL, 0);
	else
		node_fail_with(n, e);
}

static void ask_state_answer(struct node *n, const uint8_t *body, size_t size)
{
	struct error e = {0};

	if (node_parse_state(body, size, &n->identity, &e))
		ask_failed(n, &e);
	else
		ask_over(n);
}

/* A stranger that says it in a session only, or not at all. */
static void ask_reserved(struct node *n, const uint8_t *body, size_t size)
{
	n->identity.reserved = body != NULL;
	ask_over(n);
}

static void ask_state(struct node *n)
{
	/* An MCU may have to check two signatures for this. */
	const struct node_request request = {
		.what = "image state",
		.op = EF_SMP_READ,
		.group = EF_GROUP_IMAGE,
		.command = EF_IMAGE_STATE,
		.least_us = n->timing.slow_us / 8,
		.total_us = n->timing.slow_us,
		.then = ask_state_answer,
		.silent = n->op.stranger ? ask_reserved : ask_silent,
		.optional = n->op.stranger,
	};
	uint8_t body[NODE_BODY_MAX];

	node_send(n, &request, body, node_put_empty(body, sizeof body));
}

static void ask_params_answer(struct node *n, const uint8_t *body, size_t size)
{
	struct error e = {0};

	if (node_parse_params(body, size, &n->identity, &e))
		ask_failed(n, &e);
	else
		ask_state(n);
}

/* params is optional as well: what MCUboot's serial recovery takes by default. */
static void ask_params_unsupported(struct node *n, const uint8_t *body, size_t size)
{
	n->identity.buf = 256;
	n->identity.window = 1;
	ask_state(n);
}

static void ask_params(struct node *n, const uint8_t *unused_body, size_t unused)
{
	const struct node_request request = {
		.what = "params",
		.op = EF_SMP_READ,
		.group = EF_GROUP_OS,
		.command = EF_OS_PARAMS,
		.total_us = n->timing.ask_us,
		.then = ask_params_answer,
		.unsupported = ask_params_unsupported,
		.silent = ask_silent,
	};
	uint8_t body[NODE_BODY_MAX];

	memset(&n->identity, 0, sizeof n->identity);
	n->identity.plain = true;
	node_send(n, &request, body, node_put_empty(body, sizeof body));
}

static void ask_leased(struct node *n, const uint8_t *body, size_t size)
{
	ask_state(n);
}

static void ask_identify_answer(struct node *n, const uint8_t *body, size_t size)
{
	struct error e = {0};

	if (node_parse_identify(body, size, n->nonce, &n->identity, &e))
		ask_failed(n, &e);
	else
		node_take_lease(n, ask_leased, ask_silent);
}

void step_ask(struct node *n)
{
	const struct node_request request = {
		.what = "identify",
		.op = EF_SMP_READ,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_IDENTIFY,
		.total_us = n->op.waiting		       ? n->timing.look_us
			    : n->op.stranger && n->spec.shared ? 0
			    : n->op.patient		       ? n->timing.slow_us
							       : n->timing.ask_us,
		.then = ask_identify_answer,
		.unsupported = ask_params,
		.silent = ask_silent,
	};
	uint8_t body[NODE_BODY_MAX];

	if (RAND_bytes(n->nonce, sizeof n->nonce) != 1) {
		node_fail(n, EF_REASON_INTERNAL, "no random numbers");
		return;
	}
	node_send(n, &request, body, node_put_identify(body, sizeof body, n->nonce));
}

/* What it is in one line, for people */

static void info_over(struct node *n, const uint8_t *body, size_t size)
{
	node_parse_info(body, size, &n->identity);
	node_next(n);
}

/* Nothing depends on it: a node without it, or with nonsense in it, is identified all the same. */
static void info_absent(struct node *n, const uint8_t *body, size_t size)
{
	node_next(n);
}

void step_info(struct node *n)
{
	const struct node_request request = {
		.what = "info",
		.op = EF_SMP_READ,
		.group = EF_GROUP_OS,
		.command = EF_OS_INFO,
		.least_us = n->timing.first_us,
		.total_us = n->timing.ask_us,
		.then = info_over,
		.silent = info_absent,
		.optional = true,
	};
	uint8_t body[NODE_BODY_MAX];

	node_send(n, &request, body, node_put_empty(body, sizeof body));
}

/* Wait: ask until the operation has seen what it waits for */

static void wait_late(struct node *n)
{
	if (!n->op.heard)
		node_fail(n, EF_REASON_NODE_UNREACHABLE, "no answer since it was told to reset");
	else if (n->identity.bootloader)
		node_fail(n,
			n->identity.reverted ? n->identity.reverted : EF_REASON_NODE_UNREACHABLE,
			"the node stays in its bootloader");
	else
		node_fail(n, n->op.plan->late, "not seen in time");
}

void step_wait(struct node *n)
{
	uint64_t now = now_monotonic_us();

	if (!n->op.waiting) {
		n->op.waiting = true;
		n->op.heard = false;
		n->op.wake_us = now + (n->op.reset_at_us ? SETTLE_US : 0);
		return;
	}
	if (now >= n->op.until_us)
		wait_late(n);
	else
		step_ask(n);
}

/* Reset: told once, since a second one would end the trial that the first began */

static void reset_over(struct node *n, const uint8_t *body, size_t size)
{
	n->op.reset_at_us = now_monotonic_us();
	n->op.resets++;
	node_next(n);
}

void step_reset(struct node *n)
{
	const struct node_request request = {
		.what = "reset",
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_OS,
		.command = EF_OS_RESET,
		.then = reset_over,
		.silent = reset_over, /* perhaps it did: step_wait finds out */
		.may_hang_up = true,
	};
	uint8_t body[NODE_BODY_MAX];

	node_send(n, &request, body, node_put_reset(body, sizeof body, false));
}

/* It answers as if it had not been reset: the request, or its whole frame, was lost. */
enum node_seen not_reset_yet(struct node *n)
{
	if (now_monotonic_us() - n->op.reset_at_us < n->timing.reset_us)
		return NODE_WAIT_ON;
	if (n->op.resets >= RESETS_MAX)
		node_fail(n, EF_REASON_NODE_PROTOCOL, "the node does not reset");
	else
		node_goto(n, step_reset);
	return NODE_WAIT_ON;
}

bool node_in_recovery(const struct node *n)
{
	return n->identity.plain && !node_active_slot(&n->identity);
}

bool node_holds(const struct node *n, unsigned slot, const uint8_t hash[32])
{
	static const uint8_t unnamed[32];
	const struct node_slot *s = &n->identity.slots[slot];

	if (!s->present || memcmp(s->hash, unnamed, 32) != 0)
		return s->present && memcmp(s->hash, hash, 32) == 0;
	return memcmp(n->staged_hash, hash, 32) == 0 &&
	       ef_version_compare(&s->version, &n->staged_version) == 0;
}

bool node_runs(const struct node *n, const uint8_t hash[32])
{
	const struct node_slot *s = node_active_slot(&n->identity);

	return s ? node_holds(n, (unsigned)(s - n->identity.slots), hash)
		 : node_in_recovery(n) && node_holds(n, 0, hash);
}
