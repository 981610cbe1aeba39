/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who else is on the wires. Each wire has a list of places to ask, one after the other, all wires
 * at the same time; every place is asked by a struct node of its own, in the clear, but all
 * framings of a wire with one node by the same. On a shared line that is one turn each, like any
 * other.
 */
#include "update/internal.h"
#include <edgeferry/smp.h>
#include <string.h>
#include <strings.h>

#define WIRES_MAX 64u
#define TOTAL_US (120 * USEC_PER_SEC)
/* For the answer of an address, besides the time on the line: a node that does nothing else. */
#define LINE_US (60 * USEC_PER_MSEC)
#define ALONE_US (1000 * USEC_PER_MSEC)
#define AIR_US (10 * USEC_PER_SEC) /* until everybody there was seen */
#define AIR_ASK_US (5 * USEC_PER_SEC)
#define BAUD 115200u

enum wire_kind { WIRE_SHARED, WIRE_ALONE, WIRE_AIR };

struct wire {
	struct discover *d;
	enum wire_kind kind;
	const struct link_ops *ops;
	char *device;
	uint32_t baud;
	bool rs485;
	struct shared *shared;
	struct bluez_found *air;
	unsigned at, n; /* the place to be asked next: address, framing, or of air */
	struct node *node;
	struct node_identity identity;
	bool over;
};

struct discover {
	struct update *u;
	update_discover_done done;
	void *ctx;
	sd_event_source *timer;
	uint64_t until_us;
	struct wire wires[WIRES_MAX];
	size_t n_wires;
	struct discovered *found;
	struct undiscovered skipped[WIRES_MAX];
	size_t n_found, n_skipped;
};

static void discover_free(struct discover *d)
{
	for (size_t i = 0; i < d->n_wires; i++) {
		node_free(d->wires[i].node);
		free(d->wires[i].device);
		free(d->wires[i].air);
	}
	for (size_t i = 0; i < d->n_found; i++)
		free((char *)d->found[i].device);
	free(d->found);
	sd_event_source_disable_unref(d->timer);
	free(d);
}

static void discover_end(struct discover *d, const struct error *e)
{
	const struct discovery result = {
		.found = d->found,
		.n_found = d->n_found,
		.skipped = d->skipped,
		.n_skipped = d->n_skipped,
		.n_wires = d->n_wires,
	};

	if (d->u->bluez)
		bluez_survey_stop(d->u->bluez);
	d->u->discover = NULL;
	d->done(d->ctx, e->reason ? NULL : &result, e);
	discover_free(d);
}

void discover_stop(struct update *u)
{
	struct error e = {0};

	if (!u->discover)
		return;
	error_set(&e, EF_REASON_CANCELLED, "edgeferryd ends");
	discover_end(u->discover, &e);
}

/* Places */

static bool same_device(const struct config_node *c, const struct wire *w, const char *device)
{
	return strcmp(c->link, w->ops->name) == 0 && strcasecmp(c->device, device) == 0;
}

/* The file that has the place, or NULL. */
static const char *covered(const struct wire *w, unsigned at)
{
	const struct config *c = w->d->u->env.config;
	const char *device = w->kind == WIRE_AIR ? w->air[at].address : w->device;

	for (size_t i = 0; i < c->n_nodes; i++) {
		const struct config_node *n = &c->nodes[i];
		bool named = w->kind == WIRE_AIR && strncmp(n->device, "name:", 5) == 0 &&
			     strcmp(n->device + 5, w->air[at].name) == 0;

		if ((same_device(n, w, device) || (named && strcmp(n->link, "ble") == 0)) &&
			(w->kind != WIRE_SHARED || n->address == at))
			return n->name;
	}
	return NULL;
}

/* A deployment sends something to a node by this wire. */
static bool at_work(const struct wire *w)
{
	const struct update *u = w->d->u;

	for (size_t i = 0; i < u->n_nodes; i++) {
		const struct node_state *ns = &u->nodes[i];

		if (ns->busy && ns->part != NO_PART &&
			((w->shared && ns->shared == w->shared) ||
				(w->kind == WIRE_AIR && strcmp(ns->config->link, "ble") == 0)))
			return true;
	}
	return false;
}

