/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Peers of BlueZ's from a script, with short patience: bluez-drive BUS CONNECTIONS
 *
 *   open DEVICE | rest DEVICE | busy DEVICE | close DEVICE
 *
 * and on standard output, as it happens: up DEVICE | lost DEVICE TEXT | refused DEVICE TEXT
 */
#include "links/bluez.h"
#include "util/cleanup.h"
#include "util/reason.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define PEERS 8

struct peer {
	char device[64];
	struct bluez_peer *peer;
	int in, out;
};

static struct bluez *bluez;
static struct peer peers[PEERS];

static void on_up(void *ctx, int in, int out, size_t value_max)
{
	struct peer *p = ctx;

	p->in = in;
	p->out = out;
	printf("up %s\n", p->device);
}

static void ended(struct peer *p)
{
	p->peer = NULL;
	p->in = ef_close(p->in);
	p->out = ef_close(p->out);
}

static void on_lost(void *ctx, const struct error *e)
{
	struct peer *p = ctx;

	ended(p);
	printf("lost %s %s %s\n", p->device, reason_word(e->reason), e->detail);
}

static struct peer *find(const char *device)
{
	struct peer *p = peers;

	while (*p->device && strcmp(p->device, device) != 0 && p < peers + PEERS - 1)
		p++;
	if (!*p->device) {
		snprintf(p->device, sizeof p->device, "%s", device);
		p->in = p->out = -1;
	}
	return p;
}

static void act(const char *verb, struct peer *p)
{
	const struct bluez_events events = {.ctx = p, .up = on_up, .lost = on_lost};
	struct error e = {0};

	if (!strcmp(verb, "open")) {
		if (bluez_peer_open(&p->peer, bluez, p->device, &events, &e))
			printf("refused %s %s\n", p->device, e.detail);
	} else if (!p->peer) {
		printf("refused %s not open\n", p->device);
	} else if (!strcmp(verb, "close")) {
		bluez_peer_close(p->peer);
		ended(p);
	} else {
		bluez_peer_rest(p->peer, !strcmp(verb, "rest"));
	}
}

static int on_command(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	static char text[512];
	static size_t used;
	ssize_t n = read(fd, text + used, sizeof text - used - 1);
	char *end, verb[16], device[64];

	if (n <= 0)
		return sd_event_exit(sd_event_source_get_event(s), 0);
	used += (size_t)n;
	while ((end = memchr(text, '\n', used))) {
		*end = '\0';
		if (sscanf(text, "%15s %63[^\n]", verb, device) == 2)
			act(verb, find(device));
		used -= (size_t)(end + 1 - text);
		memmove(text, end + 1, used);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct error e = {0};
	sd_event *event;

	if (argc != 3 || sd_event_new(&event) < 0)
		return 64;
	const struct bluez_config config = {.bus = argv[1],
		.connections = (uint32_t)atoi(argv[2]),
		.timing = {.find_us = 2000000,
			.connect_us = 1000000,
			.attempt_us = 2000000,
			.resolve_us = 1000000,
			.call_us = 1000000,
			.retry_us = 100000,
			.grace_us = 1500000,
			.rest_us = 2000000,
			.turn_us = 2000000}};

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (bluez_new(&bluez, event, &config, &e) ||
		sd_event_add_io(event, NULL, 0, EPOLLIN, on_command, NULL) < 0)
		return EXIT_FAILURE;
	sd_event_loop(event);
	for (struct peer *p = peers; p < peers + PEERS; p++)
		if (p->peer) {
			bluez_peer_close(p->peer);
			ended(p);
		}
	bluez_free(bluez);
	sd_event_unref(event);
	return EXIT_SUCCESS;
}
