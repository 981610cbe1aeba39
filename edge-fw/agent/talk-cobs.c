/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "agent/talk.h"

void talk_init(struct agent *a)
{
	frame_receiver_init(&a->line.frame, a->message, sizeof(a->message));
}

bool talk_is_ours(const struct agent *a)
{
	(void)a;
	return true;
}

size_t talk_receive(struct agent *a, uint8_t b)
{
	return frame_receive(&a->line.frame, b);
}

void talk_silence(struct agent *a, uint32_t ms)
{
	(void)a;
	(void)ms; /* a frame has an end of its own */
}

void talk_send(struct agent *a, size_t size)
{
	talk_frame(a->response, size);
}
