/* SPDX-License-Identifier: Apache-2.0 */
/* node_stage of one image over one serial port, with the clock running. One line of JSON. */
#include "dfu/node-internal.h"
#include "links/link.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/time-util.h"
#include <stdio.h>
#include <stdlib.h>

struct run {
	sd_event *event;
	struct error result;
	uint64_t first_us, last_us, first_bytes, last_bytes;
};

static void on_done(void *ctx, const struct error *e)
{
	struct run *r = ctx;

	r->result = *e;
	sd_event_exit(r->event, 0);
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

static void loop(struct run *r)
{
	sd_event_loop(r->event);
	if (r->result.reason) {
		char text[512];

		error_format(&r->result, text, sizeof text);
		fprintf(stderr, "uart-stage: %s\n", text);
		exit(EXIT_FAILURE);
	}
}

/* Payload bytes a byte on the line: full messages, COBS without luck, CRC or tag, delimiter. */
static double ceiling(uint32_t buf, bool session)
{
	uint32_t chunk = (buf - EF_SMP_HEADER_SIZE - EF_DATA_HEAD) / 16 * 16;
	uint32_t message = EF_SMP_HEADER_SIZE + EF_DATA_HEAD + chunk +
			   (session ? EF_SESSION_OVERHEAD : 2 /* CRC */);
	uint32_t frame = message + (message + 253) / 254 + 1;

	return (double)chunk / frame;
}

int main(int argc, char **argv)
{
	struct run r = {0};
	struct node *node;
	struct error e = {0};
	_cleanup_free_ uint8_t *image = NULL;
	size_t size;
	uint64_t start;

	if (argc != 6 && argc != 7) {
		fprintf(stderr, "Usage: uart-stage DEVICE BAUD WINDOW BUFFER IMAGE [KEY] (0: the "
				"node's)\n");
		return 64;
	}
	struct node_config config = {
		.name = "bench",
		.link = &link_uart,
		.spec = {.device = argv[1], .baud = (uint32_t)strtoul(argv[2], NULL, 10)},
		.key = argc > 6 ? argv[6] : NULL,
		.compatible = "edgeferry.github.io,host",
	};

	if (file_read(argv[5], 16 << 20, &image, &size) < 0 || sd_event_new(&r.event) < 0 ||
		node_new(&node, r.event, &config, &e))
		return EXIT_FAILURE;
	node->window_max = (uint32_t)strtoul(argv[3], NULL, 10);
	node->buf_max = (uint32_t)strtoul(argv[4], NULL, 10);
	start = now_monotonic_us();
	if (node_stage(node, image, size, NULL, on_progress, on_done, &r) < 0)
		return EXIT_FAILURE;
	loop(&r);
	printf("{\"bytes\": %zu, \"stage_s\": %.4f, \"transfer_bytes\": %llu, \"transfer_s\": "
	       "%.4f, "
	       "\"buf\": %u, \"window\": %u, \"ceiling\": %.4f, \"requests\": %llu, "
	       "\"payload_sent\": %llu}\n",
		size, (double)(now_monotonic_us() - start) / 1e6,
		(unsigned long long)(r.last_bytes - r.first_bytes),
		(double)(r.last_us - r.first_us) / 1e6, node->upload.config.buf,
		node->upload.config.window, ceiling(node->upload.config.buf, argc > 6),
		(unsigned long long)node->upload.requests,
		(unsigned long long)node->upload.payload);
	node_free(node);
	sd_event_unref(r.event);
	return EXIT_SUCCESS;
}
