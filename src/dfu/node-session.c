/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node that is spoken to in a session: a request waits until there is one, and is asked again
 * when the node loses it. Whatever comes in the clear is not heard.
 */
#include "dfu/node-internal.h"
#include "dfu/session-key.h"
#include "util/time-util.h"
#include <errno.h>
#include <string.h>

#define HELLO_TURN_US (250 * USEC_PER_MSEC) /* a hello is answered at once, or lost */

/* On a shared line a silent node costs the others that; it is asked again in another turn. */
static void open_session(struct node *n)
{
	uint64_t now = now_monotonic_us();
	uint64_t total = n->request.total_us ? n->request.total_us : n->timing.first_us;

	if (n->spec.shared && !n->again_until_us)
		n->again_until_us = now + total;
	session_open(
		&n->session, now, n->spec.shared && total > HELLO_TURN_US ? HELLO_TURN_US : total);
}

static int on_send(void *ctx, const uint8_t *frame, size_t size)
{
	struct node *n = ctx;

	return n->link ? n->ops->send(n->link, frame, size) : -ENOTCONN;
}

static void on_message(void *ctx, const uint8_t *message, size_t size)
{
	struct node *n = ctx;

	smp_client_receive(&n->client, now_monotonic_us(), message, size);
}

static enum ef_reason on_key(void *ctx, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e)
{
	struct node *n = ctx;

	/* with the old one gone, what lies beside it is the only one */
	if (!session_key_exists(n->key) && session_key_has_next(n->key))
		n->key_next = true;
	return n->key_next ? session_key_load_next(n->key, key, e)
			   : session_key_load(n->key, key, e);
}

static void on_opened(void *ctx)
{
	struct node *n = ctx;
	struct error e = {0};

	node_turn_heard(n);
	/* not on the disk: it is used from where it is, and this is tried again */
	if (n->key_next && session_key_promote(n->key, &e) == EF_REASON_OK)
		n->key_next = false;
	if (n->request.then)
		node_call(n, n->held, n->held_size);
}

/* A key was being replaced when something was lost: the node has the one or the other. */
static bool try_other_key(struct node *n)
{
	if (n->key_other || !session_key_has_next(n->key) ||
		(n->key_next && !session_key_exists(n->key)))
		return false;
	n->key_other = true;
	n->key_next = !n->key_next;
	open_session(n);
	return true;
}

static void on_failed(void *ctx, const struct error *e)
{
	struct node *n = ctx;

	if (!n->request.then)
		return;
	if (e->reason == EF_REASON_NODE_KEY && try_other_key(n))
		return;
	if (e->reason == EF_REASON_NODE_UNREACHABLE && node_turn_again(n))
		return;
	if (e->reason == EF_REASON_BUSY && n->request.silent) {
		node_ask_owner(n);
	} else if (e->reason == EF_REASON_NODE_UNREACHABLE && n->request.silent) {
		node_silent(n);
	} else {
		n->request.then = NULL;
		node_fail_with(n, e);
	}
}

/* Reset in the middle of something: what it was asked is asked again, what it was sent is begun
 * anew. */
static void on_lost(void *ctx)
{
	struct node *n = ctx;

	if (n->upload.running) {
		upload_interrupt(&n->upload);
		return;
	}
	smp_client_forget_all(&n->client);
	if (n->request.then && n->request.total_us)
		open_session(n);
	else if (n->request.then)
		node_silent(n);
}

static const struct session_events events = {
	.send = on_send,
	.message = on_message,
	.opened = on_opened,
	.failed = on_failed,
	.lost = on_lost,
	.key = on_key,
};

enum ef_reason node_session_init(struct node *n, const struct node_config *config, struct error *e)
{
	uint8_t vendor[16], class_id[16];

	n->key = strdup(config->key);
	if (!n->key)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", config->name);
	if (!config->compatible || !compatible_uuids(config->compatible, vendor, class_id))
		return error_set(
			e, EF_REASON_CONFIG, "%s: a session needs Compatible=", config->name);
	session_init(&n->session, &events, n, class_id);
	return EF_REASON_OK;
}

void node_session_call(struct node *n)
{
	n->key_other = false;
	if (session_ready(&n->session, now_monotonic_us()))
		node_call(n, n->held, n->held_size);
	else
		open_session(n);
}
