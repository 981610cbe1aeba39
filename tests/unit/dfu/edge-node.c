/* SPDX-License-Identifier: Apache-2.0 */
#include "edge-node.h"
#include "../edge-fw/node.h"
#include "boot/secrets.h"
#include "boot/verify.h"
#include <string.h>

static struct sim fresh;

void edge_node_make(void)
{
	struct secret_key key = {.required = true};

	node_make(true);
	memset(key.psk, EDGE_NODE_KEY, sizeof(key.psk));
	memset(key.seed, 0x44, sizeof(key.seed));
	ck_assert_int_eq(secrets_store(&key), 0);
	fresh = sim;
}

void edge_node_free(void)
{
	node_free();
}

void edge_node_start(void)
{
	sim = fresh;
	node_start();
}

void edge_node_reset(void)
{
	agent_init(&node.agent, node.agent.program);
}

struct edge_image edge_node_image(void)
{
	return (struct edge_image){
		node.fresh.data, node.fresh.digest, node.fresh.size, node.fresh.tlv_at};
}

const uint8_t *edge_node_class(void)
{
	return node.agent.factory.class_id;
}

bool edge_node_holds(void)
{
	return node_slot_is(1, &node.fresh);
}

bool edge_node_sound(void)
{
	struct port_area slot = state_slot(&node.agent.state, 1);
	struct ef_image_info info;

	return node_slot_is(0, &node.old) &&
	       (node_slot_is(1, &node.fresh) ||
		       verify_image(&slot, 0, &node.agent.factory, &info) != EF_REASON_OK);
}

size_t edge_node_receive(const uint8_t *frame, size_t size, uint8_t answer[EDGE_FRAME_MAX])
{
	uint8_t copy[PORT_MESSAGE_MAX + EF_SESSION_OVERHEAD];
	size_t n;

	if (size < EF_SMP_HEADER_SIZE || size > sizeof(copy)) /* the link drops it */
		return 0;
	memcpy(copy, frame, size);
	n = agent_session_receive(&node.agent, copy, size);
	memcpy(answer, node.agent.response, n);
	return n;
}
