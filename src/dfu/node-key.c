/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's key: the first one over a wire that is trusted at that moment, and others under the one
 * before (SPEC-session, section 6). The new key is on the disk before it is sent, and takes the old
 * one's place when a handshake with it has succeeded (node-session.c), so that whatever is lost in
 * between, the node has one of the two.
 */
#include "dfu/node-internal.h"
#include "dfu/session-key.h"
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

/* In the clear: is it the node that its file speaks of, and one that knows sessions? */

static void met(struct node *n, const uint8_t *body, size_t size)
{
	struct error e = {0};

	if (node_parse_identify(body, size, n->nonce, &n->identity, &e))
		node_fail_with(n, &e);
	else if (memcmp(n->identity.class_id, n->session.board, sizeof n->session.board) != 0)
		node_fail(n, EF_REASON_NODE_MISMATCH, "the node is of another class: %s",
			n->identity.board);
	else
		node_next(n);
}

static void knows_none(struct node *n, const uint8_t *body, size_t size)
{
	node_fail(n, EF_REASON_NODE_PROTOCOL, "the node knows no session");
}

static void step_meet(struct node *n)
{
	const struct node_request request = {
		.what = "identify",
		.op = EF_SMP_READ,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_IDENTIFY,
		.total_us = n->timing.ask_us,
		.then = met,
		.unsupported = knows_none,
	};
	uint8_t body[NODE_BODY_MAX];

	if (RAND_bytes(n->nonce, sizeof n->nonce) != 1)
		node_fail(n, EF_REASON_INTERNAL, "no random numbers");
	else
		node_send(n, &request, body, node_put_identify(body, sizeof body, n->nonce));
}

/* Sent: whatever came of it, the handshake that follows tells which key the node has. */

static void key_sent(struct node *n, const uint8_t *body, size_t size)
{
	OPENSSL_cleanse(n->held, sizeof n->held);
	node_next(n);
}

static void send_key(struct node *n, const uint8_t key[EF_SESSION_KEY_SIZE])
{
	const struct node_request request = {
		.what = "key",
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_KEY,
		.least_us = n->timing.first_us,
		.total_us = n->timing.ask_us,
		.then = key_sent,
		.unsupported = knows_none,
		.silent = key_sent,
		.optional = true,
	};
	uint8_t body[NODE_BODY_MAX], seed[32];

	if (RAND_priv_bytes(seed, sizeof seed) != 1)
		node_fail(n, EF_REASON_INTERNAL, "no random numbers");
	else
		node_send(n, &request, body, node_put_key(body, sizeof body, key, seed));
	OPENSSL_cleanse(body, sizeof body);
	OPENSSL_cleanse(seed, sizeof seed);
}

/* One that was sent before, perhaps: it must not be made anew, since the node may have it. */
static void step_first_key(struct node *n)
{
	uint8_t key[EF_SESSION_KEY_SIZE];
	struct error e = {0};

	if (session_key_has_next(n->key) ? session_key_load_next(n->key, key, &e)
					 : session_key_make_next(n->key, key, &e))
		node_fail_with(n, &e);
	else
		send_key(n, key);
	OPENSSL_cleanse(key, sizeof key);
}

static void step_next_key(struct node *n)
{
	uint8_t key[EF_SESSION_KEY_SIZE];
	struct error e = {0};

	if (session_key_make_next(n->key, key, &e))
		node_fail_with(n, &e);
	else
		send_key(n, key);
	OPENSSL_cleanse(key, sizeof key);
}

static void step_use_key(struct node *n)
{
	n->op.clear = false;
	session_close(&n->session);
	n->key_next = true;
	node_next(n);
}

static void key_verify(struct node *n)
{
	if (!session_key_has_next(n->key)) {
		node_done_now(n);
		return;
	}
	session_key_drop_next(n->key);
	node_fail(n, EF_REASON_NODE_KEY, "the node kept the key that it had");
}

static const struct node_plan provision_plan = {
	.name = "provision",
	.steps = (const node_step[]){step_meet, step_first_key, step_use_key, step_ask, key_verify,
		NULL},
};

static const struct node_plan rotate_plan = {
	.name = "rotate-key",
	.steps = (const node_step[]){step_ask, step_next_key, step_use_key, step_ask, key_verify,
		NULL},
};

enum ef_reason node_key_admit(const struct node *n, bool first, struct error *e)
{
	if (!n->key)
		return error_set(e, EF_REASON_CONFIG,
			"%s: its file says Security=none; name a file for its key with Key=",
			n->name);
	if (strncmp(n->key, SESSION_KEY_CREDENTIAL, strlen(SESSION_KEY_CREDENTIAL)) == 0)
		return error_set(e, EF_REASON_CONFIG,
			"%s: Key= is a credential, which is read-only; let it name a file that the "
			"service may write, as /var/lib/edgeferry/keys/%s",
			n->name, n->name);
	if (first && session_key_exists(n->key))
		return error_set(e, EF_REASON_ALREADY_INSTALLED,
			"%s: there is a key in %s; rotate it, or move it away if the node does not "
			"have it",
			n->name, n->key);
	if (!first && !session_key_exists(n->key) && !session_key_has_next(n->key))
		return error_set(e, EF_REASON_NODE_KEY,
			"%s: there is no key in %s; provision the node", n->name, n->key);
	return EF_REASON_OK;
}

int node_provision(struct node *n, node_done done, void *ctx)
{
	int r = node_begin(n, &provision_plan, done, ctx);

	if (r == 0) {
		session_close(&n->session);
		n->op.clear = true;
	}
	return r;
}

int node_rotate_key(struct node *n, node_done done, void *ctx)
{
	return node_begin(n, &rotate_plan, done, ctx);
}
