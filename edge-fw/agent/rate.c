/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/rate.h"
#include "agent/agent.h"
#include "port/port.h"

struct outcome ef_rate(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)w;
	if (!v[0].present || (v[0].number && !port_uart_can_baud(v[0].number)))
		return smp_error(EF_SMP_INVALID);
	a->rate.next = v[0].number;
	a->rate.asked = true;
	return DONE;
}

void agent_rate_answered(struct agent *a, bool sound)
{
	if (sound)
		a->rate.heard = port_millis();
	if (!a->rate.asked)
		return;
	a->rate.asked = false;
	port_uart_set_baud(a->rate.next);
}

void agent_rate_tick(struct agent *a)
{
	if (!a->rate.next || port_millis() - a->rate.heard < RATE_SILENCE_MS)
		return;
	a->rate.next = 0;
	port_uart_set_baud(0);
}
