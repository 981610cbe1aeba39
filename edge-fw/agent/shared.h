/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A line that several nodes share (docs/SPEC-dfu.md, section 1): which messages are for this node,
 * and how its answers find back. shared.c, or shared-none.c where there is no room for it: such a
 * node is alone on its line.
 */
#include <stddef.h>
#include <stdint.h>

struct agent;

struct agent_shared {
	uint16_t sender; /* of the message at hand */
};

/* This node's address; 0: it has none, and no message has a head. */
uint8_t shared_address(const struct agent *a);

/*
 * Of the size bytes of a->message: the message that this node is to answer, and its size. NULL: it
 * is somebody else's.
 */
uint8_t *shared_receive(struct agent *a, size_t *size);

/* talk_send of the answer to it. */
void shared_send(struct agent *a, size_t size);
