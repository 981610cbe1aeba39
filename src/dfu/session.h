/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The gateway's end of a session with one node (docs/SPEC-session.md), without I/O: frames of the
 * link and the time come in, frames go out through send. It lies between a struct smp_client and
 * the link, and loses messages as a link does: what is handed to it while no session is open is
 * not sent.
 */
#include "util/reason.h"
#include <edgeferry/session.h>
#include <edgeferry/smp.h>

#define SESSION_MESSAGE_MAX 4096u

/* What the owner is told. It may call any function of the session from there. */
struct session_events {
	int (*send)(void *ctx, const uint8_t *frame, size_t size);
	void (*message)(void *ctx, const uint8_t *message, size_t size);
	void (*opened)(void *ctx);
	/* No session came of session_open. */
	void (*failed)(void *ctx, const struct error *e);
	/* The node says that it has lost the one that was open. */
	void (*lost)(void *ctx);
	/* The key that both have; asked for at each handshake and wiped after it. */
	enum ef_reason (*key)(void *ctx, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e);
};

enum session_state { SESSION_CLOSED, SESSION_HELLO, SESSION_HANDSHAKE, SESSION_OPEN };

struct session {
	const struct session_events *events;
	void *ctx;
	uint8_t board[4];    /* what the node must be */
	uint64_t longest_us; /* that making one may take; 0: as long as it takes */

	enum session_state state;
	uint8_t token[EF_SESSION_TOKEN_SIZE];
	struct ef_session_hello node;
	struct ef_session_handshake hs;
	uint8_t handshake[EF_SESSION_HANDSHAKE_SIZE];
	unsigned handshakes; /* begun since session_open */
	unsigned refused;    /* of those, the last in a row that the node did not take */
	uint64_t patience_us, until_us, again_us, wait_us, limit_us;

	struct ef_session keys;
	uint64_t opened_us;
	bool checked;	   /* requests go with a CRC */
	unsigned hints;	   /* taken since */
	uint64_t hints_us; /* when the count began */
	/* the frame sent last, which is sent again for the same message */
	uint8_t frame[SESSION_MESSAGE_MAX + EF_SESSION_OVERHEAD], head[EF_SMP_HEADER_SIZE];
	size_t frame_size;
};

void session_init(
	struct session *s, const struct session_events *events, void *ctx, const uint8_t board[4]);

/* Open, and good for what is to come. One that is too old is closed. */
bool session_ready(struct session *s, uint64_t now_us);

/* Says hello until the node answers, at most for patience_us; ends in opened or failed. */
void session_open(struct session *s, uint64_t now_us, uint64_t patience_us);

/*
 * Frames are being lost: from now on requests go with a CRC, by which the node repairs those that
 * have one wrong bit. For links with COBS frames. False: no session is open, or this node cannot.
 */
bool session_check(struct session *s);

/* Forgets it, without an event. */
void session_close(struct session *s);

/*
 * One SMP message. The same as the one before (its header says so) is the same frame again, which
 * the node does not act on twice. 0 or negative errno; -ENOTCONN: no session is open.
 */
int session_send(struct session *s, const uint8_t *message, size_t size);

void session_receive(struct session *s, uint64_t now_us, const uint8_t *frame, size_t size);

/* When session_tick wants to be called next; UINT64_MAX: not at all. */
uint64_t session_deadline(const struct session *s);
void session_tick(struct session *s, uint64_t now_us);
