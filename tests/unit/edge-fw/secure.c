/* SPDX-License-Identifier: Apache-2.0 */
#include "secure.h"
#include "vectors.h"
#include <string.h>

#define FILE_NAME "session.txt"

struct secret_key shared;
struct ef_session gateway;
uint8_t secret[32];

void put_key(bool required)
{
	shared.required = required;
	ck_assert_int_eq(secrets_store(&shared), 0);
	agent_init(&node.agent, node.agent.program);
}

void setup(void)
{
	node_make(true);
	node_start();
	memset(&shared, 0, sizeof(shared));
	vector(FILE_NAME, "psk", shared.psk, 32);
	vector(FILE_NAME, "seed", shared.seed, 32);
	vector(FILE_NAME, "gateway-secret", secret, 32);
}

void setup_required(void)
{
	setup();
	put_key(true);
}

size_t to_node(const uint8_t *frame, size_t size)
{
	uint8_t copy[ROOM];

	memcpy(copy, frame, size); /* it is overwritten */
	return agent_session_receive(&node.agent, copy, size);
}

struct ef_session_hello ask_hello(void)
{
	static const uint8_t token[EF_SESSION_TOKEN_SIZE] = {1, 2, 3, 4, 5, 6, 7, 8};
	uint8_t frame[EF_SESSION_HELLO_SIZE], version;
	struct ef_session_hello h;
	const uint8_t *back;

	ef_session_put_hello(token, frame);
	ck_assert_uint_eq(to_node(frame, sizeof(frame)), EF_SESSION_HELLO_ANSWER_SIZE);
	back = ef_session_get_hello_answer(
		node.agent.response, EF_SESSION_HELLO_ANSWER_SIZE, &version, &h);
	ck_assert_ptr_nonnull(back);
	ck_assert_mem_eq(back, token, sizeof(token));
	ck_assert_uint_eq(version, EF_SESSION_VERSION);
	return h;
}

struct ef_session_handshake hs;

/* The handshake for the counter that the node names; false when the node drops it. */
bool meet(void)
{
	uint8_t frame[EF_SESSION_HANDSHAKE_SIZE];
	struct ef_session_hello h = ask_hello();
	size_t n;

	secret[1]++;
	ck_assert(ef_session_begin(&hs, &h, shared.psk, secret, frame));
	n = to_node(frame, sizeof(frame));
	if (!n)
		return false;
	ck_assert(ef_session_finish(&hs, node.agent.response, n, &gateway));
	return true;
}

size_t put_request(
	uint8_t *to, uint8_t op, uint16_t group, uint8_t command, const void *body, size_t size)
{
	struct ef_smp_header h = {.op = op,
		.version = 1,
		.length = (uint16_t)size,
		.group = group,
		.seq = 7,
		.command = command};

	ef_smp_header_encode(&h, to);
	memcpy(to + EF_SMP_HEADER_SIZE, body, size);
	return EF_SMP_HEADER_SIZE + size;
}

size_t seal(
	uint8_t *frame, uint8_t op, uint16_t group, uint8_t command, const void *body, size_t size)
{
	size_t n = put_request(frame + EF_SESSION_HEAD, op, group, command, body, size);

	return ef_session_seal(&gateway, frame, n);
}

size_t seal_echo(uint8_t *frame)
{
	return seal(frame, EF_SMP_WRITE, EF_GROUP_OS, EF_OS_ECHO, "\xa1\x61\x64\x61x", 5);
}

size_t seal_key(uint8_t *frame, const void *body, size_t size)
{
	return seal(frame, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_KEY, body, size);
}

size_t seal_erase(uint8_t *frame)
{
	return seal(frame, EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_ERASE, "\xa0", 1);
}

/* "rc" of what the node answered in the clear, or in the session; 0: done. */
uint32_t rc_of(const uint8_t *message, size_t size)
{
	struct cbor_reader r;
	const char *name;
	size_t length;
	uint64_t n = 0;

	ck_assert_uint_gt(size, EF_SMP_HEADER_SIZE);
	cbor_read_init(&r, message + EF_SMP_HEADER_SIZE, size - EF_SMP_HEADER_SIZE);
	if (cbor_enter(&r) && cbor_peek(&r) == CBOR_TEXT && cbor_get_text(&r, &name, &length) &&
		length == 2 && memcmp(name, "rc", 2) == 0)
		ck_assert(cbor_get_uint(&r, &n));
	return (uint32_t)n;
}

uint32_t rc_in_the_clear(uint8_t op, uint16_t group, uint8_t command, const void *body, size_t size)
{
	uint8_t m[ROOM];
	size_t n = put_request(m, op, group, command, body, size);

	return rc_of(node.agent.response, to_node(m, n));
}

uint32_t state_in_the_clear(void)
{
	return rc_in_the_clear(EF_SMP_READ, EF_GROUP_IMAGE, EF_IMAGE_STATE, "\xa0", 1);
}

uint32_t key_in_the_clear(const void *body, size_t size)
{
	return rc_in_the_clear(EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_KEY, body, size);
}

/* What the node answered to a frame of the session, opened. */
uint32_t rc_in_session(size_t answer)
{
	uint8_t frame[ROOM];

	ck_assert_uint_gt(answer, EF_SESSION_OVERHEAD);
	memcpy(frame, node.agent.response, answer);
	ck_assert_int_eq(ef_session_open(&gateway, frame, answer), EF_SESSION_OPENED);
	return rc_of(frame + EF_SESSION_HEAD, answer - EF_SESSION_OVERHEAD);
}

void assert_works(void)
{
	uint8_t frame[ROOM];
	size_t n = seal_echo(frame);

	ck_assert_uint_eq(rc_in_session(to_node(frame, n)), 0);
}
