/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A gateway that speaks to the node of node.h in a session, one frame at a time. */
#include "boot/secrets.h"
#include "node.h"

#define ROOM 512u /* for a frame */

extern struct secret_key shared;  /* that both have */
extern struct ef_session gateway; /* the gateway's half of the session */
extern struct ef_session_handshake hs;
extern uint8_t secret[32]; /* its ephemeral key, another one for each handshake */

/* A started node without a key; key is set and not stored. */
void setup(void);
void setup_required(void); /* stored, and the node answers to sessions only */
void put_key(bool required);

/* One frame or message; the size of the answer in node.agent.response. */
size_t to_node(const uint8_t *frame, size_t size);
struct ef_session_hello ask_hello(void);
/* The handshake for the counter that the node names; false when the node drops it. */
bool meet(void);

/* Each makes a frame of the session; its size. put_request: the message alone. */
size_t put_request(
	uint8_t *to, uint8_t op, uint16_t group, uint8_t command, const void *body, size_t size);
size_t seal(
	uint8_t *frame, uint8_t op, uint16_t group, uint8_t command, const void *body, size_t size);
size_t seal_echo(uint8_t *frame);
size_t seal_key(uint8_t *frame, const void *body, size_t size);
size_t seal_erase(uint8_t *frame);

/* "rc" of what the node answered; 0: done, or a reason. */
uint32_t rc_of(const uint8_t *message, size_t size);
uint32_t rc_in_the_clear(
	uint8_t op, uint16_t group, uint8_t command, const void *body, size_t size);
uint32_t state_in_the_clear(void);
uint32_t key_in_the_clear(const void *body, size_t size);
uint32_t rc_in_session(size_t answer);
void assert_works(void);
