/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "bus/bus.h"
#include "bus/peers.h"
#include <systemd/sd-bus.h>

enum object_kind { OBJECT_DEPLOYMENT, OBJECT_NODE, OBJECT_SLOT, OBJECT_KINDS };

/* What a path below BUS_PATH stands for. Filled by the find callback, read by the handler after it.
 */
struct bus_object {
	struct bus *bus;
	uint64_t id; /* deployment id, node index, slot */
};

struct bus {
	sd_event *event;
	char *address;
	const struct config *config;
	struct update *update;
	sd_bus *bus; /* NULL while the bus cannot be reached */
	sd_event_source *retry;
	bool broker_connected;
	struct error key_fault;
	bus_reload reload;
	void *reload_ctx;
	struct bus_object objects[OBJECT_KINDS];
	struct peers peers;
};

/* gate.c: what comes from users who have called too often, or say too much, is answered before it
 * is looked at. */
int gate_open(struct bus *b);
/* Whether m may wait for polkit; peers_answered then ends that. */
bool gate_ask(struct bus *b, sd_bus_message *m);

extern const sd_bus_vtable manager_vtable[];
int objects_export(struct bus *b);

/* Path of an object; caller frees. NULL: out of memory. */
char *object_path(enum object_kind kind, uint64_t id, const struct config *config);

/* Answers m with io.github.edgeferry1.Error.WORD and "text: detail (hint)". */
int reply_error(sd_bus_message *m, const struct error *e);
/* Answers m with a JSON document, which is taken over; NULL is out of memory. */
int reply_json(sd_bus_message *m, json_t *document);
