/* SPDX-License-Identifier: Apache-2.0 */
/* A networked node: one message a datagram; each is answered to whoever sent it. */
#include "host.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct sockaddr_in asker;

static size_t udp_receive(uint8_t *message, size_t size)
{
	socklen_t length = sizeof(asker);
	ssize_t n =
		recvfrom(host.wire, message, size, MSG_TRUNC, (struct sockaddr *)&asker, &length);

	return n > 0 && (size_t)n <= size ? (size_t)n : 0;
}

static void udp_send(const uint8_t *message, size_t size)
{
	sendto(host.wire, message, size, 0, (struct sockaddr *)&asker, sizeof(asker));
}

static int udp_fd(void)
{
	return host.wire;
}

static const struct host_packets packets = {udp_receive, udp_send};
static const struct host_line udp_line = {
	host_packet_read, host_packet_write, udp_fd, NULL, NULL, host_packet_start};

int host_open_udp(const char *address)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const char *colon = strchr(address, ':'), *port = colon ? colon + 1 : address;
	char host_text[INET_ADDRSTRLEN] = "", *end;
	unsigned long n = strtoul(port, &end, 10);

	if (end == port || *end || n < 1 || n > 65535)
		return -EINVAL;
	if (colon) {
		if ((size_t)(colon - address) >= sizeof(host_text))
			return -EINVAL;
		memcpy(host_text, address, (size_t)(colon - address));
		if (inet_pton(AF_INET, host_text, &a.sin_addr) != 1)
			return -EINVAL;
	}
	a.sin_port = htons((uint16_t)n);
	host.wire = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (host.wire < 0 || bind(host.wire, (struct sockaddr *)&a, sizeof(a)) < 0)
		return -errno;
	host_packet_init(&packets);
	host.line = &udp_line;
	return 0;
}
