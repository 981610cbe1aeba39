/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node with the edge firmware's own code and a board in memory, for tests that hold the gateway's
 * code on the other end. It has a key and answers to sessions only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EDGE_NODE_KEY 0x33 /* each byte of it */
#define EDGE_FRAME_MAX 2048u

/* What it is to be sent. */
struct edge_image {
	const uint8_t *data, *digest;
	uint32_t size, tlv_at;
};

void edge_node_make(void);
void edge_node_free(void);
void edge_node_start(void); /* as edge_node_make left it */
void edge_node_reset(void);
struct edge_image edge_node_image(void);
const uint8_t *edge_node_class(void);
bool edge_node_holds(void); /* the image, in slot 1 */
/* Slot 0 is what it was, and slot 1 is the image or nothing that may run. */
bool edge_node_sound(void);

/* One frame's content. Returns the size of the answer; 0: none. */
size_t edge_node_receive(const uint8_t *frame, size_t size, uint8_t answer[EDGE_FRAME_MAX]);
