/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/session.h"
#include "util/time-util.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>

#define HELLO_AGAIN_US (300 * USEC_PER_MSEC) /* doubles */
#define HELLO_AGAIN_MAX_US (2 * USEC_PER_SEC)
#define HANDSHAKE_AGAIN_US USEC_PER_SEC	 /* doubles */
#define HANDSHAKE_US (10 * USEC_PER_SEC) /* a node may compute */
#define REFUSED_MAX 3u			 /* handshakes in a row */
#define HANDSHAKES_MAX 6u		 /* until the node is given up (F-32) */
#define AGE_MAX_US ((EF_SESSION_SECONDS - 3600) * USEC_PER_SEC)
#define FRAMES_MAX (EF_SESSION_FRAMES - EF_SESSION_REKEY)
/* Hints are not proven: so many are taken in such a time. */
#define HINTS_MAX 5u
#define HINTS_US (50 * USEC_PER_SEC)

void session_init(
	struct session *s, const struct session_events *events, void *ctx, const uint8_t board[4])
{
	memset(s, 0, sizeof *s);
	s->events = events;
	s->ctx = ctx;
	memcpy(s->board, board, sizeof s->board);
}

void session_close(struct session *s)
{
	s->state = SESSION_CLOSED;
	s->frame_size = 0;
	OPENSSL_cleanse(&s->hs, sizeof s->hs);
	OPENSSL_cleanse(&s->keys, sizeof s->keys);
	OPENSSL_cleanse(s->frame, sizeof s->frame);
}

static void session_fail(struct session *s, enum ef_reason reason, const char *text)
{
	struct error e = {0};

	error_set(&e, reason, "%s", text);
	session_close(s);
	s->events->failed(s->ctx, &e);
}

bool session_ready(struct session *s, uint64_t now_us)
{
	if (s->state == SESSION_OPEN &&
		(now_us - s->opened_us >= AGE_MAX_US || s->keys.tx.next >= FRAMES_MAX))
		session_close(s);
	return s->state == SESSION_OPEN;
}

/* Hello */

static void say_hello(struct session *s)
{
	uint8_t frame[EF_SESSION_HELLO_SIZE];

	ef_session_put_hello(s->token, frame);
	s->events->send(s->ctx, frame, sizeof frame);
}

static void begin_hello(struct session *s, uint64_t now_us)
{
	if (RAND_bytes(s->token, sizeof s->token) != 1) {
		session_fail(s, EF_REASON_INTERNAL, "no random numbers");
		return;
	}
	s->state = SESSION_HELLO;
	s->until_us = now_us + s->patience_us;
	s->wait_us = HELLO_AGAIN_US;
	s->again_us = now_us + s->wait_us;
	say_hello(s);
}

void session_open(struct session *s, uint64_t now_us, uint64_t patience_us)
{
	if (s->state != SESSION_CLOSED)
		return;
	s->patience_us = patience_us;
	s->limit_us = s->longest_us ? now_us + s->longest_us : UINT64_MAX;
	s->refused = s->handshakes = 0;
	begin_hello(s, now_us);
}

/* Handshake */

static bool make_handshake(struct session *s, struct error *e)
{
	uint8_t key[EF_SESSION_KEY_SIZE], secret[32];
	bool good = false;

	if (s->events->key(s->ctx, key, e) == EF_REASON_OK) {
		/* the token: what answers an earlier hello says nothing of this handshake */
		good = RAND_bytes(s->token, sizeof s->token) == 1 &&
		       RAND_priv_bytes(secret, sizeof secret) == 1 &&
		       ef_session_begin(&s->hs, &s->node, key, secret, s->handshake);
		if (!good)
			error_set(e, EF_REASON_INTERNAL, "no handshake");
	}
	OPENSSL_cleanse(key, sizeof key);
	OPENSSL_cleanse(secret, sizeof secret);
	return good;
}

static void begin_handshake(struct session *s, uint64_t now_us)
{
	struct error e = {0};

	if (!make_handshake(s, &e)) {
		session_close(s);
		s->events->failed(s->ctx, &e);
		return;
	}
	s->state = SESSION_HANDSHAKE;
	s->until_us = now_us + HANDSHAKE_US;
	s->wait_us = HANDSHAKE_AGAIN_US;
	s->again_us = now_us + s->wait_us;
	s->events->send(s->ctx, s->handshake, sizeof s->handshake);
}

/* The node has said who it is. */
static void met(
	struct session *s, uint64_t now_us, uint8_t version, const struct ef_session_hello *h)
{
	/* It takes frames in order: with the counter unused, it has not taken the handshake in
	 * front of this hello. */
	if (s->handshakes && h->counter == s->node.counter)
		s->refused++;
	else
		s->refused = 0;
	s->node = *h;
	if (version != EF_SESSION_VERSION)
		session_fail(s, EF_REASON_NODE_PROTOCOL, "session: another version");
	else if (memcmp(h->board, s->board, sizeof s->board) != 0)
		session_fail(s, EF_REASON_NODE_MISMATCH, "session: the node is of another class");
	else if (h->flags & EF_SESSION_LEASED)
		session_fail(s, EF_REASON_BUSY, "session: another gateway has the node");
	else if (!(h->flags & EF_SESSION_HAS_KEY))
		session_fail(s, EF_REASON_NODE_KEY, "session: the node has no key");
	else if (h->counter == 0)
		session_fail(s, EF_REASON_NODE_FLASH, "session: the node can make no more");
	else if (s->refused >= REFUSED_MAX)
		session_fail(s, EF_REASON_NODE_KEY, "session: the node does not take the key");
	else if (s->handshakes++ >= HANDSHAKES_MAX)
		session_fail(
			s, EF_REASON_NODE_UNREACHABLE, "session: no handshake comes to an end");
	else
		begin_handshake(s, now_us);
}