/* What it is called: by a node's file, or by a release that was looked at or is kept. */
static const char *name_of(const struct update *u, const struct node_identity *id)
{
	const struct config *c = u->env.config;
	uint8_t vendor[16], class_id[16];

	for (size_t i = 0; !id->plain && i < c->n_nodes; i++)
		if (compatible_uuids(c->nodes[i].compatible, vendor, class_id) &&
			memcmp(vendor, id->vendor, 16) == 0 &&
			memcmp(class_id, id->class_id, 16) == 0)
			return c->nodes[i].compatible;
	for (size_t k = 0; !id->plain && k < u->n_known; k++) {
		const struct manifest *m = u->known[k].manifest;

		for (size_t i = 0; m && i < m->n_components; i++)
			if (compatible_uuids(m->components[i].compatible, vendor, class_id) &&
				memcmp(vendor, id->vendor, 16) == 0 &&
				memcmp(class_id, id->class_id, 16) == 0)
				return m->components[i].compatible;
	}
	return NULL;
}

/* One wire */

static void wire_next(struct wire *w);

static void wire_over(struct wire *w, const struct error *e)
{
	struct discover *d = w->d;
	const struct error none = {0};

	if (w->over)
		return;
	w->over = true;
	node_free(TAKE_PTR(w->node));
	if (e)
		d->skipped[d->n_skipped++] = (struct undiscovered){
			.link = w->ops->name, .device = w->device, .error = *e};
	for (size_t i = 0; i < d->n_wires; i++)
		if (!d->wires[i].over)
			return;
	discover_end(d, &none);
}

static enum ef_reason add_found(struct wire *w, struct error *e)
{
	struct discover *d = w->d;
	struct discovered *all = reallocarray(d->found, d->n_found + 1, sizeof(*all)), *f;
	const struct bluez_found *seen = w->kind == WIRE_AIR ? &w->air[w->at] : NULL;

	if (!all)
		return error_set(e, EF_REASON_NO_MEMORY, "what was found");
	d->found = all;
	f = &all[d->n_found];
	*f = (struct discovered){
		.link = w->ops->name,
		.device = strdup(seen ? seen->address : w->device),
		.framing = w->kind == WIRE_ALONE ? (enum framing)w->at : FRAMING_COBS,
		.address = w->kind == WIRE_SHARED ? w->at : 0,
		.baud = w->baud,
		.rs485 = w->rs485,
		.compatible = name_of(d->u, &w->identity),
		.identity = w->identity,
	};
	if (!f->device)
		return error_set(e, EF_REASON_NO_MEMORY, "what was found");
	if (seen)
		snprintf(f->name, sizeof(f->name), "%s", seen->name);
	d->n_found++;
	return EF_REASON_OK;
}

static void asked(void *ctx, const struct error *e)
{
	struct wire *w = ctx;
	struct error own = *e;

	if (w->kind != WIRE_ALONE)
		node_free(TAKE_PTR(w->node));
	if (own.reason == EF_REASON_OK && add_found(w, &own) == EF_REASON_OK &&
		w->kind == WIRE_ALONE) {
		wire_over(w, NULL); /* whoever is there has answered */
		return;
	}
	w->at++;
	if (own.reason == EF_REASON_NO_MEMORY || (w->kind == WIRE_ALONE && w->at >= w->n))
		wire_over(w, &own);
	else
		wire_next(w);
}

static enum ef_reason new_stranger(struct wire *w, struct error *e)
{
	struct update *u = w->d->u;
	struct node_config nc = {
		.name = "stranger",
		.link = w->kind == WIRE_SHARED ? &link_shared : w->ops,
		.spec = {.device = w->kind == WIRE_AIR ? w->air[w->at].address : w->device,
			.baud = w->baud,
			.rs485 = w->rs485,
			.bluez = u->bluez,
			.shared = w->shared,
			.address = w->kind == WIRE_SHARED ? (uint8_t)w->at : 0},
	};

