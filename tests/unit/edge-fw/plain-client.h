/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Stock SMP clients as a node sees them, made from what is written about them: bytes onto the line
 * of the board in memory, the answer off it. Nothing of the framing code under test is used.
 *
 *	newtmgr		console lines, SMP version 1, small chunks
 *	smpclient	console lines or raw, version 2, messages as large as params allow
 */
#include "node.h"

enum client_kind { NEWTMGR, SMPCLIENT_CONSOLE, SMPCLIENT_RAW, CLIENT_KINDS };

struct client {
	enum client_kind kind;
	uint8_t seq;
	uint32_t largest; /* message, header included */
};

struct client_answer {
	bool came;
	uint8_t op;
	uint8_t body[1024];
	size_t size;
	uint32_t rc;	 /* "rc"; 0 without */
	uint32_t reason; /* of {"err": {"group": 239, …}} */
	bool has_rsn, has_off, has_match, match;
	uint32_t off;
};

void client_start(struct client *c, enum client_kind kind); /* smpclient asks for params */

struct client_answer client_ask(struct client *c, uint8_t op, uint16_t group, uint8_t command,
	const void *body, size_t size);
struct client_answer client_echo(struct client *c, const char *text);
struct client_answer client_list(struct client *c);
/* hash NULL: none is sent. */
struct client_answer client_set_state(struct client *c, const uint8_t *hash, bool confirm);
struct client_answer client_reset(struct client *c);

struct client_upload {
	const uint8_t *data;
	uint32_t size;
	bool sha, upgrade;
	uint32_t chunk;	  /* 0: as many bytes as fit */
	uint32_t stop_at; /* give up there; 0: never */
};
/* One chunk at off. */
struct client_answer client_chunk(struct client *c, const struct client_upload *u, uint32_t off);
/* All of it, from wherever the node wants; the last answer, or the first that is an error. */
struct client_answer client_upload(struct client *c, const struct client_upload *u);

static inline bool client_good(const struct client_answer *a)
{
	return a->came && a->rc == 0 && a->reason == 0;
}
