/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What edgeferryd holds, and the parts of it that are about time: looking, reporting, reloading. */
#include "bus/bus.h"
#include "config/config.h"
#include "net/client.h"
#include "update/machine.h"
#include "update/update.h"
#include <systemd/sd-event.h>

struct daemon {
	const char *config_dir, *bus_address;
	char *root_file;
	sd_event *event;
	struct config *config;
	struct net_client *net; /* NULL: no source and no broker configured */
	struct update *update;
	struct bus *bus;
	sd_event_source *poll, *outbox, *retry_outbox;
	bool newer;	    /* a release is offered that is newer than the one under way */
	bool looking;	    /* a look of our own is under way */
	bool woken;	    /* one is wanted that begins from now on */
	uint64_t reporting; /* id of the report under way; 0: none */
	bool rebooting;
	struct sd_bus *reboot_bus;
	struct logind_reboot *reboot;
	struct sd_bus *services_bus;
	struct services_ask *services;
	sd_event_source *services_nobody; /* the answer when nobody can be asked */
	update_services_done services_done;
	void *services_ctx;
	bool broker;			   /* is connected */
	unsigned ended[DEPLOYMENT_STATES]; /* since the start, by how */
	sd_event_source *metrics;
	int metrics_error;	  /* said once */
	struct sd_bus *clock_bus; /* clock.c */
	struct sd_bus_slot *clock_call;
	void (*clock_then)(struct daemon *d);
	bool clock_good; /* the last answer */
	sd_event_source *rest;
	sd_event_source
		*later; /* reload.c: nodes' files that wait for the end of what is done to nodes */
};

/* main.c */
enum ef_reason net_start(
	struct daemon *d, struct error *e); /* nothing without a source and a broker */
void status_line(struct daemon *d, const struct deployment *dep);

/* poll.c: when to look at the source, and what is installed without being asked. */
int poll_start(struct daemon *d);
void poll_now(struct daemon *d, const char *why);
void poll_over(struct daemon *d); /* a deployment is over */
/* A wait drawn from [0.8, 1.2] times poll_us, so that a fleet does not knock at once (F-37). */
uint64_t poll_wait(uint64_t poll_us, uint32_t random);

void poll_reconfigured(struct daemon *d, bool other_source);

/* reload.c: reads the configuration anew, on SIGHUP and when the bus asks (bus.h, bus_reload). What
 * is wrong with it is in the log and on record, and the last good one stays (F-27). */
enum ef_reason reload(void *ctx, struct config_change *ret, struct error *e);
int reload_on_hangup(struct daemon *d);

/* reboot.c: asks logind to restart the machine, with parameter (or NULL) for its firmware. */
void reboot_machine(struct daemon *d, const char *parameter);
void reboot_close(struct daemon *d);

/* rest.c: something was done; when it is quiet for some seconds, what that needed is given back. */
void rest_soon(struct daemon *d);

/* metrics.c: [Metrics] File= is written anew soon. */
void metrics_kick(struct daemon *d);

/* services.c: what the service manager says, for update. */
struct update_services services_of(struct daemon *d);
void services_close(struct daemon *d);
/* A connection of its own: the one that shows our objects may be another bus, or be gone. Attached
 * to the loop. */
int system_bus_open(struct daemon *d, struct sd_bus **ret);

/* clock.c: asks whether the clock is synchronised, then goes on; at once where the kernel can be
 * asked. */
void clock_look(struct daemon *d, void (*then)(struct daemon *d));
bool clock_counts(void *ctx); /* a struct daemon; as the kernel says, or the last answer did */
void clock_close(struct daemon *d);

/* outbox.c: reports that the cloud has not acknowledged, one after the other. */
void outbox_kick(struct daemon *d);
