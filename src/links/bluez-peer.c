/* SPDX-License-Identifier: Apache-2.0 */
/* One device: found, connected, its characteristic opened, and left again. */
#include "links/bluez-internal.h"
#include "util/cleanup.h"
#include "util/time-util.h"
#include "wire/ble.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define BY_NAME "name:"
#define RETRY_MAX_US (8 * USEC_PER_SEC)

static void find(struct bluez_peer *p);
static void left(struct bluez_peer *p);

void peer_arm(struct bluez_peer *p, uint64_t after_us)
{
	sd_event_source_set_time(p->timer, now_monotonic_us() + after_us);
	sd_event_source_set_enabled(p->timer, SD_EVENT_ONESHOT);
}

int peer_call(struct bluez_peer *p, const char *path, const char *interface, const char *method,
	sd_bus_message_handler_t reply, bool options)
{
	return bluez_call(
		p->b, &p->call, path, interface, method, reply, p, options ? "a{sv}" : NULL, 0);
}

/* The end of a connection, or of the way to one */

static void drop(struct bluez_peer *p)
{
	p->call = sd_bus_slot_unref(p->call);
	p->values = sd_bus_slot_unref(p->values);
	p->in = ef_close(p->in);
	p->characteristic[0] = '\0';
	p->resting = p->again = false;
}

static int on_left(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	left(userdata);
	return 0;
}

static void left(struct bluez_peer *p)
{
	bool again = p->again;

	drop(p);
	p->state = PEER_CLOSED;
	p->holds = false;
	sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	turns_look(p->b);
	if (again)
		find(p);
}

static void leave(struct bluez_peer *p)
{
	if (*p->path && peer_call(p, p->path, BLUEZ_DEVICE, "Disconnect", on_left, false) >= 0) {
		p->state = PEER_LEAVING;
		peer_arm(p, p->b->timing.call_us);
	} else {
		left(p);
	}
}

static void close_peer(struct bluez_peer *p)
{
	bool touched = p->state >= PEER_CONNECTING && p->state != PEER_LEAVING;

	drop(p);
	p->state = PEER_CLOSED;
	sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	if (touched)
		leave(p);
	else
		p->holds = false;
	bluez_discover(p->b);
	turns_look(p->b);
}

/* A node that resets, or is out of reach for a moment, comes back to its turn. */
static void keep_turn(struct bluez_peer *p)
{
	drop(p);
	p->state = PEER_CLOSED;
	peer_arm(p, p->b->timing.grace_us);
}

void peer_lose(struct bluez_peer *p, enum ef_reason reason, const char *format, ...)
{
	struct bluez_events events = p->events;
	struct error e = {0};
	char text[200];
	va_list ap;

	if (p->state == PEER_CLOSED || (p->state == PEER_LEAVING && !p->again)) {
		if (!*p->path) /* nothing is left to wait for */
			left(p);
		return;
	}
	va_start(ap, format);
	vsnprintf(text, sizeof text, format, ap);
	va_end(ap);
	error_set(&e, reason, "%s: %s", p->device, text);
	if (p->state == PEER_LEAVING)
		p->again = false;
	else
		close_peer(p);
	events.lost(events.ctx, &e);
}

/* Whether another try may help is not known; the time for all of them is bounded. */
void peer_try_again(struct bluez_peer *p, const char *why)
{
	uint64_t now = now_monotonic_us();

	if (now + p->pause_us >= p->until_us) {
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "%s", why);
		return;
	}
	p->call = sd_bus_slot_unref(p->call);
	p->values = sd_bus_slot_unref(p->values);
	p->in = ef_close(p->in);
	p->state = PEER_PAUSING;
	peer_arm(p, p->pause_us);
	if (p->pause_us < RETRY_MAX_US)
		p->pause_us *= 2;
}

/* The connection */

static int on_connected(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bluez_peer *p = userdata;
	char text[160];

	p->call = sd_bus_slot_unref(p->call);
	if (sd_bus_message_get_error(reply) &&
		!bluez_is_error(reply, "org.bluez.Error.AlreadyConnected")) {
		snprintf(text, sizeof text, "connecting fails: %s", bluez_error_text(reply));
		peer_try_again(p, text);
		return 0;
	}
	p->connected = true;
	p->state = PEER_RESOLVING;
	peer_arm(p, p->b->timing.resolve_us);
	if (p->resolved)
		peer_search(p);
	return 0;
}

