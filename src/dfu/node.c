/* SPDX-License-Identifier: Apache-2.0 */
/* What carries a node's operations: link, timer, steps, the one callback at the end. */
#include "dfu/node-internal.h"
#include "dfu/smp-map.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#define CUTS_MAX 8u		      /* of a link during one operation */
#define CALM_US (300 * USEC_PER_MSEC) /* an answer that is not read at once */

static const struct node_timing default_timing = {
	.first_us = USEC_PER_SEC,
	.ask_us = 5 * USEC_PER_SEC,
	.slow_us = 20 * USEC_PER_SEC,
	.look_us = 1500 * USEC_PER_MSEC,
	.poll_us = 300 * USEC_PER_MSEC,
	.reset_us = 4 * USEC_PER_SEC,
};

/* The timer runs when the first of these is due: a time-out, a look, the delivery of a result. */
static void node_arm(struct node *n)
{
	uint64_t at = smp_client_deadline(&n->client), session = session_deadline(&n->session);

	if (session < at)
		at = session;
	if (n->op.plan && n->op.wake_us < at)
		at = n->op.wake_us;
	if (at == UINT64_MAX) {
		sd_event_source_set_enabled(n->timer, SD_EVENT_OFF);
		return;
	}
	sd_event_source_set_time(n->timer, at);
	sd_event_source_set_enabled(n->timer, SD_EVENT_ONESHOT);
}

void node_wake(struct node *n)
{
	node_arm(n);
}

static int client_send(void *ctx, const uint8_t *message, size_t size)
{
	struct node *n = ctx;

	if (n->key && !n->op.clear)
		return session_send(&n->session, message, size);
	return n->link ? n->ops->send(n->link, message, size) : -ENOTCONN;
}

static void link_message(void *ctx, const uint8_t *data, size_t size)
{
	struct node *n = ctx;

	if (n->key && !n->op.clear)
		session_receive(&n->session, now_monotonic_us(), data, size);
	else
		smp_client_receive(&n->client, now_monotonic_us(), data, size);
	node_arm(n);
}

void node_silent(struct node *n)
{
	node_answer silent = n->request.silent;

	n->request.then = NULL;
	node_turn_leave(n);
	silent(n, NULL, 0);
}

/* To whom it is sent can hear it: in a session, or in the clear. */
static void node_dispatch(struct node *n)
{
	if (n->key && !n->op.clear)
		node_session_call(n);
	else
		node_call(n, n->held, n->held_size);
}

static void link_up(void *ctx)
{
	struct node *n = ctx;

	n->up = true;
	if (n->op.plan && !n->op.finished && n->request.then)
		node_dispatch(n);
	node_arm(n);
}

/*
 * A wire in the air is cut without anybody having done it: what was on its way is asked again over
 * a new one. False: this was not that.
 */
static bool link_cut(struct node *n, bool was_up)
{
	bool busy = n->upload.running || n->request.then;

	if (!n->ops->connects || (busy && (!was_up || n->op.cuts >= CUTS_MAX)))
		return false;
	n->op.cuts += busy;
	if (n->upload.running)
		upload_interrupt(&n->upload);
	else if (busy)
		node_send_now(n);
	return true;
}

static void link_lost(void *ctx, const struct error *e)
{
	struct node *n = ctx;
	bool was_up = n->up;

	n->link = NULL;
	n->up = false;
	node_turn_leave(n);
	session_close(&n->session);
	smp_client_forget_all(&n->client);
	if (n->op.plan && !n->op.finished) {
		/* A node that is told to reset may take its port away and bring it back. */
		if (n->request.then && (n->op.waiting || n->request.may_hang_up))
			node_silent(n);
		else if (!n->op.waiting && !link_cut(n, was_up))
			node_fail_with(n, e);
	}
	node_arm(n);
	if (!n->op.plan && !n->ops->connects && n->hung_up)
		n->hung_up(n->hung_up_ctx);
}

static void tell_calm(struct node *n)
{
	if (n->link && n->ops->set_calm)
		n->ops->set_calm(n->link, n->calm);
}

void node_set_calm(struct node *n, bool calm)
{
	n->calm = calm;
	tell_calm(n);
}

static void tell_framing(struct node *n)
{
	if (n->link && n->ops->set_framing)
		n->ops->set_framing(n->link, n->framing);
}

void node_set_framing(struct node *n, enum framing framing)
{
	n->framing = framing;
	tell_framing(n);
}

enum ef_reason node_open(struct node *n, struct error *e)
{
	struct link_callbacks cb = {
		.ctx = n, .message = link_message, .lost = link_lost, .up = link_up};