static bool hint_taken(struct session *s, uint64_t now_us)
{
	if (now_us - s->hints_us >= HINTS_US) {
		s->hints = 0;
		s->hints_us = now_us;
	}
	return s->hints++ < HINTS_MAX;
}

static void hello_answer(struct session *s, uint64_t now_us, const uint8_t *frame, size_t size)
{
	static const uint8_t unasked[EF_SESSION_TOKEN_SIZE];
	struct ef_session_hello h;
	uint8_t version;
	const uint8_t *token = ef_session_get_hello_answer(frame, size, &version, &h);

	if (!token)
		return;
	if ((s->state == SESSION_HELLO || s->state == SESSION_HANDSHAKE) &&
		memcmp(token, s->token, sizeof s->token) == 0) {
		met(s, now_us, version, &h);
	} else if (s->state == SESSION_OPEN && memcmp(token, unasked, sizeof unasked) == 0 &&
		   hint_taken(s, now_us)) {
		session_close(s);
		s->events->lost(s->ctx);
	}
}

static void handshake_answer(struct session *s, uint64_t now_us, const uint8_t *frame, size_t size)
{
	if (s->state != SESSION_HANDSHAKE || !ef_session_finish(&s->hs, frame, size, &s->keys))
		return;
	OPENSSL_cleanse(&s->hs, sizeof s->hs);
	s->state = SESSION_OPEN;
	s->opened_us = now_us;
	s->checked = false;
	s->frame_size = 0;
	s->events->opened(s->ctx);
}

/* Open */

int session_send(struct session *s, const uint8_t *message, size_t size)
{
	if (s->state != SESSION_OPEN)
		return -ENOTCONN;
	if (size < sizeof s->head || size > SESSION_MESSAGE_MAX)
		return -EMSGSIZE;
	if (s->frame_size != size + EF_SESSION_OVERHEAD ||
		memcmp(s->head, message, sizeof s->head) != 0) {
		memcpy(s->head, message, sizeof s->head);
		memcpy(s->frame + EF_SESSION_HEAD, message, size);
		s->frame_size = ef_session_seal(&s->keys, s->frame, size);
		if (!s->frame_size) {
			session_close(s);
			return -ENOTCONN;
		}
	}
	/* what was sealed as a request is sent as either: the node opens it as a request */
	s->frame[0] = s->checked ? EF_SESSION_CHECKED : EF_SESSION_REQUEST;
	return s->events->send(s->ctx, s->frame, s->frame_size);
}

bool session_check(struct session *s)
{
	if (s->state != SESSION_OPEN || !(s->node.flags & EF_SESSION_REPAIRS))
		return false;
	s->checked = true;
	return true;
}

static void response(struct session *s, const uint8_t *frame, size_t size)
{
	uint8_t copy[SESSION_MESSAGE_MAX + EF_SESSION_OVERHEAD];

	if (s->state != SESSION_OPEN || size > sizeof copy)
		return;
	memcpy(copy, frame, size);
	if (ef_session_open(&s->keys, copy, size) == EF_SESSION_OPENED)
		s->events->message(s->ctx, copy + EF_SESSION_HEAD, size - EF_SESSION_OVERHEAD);
}

void session_receive(struct session *s, uint64_t now_us, const uint8_t *frame, size_t size)
{
	switch (size ? frame[0] : 0) {
	case EF_SESSION_HELLO_ANSWER:
		hello_answer(s, now_us, frame, size);
		break;
	case EF_SESSION_HANDSHAKE_ANSWER:
		handshake_answer(s, now_us, frame, size);
		break;
	case EF_SESSION_RESPONSE:
		response(s, frame, size);
		break;
	}
}

/* Time */

uint64_t session_deadline(const struct session *s)
{
	if (s->state != SESSION_HELLO && s->state != SESSION_HANDSHAKE)
		return UINT64_MAX;
	if (s->limit_us <= s->again_us && s->limit_us <= s->until_us)
		return s->limit_us;
	return s->again_us < s->until_us ? s->again_us : s->until_us;
}

void session_tick(struct session *s, uint64_t now_us)
{
	bool hello = s->state == SESSION_HELLO;

	if (now_us < session_deadline(s))
		return;
	if (now_us >= s->limit_us || (now_us >= s->until_us && hello)) {
		session_fail(s, EF_REASON_NODE_UNREACHABLE, "no answer");
	} else if (now_us >= s->until_us) {
		begin_hello(s, now_us);
	} else {
		s->wait_us *= 2;
		if (hello && s->wait_us > HELLO_AGAIN_MAX_US)
			s->wait_us = HELLO_AGAIN_MAX_US;
		s->again_us = now_us + s->wait_us;
		if (!hello) /* and a hello behind it: is the node at work, or does it not take it?
			     */
			s->events->send(s->ctx, s->handshake, sizeof s->handshake);
		say_hello(s);
	}
}
