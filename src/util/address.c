/* SPDX-License-Identifier: Apache-2.0 */
#include "util/address.h"
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_MAX 80

/* host: HOST_MAX bytes. Returns what stands behind the host, or NULL. */
static const char *split(const char *text, char *host)
{
	bool bracket = text[0] == '[';
	const char *start = text + bracket, *colon = strchr(start, ':'), *end;

	if (bracket)
		end = strchr(start, ']');
	else if (colon && !strchr(colon + 1, ':'))
		end = colon;
	else
		end = start + strlen(start); /* IPv6 without port, IPv4 without port */
	if (!end || end == start || end - start >= HOST_MAX)
		return NULL;
	memcpy(host, start, (size_t)(end - start));
	host[end - start] = '\0';
	return end + bracket;
}

bool address_parse(
	const char *text, uint16_t default_port, struct sockaddr_storage *ret, socklen_t *length)
{
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
		.ai_family = AF_UNSPEC,
		.ai_socktype = SOCK_DGRAM};
	struct addrinfo *list;
	struct in_addr dotted;
	char host[HOST_MAX], port[8];
	const char *rest = split(text, host);

	/* of IPv4 only four numbers: "127.1" and "0x7f000001" are more likely something else */
	if (!rest || (!strchr(host, ':') && inet_pton(AF_INET, host, &dotted) != 1))
		return false;
	snprintf(port, sizeof port, "%u", default_port);
	if (*rest) {
		size_t n = strspn(rest + 1, "0123456789");

		if (*rest != ':' || n == 0 || n > 5 || rest[1 + n] || atoi(rest + 1) < 1 ||
			atoi(rest + 1) > 65535)
			return false;
		memcpy(port, rest + 1, n + 1);
	}
	if (getaddrinfo(host, port, &hints, &list) != 0)
		return false;
	memcpy(ret, list->ai_addr, list->ai_addrlen);
	*length = list->ai_addrlen;
	freeaddrinfo(list);
	return true;
}