static void connect_now(struct bluez_peer *p)
{
	uint64_t now = now_monotonic_us(), left_us = p->until_us > now ? p->until_us - now : 0;

	p->state = PEER_CONNECTING;
	peer_arm(p, left_us < p->b->timing.connect_us ? left_us : p->b->timing.connect_us);
	if (peer_call(p, p->path, BLUEZ_DEVICE, "Connect", on_connected, false) < 0)
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "no BlueZ");
}

void peer_connect(struct bluez_peer *p)
{
	p->until_us = now_monotonic_us() + p->b->timing.attempt_us;
	p->pause_us = p->b->timing.retry_us;
	connect_now(p);
}

/* The device */

static void find(struct bluez_peer *p)
{
	p->state = PEER_FINDING;
	p->until_us = now_monotonic_us() + p->b->timing.find_us;
	peer_arm(p, 0);
}

void peer_look(struct bluez_peer *p)
{
	struct bluez *b = p->b;
	struct error e = {0};

	if (p->state != PEER_FINDING)
		return;
	if (bluez_connect(b, &e) || (!b->listed && bluez_list(b, &e))) {
		peer_lose(p, e.reason, "%s", e.detail);
	} else if (!b->listed) {
		return;
	} else if (b->unlisted.reason) {
		peer_lose(p, b->unlisted.reason, "%s", b->unlisted.detail);
	} else if (p->spoilt) {
		p->spoilt = b->listed = false; /* looked at anew next time */
		p->path[0] = '\0';
		peer_lose(p, EF_REASON_CONFIG, "two devices have this name: give the address");
	} else if (*p->path) {
		p->state = PEER_WAITING;
		sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
		bluez_discover(b);
		if (p->holds)
			peer_connect(p);
		else
			turns_look(b);
	} else {
		bluez_discover(b);
	}
}

void peer_seen(struct bluez_peer *p, const char *path, const struct bluez_facts *f)
{
	bool by_name = strncmp(p->device, BY_NAME, strlen(BY_NAME)) == 0;
	char address[18];

	if (!bluez_address(path, address) ||
		(by_name ? !f->name || strcmp(f->name, p->device + strlen(BY_NAME)) != 0
			 : strcasecmp(address, p->device) != 0))
		return;
	if (*p->path && strcmp(p->path, path) != 0) {
		p->spoilt = true;
		return;
	}
	snprintf(p->path, sizeof p->path, "%s", path);
	memcpy(p->sight.address, address, sizeof address);
	if (f->signal)
		p->sight.signal = f->signal;
	if (f->resolved >= 0)
		p->resolved = f->resolved;
	if (f->connected >= 0)
		p->connected = f->connected;
}

static void disconnected(struct bluez_peer *p)
{
	struct bluez_events events = p->events;
	struct error e = {0};

	error_set(&e, EF_REASON_NODE_UNREACHABLE, "%s: disconnected", p->device);
	keep_turn(p);
	events.lost(events.ctx, &e);
}

void peer_changed(struct bluez_peer *p, const struct bluez_facts *f)
{
	if (f->signal)
		p->sight.signal = f->signal;
	if (f->resolved >= 0)
		p->resolved = f->resolved;
	if (f->connected >= 0)
		p->connected = f->connected;
	if (f->connected == 0 && p->state == PEER_UP)
		disconnected(p);
	else if (f->connected == 0 && p->state > PEER_PAUSING && p->state < PEER_UP)
		peer_try_again(p, "it disconnects before its services are known");
	else if (p->state == PEER_RESOLVING && p->resolved)
		peer_search(p);
}

void peer_forget(struct bluez_peer *p)
{
	p->path[0] = '\0';
	p->connected = p->resolved = p->spoilt = p->had_service = false;
}

