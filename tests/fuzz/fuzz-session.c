/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of a session and a wire between them that belongs to an attacker: the input is a script
 * of what is delivered, changed, made up, lost, and of resets and time. What was changed or made
 * up, and not turned back to what it was, must neither be acted on by the node nor reach the
 * gateway; nothing outside slot 1, the state pages and the secrets may change.
 */
#include "agent/agent.h"
#include "boot/secrets.h"
#include "dfu/session.h"
#include "flash-sim.h"
#include "wire/cobs.h"
#include "wire/crc.h"
#include <stdlib.h>
#include <string.h>

#define FRAME_MAX (PORT_MESSAGE_MAX + EF_SESSION_OVERHEAD)

static const struct agent_program program = {0};
static struct agent agent;
static struct session gateway;
static uint64_t now;

static struct {
	uint8_t data[FRAME_MAX];
	size_t size;
} down, up;
static unsigned answers;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int on_send(void *ctx, const uint8_t *frame, size_t size)
{
	(void)ctx;
	if (size <= sizeof(down.data)) {
		memcpy(down.data, frame, size);
		down.size = size;
	}
	return 0;
}

static void on_message(void *ctx, const uint8_t *message, size_t size)
{
	(void)ctx;
	(void)message;
	(void)size;
	answers++;
}

static void on_event(void *ctx)
{
	(void)ctx;
}

static void on_failed(void *ctx, const struct error *e)
{
	(void)ctx;
	(void)e;
}

static enum ef_reason on_key(void *ctx, uint8_t key[EF_SESSION_KEY_SIZE], struct error *e)
{
	(void)ctx;
	(void)e;
	memset(key, 0x11, EF_SESSION_KEY_SIZE);
	return EF_REASON_OK;
}

static const struct session_events events = {
	.send = on_send,
	.message = on_message,
	.opened = on_event,
	.failed = on_failed,
	.lost = on_event,
	.key = on_key,
};

static void start(void)
{
	struct secret_key key = {.required = true};
	struct factory f = {
		.magic = FACTORY_MAGIC, .version = FACTORY_VERSION, .size = sizeof(f), .n_keys = 0};
	static const uint8_t board[4];

	sim_init(512, 1, 4, true);
	f.crc = crc32_ieee(0, &f, offsetof(struct factory, crc));
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
	sim_power_on();
	memset(key.psk, 0x11, sizeof(key.psk));
	memset(key.seed, 0x22, sizeof(key.seed));
	secrets_store(&key);
	agent_init(&agent, &program);
	now = 1000000;
	down.size = up.size = answers = 0;
	session_init(&gateway, &events, NULL, board);
}

static void to_node(const uint8_t *frame, size_t size, bool honest)
{
	struct ef_session_cipher before = agent.session.keys.rx;
	uint8_t copy[FRAME_MAX];
	size_t n;

	if (size < EF_SMP_HEADER_SIZE) /* the link drops those */
		return;
	memcpy(copy, frame, size);
	n = agent_session_receive(&agent, copy, size);
	if (!honest && memcmp(&before, &agent.session.keys.rx, sizeof(before)) != 0)
		abort();
	if (n > sizeof(agent.response))
		abort();
	if (n) {
		memcpy(up.data, agent.response, n);
		up.size = n;
	}
}

static void to_gateway(const uint8_t *frame, size_t size, bool honest)
{
	unsigned before = answers;

	session_receive(&gateway, now, frame, size);
	if (!honest && answers != before)
		abort();
}

/* One bit of what is on the wire. */
static void flip(uint8_t *frame, size_t size, uint8_t where, uint8_t bit)
{
	frame[(where * 257u) % size] ^= (uint8_t)(1 << bit % 8);
}

/* As a checked request, with one to four wrong bits on the line. */
static void over_the_line(uint8_t where, uint8_t bits)
{
	uint8_t frame[FRAME_MAX], line[EF_SMP_FRAME_MAX(FRAME_MAX)], buf[FRAME_MAX + 2];
	struct frame_receiver r;
	size_t n;

	memcpy(frame, down.data, down.size);
	if (frame[0] == EF_SESSION_REQUEST)
		frame[0] = EF_SESSION_CHECKED;
	n = frame_encode(frame, down.size, line);
	for (unsigned i = 0; i <= bits % 4u; i++)
		flip(line, n, (uint8_t)(where + 37 * i), (uint8_t)(bits >> 2));
	frame_receiver_init(&r, buf, sizeof(buf));
	for (size_t i = 0; i < n; i++) {
		size_t got = frame_receive(&r, line[i]);

		if (got)
			to_node(buf, got, got == down.size && memcmp(buf, down.data, got) == 0);
	}
}

static void send_message(const uint8_t *body, size_t size, uint8_t seq)
{
	uint8_t m[EF_SMP_HEADER_SIZE + 255];
	struct ef_smp_header h = {.op = seq & 2,
		.version = 1,
		.length = (uint16_t)size,
		.group = size ? body[0] % 3 == 2 ? EF_GROUP_EDGEFERRY : body[0] % 3 : 0,
		.command = size > 1 ? body[1] % 18 : 0,
		.seq = seq};

	ef_smp_header_encode(&h, m);
	if (size)
		memcpy(m + EF_SMP_HEADER_SIZE, body, size);
	session_send(&gateway, m, EF_SMP_HEADER_SIZE + size);
}

static void step(uint8_t op, uint8_t a, const uint8_t *data, size_t size)
{
	uint8_t copy[FRAME_MAX];

	switch (op % 10) {
	case 0:
		to_node(down.data, down.size, true);
		break;
	case 1:
		to_gateway(up.data, up.size, true);
		break;
	case 2:
		memcpy(copy, down.data, down.size);
		if (down.size && size) {
			over_the_line(a, data[0]);
		} else if (down.size) {
			flip(copy, down.size, a, op);
			to_node(copy, down.size, false);
		}
		break;
	case 3:
		memcpy(copy, up.data, up.size);
		if (up.size) {
			flip(copy, up.size, a, op);
			to_gateway(copy, up.size, false);
		}
		break;
	case 4:
		to_node(data, size, false);
		break;
	case 5:
		to_gateway(data, size, false);
		break;
	case 6:
		send_message(data, size, a);
		break;
	case 7:
		now += a * 100000ull * (op / 10 + 1u);
		sim.millis += a * 100u * (op / 10 + 1u);
		session_tick(&gateway, now);
		agent_session_tick(&agent);
		break;
	case 8:
		agent_init(&agent, &program);
		break;
	case 9:
		session_open(&gateway, now, 5000000);
		break;
	}
}

static bool same(const struct port_area *a, const uint8_t *before)
{
	return memcmp(sim.flash + a->offset, before + a->offset, a->size) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t before[SIM_SIZE_MAX];

	start();
	memcpy(before, sim.flash, sim.size);
	/* op, argument, length, data */
	for (size_t at = 0; size - at > 2;) {
		size_t n = data[at + 2];

		if (n > size - at - 3)
			n = size - at - 3;
		step(data[at], data[at + 1], data + at + 3, n);
		at += 3 + n;
	}
	session_close(&gateway);
	if (!same(&sim.board.slot[0], before) || !same(&sim.board.factory, before) ||
		!same(&sim.board.keys, before) || !same(&sim.board.journal, before))
		abort();
	return 0;
}
