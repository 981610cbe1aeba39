/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "agent/health.h"
#include "agent/request.h"
#include "boot/keyset.h"
#include "boot/retained.h"
#include "boot/verify.h"
#include "port/port.h"
#include <string.h>

/* Everything a node does when told to. There is no raw read, write or erase (E-08). */
static const struct command commands[] = {
	{EF_GROUP_OS, EF_OS_ECHO, EF_SMP_WRITE, {{"d", CBOR_TEXT}}, os_echo},
	{EF_GROUP_OS, EF_OS_RESET, EF_SMP_WRITE, {{"boot_mode", CBOR_UINT}}, os_reset},
	{EF_GROUP_OS, EF_OS_PARAMS, EF_SMP_READ, {{0}}, os_params},
	{EF_GROUP_OS, EF_OS_INFO, EF_SMP_READ, {{0}}, os_info},
	{EF_GROUP_IMAGE, EF_IMAGE_STATE, EF_SMP_READ, {{0}}, image_state_read},
	{EF_GROUP_IMAGE, EF_IMAGE_STATE, EF_SMP_WRITE,
		{{"hash", CBOR_BYTES}, {"confirm", CBOR_BOOL}, {"deadline", CBOR_UINT}},
		image_state_write},
	{EF_GROUP_IMAGE, EF_IMAGE_UPLOAD, EF_SMP_WRITE,
		{{"off", CBOR_UINT}, {"len", CBOR_UINT}, {"sha", CBOR_BYTES}, {"data", CBOR_BYTES}},
		image_upload},
	{EF_GROUP_IMAGE, EF_IMAGE_ERASE, EF_SMP_WRITE, {{0}}, image_erase},
	{EF_GROUP_EDGEFERRY, EF_EF_IDENTIFY, EF_SMP_READ, {{"nonce", CBOR_BYTES}}, ef_identify},
	{EF_GROUP_EDGEFERRY, EF_EF_PREFLIGHT, EF_SMP_WRITE,
		{{"hdr", CBOR_BYTES}, {"tlv", CBOR_BYTES}, {"size", CBOR_UINT},
			{"mid", CBOR_BYTES}},
		ef_preflight},
};

bool agent_on_trial(const struct agent *a)
{
	return a->state.phase == PHASE_TRIAL;
}

const struct slot_view *agent_slot(struct agent *a, unsigned slot)
{
	struct slot_view *s = &a->slot[slot];
	struct port_area where;

	if (s->known)
		return s;
	where = state_slot(&a->state, slot);
	/* the running image was checked by the bootloader; on a slow core its digest is enough */
	if (slot == 0 && !port_board()->fast)
		s->reason = verify_digest(&where, a->state.digest[0], &s->info);
	else
		s->reason =
			verify_image(&where, slot == 0 ? 0 : a->state.floor, &a->factory, &s->info);
	s->known = true;
	return s;
}

enum ef_reason agent_claim_slot(struct agent *a)
{
	switch (a->state.phase) {
	case PHASE_TRIAL: /* slot 1 is the way back */
		return EF_REASON_TRIAL_RUNNING;
	case PHASE_SWAPPING:
	case PHASE_REVERTING:
	case PHASE_RESTORING:
		return EF_REASON_NODE_FLASH;
	case PHASE_PENDING:
		a->state.phase = a->state.flags & STATE_FALLBACK ? PHASE_CONFIRMED : PHASE_EMPTY;
		a->state.flags &= (uint8_t)~STATE_FALLBACK;
		if (state_store(&a->state) < 0)
			return EF_REASON_NODE_FLASH;
		break;
	default:
		break;
	}
	/* whatever the slot held: once it is written to, it is nothing to go back to */
	a->state.flags &= (uint8_t)~STATE_FALLBACK;
	a->slot[1].known = true;
	a->slot[1].reason = EF_REASON_NOT_FOUND;
	return EF_REASON_OK;
}

static const struct command *find_command(
	const struct command *c, size_t n, const struct ef_smp_header *h)
{
	for (; n--; c++)
		if (c->group == h->group && c->number == h->command && c->op == h->op)
			return c;
	return NULL;
}