	return node_new(&w->node, u->env.event, &nc, e);
}

static enum ef_reason ask(struct wire *w, struct error *e)
{
	static const uint64_t patience[] = {
		[WIRE_SHARED] = LINE_US, [WIRE_ALONE] = ALONE_US, [WIRE_AIR] = AIR_ASK_US};
	int r;

	if (!w->node && new_stranger(w, e))
		return e->reason;
	if (w->kind == WIRE_ALONE)
		node_set_framing(w->node, (enum framing)w->at);
	r = node_discover(w->node, patience[w->kind], &w->identity, asked, w);
	return r < 0 ? error_errno(e, r, "%s", w->device) : EF_REASON_OK;
}

static void wire_next(struct wire *w)
{
	struct error e = {0};

	while (w->at < w->n && covered(w, w->at))
		w->at++;
	if (w->at >= w->n) {
		wire_over(w, NULL);
		return;
	}
	if (at_work(w))
		error_set(&e, EF_REASON_BUSY, "a deployment is at work on it");
	else if (now_monotonic_us() >= w->d->until_us)
		error_set(&e, EF_REASON_BUSY, "not all of it could be asked in the time there is");
	else
		ask(w, &e);
	if (e.reason)
		wire_over(w, &e);
}

static void on_air(void *ctx, const struct bluez_found *found, size_t n, const struct error *e)
{
	struct wire *w = ctx;
	struct error own = *e;

	w->air = calloc(n + 1, sizeof(*w->air));
	if (!w->air)
		error_set(&own, EF_REASON_NO_MEMORY, "who is in the air");
	if (own.reason) {
		wire_over(w, &own);
		return;
	}
	memcpy(w->air, found, n * sizeof(*found));
	w->n = (unsigned)n;
	wire_next(w);
}

/*
 * Whether the wire is there at all, and free. It is opened this one time, for all framings: an
 * opened port raises DTR, by which many boards are reset.
 */
static enum ef_reason open_alone(struct wire *w, struct error *e)
{
	if (w->kind == WIRE_ALONE && new_stranger(w, e) == EF_REASON_OK)
		node_open(w->node, e);
	return e->reason;
}

static void wire_start(struct wire *w)
{
	struct error e = {0};
	const char *name = w->kind == WIRE_ALONE ? covered(w, 0) : NULL;

	if (name)
		error_set(&e, EF_REASON_BUSY, "node %s has it", name);
	else if (w->kind == WIRE_AIR)
		bluez_survey(w->d->u->bluez, AIR_US, on_air, w, &e);
	else if (open_alone(w, &e) == EF_REASON_OK)
		wire_next(w);
	if (e.reason)
		wire_over(w, &e);
}

/* What there is to be asked */

static struct wire *add_wire(struct discover *d, enum wire_kind kind, const struct link_ops *ops,
	const char *device, struct error *e)
{
	struct wire *w = &d->wires[d->n_wires];

	if (d->n_wires == WIRES_MAX) {
		error_set(e, EF_REASON_USAGE, "more than %u wires", WIRES_MAX);
		return NULL;
	}
	*w = (struct wire){.d = d, .kind = kind, .ops = ops, .device = strdup(device)};
	if (!w->device) {
		error_set(e, EF_REASON_NO_MEMORY, "%s", device);
		return NULL;
	}
	d->n_wires++;
	return w;
}

static void add_lines(struct discover *d, struct error *e)
{
	for (size_t i = 0; i < d->u->n_nodes; i++) {
		const struct node_state *ns = &d->u->nodes[i];
		struct wire *w = ns->owns_shared
					 ? add_wire(d, WIRE_SHARED, link_find(ns->config->link),
						   ns->config->device, e)
					 : NULL;

		if (!w)
			continue;
		w->shared = ns->shared;
		w->baud = ns->config->baud;
		w->rs485 = ns->config->rs485;
		w->at = 1;
		w->n = EF_SHARED_ADDRESS_MAX + 1;
	}
}

