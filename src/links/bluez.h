/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The nodes that BlueZ reaches for us (org.bluez on the system bus): found, connected, their SMP
 * characteristic opened; for links/ble.c. One struct bluez serves all links of a gateway, since the
 * adapter holds a few connections at a time: they are given out by turns. Asynchronous on the
 * caller's event loop; nothing blocks, and every step has a time limit.
 *
 * Source: BlueZ 5.66, doc/{adapter,device,gatt}-api.txt.
 */
#include "util/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct bluez_timing {
	uint64_t find_us;    /* how long an unknown device is looked for */
	uint64_t connect_us; /* one try to connect */
	uint64_t attempt_us; /* all tries, their waits included */
	uint64_t resolve_us; /* until its services are known */
	uint64_t call_us;    /* any other answer of BlueZ */
	uint64_t retry_us;   /* the first wait between two tries; it doubles */
	uint64_t grace_us;   /* how long a turn is kept for a node that was lost in it */
	uint64_t rest_us;    /* how long an idle connection is kept that nobody waits for */
	uint64_t turn_us;    /* how long one turn lasts at most while others wait */
};
extern const struct bluez_timing bluez_default_timing;

struct bluez_config {
	const char *bus;	    /* its address; NULL: the system bus */
	const char *adapter;	    /* "hci0" or an address; NULL: the first that is on */
	uint32_t connections;	    /* at a time; at least 1 */
	struct bluez_timing timing; /* all zero: the default one */
};

struct bluez;
struct bluez_peer;

/* Connects to the bus when the first peer is opened. */
enum ef_reason bluez_new(
	struct bluez **ret, sd_event *event, const struct bluez_config *config, struct error *e);
void bluez_free(struct bluez *b); /* when all its peers are closed */

/* From the event loop, never from within a function below. */
struct bluez_events {
	void *ctx;
	/*
	 * The characteristic is open. in, out: datagrams of one value each, the receiver's from now
	 * on; -1: BlueZ has none to give, values come by value() and go by bluez_peer_write. A
	 * value sent has at most value_max bytes.
	 */
	void (*up)(void *ctx, int in, int out, size_t value_max);
	void (*value)(void *ctx, const uint8_t *value, size_t size);
	void (*written)(void *ctx); /* the next value may be written */
	/* The peer is closed already. It may be opened again from here. */
	void (*lost)(void *ctx, const struct error *e);
};

/*
 * device: an address as "C0:11:22:33:44:55", or "name:" and the name that the device has. The
 * outcome is up or lost. BUSY: it is open already.
 */
enum ef_reason bluez_peer_open(struct bluez_peer **ret, struct bluez *b, const char *device,
	const struct bluez_events *events, struct error *e);
/* Nothing is wanted of it for now: it is lost when another waits for its turn, or after a while. */
void bluez_peer_rest(struct bluez_peer *p, bool rest);
int bluez_peer_write(struct bluez_peer *p, const uint8_t *value, size_t size);
/* No callback comes after either. cut: its descriptors hung up, and it may soon be opened again. */
void bluez_peer_close(struct bluez_peer *p);
void bluez_peer_cut(struct bluez_peer *p);

/* What is known of a device, open or not. */
struct bluez_sight {
	char address[18]; /* "": not seen yet */
	int signal;	  /* dBm, when it was last looked for; 0: not known */
};
void bluez_look(struct bluez *b, const char *device, struct bluez_sight *ret);

#define BLUEZ_SURVEY_MAX 32u

struct bluez_found {
	char address[18], name[33]; /* "": it has none */
};
typedef void (*bluez_surveyed)(
	void *ctx, const struct bluez_found *found, size_t n, const struct error *e);
/*
 * Looks for for_us for devices that say that they have the SMP service, the first BLUEZ_SURVEY_MAX
 * of them; done comes once, from the event loop. BUSY: one is under way already.
 */
enum ef_reason bluez_survey(
	struct bluez *b, uint64_t for_us, bluez_surveyed done, void *ctx, struct error *e);
void bluez_survey_stop(struct bluez *b); /* without done */