static struct outcome run_command(
	struct agent *a, const struct ef_smp_header *h, const uint8_t *body, struct cbor_writer *w)
{
	const struct command *c = find_command(commands, sizeof(commands) / sizeof(*commands), h);
	struct value v[REQUEST_FIELDS_MAX];

	if (!c)
		c = find_command(a->program->extra, a->program->n_extra, h);
	if (!c)
		return smp_error(EF_SMP_NOT_SUPPORTED);
	if (!request_parse(body, h->length, c, v))
		return smp_error(EF_SMP_INVALID);
	return c->handle(a, v, w);
}

size_t agent_request(struct agent *a, const uint8_t *message, size_t size)
{
	struct ef_smp_header h;
	struct cbor_writer w;
	struct outcome o;
	uint8_t *body = a->response + EF_SMP_HEADER_SIZE;

	if (!ef_smp_header_decode(message, size, &h) || h.length != size - EF_SMP_HEADER_SIZE ||
		(h.op != EF_SMP_READ && h.op != EF_SMP_WRITE))
		return 0;
	cbor_write_init(&w, body, AGENT_RESPONSE_MAX - EF_SMP_HEADER_SIZE);
	cbor_open_map(&w);
	o = run_command(a, &h, message + EF_SMP_HEADER_SIZE, &w);
	cbor_close(&w);
	if (w.overflow)
		o = smp_error(EF_SMP_MSG_SIZE);
	if (o.rc || o.reason) {
		cbor_write_init(&w, body, AGENT_RESPONSE_MAX - EF_SMP_HEADER_SIZE);
		cbor_open_map(&w);
		if (o.rc)
			put_uint(&w, "rc", o.rc);
		else
			put_reason(&w, o.reason);
		cbor_close(&w);
	}
	health_answered(a);
	h.op++;
	h.length = (uint16_t)w.used;
	ef_smp_header_encode(&h, a->response);
	return EF_SMP_HEADER_SIZE + w.used;
}

void agent_init(struct agent *a, const struct agent_program *program)
{
	struct retained r;

	memset(a, 0, sizeof(*a));
	a->program = program;
	keyset_load(&a->factory);
	state_load(&a->state, a->factory.floor);
	frame_receiver_init(&a->receiver, a->message, sizeof(a->message));
	a->started = port_millis();
	retained_load(&r);
	if (r.reason) /* why no slot runs is more than why one went back once */
		a->state.revert = r.reason;
}

static void reset_now(void)
{
	while (!port_uart_idle())
		port_wait();
	retained_set_cause(PORT_CAUSE_REQUEST);
	port_reset();
}

static uint32_t deadline_ms(const struct agent *a)
{
	return (a->state.deadline ? a->state.deadline : AGENT_DEADLINE_DEFAULT_S) * 1000u;
}

/* What an application on trial owes: to be confirmed in time, to say that its self-test failed. */
static void watch_trial(struct agent *a)
{
	struct retained r;

	if (!agent_on_trial(a) || a->program->bootloader)
		return;
	if (a->program->self_test && a->program->self_test() == SELF_TEST_FAILED) {
		retained_load(&r);
		if (!r.self_test_failed) {
			r.self_test_failed = true;
			retained_store(&r);
		}
	}
	if (port_millis() - a->started >= deadline_ms(a))
		reset_now();
}

static void answer(struct agent *a, size_t size)
{
	size = agent_request(a, a->message, size);
	if (!size)
		return;
	while (!port_uart_idle()) /* the frame before this one */
		port_wait();
	port_uart_write(a->frame, frame_encode(a->response, size, a->frame));
}

bool agent_poll(struct agent *a)
{
	uint8_t buf[32];
	size_t n = port_uart_read(buf, sizeof(buf));

	port_watchdog_feed();
	for (size_t i = 0; i < n; i++) {
		size_t size = frame_receive(&a->receiver, buf[i]);
		if (size)
			answer(a, size);
	}
	if (a->reset)
		reset_now();
	watch_trial(a);
	health_watch(a);
	return n > 0;
}
