/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of node.h: each a list of steps. */
#include "dfu/image-openssl.h"
#include "dfu/node-internal.h"
#include "util/time-util.h"
#include <openssl/evp.h>
#include <string.h>

#define PLAIN_AROUND 4u
#define STRANGER_US (4 * USEC_PER_SEC) /* for what takes long, when it has said who it is */
#define RESTARTS_MAX 5u		       /* resets of the node during one transfer */

static void fail_reverted(struct node *n)
{
	node_fail(n, n->identity.reverted ? n->identity.reverted : EF_REASON_NODE_REVERTED,
		"another image runs");
}

/*
 * Seen while waiting. What runs and why are two answers, and the node may have started anew between
 * them: without a reason it is asked once more.
 */
static enum node_seen other_seen(struct node *n)
{
	if (n->identity.reverted || n->op.doubted)
		fail_reverted(n);
	n->op.doubted = true;
	return NODE_WAIT_ON;
}

/* identify */

static const struct node_plan identify_plan = {
	.name = "identify",
	.steps = (const node_step[]){step_ask, step_info, NULL},
};

int node_identify(struct node *n, struct node_identity *ret, node_done done, void *ctx)
{
	int r = node_begin(n, &identify_plan, done, ctx);

	if (r == 0)
		n->op.ret = ret;
	return r;
}

/* discover */

static const struct node_plan discover_plan = {
	.name = "discover",
	.steps = (const node_step[]){step_ask, step_info, NULL},
};

int node_discover(
	struct node *n, uint64_t ask_us, struct node_identity *ret, node_done done, void *ctx)
{
	int r = node_begin(n, &discover_plan, done, ctx);

	if (r < 0)
		return r;
	n->op.stranger = true;
	n->op.ret = ret;
	n->timing.ask_us = ask_us;
	n->timing.slow_us = STRANGER_US;
	/* alone on its line it is asked again: the first question may have met what was there */
	n->timing.first_us = n->client.first_us = n->spec.shared ? ask_us : ask_us / 4;
	return 0;
}

/* stage */

static void stage_inspect(struct node *n)
{
	struct image_memory memory = {n->op.image, n->op.image_size};
	struct ef_image_source src;
	enum ef_reason r;

	image_source_memory(&src, &memory);
	r = ef_image_inspect(&src, &n->op.info);
	if (r) {
		node_fail(n, r, "the image to install");
		return;
	}
	memcpy(n->op.hash, n->op.info.digest, 32);
	n->op.file = n->op.patch ? n->op.patch->data : n->op.image;
	n->op.file_size = n->op.patch ? n->op.patch->size : n->op.info.total_size;
	if (EVP_Digest(n->op.file, n->op.file_size, n->op.sha, NULL, EVP_sha256(), NULL) != 1) {
		node_fail(n, EF_REASON_INTERNAL, "no SHA-256");
		return;
	}
	node_spread_come(n);
	node_next(n);
}

static bool holds(const struct node *n)
{
	return node_holds(n, 1, n->op.hash);
}

static void stage_judge(struct node *n)
{
	uint32_t slot = n->identity.slot_size;

	if ((node_runs(n, n->op.hash) || holds(n)) && n->op.place == PLACE_INSIDE)
		node_goto(n, step_leave); /* its last answer was lost */
	else if (node_runs(n, n->op.hash) || holds(n))
		node_done_now(n);
	else if (slot && n->op.info.total_size > slot)
		node_fail(n, EF_REASON_TOO_LARGE, "image of %u bytes, slot of %u",
			n->op.info.total_size, slot);
	else
		node_next(n);
}

static void preflight_over(struct node *n, const uint8_t *body, size_t size)
{
	node_spread_preflight(n);
	node_next(n);
}

static void step_preflight(struct node *n)
{
	const struct node_request request = {
		.what = "preflight",
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_PREFLIGHT,
		.least_us = spread_patience(&n->member, SPREAD_PREFLIGHT, n->timing.slow_us / 8),
		.total_us = n->timing.slow_us,
		.then = preflight_over,
	};
	uint32_t room = n->identity.buf < SMP_MESSAGE_MAX ? n->identity.buf : SMP_MESSAGE_MAX;
	uint8_t body[SMP_MESSAGE_MAX];
	size_t size;

	if (n->identity.plain) {
		node_next(n);
		return;
	}
	size = node_put_preflight(
		body, room - EF_SMP_HEADER_SIZE, n->op.image, &n->op.info, n->op.patch);
	if (size == 0)
		node_fail(n, EF_REASON_TOO_LARGE,
			"the image's TLVs are longer than the node's buffer of %u bytes", room);
	else
		node_send(n, &request, body, size);
}

static void upload_progress(void *ctx, uint32_t done)
{
	struct node *n = ctx;

	node_progressed(n, done);
}

void node_progressed(struct node *n, uint64_t done)
{
	if (n->op.progress)
		n->op.progress(n->op.ctx, done,
			n->op.info.total_size + (n->op.patch ? n->op.patch->size : 0));
}

