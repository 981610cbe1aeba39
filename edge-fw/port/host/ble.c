/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's BLE peripheral without its radio: what a GATT server would be given and give is a
 * datagram each on a unix socket, whose client is that server (tests/lab/ble). A connection is one
 * on the air.
 */
#include "wire/ble.h"
#include "host.h"
#include <edgeferry/session.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define SEND_PATIENCE_MS 200

static struct {
	size_t value_max;
	struct ble_receiver receiver;
	uint8_t buf[PORT_MESSAGE_MAX + EF_SESSION_OVERHEAD + BLE_HEADER_SIZE];
} ble;

static void hang_up(void)
{
	close(host.wire);
	host.wire = -1;
}

/* A reset ends the connection: the radio forgets it. */
static void ble_start(void)
{
	if (host.wire >= 0)
		hang_up();
	host_packet_start();
}

static bool connected(void)
{
	if (host.wire < 0) {
		host.wire = accept4(host.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		ble_receiver_init(&ble.receiver, ble.buf, sizeof(ble.buf));
	}
	return host.wire >= 0;
}

static size_t ble_receive_message(uint8_t *message, size_t size)
{
	uint8_t value[BLE_VALUE_MAX];
	const uint8_t *found;
	ssize_t n;
	size_t length;

	while (connected()) {
		n = recv(host.wire, value, sizeof(value), 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0) {
			hang_up();
			continue;
		}
		length = ble_receive(&ble.receiver, host_now_us(), value, (size_t)n, &found);
		if (length && length <= size) {
			memcpy(message, found, length);
			return length;
		}
	}
	return 0;
}

static void send_value(const uint8_t *value, size_t size)
{
	struct pollfd p = {.fd = host.wire, .events = POLLOUT};

	if (poll(&p, 1, SEND_PATIENCE_MS) > 0)
		send(host.wire, value, size, MSG_NOSIGNAL);
}

static void ble_send(const uint8_t *message, size_t size)
{
	uint8_t bytes[sizeof(ble.buf)];
	size_t used = ble_put_header(bytes, message, size);

	memcpy(bytes + used, message, size);
	used += size;
	for (size_t at = 0; at < used && host.wire >= 0; at += ble.value_max)
		send_value(bytes + at, used - at < ble.value_max ? used - at : ble.value_max);
}

static int ble_fd(void)
{
	return host.wire >= 0 ? host.wire : host.listener;
}

static const struct host_packets packets = {ble_receive_message, ble_send};
static const struct host_line ble_line = {
	host_packet_read, host_packet_write, ble_fd, NULL, NULL, ble_start};

int host_open_ble(const char *path, uint32_t mtu)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	if (mtu < BLE_VALUE_LEAST + 3)
		return -EINVAL;
	ble.value_max = mtu - 3 < BLE_VALUE_MAX ? mtu - 3 : BLE_VALUE_MAX;
	memcpy(a.sun_path, path, strlen(path) + 1);
	host.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	unlink(path);
	if (host.listener < 0 || bind(host.listener, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(host.listener, 1) < 0)
		return -errno;
	host_packet_init(&packets);
	host.line = &ble_line;
	return 0;
}
