/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The node's end of the session (docs/SPEC-session.md), between the link's frames and the SMP
 * server: what came in a session is opened, answered and sealed, what came in the clear is
 * answered as the node's policy says.
 */
#include "agent/request.h"
#include <edgeferry/session.h>

struct agent;

struct agent_session {
	bool open;
	bool inside;	  /* the request being served came in the session */
	uint8_t flags;	  /* of a hello answer */
	uint16_t kept;	  /* bytes of the last answer, which still stands in a->response; 0: gone */
	uint32_t started; /* milliseconds */
	uint8_t made_by[16]; /* tag of the handshake that made it */
	struct ef_session keys;
};

void agent_session_init(struct agent *a);
void agent_session_tick(struct agent *a); /* ends it when it is old */

/* One message of the link, overwritten. Returns the size of the answer in a->response; 0: none. */
size_t agent_session_receive(struct agent *a, uint8_t *message, size_t size);

/* May the request with this header be served, or must it come in a session? */
bool agent_session_allows(const struct agent *a, const struct ef_smp_header *h);

/* The command key. */
struct outcome ef_key(struct agent *a, const struct value *v, struct cbor_writer *w);