/* It was reset, or has forgotten the transfer: from the beginning, which is where it goes on. */
void node_again(struct node *n, const struct error *e)
{
	if (++n->op.restarts > RESTARTS_MAX) {
		node_fail(n, e->reason ? e->reason : EF_REASON_NODE_UNREACHABLE,
			"the node lost the transfer %u times", n->op.restarts);
		return;
	}
	n->op.patient = true;
	node_rate_drop(n);
	node_goto(n, step_ask);
}

static void upload_ended(void *ctx, const struct error *e, bool again)
{
	struct node *n = ctx;

	if (!again && e->reason) {
		node_fail_with(n, e);
	} else if (!again) {
		memcpy(n->staged_hash, n->op.hash, 32);
		n->staged_version = n->op.info.header.version;
		node_next(n);
	} else {
		node_again(n, e);
	}
}

/* Bytes of a message that its wire carries best, of those that the node takes. */
static uint32_t message_size(const struct node *n, uint32_t most)
{
	uint32_t session = n->key && !n->op.clear ? EF_SESSION_OVERHEAD : 0;

	if (!n->link || !n->ops->fit)
		return most;
	return (uint32_t)n->ops->fit(n->link, most + session) - session;
}

/* For upload_config.repair: on serial lines. On a shared one frames have a CRC anyway. */
static bool upload_check(void *ctx)
{
	struct node *n = ctx;

	return n->ops->set_framing && session_check(&n->session);
}

static void step_upload(struct node *n)
{
	struct upload_config config = {
		.image = n->op.file,
		.size = n->op.file_size,
		.buf = n->identity.buf,
		.window = n->identity.window,
		.ahead = n->identity.ahead,
		.anywhere = n->identity.spread != 0,
		.ctx = n,
		.progress = upload_progress,
		.may_send = node_turn_upload,
		.repair = upload_check,
		.ended = upload_ended,
	};

	if (n->identity.plain) { /* a server's buffer also holds what lies around the message */
		config.buf -= PLAIN_AROUND;
		config.erase_us = n->timing.slow_us;
	}
	if (n->window_max && config.window > n->window_max)
		config.window = n->window_max;
	if (n->buf_max && config.buf > n->buf_max)
		config.buf = n->buf_max;
	config.buf = message_size(n, config.buf);
	memcpy(config.sha, n->op.sha, sizeof config.sha);
	if (!upload_start(&n->upload, &n->client, &config, now_monotonic_us()))
		node_fail(n, EF_REASON_NODE_PROTOCOL, "a buffer of %u bytes", config.buf);
}

static void stage_verify(struct node *n)
{
	if (holds(n) || (node_in_recovery(n) && node_runs(n, n->op.hash)))
		node_next(n);
	else
		node_fail(
			n, EF_REASON_IMAGE_DIGEST, "the node does not hold the image it was sent");
}

static const struct node_plan stage_plan = {
	.name = "stage",
	.steps = (const node_step[]){stage_inspect, step_ask, stage_judge, step_enter, step_return,
		stage_judge, step_patch, step_preflight, step_spread, step_raise, step_upload,
		step_lower, step_made, step_ask, stage_verify, step_leave, step_return, NULL},
	.seen = entry_seen,
};

int node_stage(struct node *n, const uint8_t *image, size_t size, const struct node_patch *patch,
	node_progress progress, node_done done, void *ctx)
{
	int r = node_begin(n, &stage_plan, done, ctx);

	if (r == 0) {
		n->op.image = image;
		n->op.image_size = size;
		n->op.patch = patch;
		n->op.progress = progress;
	}
	return r;
}

/* activate */

static void activate_judge(struct node *n)
{
	if (node_in_recovery(n) && node_runs(n, n->op.hash))
		node_goto(n, step_reset); /* it knows no trial */
	else if (node_runs(n, n->op.hash))
		node_done_now(n);
	else if (!holds(n))
		node_fail(n, EF_REASON_NOT_FOUND, "the image is not in the node's slot 1");
	else
		node_next(n);
}

static void state_written(struct node *n, const uint8_t *body, size_t size)
{
	node_next(n);
}

static void write_state(struct node *n, const char *what, bool confirm, uint32_t deadline_s)
{
	const struct node_request request = {
		.what = what,
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_IMAGE,
		.command = EF_IMAGE_STATE,
		.least_us = n->timing.slow_us / 8,
		.total_us = n->timing.slow_us,
		.then = state_written,
	};
	uint8_t body[NODE_BODY_MAX];

	node_send(n, &request, body,
		node_put_state(body, sizeof body, n->op.hash, confirm,
			n->identity.plain ? 0 : deadline_s));
}

static void step_test(struct node *n)
{
	write_state(n, "test", false, n->op.deadline_s);
}

static enum node_seen activate_seen(struct node *n)
{
	if (node_runs(n, n->op.hash))
		return NODE_ARRIVED;
	if (!node_active_slot(&n->identity))
		return NODE_WAIT_ON; /* in the bootloader, at work */
	if (n->identity.slots[1].pending)
		return not_reset_yet(n);
	return other_seen(n);
}

