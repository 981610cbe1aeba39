/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The session between gateway and node: Noise_NNpsk0_25519_ChaChaPoly_SHA256 under SMP
 * (docs/SPEC-session.md). One code for both ends, no I/O, no memory of its own; the primitives
 * come from src/wire/session-crypto.h, resolved when the program is linked. Freestanding.
 *
 * Functions that return bool are false when the frame is not what it should be or a primitive
 * failed: it is then to be dropped. Nothing counts that they wrote, and no session has changed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EF_SESSION_VERSION 1u
#define EF_SESSION_KEY_SIZE 32u
#define EF_SESSION_TOKEN_SIZE 8u
#define EF_SESSION_HELLO_SIZE 10u
#define EF_SESSION_HELLO_ANSWER_SIZE 35u
#define EF_SESSION_HANDSHAKE_SIZE 49u
#define EF_SESSION_HEAD 5u	/* type and sequence, in front of a message */
#define EF_SESSION_OVERHEAD 21u /* with the tag behind it: of a frame around a message */
#define EF_SESSION_REPORT_TAG 32u
#define EF_SESSION_REKEY (1u << 16)  /* frames under one key */
#define EF_SESSION_FRAMES (1u << 31) /* in one session, each way */
#define EF_SESSION_SECONDS 86400u

/* First byte. An SMP message has the upper three bits clear; the lowest is set in what a node
 * sends. */
enum ef_session_type {
	EF_SESSION_HELLO = 0xe0,
	EF_SESSION_HELLO_ANSWER = 0xe1,
	EF_SESSION_HANDSHAKE = 0xe2,
	EF_SESSION_HANDSHAKE_ANSWER = 0xe3,
	EF_SESSION_REQUEST = 0xe4,
	EF_SESSION_RESPONSE = 0xe5,
	/* a request on a serial line with a CRC as well, by which one wrong bit is found */
	EF_SESSION_CHECKED = 0xea,
};

/* Flags of a hello answer. */
enum {
	EF_SESSION_HAS_KEY = 1,
	EF_SESSION_REQUIRED = 2,
	EF_SESSION_LEASED = 4,
	EF_SESSION_REPAIRS = 8, /* takes EF_SESSION_CHECKED */
};

/* What a node says of itself, and what the handshake proves. */
struct ef_session_hello {
	uint8_t flags;
	uint8_t board[4]; /* the first bytes of the class UUID */
	uint8_t device[16];
	uint32_t counter; /* of the next session; 0: none can be made */
};

/* A session frame rather than an SMP message? size is at least 1. */
static inline bool ef_session_is_frame(const uint8_t *data)
{
	return (data[0] & 0xe0) == 0xe0;
}

/* One that ends with a tag, and needs no checksum around it? */
static inline bool ef_session_is_tagged(const uint8_t *data)
{
	return (data[0] & 0xfe) == EF_SESSION_REQUEST;
}

void ef_session_put_hello(
	const uint8_t token[EF_SESSION_TOKEN_SIZE], uint8_t out[EF_SESSION_HELLO_SIZE]);
/* The token, or NULL when it is no hello. Its version does not matter: the answer says the node's.
 */
const uint8_t *ef_session_get_hello(const uint8_t *frame, size_t size);
/* token NULL: nobody asked. */
void ef_session_put_hello_answer(const struct ef_session_hello *node,
	const uint8_t token[EF_SESSION_TOKEN_SIZE], uint8_t out[EF_SESSION_HELLO_ANSWER_SIZE]);
/* The token; NULL when it is no hello answer. *version tells whether *ret means anything. */
const uint8_t *ef_session_get_hello_answer(
	const uint8_t *frame, size_t size, uint8_t *version, struct ef_session_hello *ret);

/* One direction. The key is that of the frame before next. */
struct ef_session_cipher {
	uint8_t key[EF_SESSION_KEY_SIZE];
	uint32_t next; /* sequence number to be sent, or the lowest to be taken */
};

struct ef_session {
	struct ef_session_cipher tx, rx;
	uint8_t tx_type, rx_type;
};

struct ef_session_handshake {
	uint8_t h[32], ck[32], k[32];
	uint8_t secret[32]; /* the gateway's ephemeral key */
	uint8_t remote[32]; /* its public half, as the node sees it */
};

/*
 * Gateway: begin makes the handshake message from an ephemeral secret that is never used again;
 * finish makes the session from the answer. hs stays as it is, so a wrong answer costs nothing.
 */
bool ef_session_begin(struct ef_session_handshake *hs, const struct ef_session_hello *node,
	const uint8_t psk[EF_SESSION_KEY_SIZE], const uint8_t secret[32],
	uint8_t frame[EF_SESSION_HANDSHAKE_SIZE]);
bool ef_session_finish(const struct ef_session_handshake *hs, const uint8_t *frame, size_t size,
	struct ef_session *ret);

/*
 * Node: accept checks that the sender has the key, without any curve arithmetic; answer does that,
 * writes the answer and makes the session.
 */
bool ef_session_accept(struct ef_session_handshake *hs, const struct ef_session_hello *me,
	const uint8_t psk[EF_SESSION_KEY_SIZE], const uint8_t *frame, size_t size);
bool ef_session_answer(struct ef_session_handshake *hs, const uint8_t secret[32],
	uint8_t frame[EF_SESSION_HANDSHAKE_SIZE], struct ef_session *ret);

/*
 * Makes a frame of the size bytes at frame + EF_SESSION_HEAD; EF_SESSION_OVERHEAD bytes of room are
 * around them. Returns its size; 0 when the session is at its end.
 */
size_t ef_session_seal(struct ef_session *s, uint8_t *frame, size_t size);

enum ef_session_verdict {
	EF_SESSION_DROPPED,
	EF_SESSION_OPENED,   /* the message stands at frame + EF_SESSION_HEAD */
	EF_SESSION_REPEATED, /* the last frame once more: to be answered as before, not acted on */
};
/* Decrypts in place; a frame that is dropped may be overwritten. */
enum ef_session_verdict ef_session_open(struct ef_session *s, uint8_t *frame, size_t size);

/*
 * What authenticates a version report of the node that has this PSK (SPEC-session section 8): tag.
 * False: not made.
 */
bool ef_session_report_tag(const uint8_t psk[EF_SESSION_KEY_SIZE], const uint8_t *report,
	size_t size, uint8_t tag[EF_SESSION_REPORT_TAG]);

/* Overwrites what was secret, in a way that no compiler takes out. */
void ef_session_wipe(void *secret, size_t size);
