/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/bus.h"
#include "bus/bus-internal.h"
#include "bus/documents.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/log.h"
#include <ctype.h>
#include <errno.h>
#include <string.h>

#define RETRY_US 5000000u

int reply_json(sd_bus_message *m, json_t *document)
{
	_cleanup_json_ json_t *own = document;
	_cleanup_free_ char *text = own ? json_dumps(own, JSON_COMPACT) : NULL;

	return text ? sd_bus_reply_method_return(m, "s", text) : -ENOMEM;
}

/* "bad-signature" → "io.github.edgeferry1.Error.BadSignature" */
static void error_name(enum ef_reason reason, char *out, size_t size)
{
	size_t n = (size_t)snprintf(out, size, BUS_NAME ".Error.");
	bool upper = true;

	for (const char *p = reason_word(reason); *p && n + 1 < size; p++) {
		if (*p == '-') {
			upper = true;
			continue;
		}
		out[n++] = (char)(upper ? toupper((unsigned char)*p) : *p);
		upper = false;
	}
	out[n] = '\0';
}

int reply_error(sd_bus_message *m, const struct error *e)
{
	char name[96];
	const char *hint = reason_hint(e->reason);

	error_name(e->reason, name, sizeof name);
	return sd_bus_reply_method_errorf(m, name, "%s%s%s%s%s%s", reason_text(e->reason),
		*e->detail ? ": " : "", e->detail, *hint ? " (" : "", hint, *hint ? ")" : "");
}

static int try_connect(struct bus *b);

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct bus *b = userdata;

	b->retry = sd_event_source_disable_unref(b->retry);
	try_connect(b);
	return 0;
}

static void retry_later(struct bus *b)
{
	b->bus = sd_bus_flush_close_unref(b->bus);
	if (!b->retry)
		sd_event_add_time_relative(
			b->event, &b->retry, CLOCK_MONOTONIC, RETRY_US, 0, on_retry, b);
}

/* Deferred: the connection must not be freed from inside its own callback. */
static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus *b = userdata;

	log_warning("the D-Bus connection ended; trying again every 5 s");
	if (!b->retry)
		sd_event_add_time_relative(
			b->event, &b->retry, CLOCK_MONOTONIC, RETRY_US, 0, on_retry, b);
	return 0;
}

static int open_bus(struct bus *b)
{
	int r;

	if (!b->address)
		return sd_bus_open_system(&b->bus);
	r = sd_bus_new(&b->bus);
	if (r >= 0)
		r = sd_bus_set_address(b->bus, b->address);
	if (r >= 0)
		r = sd_bus_set_bus_client(b->bus, 1);
	if (r >= 0)
		r = sd_bus_negotiate_fds(b->bus, 1);
	return r < 0 ? r : sd_bus_start(b->bus);
}

static int try_connect(struct bus *b)
{
	int r;

	b->bus = sd_bus_close_unref(b->bus);
	r = open_bus(b);
	if (r >= 0)
		r = sd_bus_attach_event(b->bus, b->event, SD_EVENT_PRIORITY_NORMAL);
	if (r >= 0)
		r = gate_open(b);
	if (r >= 0)
		r = objects_export(b);
	if (r >= 0)
		r = sd_bus_match_signal_async(b->bus, NULL, "org.freedesktop.DBus.Local",
			"/org/freedesktop/DBus/Local", "org.freedesktop.DBus.Local", "Disconnected",
			on_disconnected, NULL, b);
	if (r >= 0)
		r = sd_bus_request_name(b->bus, BUS_NAME, 0);
	if (r < 0) {
		log_warning("no D-Bus yet (%s); trying again in 5 s", strerror(-r));
		retry_later(b);
	}
	return r;
}

enum ef_reason bus_new(struct bus **ret, sd_event *event, const char *address,
	const struct config *config, struct update *update, struct error *e)
{
	struct bus *b = calloc(1, sizeof *b);

	if (!b || (address && !(b->address = strdup(address)))) {
		free(b);
		return error_set(e, EF_REASON_NO_MEMORY, "bus");
	}
	b->event = sd_event_ref(event);
	b->config = config;
	b->update = update;
	if (try_connect(b) == -EEXIST) { /* F-21: with a state of its own, on the same machine */
		bus_free(b);
		return error_set(
			e, EF_REASON_BUSY, "another edgeferryd is on the bus as " BUS_NAME);
	}
	*ret = b;
	return EF_REASON_OK;
}

void bus_free(struct bus *b)
{
	if (!b)
		return;
	sd_event_source_disable_unref(b->retry);
	sd_bus_flush_close_unref(b->bus);
	sd_event_unref(b->event);
	free(b->address);
	free(b);
}

void bus_on_reload(struct bus *b, bus_reload reload, void *ctx)
{
	b->reload = reload;
	b->reload_ctx = ctx;
}

void bus_set_broker(struct bus *b, bool connected)
{
	b->broker_connected = connected;
}

void bus_set_key(struct bus *b, const struct error *fault)
{
	b->key_fault = *fault;
}

void bus_deployment_changed(struct bus *b, const struct deployment *d)
{
	_cleanup_free_ char *path = object_path(OBJECT_DEPLOYMENT, d->id, b->config);

	if (!b->bus || !path)
		return;
	sd_bus_emit_properties_changed(
		b->bus, path, BUS_NAME ".Deployment", "Release", "State", "Reason", "Detail", NULL);
	sd_bus_emit_properties_changed(
		b->bus, BUS_PATH, BUS_NAME ".Manager", "State", "Release", "Deployment", NULL);
}

void bus_progress(struct bus *b, const struct deployment *d, const struct part *p)
{
	_cleanup_free_ char *path = object_path(OBJECT_DEPLOYMENT, d->id, b->config);

	if (b->bus && path)
		sd_bus_emit_signal(b->bus, path, BUS_NAME ".Deployment", "Progress", "sstt",
			p->component->name, p->phase ? p->phase : "", p->done, p->total);
}

void bus_event(struct bus *b, const struct event *ev)
{
	_cleanup_json_ json_t *o = document_event(ev);
	_cleanup_free_ char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	if (b->bus && text)
		sd_bus_emit_signal(b->bus, BUS_PATH, BUS_NAME ".Manager", "Event", "s", text);
}

void bus_node_changed(struct bus *b, size_t node)
{
	_cleanup_free_ char *path = object_path(OBJECT_NODE, node, b->config);

	if (b->bus && path)
		sd_bus_emit_properties_changed(b->bus, path, BUS_NAME ".Node", "Present", "Running",
			"Reason", "Detail", NULL);
}

void bus_slots_changed(struct bus *b)
{
	for (int i = SLOT_A; b->bus && i <= SLOT_B; i++) {
		_cleanup_free_ char *path = object_path(OBJECT_SLOT, i, b->config);

		if (path)
			sd_bus_emit_properties_changed(
				b->bus, path, BUS_NAME ".Slot", "Running", "Primary", NULL);
	}
}
