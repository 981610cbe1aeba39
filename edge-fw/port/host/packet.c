/* SPDX-License-Identifier: Apache-2.0 */
/* A wire of whole messages behind the port's bytes: each way one COBS frame a message. */
#include "host.h"
#include "wire/cobs.h"
#include <edgeferry/session.h>
#include <edgeferry/smp.h>
#include <string.h>

#define MESSAGE_MAX (PORT_MESSAGE_MAX + EF_SESSION_OVERHEAD)

static struct {
	const struct host_packets *wire;
	uint8_t in[EF_SMP_FRAME_MAX(MESSAGE_MAX)]; /* on its way to the agent */
	size_t in_at, in_size;
	struct frame_receiver receiver; /* what the agent sends */
	uint8_t out[MESSAGE_MAX + 2];
} packet;

void host_packet_init(const struct host_packets *p)
{
	packet.wire = p;
	host_packet_start();
}

void host_packet_start(void)
{
	packet.in_at = packet.in_size = 0;
	frame_receiver_init(&packet.receiver, packet.out, sizeof(packet.out));
}

size_t host_packet_read(uint8_t *buf, size_t size)
{
	uint8_t message[MESSAGE_MAX];
	size_t n;

	if (packet.in_at == packet.in_size) {
		n = packet.wire->receive(message, sizeof(message));
		packet.in_at = 0;
		packet.in_size = n ? frame_encode(message, n, packet.in) : 0;
	}
	n = packet.in_size - packet.in_at;
	if (n > size)
		n = size;
	memcpy(buf, packet.in + packet.in_at, n);
	packet.in_at += n;
	return n;
}

void host_packet_write(const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		size_t n = frame_receive(&packet.receiver, data[i]);

		if (n)
			packet.wire->send(packet.out, n);
	}
}
