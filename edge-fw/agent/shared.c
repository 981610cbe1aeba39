/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/shared.h"
#include "agent/agent.h"
#include "agent/talk.h"
#include <string.h>

uint8_t shared_address(const struct agent *a)
{
	return (uint8_t)(a->factory.flags >> FACTORY_ADDRESS_SHIFT);
}

uint8_t *shared_receive(struct agent *a, size_t *size)
{
	const uint8_t *head = a->message;

	if (!shared_address(a))
		return a->message;
	if (a->line.framing != FRAMING_COBS || *size <= EF_SHARED_HEAD ||
		head[0] != EF_SHARED_TO_NODE)
		return NULL;
	if (head[1] == EF_SHARED_ALL)
		spread_receive(a, a->message + EF_SHARED_HEAD, *size - EF_SHARED_HEAD);
	if (head[1] != shared_address(a))
		return NULL;
	a->shared.sender = (uint16_t)(head[2] << 8 | head[3]);
	lease_heard(a);
	*size -= EF_SHARED_HEAD;
	return a->message + EF_SHARED_HEAD;
}

/* The answer stays where it was: a session may have to send it again. */
void shared_send(struct agent *a, size_t size)
{
	uint8_t *r = a->response;

	if (!shared_address(a)) {
		talk_send(a, size);
		return;
	}
	memmove(r + EF_SHARED_HEAD, r, size);
	r[0] = EF_SHARED_FROM_NODE;
	r[1] = shared_address(a);
	r[2] = (uint8_t)(a->shared.sender >> 8);
	r[3] = (uint8_t)a->shared.sender;
	talk_send(a, EF_SHARED_HEAD + size);
	memmove(r, r + EF_SHARED_HEAD, size);
}
