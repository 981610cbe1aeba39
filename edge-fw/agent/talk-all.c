/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "agent/talk.h"

void talk_init(struct agent *a)
{
	line_receiver_init(&a->line, a->message, sizeof(a->message));
}

bool talk_is_ours(const struct agent *a)
{
	return a->line.framing == FRAMING_COBS;
}

size_t talk_receive(struct agent *a, uint8_t b)
{
	return line_receive(&a->line, b);
}

void talk_silence(struct agent *a, uint32_t ms)
{
	line_idle(&a->line, ms);
}

static void send_console(const uint8_t *message, size_t size)
{
	uint8_t line[CONSOLE_LINE_MAX];
	size_t at = 0, n;

	while ((n = console_encode(message, size, &at, line)))
		talk_bytes(line, n);
}

void talk_send(struct agent *a, size_t size)
{
	if (a->line.framing == FRAMING_CONSOLE)
		send_console(a->response, size);
	else if (a->line.framing == FRAMING_RAW)
		talk_bytes(a->response, size);
	else
		talk_frame(a->response, size);
}
