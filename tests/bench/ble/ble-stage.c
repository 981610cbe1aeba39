/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One device of the BlueZ on the bus BUS, or the system's, with the clock running; one line of
 * JSON.
 *
 *   ble-stage DEVICE IMAGE KEY    node_stage in a session, as the daemon does it
 *   ble-stage DEVICE BYTES        the same characteristic as fast as its descriptor takes values,
 * to a server that counts: it answers a value of one byte by four
 */
#include "dfu/node-internal.h"
#include "links/bluez.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/time-util.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

struct run {
	sd_event *event;
	struct error result;
	uint64_t first_us, last_us, first_bytes, last_bytes;
	/* raw */
	int in, out;
	size_t value_max;
	uint64_t left;
	sd_event_source *writer;
};

static void finish(struct run *r, const struct error *e)
{
	r->result = *e;
	sd_event_exit(r->event, 0);
}

static void on_done(void *ctx, const struct error *e)
{
	finish(ctx, e);
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct run *r = ctx;

	r->last_us = now_monotonic_us();
	r->last_bytes = done;
	if (!r->first_us) {
		r->first_us = r->last_us;
		r->first_bytes = done;
	}
}

/* Raw */

static int on_writable(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	static const uint8_t value[512];
	struct run *r = userdata;

	while (r->left) {
		size_t n = r->left < r->value_max ? (size_t)r->left : r->value_max;

		if (send(r->out, value, n, MSG_NOSIGNAL) < 0) {
			if (errno == EAGAIN)
				return 0;
			error_errno(&r->result, -errno, "write");
			finish(r, &r->result);
			return 0;
		}
		r->left -= n;
	}
	if (send(r->out, "?", 1, MSG_NOSIGNAL) == 1)
		sd_event_source_set_enabled(s, SD_EVENT_OFF);
	return 0;
}

static int on_readable(sd_event_source *s, int fd, uint32_t events, void *userdata)
{
	struct run *r = userdata;
	uint8_t count[4];
	struct error e = {0};

	if (recv(fd, count, sizeof count, 0) != sizeof count)
		error_set(&e, EF_REASON_IO, "no count");
	r->last_us = now_monotonic_us();
	r->last_bytes = count[0] | count[1] << 8 | count[2] << 16 | (uint32_t)count[3] << 24;
	finish(r, &e);
	return 0;
}

static void on_up(void *ctx, int in, int out, size_t value_max)
{
	struct run *r = ctx;

	r->in = in;
	r->out = out;
	r->value_max = value_max;
	r->first_us = now_monotonic_us();
	if (in < 0 || out < 0 || sd_event_add_io(r->event, NULL, in, EPOLLIN, on_readable, r) < 0 ||
		sd_event_add_io(r->event, &r->writer, out, EPOLLOUT, on_writable, r) < 0)
		abort();
}

static void on_lost(void *ctx, const struct error *e)
{
	finish(ctx, e);
}

static void raw(struct run *r, struct bluez *b, const char *device, const char *bytes)
{
	const struct bluez_events events = {.ctx = r, .up = on_up, .lost = on_lost};
	struct bluez_peer *peer;

	r->left = strtoull(bytes, NULL, 10);
	if (bluez_peer_open(&peer, b, device, &events, &r->result))
		return;
	sd_event_loop(r->event);
	if (!r->result.reason && r->last_bytes != strtoull(bytes, NULL, 10))
		error_set(&r->result, EF_REASON_IO, "%llu bytes arrived",
			(unsigned long long)r->last_bytes);
	bluez_peer_close(peer);
}

static void stage(
	struct run *r, struct bluez *b, const char *device, const char *file, const char *key)
{
	struct node_config config = {
		.name = "bench",
		.link = &link_ble,
		.spec = {.device = device, .baud = 115200, .bluez = b},
		.key = key,
		.compatible = "edgeferry.github.io,host",
	};
	_cleanup_free_ uint8_t *image = NULL;
	struct node *node;
	size_t size;

	if (file_read(file, 16 << 20, &image, &size) < 0 ||
		node_new(&node, r->event, &config, &r->result) ||
		node_stage(node, image, size, NULL, on_progress, on_done, r) < 0)
		exit(EXIT_FAILURE);
	sd_event_loop(r->event);
	node_free(node);
}

int main(int argc, char **argv)
{
	const struct bluez_config config = {.bus = getenv("BUS"), .connections = 1};
	struct run r = {.in = -1, .out = -1};
	struct bluez *b;

	if (argc != 3 && argc != 4)
		return 64;
	if (sd_event_new(&r.event) < 0 || bluez_new(&b, r.event, &config, &r.result))
		return EXIT_FAILURE;
	if (argc == 4)
		stage(&r, b, argv[1], argv[2], argv[3]);
	else
		raw(&r, b, argv[1], argv[2]);
	bluez_free(b);
	if (r.result.reason) {
		fprintf(stderr, "ble-stage: %s\n", r.result.detail);
		return EXIT_FAILURE;
	}
	printf("{\"bytes\": %llu, \"seconds\": %.4f, \"value\": %zu}\n",
		(unsigned long long)(r.last_bytes - r.first_bytes),
		(double)(r.last_us - r.first_us) / 1e6, r.value_max);
	sd_event_unref(r.event);
	return EXIT_SUCCESS;
}
