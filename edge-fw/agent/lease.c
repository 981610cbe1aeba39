/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/lease.h"
#include "agent/agent.h"
#include "boot/retained.h"
#include "port/port.h"
#include <string.h>

#define SECONDS_MAX 300u
#define KEPT_MS 15000u /* since the reset that its owner asked for */

static bool alive(const struct agent_lease *l)
{
	return l->held && port_millis() - l->renewed < l->ms;
}

/* As much of a gateway's number as there are bits that outlive a reset. */
static uint8_t shortened(uint16_t sender)
{
	return (uint8_t)(1 + sender % 15u);
}

static bool owns(const struct agent *a)
{
	const struct agent_lease *l = &a->lease;

	return l->kept ? l->kept == shortened(a->shared.sender) : l->sender == a->shared.sender;
}

void lease_init(struct agent *a)
{
	struct retained r;

	retained_load(&r);
	a->lease = (struct agent_lease){
		.kept = r.lease, .held = r.lease != 0, .ms = KEPT_MS, .renewed = port_millis()};
}

void lease_keep(const struct agent *a)
{
	const struct agent_lease *l = &a->lease;
	struct retained r;

	retained_load(&r);
	r.lease = !alive(l) ? 0 : l->kept ? l->kept : shortened(l->sender);
	retained_store(&r);
}

void lease_heard(struct agent *a)
{
	if (alive(&a->lease) && !a->lease.kept && owns(a))
		a->lease.renewed = port_millis();
}

bool lease_admits(const struct agent *a)
{
	return !alive(&a->lease) || owns(a);
}

void lease_put_owner(const struct agent *a, struct cbor_writer *w)
{
	cbor_put_text(w, "owner");
	cbor_put_text_of(w, a->lease.owner, a->lease.owner_size);
}

static bool printable(const struct value *v)
{
	for (size_t i = 0; i < v->size; i++)
		if (v->data[i] < 0x20 || v->data[i] > 0x7e)
			return false;
	return v->size && v->size <= LEASE_OWNER_MAX;
}

/* The same number and an earlier start: another gateway of the same name, or one that has gone. */
static struct outcome ef_lease(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	enum { OWNER, EPOCH, SECONDS };
	struct agent_lease *l = &a->lease;

	(void)w;
	if (!shared_address(a))
		return smp_error(EF_SMP_NOT_SUPPORTED);
	if (!v[OWNER].present || !printable(&v[OWNER]) || !v[EPOCH].present ||
		!v[SECONDS].present || v[SECONDS].number > SECONDS_MAX)
		return smp_error(EF_SMP_INVALID);
	if (!lease_admits(a) || (alive(l) && !l->kept && v[EPOCH].number < l->epoch))
		return refused(EF_REASON_BUSY);
	*l = (struct agent_lease){.sender = a->shared.sender,
		.held = v[SECONDS].number != 0,
		.owner_size = (uint8_t)v[OWNER].size,
		.epoch = v[EPOCH].number,
		.ms = v[SECONDS].number * 1000u,
		.renewed = port_millis()};
	memcpy(l->owner, v[OWNER].data, v[OWNER].size);
	return DONE;
}

static const struct command commands[] = {
	{EF_EF_LEASE, EF_SMP_WRITE, true, "owner:t epoch:u sec:u", ef_lease},
};
const struct command_group lease_group = COMMAND_GROUP(EF_GROUP_EDGEFERRY, false, commands);
