/* SPDX-License-Identifier: Apache-2.0 */
/* Who the nodes are, asked again and again; and one operation at a time on each. */
#include "bundle/objects.h"
#include "links/shared.h"
#include "update/internal.h"
#include "wire/crc.h"
#include <string.h>
#include <sys/random.h>

#define POLL_IDLE_US (30 * USEC_PER_SEC)
/* One that has been the same for so long, and more, is asked as seldom. */
#define POLL_CALM_MAX_US (300 * USEC_PER_SEC)
/* In the air a look costs a connection and a session, of both battery and flash. */
#define POLL_AIR_US (300 * USEC_PER_SEC)
#define POLL_TRIAL_US (1 * USEC_PER_SEC)
#define POLL_SHARED_TRIAL_US (5 * USEC_PER_SEC)
#define POLL_ABSENT_US (2 * USEC_PER_SEC) /* doubles */
#define POLL_ABSENT_MAX_US (60 * USEC_PER_SEC)
#define POLL_SHARED_MAX_US (300 * USEC_PER_SEC) /* the others wait for its time-out */

static void poll_start(struct node_state *ns);

static bool watched(const struct update *u)
{
	if (!u->current)
		return false;
	enum deployment_state s = u->current->state;
	return s == DEPLOYMENT_ACTIVATING || s == DEPLOYMENT_TRIAL || s == DEPLOYMENT_CONFIRMING ||
	       s == DEPLOYMENT_REVERTING;
}

/* From 0.8 to 1.2 times t, so that nodes are not all asked at once. */
static uint64_t drawn(uint64_t t)
{
	uint16_t r;

	/* No entropy yet at first boot: the middle of the range will do (F-39). */
	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = UINT16_MAX / 2;
	return t / 5 * 4 + t * 2 / 5 * r / UINT16_MAX;
}

/*
 * Alone on a wire, it is left in peace for as long as it has been the same. On a shared one it is
 * asked to keep its lease; in the air each look is dear from the beginning.
 */
static bool calm(const struct node_state *ns)
{
	return ns->present && !watched(ns->u) && !ns->shared &&
	       !link_find(ns->config->link)->connects;
}

static uint64_t calm_wait(const struct node_state *ns)
{
	uint64_t same = now_monotonic_us() - ns->changed_us;

	return same < POLL_IDLE_US	 ? POLL_IDLE_US
	       : same < POLL_CALM_MAX_US ? same
					 : POLL_CALM_MAX_US;
}

static uint64_t poll_wait(const struct node_state *ns)
{
	uint64_t most = ns->shared ? POLL_SHARED_MAX_US : POLL_ABSENT_MAX_US, t;
	unsigned doublings = ns->misses > 0 ? ns->misses - 1 : 0;

	if (watched(ns->u) && (ns->present || !ns->shared))
		return ns->shared ? POLL_SHARED_TRIAL_US : POLL_TRIAL_US;
	if (ns->present)
		return drawn(link_find(ns->config->link)->connects ? POLL_AIR_US : POLL_IDLE_US);
	t = POLL_ABSENT_US << (doublings < 8 ? doublings : 8);
	return drawn(t < most ? t : most);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	poll_start(userdata);
	return 0;
}

static void poll_arm_within(struct node_state *ns, uint64_t after_us, uint64_t within_us)
{
	uint64_t at = now_monotonic_us() + after_us;

	if (!ns->timer)
		sd_event_add_time(
			ns->u->env.event, &ns->timer, CLOCK_MONOTONIC, at, within_us, on_timer, ns);
	sd_event_source_set_time(ns->timer, at);
	sd_event_source_set_time_accuracy(ns->timer, within_us);
	sd_event_source_set_enabled(ns->timer, SD_EVENT_ONESHOT);
}

static void poll_arm(struct node_state *ns, uint64_t after_us)
{
	node_set_calm(ns->node, false);
	poll_arm_within(ns, after_us, 10000);
}

/* Not drawn: the loop finds a moment for all that are calm, and the machine wakes up once. */
static void poll_arm_next(struct node_state *ns)
{
	uint64_t t = calm_wait(ns);

	if (!calm(ns)) {
		poll_arm(ns, poll_wait(ns));
		return;
	}
	node_set_calm(ns->node, true);
	poll_arm_within(ns, t / 5 * 4, t / 5 * 2);
}

