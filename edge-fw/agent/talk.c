/* SPDX-License-Identifier: Apache-2.0 */
/* What every set of framings needs: a frame goes out piece by piece, so that it needs no buffer. */
#include "agent/talk.h"
#include "port/port.h"
#include "wire/cobs.h"

void talk_bytes(const uint8_t *data, size_t size)
{
	if (!size)
		return;
	port_uart_write(data, size);
	while (!port_uart_idle())
		port_wait();
}

void talk_frame(uint8_t *message, size_t size)
{
	struct frame_sender s;
	uint8_t code;

	frame_send(&s, message, size);
	while (frame_next(&s, &code)) {
		talk_bytes(&code, 1);
		talk_bytes(s.run, s.size);
	}
}
