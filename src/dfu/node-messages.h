/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Bodies of requests to a node and what its answers say (docs/SPEC-dfu.md, section 3). No I/O. */
#include "dfu/node.h"
#include <stddef.h>
#include <stdint.h>

#define NODE_NONCE_SIZE 16

/* Each writes into buf of size bytes and returns the length, 0 when it does not fit. */
size_t node_put_empty(uint8_t *buf, size_t size);
size_t node_put_identify(uint8_t *buf, size_t size, const uint8_t nonce[NODE_NONCE_SIZE]);
/* patch: what comes in the image's place, or NULL. */
size_t node_put_preflight(uint8_t *buf, size_t size, const uint8_t *image,
	const struct ef_image_info *info, const struct node_patch *patch);
/* deadline_s is left out when 0. */
size_t node_put_state(
	uint8_t *buf, size_t size, const uint8_t hash[32], bool confirm, uint32_t deadline_s);
size_t node_put_reset(uint8_t *buf, size_t size, bool to_boot);
size_t node_put_rate(uint8_t *buf, size_t size, uint32_t baud);
size_t node_put_lease(
	uint8_t *buf, size_t size, const char *owner, uint32_t epoch, uint32_t seconds);
/* {"key": number} */
size_t node_put_number(uint8_t *buf, size_t size, const char *key, uint32_t number);
/* The first request of an upload, with the first bytes of the image. */
size_t node_put_begin(uint8_t *buf, size_t size, const uint8_t *image, uint32_t length,
	const uint8_t sha[32], uint32_t first);
/* An echo of so many characters, at most 255. */
size_t node_put_echo(uint8_t *buf, size_t size, uint8_t length);
size_t node_put_key(uint8_t *buf, size_t size, const uint8_t key[32], const uint8_t seed[32]);

/*
 * OK, or NODE_PROTOCOL with e set. An answer to identify must repeat the nonce: one that was
 * recorded, or asked for by somebody else, says nothing about now (E-12).
 */
enum ef_reason node_parse_identify(const uint8_t *body, size_t size,
	const uint8_t nonce[NODE_NONCE_SIZE], struct node_identity *ret, struct error *e);
/* Fills slots only. Images other than number 0 and slots beyond 1 are passed over. */
enum ef_reason node_parse_state(
	const uint8_t *body, size_t size, struct node_identity *ret, struct error *e);
/* buf_size and buf_count of a plain SMP node. */
enum ef_reason node_parse_params(
	const uint8_t *body, size_t size, struct node_identity *ret, struct error *e);

/* How much of an image a node has made of its patch; false: the answer is malformed. */
struct node_made {
	uint64_t made, size;
	bool match;
};
bool node_parse_made(const uint8_t *body, size_t size, struct node_made *ret);

/* BUSY, and which gateway a node says has it. body may be NULL. */
void node_parse_owner(const uint8_t *body, size_t size, struct error *e);

/* The line of OS info; what is not understood leaves info empty. */
void node_parse_info(const uint8_t *body, size_t size, struct node_identity *ret);

/* The slot that runs, or NULL. */
const struct node_slot *node_active_slot(const struct node_identity *id);