	if (n->link)
		return EF_REASON_OK;
	smp_client_forget_all(&n->client);
	session_close(&n->session);
	smp_client_init(&n->client, client_send, n, n->spec.baud);
	n->client.first_us = n->timing.first_us;
	node_rate_reset(n);
	n->up = !n->ops->connects;
	if (n->ops->open(&n->link, n->event, &n->spec, &cb, e))
		return e->reason;
	tell_framing(n);
	tell_calm(n);
	return EF_REASON_OK;
}

/* Operations */

int node_begin(struct node *n, const struct node_plan *plan, node_done done, void *ctx)
{
	if (n->op.plan)
		return -EBUSY;
	memset(&n->op, 0, sizeof n->op);
	n->op.plan = plan;
	n->op.done = done;
	n->op.ctx = ctx;
	n->op.wake_us = now_monotonic_us(); /* the first step, from the loop */
	node_arm(n);
	return 0;
}

static void node_finish(struct node *n)
{
	if (n->op.finished)
		return;
	n->op.finished = true;
	n->op.wake_us = now_monotonic_us();
	n->request.then = NULL;
	spread_leave(&n->member);
	node_turn_leave(n);
	upload_stop(&n->upload);
	smp_client_forget_all(&n->client);
	node_rate_drop(n);
	entry_cancel(n->pulse);
	n->pulse = NULL;
	/* what was on its way is given up; what does not answer may have lost its session */
	if (n->session.state != SESSION_OPEN || n->op.result.reason == EF_REASON_NODE_UNREACHABLE)
		session_close(&n->session);
}

void node_done_now(struct node *n)
{
	node_finish(n);
}

void node_fail_with(struct node *n, const struct error *e)
{
	if (n->op.finished)
		return;
	error_set(&n->op.result, e->reason, "%s: %s: %s", n->name, n->op.plan->name, e->detail);
	if (!entry_abandon(n))
		node_finish(n);
}

void node_fail(struct node *n, enum ef_reason reason, const char *format, ...)
{
	struct error e = {.reason = reason};
	va_list ap;

	va_start(ap, format);
	vsnprintf(e.detail, sizeof e.detail, format, ap);
	va_end(ap);
	node_fail_with(n, &e);
}

static void node_run(struct node *n)
{
	node_step step = n->op.plan->steps[n->op.at];

	n->op.wake_us = UINT64_MAX;
	if (step)
		step(n);
	else
		node_finish(n);
}

void node_next(struct node *n)
{
	if (n->op.finished)
		return;
	n->op.at++;
	node_run(n);
}

void node_goto(struct node *n, node_step step)
{
	n->op.at = 0;
	while (n->op.plan->steps[n->op.at] != step)
		n->op.at++;
	n->op.waiting = false;
	node_run(n);
}

/* An operation is over: others may have what this node's wire shares with theirs. */
static void node_rest(struct node *n)
{
	if (!n->link || !n->ops->rest)
		return;
	if (n->up) {
		n->ops->rest(n->link);
	} else {
		n->ops->close(n->link);
		n->link = NULL;
	}
}

/* The only place that calls the user's done; nothing of n is touched behind it. */
static void node_deliver(struct node *n)
{
	struct node_op op = n->op;

	node_rest(n);
	if (op.ret && op.result.reason == EF_REASON_OK)
		*op.ret = n->identity;
	memset(&n->op, 0, sizeof n->op);
	node_arm(n);
	if (op.done)
		op.done(op.ctx, &op.result);
}

static int node_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct node *n = userdata;
	uint64_t now = now_monotonic_us();

	smp_client_tick(&n->client, now);
	session_tick(&n->session, now);
	if (n->op.plan && !n->op.finished && n->op.wake_us <= now)
		node_run(n);
	if (n->op.plan && n->op.finished)
		node_deliver(n);
	else
		node_arm(n);
	return 0;
}

void node_cancel(struct node *n)
{
	if (n->op.plan) {
		node_fail(n, EF_REASON_CANCELLED, "cancelled");
		node_arm(n);
	}
}

/* Requests */

