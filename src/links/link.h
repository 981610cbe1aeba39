/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A link carries whole SMP messages to and from a node; framing is the link's business. One table
 * of functions a kind of wire (const ops + context), driven by the caller's event loop; nothing
 * blocks.
 */
#include "links/framing.h"
#include "util/reason.h"
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct link;
struct shared;

struct link_spec {
	/*
	 * uart: path of the tty, best a lasting name, which is looked up anew at every open (F-17);
	 * spi: path of the spidev; udp: "ADDRESS" or "ADDRESS:PORT" (util/address.h), port 1337;
	 * sim: path of a unix stream socket; ble: an address or "name:NAME" (links/bluez.h).
	 */
	const char *device;
	uint32_t baud;	       /* uart: bits a second; spi: clock in Hz; else unused */
	bool rs485;	       /* uart: the driver turns the direction (TIOCSRS485) */
	const char *ready;     /* spi: the node's ready line (links/lines.h) */
	struct bluez *bluez;   /* ble: what reaches it; outlives the link */
	struct shared *shared; /* shared: the line (links/shared.h), and the node's address on it */
	uint8_t address;
};

struct link_callbacks {
	void *ctx;
	void (*message)(
		void *ctx, const uint8_t *data, size_t size); /* one SMP message, checked CRC */
	/* The wire is gone (hang-up, port removed). The link closes itself first; open it anew
	 * later. */
	void (*lost)(void *ctx, const struct error *e);
	/* Everything queued was handed to the driver. */
	void (*drained)(void *ctx);
	/* A link that connects has connected: from now on it carries what is sent. */
	void (*up)(void *ctx);
};

struct link_ops {
	const char *name; /* "uart", "spi", "udp", "sim", "ble": Link= of the node's file */
	/*
	 * open only begins to connect, which ends in up or in lost and may take long, since turns
	 * may be waited for; nothing can be sent before. When lost comes after up the wire was cut,
	 * as happens in the air: a new open may well find the node again.
	 */
	bool connects;
	/*
	 * Opens and locks the port (F-21: BUSY when another process holds it). An error names the
	 * device, what is wrong, and what to do about it. Takes no more than a few system calls.
	 */
	enum ef_reason (*open)(struct link **ret, sd_event *event, const struct link_spec *spec,
		const struct link_callbacks *cb, struct error *e);
	/*
	 * Queues one message. -ENOBUFS when more than the link's queue (16 KiB) would wait,
	 * -EMSGSIZE when the wire never carries one of that size.
	 */
	int (*send)(struct link *l, const uint8_t *data, size_t size);
	size_t (*queued)(const struct link *l); /* bytes not yet with the driver */
	/*
	 * The rate from now on, when nothing is queued or on its way; what has come at the old one
	 * and was not read is dropped. 0, or negative errno: the old rate is kept. NULL: this wire
	 * has one rate.
	 */
	int (*set_rate)(struct link *l, uint32_t baud);
	/* COBS until then. NULL: this wire has a framing of its own, which does for every node. */
	void (*set_framing)(struct link *l, enum framing framing);
	/*
	 * Nothing is urgent, or it is again: what is calm is read up to 50 ms late, in few wake-ups
	 * rather than as each byte comes. Not at first. NULL: a message comes as one anyway.
	 */
	void (*set_calm)(struct link *l, bool calm);
	/* Bytes, at most size, of a message that this wire, once up, carries best. NULL: size. */
	size_t (*fit)(const struct link *l, size_t size);
	/*
	 * Nothing more for now, until the next send: others may have the adapter, which then is
	 * lost here. NULL: nobody waits for this wire.
	 */
	void (*rest)(struct link *l);
	void (*close)(struct link *l); /* no callback comes after it */
};

extern const struct link_ops link_uart, link_spi, link_udp, link_sim, link_ble;
const struct link_ops *link_find(const char *name); /* NULL: no such kind */