/* Whether a node that answers is the one that it was: what it says of its day is not that. */
static bool same_node(const struct node_state *ns)
{
	struct node_identity was = ns->identity, is = ns->incoming;

	was.battery = is.battery;
	memcpy(was.info, is.info, sizeof(was.info));
	return ns->present && node_identity_same(&was, &is);
}

static void poll_done(void *ctx, const struct error *e)
{
	struct node_state *ns = ctx;
	struct update *u = ns->u;

	ns->busy = false;
	if (node_key_start(ns)) {
		ns->again = false;
		return;
	}
	ns->asked_us = ns->asking_us;
	bool was = ns->present;
	enum ef_reason reason = ns->last.reason;
	bool same = node_identity_same(&ns->identity, &ns->incoming);
	if (e->reason != EF_REASON_OK || !same_node(ns))
		ns->changed_us = now_monotonic_us();
	ns->present = e->reason == EF_REASON_OK;
	ns->last = *e;
	if (ns->present) {
		ns->identity = ns->incoming;
		plan_admit_identity(ns->config, &ns->identity, &ns->last);
		ns->last_seen = update_stamp(u);
		ns->misses = 0;
	} else {
		ns->misses++;
	}
	if (ns->again)
		poll_arm(ns, 0);
	else
		poll_arm_next(ns);
	ns->again = false;
	if ((was != ns->present || reason != ns->last.reason || (ns->present && !same)) &&
		u->env.observer.node_changed)
		u->env.observer.node_changed(u->env.observer.ctx, ns->index);
	update_kick(u);
}

static void poll_start(struct node_state *ns)
{
	if (ns->busy) {
		ns->again = true; /* what ends now was asked too early */
		return;
	}
	ns->busy = true;
	ns->part = NO_PART;
	ns->asking_us = now_monotonic_us();
	memset(&ns->incoming, 0, sizeof(ns->incoming));
	int r = node_identify(ns->node, &ns->incoming, poll_done, ns);
	if (r < 0) {
		struct error e = {0};
		error_errno(&e, r, "node %s", ns->config->name);
		poll_done(ns, &e);
	}
}

static void poll_soon(void *ctx)
{
	struct node_state *ns = ctx;

	if (ns->busy)
		ns->again = true;
	else
		poll_arm(ns, 0);
}

void nodes_poll(struct update *u)
{
	for (size_t i = 0; i < u->n_nodes; i++)
		poll_soon(&u->nodes[i]);
}

struct node_state *nodes_find(struct update *u, const char *name)
{
	for (size_t i = 0; i < u->n_nodes; i++)
		if (strcmp(u->nodes[i].config->name, name) == 0)
			return &u->nodes[i];
	return NULL;
}

bool nodes_fresh(const struct node_state *ns, uint64_t since_us)
{
	return ns->asked_us >= since_us && ns->asked_us > 0;
}

bool nodes_settled(const struct update *u)
{
	for (size_t i = 0; i < u->n_nodes; i++)
		if (u->nodes[i].busy || u->nodes[i].asked_us < u->nodes[i].ended_us)
			return false;
	return true;
}

bool nodes_runs(const struct node_state *ns, const uint8_t hash[32])
{
	const struct node_slot *running = plan_running(&ns->identity);

	return running && memcmp(running->hash, hash, 32) == 0;
}

bool nodes_claim(struct node_state *ns, size_t part, node_part_done done)
{
	if (ns->busy)
		return false;
	node_set_calm(ns->node, false);
	ns->busy = true;
	ns->part = part;
	ns->done = done;
	return true;
}

static void image_put(struct node_state *ns)
{
	struct image_share *s = TAKE_PTR(ns->image);

	if (!s || --s->users)
		return;
	free(s->data);
	free(s);
}

enum ef_reason nodes_image(struct node_state *ns, const struct object *o, struct error *e)
{
	struct update *u = ns->u;
	struct image_share *s = NULL;

