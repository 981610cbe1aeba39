/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A link carries whole SMP messages to and from a node; framing is the link's business. One table of
 * functions a kind of wire (const ops + context), driven by the caller's event loop; nothing blocks.
 */
#include "links/framing.h"
#include "util/reason.h"
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct link;

struct link_spec {
	const char *device;	/* uart: path of the tty; sim: path of a unix stream socket */
	uint32_t baud;
};

struct link_callbacks {
	void *ctx;
	void (*message)(void *ctx, const uint8_t *data, size_t size);	/* one SMP message, checked CRC */
	/* The wire is gone (hang-up, port removed). The link closes itself first; open it anew later. */
	void (*lost)(void *ctx, const struct error *e);
	/* Everything queued was handed to the driver. */
	void (*drained)(void *ctx);
};

struct link_ops {
	const char *name;	/* "uart", "sim": Link= of the node's file */
	/* Opens and locks the port (F-21: BUSY when another process holds it). */
	enum ef_reason (*open)(struct link **ret, sd_event *event, const struct link_spec *spec,
		const struct link_callbacks *cb, struct error *e);
	/* Queues one message. -ENOBUFS when more than the link's queue (16 KiB) would wait. */
	int (*send)(struct link *l, const uint8_t *data, size_t size);
	size_t (*queued)(const struct link *l);	/* bytes not yet with the driver */
	/* COBS until then. NULL: this wire has a framing of its own, which does for every node. */
	void (*set_framing)(struct link *l, enum framing framing);
	void (*close)(struct link *l);		/* no callback comes after it */
};

extern const struct link_ops link_uart, link_sim;
const struct link_ops *link_find(const char *name);	/* NULL: no such kind */
