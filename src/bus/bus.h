/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The D-Bus face of edgeferryd: io.github.edgeferry1 as docs/io.github.edgeferry1.xml describes it.
 * Asynchronous on the caller's event loop. The daemon forwards what it observes (update/update.h).
 */
#include "config/config.h"
#include "update/update.h"
#include "util/reason.h"
#include <systemd/sd-event.h>

#define BUS_NAME "io.github.edgeferry1"
#define BUS_PATH "/io/github/edgeferry1"

struct bus;

/*
 * Connects (address NULL: the system bus), exports the objects and asks for the name. A bus that
 * cannot be reached yet is no error: it is tried again every 5 s, updates go on without it (F-04).
 * BUSY when the name has an owner already: a second daemon on one machine (F-21).
 */
enum ef_reason bus_new(struct bus **ret, sd_event *event, const char *address,
	const struct config *config, struct update *update, struct error *e);
void bus_free(struct bus *b);

/* Reload: reads the configuration anew; of *ret, at_start and nodes are what is left for later. */
typedef enum ef_reason (*bus_reload)(void *ctx, struct config_change *ret, struct error *e);
void bus_on_reload(struct bus *b, bus_reload reload, void *ctx);

void bus_set_broker(struct bus *b, bool connected); /* for GetStatus */
void bus_set_key(
	struct bus *b, const struct error *fault); /* of a client key in a token; OK: none */

/* What happened, to be told: struct update_observer's callbacks with the bus in front. */
void bus_deployment_changed(struct bus *b, const struct deployment *d);
void bus_progress(struct bus *b, const struct deployment *d, const struct part *p);
void bus_event(struct bus *b, const struct event *ev);
void bus_node_changed(struct bus *b, size_t node);
void bus_slots_changed(struct bus *b);