static const struct node_plan activate_plan = {
	.name = "activate",
	.steps = (const node_step[]){step_ask, activate_judge, step_test, step_reset, step_wait,
		NULL},
	.seen = activate_seen,
	.late = EF_REASON_NODE_UNREACHABLE,
};

static int begin_timed(struct node *n, const struct node_plan *plan, const uint8_t *hash,
	uint32_t timeout_s, node_done done, void *ctx)
{
	int r = node_begin(n, plan, done, ctx);

	if (r < 0)
		return r;
	if (hash)
		memcpy(n->op.hash, hash, 32);
	n->op.until_us = now_monotonic_us() + timeout_s * USEC_PER_SEC;
	return 0;
}

int node_activate(struct node *n, const uint8_t hash[32], uint32_t deadline_s, uint32_t timeout_s,
	node_done done, void *ctx)
{
	int r = begin_timed(n, &activate_plan, hash, timeout_s, done, ctx);

	if (r == 0)
		n->op.deadline_s = deadline_s;
	return r;
}

/* self-test */

static enum node_seen self_test_seen(struct node *n)
{
	if (node_in_recovery(n) && node_runs(n, n->op.hash))
		return NODE_ARRIVED;
	if (!node_active_slot(&n->identity))
		return NODE_WAIT_ON;
	if (!node_runs(n, n->op.hash))
		return other_seen(n);
	if (n->identity.self_test == 1 || n->identity.plain)
		return NODE_ARRIVED;
	if (n->identity.self_test == 2)
		node_fail(n, EF_REASON_SELF_TEST, "the node says it failed");
	return NODE_WAIT_ON;
}

static const struct node_plan self_test_plan = {
	.name = "self-test",
	.steps = (const node_step[]){step_wait, NULL},
	.seen = self_test_seen,
	.late = EF_REASON_SELF_TEST,
};

int node_self_test(
	struct node *n, const uint8_t hash[32], uint32_t timeout_s, node_done done, void *ctx)
{
	return begin_timed(n, &self_test_plan, hash, timeout_s, done, ctx);
}

/* confirm */

static bool confirmed(const struct node *n)
{
	const struct node_slot *s = node_active_slot(&n->identity);

	return s ? s->confirmed && !n->identity.trial : node_in_recovery(n);
}

static void confirm_judge(struct node *n)
{
	if (!node_runs(n, n->op.hash))
		fail_reverted(n);
	else if (confirmed(n))
		node_done_now(n);
	else
		node_next(n);
}

static void step_confirm(struct node *n)
{
	write_state(n, "confirm", true, 0);
}

static void confirm_verify(struct node *n)
{
	if (!node_runs(n, n->op.hash))
		fail_reverted(n);
	else if (!confirmed(n))
		node_fail(n, EF_REASON_NODE_PROTOCOL, "said yes and did not do it");
	else
		node_done_now(n);
}

static const struct node_plan confirm_plan = {
	.name = "confirm",
	.steps = (const node_step[]){step_ask, confirm_judge, step_confirm, step_ask,
		confirm_verify, NULL},
};

int node_confirm(struct node *n, const uint8_t hash[32], node_done done, void *ctx)
{
	return begin_timed(n, &confirm_plan, hash, 0, done, ctx);
}

/* revert */

static void erased(struct node *n, const uint8_t *body, size_t size)
{
	node_done_now(n);
}

/* An image that is to be tried at the next reset is taken away before it comes to that. */
static void erase_pending(struct node *n)
{
	const struct node_request request = {
		.what = "erase",
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_IMAGE,
		.command = EF_IMAGE_ERASE,
		.least_us = n->timing.slow_us / 8,
		.total_us = n->timing.slow_us,
		.then = erased,
	};
	uint8_t body[NODE_BODY_MAX];

	node_send(n, &request, body, node_put_empty(body, sizeof body));
}

static void revert_judge(struct node *n)
{
	const struct node_slot *s = node_active_slot(&n->identity);

	if (node_in_recovery(n))
		node_fail(n, EF_REASON_NOT_FOUND,
			"the node is in a recovery that keeps no other image");
	else if (!s)
		node_fail(n, EF_REASON_NODE_UNREACHABLE, "the node is in its bootloader");
	else if (n->identity.slots[1].present && n->identity.slots[1].pending)
		erase_pending(n);
	else if (confirmed(n))
		node_done_now(n);
	else {
		memcpy(n->op.hash, s->hash, 32); /* what is to go */
		node_next(n);
	}
}

static enum node_seen revert_seen(struct node *n)
{
	if (!node_active_slot(&n->identity))
		return NODE_WAIT_ON;
	if (node_runs(n, n->op.hash))
		return not_reset_yet(n);
	return confirmed(n) ? NODE_ARRIVED : NODE_WAIT_ON;
}

static const struct node_plan revert_plan = {
	.name = "revert",
	.steps = (const node_step[]){step_ask, revert_judge, step_reset, step_wait, NULL},
	.seen = revert_seen,
	.late = EF_REASON_NODE_UNREACHABLE,
};

int node_revert(struct node *n, uint32_t timeout_s, node_done done, void *ctx)
{
	return begin_timed(n, &revert_plan, NULL, timeout_s, done, ctx);
}