	for (size_t i = 0; i < u->n_nodes && !s; i++)
		if (u->nodes[i].image && memcmp(u->nodes[i].image->sha256, o->sha256, 32) == 0)
			s = u->nodes[i].image;
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return error_set(e, EF_REASON_NO_MEMORY, "an image");
		if (object_get(u->objects_fd, o->sha256, o->size, &s->data, e)) {
			free(s);
			return e->reason;
		}
		memcpy(s->sha256, o->sha256, 32);
	}
	s->users++;
	ns->image = s;
	return EF_REASON_OK;
}

static void released(struct node_state *ns)
{
	ns->busy = false;
	ns->part = NO_PART;
	ns->done = NULL;
	image_put(ns);
	patch_put(ns);
}

void nodes_release(struct node_state *ns)
{
	released(ns);
	ns->ended_us = ns->changed_us = now_monotonic_us();
	ns->again = false;
	poll_arm(ns, 0); /* whatever it was, the node is another one now */
	update_kick(ns->u);
}

void nodes_done(void *ctx, const struct error *e)
{
	struct node_state *ns = ctx;
	size_t part = ns->part;
	node_part_done done = ns->done;
	struct error copy = *e;

	nodes_release(ns);
	if (done)
		done(ns->u, ns, part, &copy);
}

void nodes_started(struct node_state *ns, int r)
{
	struct error e = {0};

	if (r >= 0)
		return;
	error_errno(&e, r, "node %s", ns->config->name);
	nodes_done(ns, &e);
}

void nodes_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct node_state *ns = ctx;
	struct update *u = ns->u;

	if (ns->part == NO_PART || !u->current || ns->part >= u->current->n_parts)
		return;
	part_progress(u, ns->part, "uploading", done, total);
}

/* The deployment has gone on: what still runs for it ends, and nobody is told. */
void nodes_orphan(struct update *u)
{
	for (size_t i = 0; i < u->n_nodes; i++) {
		struct node_state *ns = &u->nodes[i];
		if (ns->part == NO_PART)
			continue;
		ns->done = NULL;
		ns->part = NO_PART;
		if (ns->busy)
			node_cancel(ns->node);
	}
}

/* The line of a node with an address: that of an earlier one on the same device, or a new one. */
static enum ef_reason share_line(struct update *u, struct node_state *ns,
	const struct link_ops *ops, const struct link_spec *spec, struct error *e)
{
	const char *id = u->env.config->id;

	for (struct node_state *other = ns - ns->index; other < ns; other++)
		if (other->shared && strcmp(other->config->device, spec->device) == 0) {
			ns->shared = other->shared;
			ns->spread = other->spread;
			return EF_REASON_OK;
		}
	ns->owns_shared = true;
	if (shared_new(&ns->shared, u->env.event, ops, spec, crc16_xmodem(0, id, strlen(id)), e))
		return e->reason;
	return spread_new(&ns->spread, u->env.event, ns->shared, spec->baud, e);
}

static enum ef_reason open_one(struct update *u, struct node_state *ns, struct error *e)
{
	static const enum node_entry entry[] = {[ENTRY_AGENT] = NODE_ENTRY_AGENT,
		[ENTRY_SMP] = NODE_ENTRY_SMP,
		[ENTRY_LINES] = NODE_ENTRY_LINES};
	static const enum framing framings[] = {[CONFIG_COBS] = FRAMING_COBS,
		[CONFIG_CONSOLE] = FRAMING_CONSOLE,
		[CONFIG_RAW] = FRAMING_RAW};
	const struct config_node *c = ns->config;
	struct node_config nc = {
		.name = c->name,
		.link = link_find(c->link),
		.framing = framings[c->framing],
		.spec = {.bluez = u->bluez,
			.device = c->device,
			.baud = strcmp(c->link, "spi") == 0 ? c->clock : c->baud,
			.rs485 = c->rs485,
			.ready = c->ready},
		.baud_max = c->baud_max,
		.entry = entry[c->entry],
		.lines = {c->reset_line, c->boot_line, c->reset_us, c->boot_us},
		/* in the clear only where the administrator says so */
		.key = c->security == SECURITY_SESSION ? c->key : NULL,
		.compatible = c->compatible,
		.hung_up = poll_soon,
		.ctx = ns,
	};