static enum ef_reason add_air(struct discover *d, struct error *e)
{
	if (nodes_bluez(d->u, e) == EF_REASON_OK)
		add_wire(d, WIRE_AIR, &link_ble, "", e);
	return e->reason;
}

static bool parse_baud(const char *text, uint32_t *ret)
{
	unsigned long n = strtoul(text, NULL, 10);

	*ret = (uint32_t)n;
	return *text && !text[strspn(text, "0123456789")] && strlen(text) <= 8 && n >= 1200 &&
	       n <= 12000000;
}

/* "LINK:DEVICE[,BAUD]" */
static enum ef_reason add_device(struct discover *d, const char *text, struct error *e)
{
	char link[5], device[256];
	const char *colon = strchr(text, ':'), *comma = strrchr(text, ',');
	struct wire *w;
	uint32_t baud = BAUD;

	if (!colon || colon - text >= (long)sizeof(link) || strlen(colon) > sizeof(device))
		return error_set(e, EF_REASON_USAGE, "\"%.100s\" is not LINK:DEVICE", text);
	snprintf(link, sizeof(link), "%.*s", (int)(colon - text), text);
	snprintf(device, sizeof(device), "%s", colon + 1);
	if (strcmp(link, "ble") == 0 && !*device)
		return add_air(d, e);
	if (strcmp(link, "uart") != 0 && strcmp(link, "sim") != 0)
		return error_set(e, EF_REASON_USAGE,
			"\"%s\" cannot be asked: uart:DEVICE, sim:SOCKET, or ble: for the air",
			text);
	if (comma > colon && strcmp(link, "uart") == 0) {
		device[comma - colon - 1] = '\0';
		if (!parse_baud(comma + 1, &baud))
			return error_set(
				e, EF_REASON_USAGE, "%s: the rate is 1200 to 12000000", text);
	}
	if (*device != '/')
		return error_set(e, EF_REASON_USAGE, "%s: not the path of a device", text);
	w = add_wire(d, WIRE_ALONE, link_find(link), device, e);
	if (!w)
		return e->reason;
	w->baud = strcmp(link, "uart") == 0 ? baud : 0;
	w->n = FRAMING_RAW + 1;
	return EF_REASON_OK;
}

static int on_start(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct discover *d = userdata;
	struct update *u = d->u;

	/* the last one that is over frees it all */
	for (size_t i = 0; u->discover == d && i < d->n_wires; i++)
		wire_start(&d->wires[i]);
	return 0;
}

enum ef_reason update_discover(
	struct update *u, const char *device, update_discover_done done, void *ctx, struct error *e)
{
	struct discover *d;

	if (u->discover)
		return error_set(e, EF_REASON_BUSY, "the wires are being asked already");
	d = calloc(1, sizeof(*d));
	if (!d)
		return error_set(e, EF_REASON_NO_MEMORY, "asking the wires");
	*d = (struct discover){.u = u, .done = done, .ctx = ctx};
	d->until_us = now_monotonic_us() + TOTAL_US;
	if (*device)
		add_device(d, device, e);
	else
		add_lines(d, e);
	if (!*device && !e->reason && u->bluez)
		add_air(d, e);
	if (!e->reason && !d->n_wires)
		error_set(e, EF_REASON_NOT_FOUND,
			"no line is shared and no node is in the air: name a device to ask");
	if (!e->reason && sd_event_add_time_relative(
				  u->env.event, &d->timer, CLOCK_MONOTONIC, 0, 0, on_start, d) < 0)
		error_set(e, EF_REASON_NO_MEMORY, "asking the wires");
	if (e->reason) {
		discover_free(d);
		return e->reason;
	}
	u->discover = d;
	return EF_REASON_OK;
}
