/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "agent/crash.h"
#include "agent/health.h"
#include "agent/patch.h"
#include "agent/plain.h"
#include "agent/talk.h"
#include "boot/keyset.h"
#include "boot/retained.h"
#include "boot/verify.h"
#include "port/port.h"
#include <string.h>

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

enum ef_reason agent_slot_busy(const struct agent *a)
{
	static const uint8_t reason[PHASE_COUNT] = {
		[PHASE_TRIAL] = EF_REASON_TRIAL_RUNNING, /* slot 1 is the way back */
		[PHASE_SWAPPING] = EF_REASON_NODE_FLASH,
		[PHASE_REVERTING] = EF_REASON_NODE_FLASH,
		[PHASE_RESTORING] = EF_REASON_NODE_FLASH,
	};

	return (enum ef_reason)reason[a->state.phase];
}

enum ef_reason agent_claim_slot(struct agent *a)
{
	enum ef_reason busy = agent_slot_busy(a);

	if (busy)
		return busy;
	if (a->state.phase == PHASE_PENDING) {
		a->state.phase = a->state.flags & STATE_FALLBACK ? PHASE_CONFIRMED : PHASE_EMPTY;
		a->state.flags &= (uint8_t)~STATE_FALLBACK;
		if (state_store(&a->state) < 0)
			return EF_REASON_NODE_FLASH;
	}
	/* whatever the slot held: once it is written to, it is nothing to go back to */
	a->state.flags &= (uint8_t)~STATE_FALLBACK;
	a->slot[1].known = true;
	a->slot[1].reason = EF_REASON_NOT_FOUND;
	return EF_REASON_OK;
}

/*
 * A request in a framing that stock clients use changes something only where they are allowed to;
 * in our own, anybody's does.
 */
static bool may_change(const struct agent *a)
{
	return talk_is_ours(a) || plain_allowed(a);
}

static const struct command *find_command(const struct agent *a, const struct ef_smp_header *h)
{
	const struct command_group *const *g = agent_groups;

	for (; *g; g++) {
		if ((*g)->number != h->group || ((*g)->application && agent_in_bootloader(a)))
			continue;
		for (unsigned i = 0; i < (*g)->n_commands; i++)
			if ((*g)->commands[i].number == h->command && (*g)->commands[i].op == h->op)
				return &(*g)->commands[i];
	}
	return NULL;
}

static struct outcome run_command(
	struct agent *a, const struct ef_smp_header *h, const uint8_t *body, struct cbor_writer *w)
{
	const struct command *c = find_command(a, h);
	struct value v[REQUEST_FIELDS_MAX];

	if (h->version > 1)
		return smp_error(EF_SMP_TOO_NEW);
	if (!c)
		return smp_error(EF_SMP_NOT_SUPPORTED);
	if (!agent_session_allows(a, h) || (!c->harmless && !may_change(a)))
		return smp_error(EF_SMP_ACCESS_DENIED);
	/* to others it says who it is, and echoes */
	if (h->op == EF_SMP_WRITE && !(c->harmless && h->group == EF_GROUP_OS) && !lease_admits(a))
		return refused(EF_REASON_BUSY);
	if (!c->fields)
		v[0] = (struct value){.present = true, .data = body, .size = h->length};
	else if (!request_parse(body, h->length, c->fields, v))
		return smp_error(EF_SMP_INVALID);
	return c->handle(a, v, w);
}

void put_refusal(const struct agent *a, struct cbor_writer *w, enum ef_reason reason)
{
	if (a->version == 0) {
		plain_put_refusal(w, reason);
		return;
	}
	cbor_put_text(w, "err");
	cbor_open_map(w);
	put_uint(w, "group", EF_GROUP_EDGEFERRY);
	put_uint(w, "rc", reason);
	cbor_close(w);
	patch_put_why(a, w, reason);
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
	a->version = h.version;
	cbor_write_init(&w, body, AGENT_RESPONSE_MAX - EF_SMP_HEADER_SIZE);
	cbor_open_map(&w);
	o = run_command(a, &h, message + EF_SMP_HEADER_SIZE, &w);
	cbor_close(&w);
	if (w.overflow)
		o = smp_error(EF_SMP_MSG_SIZE);
	if (o.code) {
		cbor_write_init(&w, body, AGENT_RESPONSE_MAX - EF_SMP_HEADER_SIZE);
		cbor_open_map(&w);
		if (o.code < 0)
			put_uint(&w, "rc", (uint32_t)-o.code);
		else
			put_refusal(a, &w, (enum ef_reason)o.code);
		if (o.code == EF_REASON_BUSY)
			lease_put_owner(a, &w);
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
	patch_init(a);
	keyset_load(&a->factory);
	state_load(&a->state);
	if (a->state.floor < a->factory.floor)
		a->state.floor = a->factory.floor;
	agent_session_init(a);
	talk_init(a);
	lease_init(a);
	a->started = a->second = a->heard = port_millis();
	retained_load(&r);
	if (r.reason) /* why no slot runs is more than why one went back once */
		a->state.revert = r.reason;
}

static void reset_now(const struct agent *a)
{
	while (!port_uart_idle())
		port_wait();
	lease_keep(a);
	retained_set_cause(PORT_CAUSE_REQUEST);
	port_reset();
}

static uint32_t deadline(const struct agent *a)
{
	if (a->state.deadline)
		return a->state.deadline;
	return a->settings.in_force[SETTING_DEADLINE] ? a->settings.in_force[SETTING_DEADLINE]
						      : AGENT_DEADLINE_DEFAULT_S;
}

/* What an application on trial owes: to be confirmed in time, to say that its self-test failed. */
static void watch_trial(struct agent *a)
{
	struct retained r;

	if (!agent_on_trial(a) || agent_in_bootloader(a))
		return;
	if (a->program->self_test && a->program->self_test() == SELF_TEST_FAILED) {
		retained_load(&r);
		if (!r.self_test_failed) {
			r.self_test_failed = true;
			retained_store(&r);
		}
	}
	if (port_millis() - a->started >= deadline(a) * 1000u)
		reset_now(a);
}

static void answer(struct agent *a, size_t size)
{
	uint8_t *message = shared_receive(a, &size);
	bool tagged = message && ef_session_is_tagged(message);

	size = message ? agent_session_receive(a, message, size) : 0;
	if (size)
		shared_send(a, size);
	/* a request of a session that nobody opened may be noise: it came without a checksum */
	agent_rate_answered(a, message && (!tagged || (size && a->session.open)));
}

static void receive(struct agent *a, const uint8_t *data, size_t size)
{
	uint32_t now = port_millis();

	if (size == 0) {
		talk_silence(a, now - a->heard);
		return;
	}
	a->heard = now;
	for (size_t i = 0; i < size; i++) {
		size_t n = talk_receive(a, data[i]);
		if (n)
			answer(a, n);
	}
}

static void count_seconds(struct agent *a)
{
	while (port_millis() - a->second >= 1000) {
		a->second += 1000;
		crash_uptime(++a->uptime);
	}
}

bool agent_poll(struct agent *a)
{
	uint8_t buf[32];
	size_t n = port_uart_read(buf, sizeof(buf));

	port_watchdog_feed();
	count_seconds(a);
	receive(a, buf, n);
	if (a->reset)
		reset_now(a);
	agent_session_tick(a);
	agent_rate_tick(a);
	watch_trial(a);
	health_watch(a);
	return patch_poll(a) || n > 0;
}