/* Apart from the upload's, one request at a time is under way: n->request. */
static void node_answered(void *ctx, const struct smp_request *q, const uint8_t *body, size_t size)
{
	struct node *n = ctx;
	struct node_request request = n->request;
	struct error e = {0};
	bool unsupported;

	if (!body && node_turn_again(n))
		return;
	if (body)
		node_turn_heard(n);
	n->request.then = NULL;
	node_turn_leave(n);
	/* What does not answer any more, or was reset, has lost its session. */
	if (!body || request.may_hang_up)
		session_close(&n->session);
	if (!body) {
		if (request.silent)
			request.silent(n, NULL, 0);
		else
			node_fail(n, EF_REASON_NODE_UNREACHABLE, "%s: no answer", request.what);
		return;
	}
	if (smp_body_status(body, size, request.what, &unsupported, &e)) {
		if (e.reason == EF_REASON_DENIED && !n->key) {
			error_clear(&e);
			error_set(&e, EF_REASON_NODE_KEY, "%s: the node does it in a session only",
				request.what);
		}
		if (e.reason == EF_REASON_BUSY)
			node_parse_owner(body, size, &e);
		if (unsupported && request.unsupported)
			request.unsupported(n, body, size);
		else if (request.silent && (n->op.waiting || request.optional))
			request.silent(n, body, size); /* waited for, it may be starting */
		else
			node_fail_with(n, &e);
		return;
	}
	request.then(n, body, size);
}

void node_call(struct node *n, const uint8_t *body, size_t size)
{
	const struct node_request *request = &n->request;
	struct smp_call call = {
		.op = request->op,
		.group = request->group,
		.command = request->command,
		.least_us = request->least_us,
		.total_us = request->total_us,
		.done = node_answered,
		.ctx = n,
	};
	uint32_t order;
	int r;

	if (n->calm && call.least_us < CALM_US)
		call.least_us = CALM_US; /* says nothing of the line, either */
	if (n->spec.shared) {		 /* once a turn */
		if (!n->again_until_us)
			n->again_until_us = now_monotonic_us() + call.total_us;
		call.total_us = 0;
	}
	r = size ? smp_client_call(&n->client, now_monotonic_us(), &call, body, size, &order)
		 : -EMSGSIZE;
	if (r < 0)
		node_fail(n, EF_REASON_INTERNAL, "%s: %s", request->what, strerror(-r));
}

/* What is held goes out as soon as the link carries it. */
void node_send_now(struct node *n)
{
	struct error e = {0};

	if (node_open(n, &e)) {
		if (n->op.waiting)
			node_silent(n);
		else
			node_fail_with(n, &e);
	} else if (n->up) {
		node_dispatch(n);
	}
}

void node_send(struct node *n, const struct node_request *request, const uint8_t *body, size_t size)
{
	n->request = *request;
	n->held_size = size <= sizeof n->held ? size : 0; /* an error of the caller's: node_call */
	memcpy(n->held, body, n->held_size);
	if (node_turn(n))
		node_send_now(n);
}

/* Life */

enum ef_reason node_new(
	struct node **ret, sd_event *event, const struct node_config *config, struct error *e)
{
	struct node *n = calloc(1, sizeof *n);
	int r = -ENOMEM;

	if (n) {
		n->name = strdup(config->name);
		n->device = strdup(config->spec.device);
		n->ops = config->link;
		n->spec = config->spec;
		n->rate.most = config->baud_max;
		n->framing = config->framing;
		n->spread = config->spread;
		n->owner = config->owner ? strdup(config->owner) : NULL;
		n->epoch = config->epoch;
		n->hung_up = config->hung_up;
		n->hung_up_ctx = config->ctx;
		n->spec.device = n->device;
		n->ready = config->spec.ready ? strdup(config->spec.ready) : NULL;
		n->spec.ready = n->ready;
		n->timing = default_timing;
		n->event = sd_event_ref(event);
		smp_client_init(&n->client, client_send, n, n->spec.baud);
		r = sd_event_add_time(event, &n->timer, CLOCK_MONOTONIC, 0, 1000, node_timer, n);
		if (r >= 0)
			r = sd_event_source_set_enabled(n->timer, SD_EVENT_OFF);
	}
	if (r < 0 || !n->name || !n->device || !n->ready != !config->spec.ready ||
		!n->owner != !config->owner) {
		node_free(n);
		return error_errno(e, r < 0 ? r : -ENOMEM, "%s", config->name);
	}
	if (entry_init(n, config, e) || (config->key && node_session_init(n, config, e))) {
		node_free(n);
		return e->reason;
	}
	node_turn_init(n);
	*ret = n;
	return EF_REASON_OK;
}

void node_free(struct node *n)
{
	if (!n)
		return;
	spread_leave(&n->member);
	node_turn_leave(n);
	upload_stop(&n->upload);
	smp_client_forget_all(&n->client);
	entry_stop(n);
	if (n->link)
		n->ops->close(n->link);
	if (n->timer)
		sd_event_source_disable_unref(n->timer);
	sd_event_unref(n->event);
	session_close(&n->session);
	free(n->name);
	free(n->device);
	free(n->ready);
	free(n->owner);
	free(n->key);
	free(n);
}

const char *node_name(const struct node *n)
{
	return n->name;
}

void node_set_timing(struct node *n, const struct node_timing *t)
{
	n->timing = *t;
}