void peer_gone(struct bluez_peer *p)
{
	bool before = p->state > PEER_FINDING && p->state < PEER_RESOLVING;

	peer_forget(p);
	if (before) {
		p->call = sd_bus_slot_unref(p->call);
		find(p);
	} else {
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "BlueZ has forgotten it");
	}
}

void peer_vanished(struct bluez_peer *p)
{
	peer_lose(p, EF_REASON_NODE_UNREACHABLE, "its SMP service has vanished");
}

/* What the time of each state means when it is up. */
static const char *const late[] = {
	[PEER_FINDING] = "not seen: is it powered, in range, and does it advertise?",
	[PEER_CONNECTING] = "it does not answer when it is connected to",
	[PEER_RESOLVING] = "connected, but its services do not become known",
	[PEER_SEARCHING] = "BlueZ does not answer",
	[PEER_NOTIFYING] = "connected, but its notifications cannot be turned on",
	[PEER_WRITING] = "BlueZ does not answer",
	[PEER_UP] = "at rest",
};

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct bluez_peer *p = userdata;
	uint64_t now = now_monotonic_us();

	if (p->state == PEER_CLOSED && p->connected) {
		leave(p);
	} else if (p->state == PEER_CLOSED || p->state == PEER_LEAVING) {
		left(p);
	} else if (p->state == PEER_PAUSING) {
		connect_now(p);
	} else if (p->state == PEER_FINDING && now < p->until_us) {
		peer_arm(p, p->until_us - now);
		peer_look(p);
	} else if (p->state != PEER_WAITING) {
		peer_lose(p, EF_REASON_NODE_UNREACHABLE, "%s", late[p->state]);
	}
	return 0;
}

/* For the link */

static struct bluez_peer *peer_of(struct bluez *b, const char *device)
{
	struct bluez_peer *p = b->peers;

	while (p && strcasecmp(p->device, device) != 0)
		p = p->next;
	if (p)
		return p;
	p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->b = b;
	p->in = -1;
	p->device = strdup(device);
	if (!p->device ||
		sd_event_add_time(b->event, &p->timer, CLOCK_MONOTONIC, 0, 1000, on_timer, p) < 0) {
		peer_free(p);
		return NULL;
	}
	sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	p->next = b->peers;
	b->peers = p;
	b->listed = false; /* what was listed before was not looked at for it */
	return p;
}

enum ef_reason bluez_peer_open(struct bluez_peer **ret, struct bluez *b, const char *device,
	const struct bluez_events *events, struct error *e)
{
	struct bluez_peer *p = peer_of(b, device);

	if (!p)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", device);
	if (p->again || (p->state != PEER_CLOSED && p->state != PEER_LEAVING))
		return error_set(e, EF_REASON_BUSY, "%s: open already", device);
	p->events = *events;
	p->ticket = b->tickets++;
	if (p->state == PEER_LEAVING)
		p->again = true;
	else
		find(p);
	*ret = p;
	return EF_REASON_OK;
}

void bluez_peer_rest(struct bluez_peer *p, bool rest)
{
	if (p->state != PEER_UP || p->resting == rest)
		return;
	p->resting = rest;
	if (rest) {
		peer_arm(p, p->b->timing.rest_us);
		turns_look(p->b);
	} else {
		sd_event_source_set_enabled(p->timer, SD_EVENT_OFF);
	}
}

void bluez_peer_close(struct bluez_peer *p)
{
	if (p->state == PEER_LEAVING)
		p->again = false;
	else if (p->state != PEER_CLOSED)
		close_peer(p);
}

void bluez_peer_cut(struct bluez_peer *p)
{
	if (p->state == PEER_UP)
		keep_turn(p);
	else
		bluez_peer_close(p);
}

void bluez_look(struct bluez *b, const char *device, struct bluez_sight *ret)
{
	*ret = (struct bluez_sight){0};
	for (const struct bluez_peer *p = b->peers; p; p = p->next)
		if (strcasecmp(p->device, device) == 0)
			*ret = p->sight;
}

void peer_free(struct bluez_peer *p)
{
	sd_event_source_disable_unref(p->timer);
	sd_bus_slot_unref(p->call);
	sd_bus_slot_unref(p->values);
	ef_close(p->in);
	free(p->device);
	free(p);
}
