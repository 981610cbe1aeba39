/* SPDX-License-Identifier: Apache-2.0 */
/* A node on a shared line is used by one gateway at a time (SPEC-dfu, "Lease"; F-20). */
#include "dfu/node-internal.h"
#include "util/time-util.h"
#include <openssl/rand.h>

#define LEASE_S 45u /* more than lies between two questions to a node that is there */

static void busy(struct node *n, const uint8_t *body, size_t size)
{
	struct error e = {0};

	node_parse_owner(body, size, &e);
	node_fail_with(n, &e);
}

/* It makes no session with us; who it is, and whose, it says in the clear. */
void node_ask_owner(struct node *n)
{
	const struct node_request request = {
		.what = "identify",
		.op = EF_SMP_READ,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_IDENTIFY,
		.then = busy,
		.silent = busy,
		.optional = true,
	};
	uint8_t body[NODE_BODY_MAX];

	if (n->op.waiting || RAND_bytes(n->nonce, sizeof n->nonce) != 1) {
		node_silent(n);
		return;
	}
	n->op.clear = true;
	n->request = request;
	node_call(n, body, node_put_identify(body, sizeof body, n->nonce));
}

void node_take_lease(struct node *n, node_answer then, node_answer silent)
{
	const struct node_request request = {
		.what = "lease",
		.op = EF_SMP_WRITE,
		.group = EF_GROUP_EDGEFERRY,
		.command = EF_EF_LEASE,
		.total_us = n->timing.ask_us,
		.then = then,
		.unsupported = then,
		.silent = silent,
	};
	uint8_t body[NODE_BODY_MAX];

	if (n->owner && n->identity.address)
		node_send(n, &request, body,
			node_put_lease(body, sizeof body, n->owner, n->epoch, LEASE_S));
	else
		then(n, NULL, 0);
}