	if (!nc.link)
		return error_set(e, EF_REASON_CONFIG, "node %s: no link \"%s\"", c->name, c->link);
	if (c->security != SECURITY_NONE && !c->key)
		return error_set(e, EF_REASON_CONFIG, "node %s: a session without Key=", c->name);
	if (c->address) {
		if (share_line(u, ns, nc.link, &nc.spec, e))
			return e->reason;
		nc.link = &link_shared;
		nc.spread = ns->spread;
		nc.owner = u->env.config->id;
		nc.epoch = (uint32_t)update_stamp(u);
		nc.spec.shared = ns->shared;
		nc.spec.address = (uint8_t)c->address;
	}
	return node_new(&ns->node, u->env.event, &nc, e);
}

static enum ef_reason open_bluez(struct update *u, const struct config *c, struct error *e)
{
	const struct bluez_config bc = {
		.bus = u->env.bus_address, .adapter = c->adapter, .connections = c->connections};

	return u->bluez ? EF_REASON_OK : bluez_new(&u->bluez, u->env.event, &bc, e);
}

enum ef_reason nodes_bluez(struct update *u, struct error *e)
{
	return open_bluez(u, u->env.config, e);
}

bool update_node_sight(const struct update *u, size_t node, struct bluez_sight *ret)
{
	const struct config_node *c = u->nodes[node].config;

	if (!u->bluez || strcmp(c->link, "ble") != 0)
		return false;
	bluez_look(u->bluez, c->device, ret);
	return true;
}

static void close_list(struct node_state *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		sd_event_source_disable_unref(list[i].timer);
		node_free(list[i].node);
		node_key_forget(&list[i]);
		image_put(&list[i]);
		patch_put(&list[i]);
	}
	for (size_t i = 0; i < n; i++)
		if (list[i].owns_shared) {
			spread_free(list[i].spread);
			shared_free(list[i].shared);
		}
	free(list);
}

/* In place of u->nodes, which stay as they are when it fails. */
static enum ef_reason open_list(struct update *u, const struct config *c, struct error *e)
{
	struct node_state *list = calloc(c->n_nodes + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return error_set(e, EF_REASON_NO_MEMORY, "nodes");
	for (; n < c->n_nodes && !e->reason; n++) {
		struct node_state *ns = &list[n];
		*ns = (struct node_state){
			.u = u, .index = n, .config = &c->nodes[n], .part = NO_PART};
		error_set(&ns->last, EF_REASON_NODE_UNREACHABLE, "not asked yet");
		/* one for all nodes in the air; without one of them there is none */
		if (strcmp(ns->config->link, "ble") != 0 || open_bluez(u, c, e) == EF_REASON_OK)
			open_one(u, ns, e);
	}
	if (e->reason) {
		close_list(list, n);
		return e->reason;
	}
	u->nodes = list;
	u->n_nodes = n;
	return EF_REASON_OK;
}

enum ef_reason nodes_open(struct update *u, struct error *e)
{
	return open_list(u, u->env.config, e);
}

/* What is known of a node that is wired as before does not have to be asked first. */
static void carry_over(struct node_state *ns, const struct node_state *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (config_same_wiring(ns->config, list[i].config)) {
			ns->identity = list[i].identity;
			ns->present = list[i].present;
			ns->last_seen = list[i].last_seen;
			ns->last = list[i].last;
			ns->asked_us = list[i].asked_us;
		}
}

enum ef_reason nodes_reopen(struct update *u, const struct config *c, struct error *e)
{
	struct node_state *list = u->nodes;
	size_t n = u->n_nodes;
	struct bluez *bluez = TAKE_PTR(u->bluez);

	if (open_list(u, c, e)) {
		bluez_free(u->bluez);
		u->bluez = bluez;
		return e->reason;
	}
	for (size_t i = 0; i < u->n_nodes; i++)
		carry_over(&u->nodes[i], list, n);
	close_list(list, n);
	bluez_free(bluez);
	nodes_poll(u);
	return EF_REASON_OK;
}

void nodes_close(struct update *u)
{
	close_list(TAKE_PTR(u->nodes), u->n_nodes);
	u->n_nodes = 0;
	bluez_free(TAKE_PTR(u->bluez));
}
