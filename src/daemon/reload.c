/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/time-util.h"
#include <signal.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define LATER_US (2 * USEC_PER_SEC)

DEFINE_CLEANUP(struct config *, config_free)

/* Into text, so that one line says it: "Product= and Id= of …" would need each one's section. */
static void list_at_start(const struct config_change *x, char *text, size_t size)
{
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < x->n_at_start && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s[%s] %s=", i ? ", " : "",
			x->at_start[i].section, x->at_start[i].key);
}

static int on_later(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;
	struct config_change ignored;
	struct error e = {0};

	if (!update_nodes_idle(d->update)) {
		sd_event_source_set_time_relative(s, LATER_US);
		sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
		return 0;
	}
	d->later = sd_event_source_disable_unref(d->later);
	reload(d, &ignored, &e);
	return 0;
}

static void nodes_later(struct daemon *d)
{
	if (d->later)
		return;
	if (sd_event_add_time_relative(
		    d->event, &d->later, CLOCK_MONOTONIC, LATER_US, 0, on_later, d) < 0)
		log_error("nodes' files are not taken by themselves: out of memory");
}

static void refused(struct daemon *d, const struct error *e)
{
	update_note_reload(d->update, e);
	sd_notifyf(0, "READY=1\nSTATUS=Configuration kept as it was: %s", e->detail);
}

/* With what is left for later. */
static void taken(struct daemon *d, const struct config_change *x, bool wait)
{
	struct error note = {0};
	char keys[400];

	list_at_start(x, keys, sizeof(keys));
	snprintf(note.detail, sizeof(note.detail), "%s%s%s", wait ? "nodes later" : "",
		wait && *keys ? "; " : "", keys);
	if (x->n_at_start)
		snprintf(note.detail + strlen(note.detail),
			sizeof(note.detail) - strlen(note.detail), " at the next start");
	update_note_reload(d->update, &note);
	sd_notify(0, "READY=1");
	status_line(d, update_current(d->update));
}

static enum ef_reason take(
	struct daemon *d, struct config *next, struct config_change *x, bool *wait, struct error *e)
{
	config_compare(d->config, next, x);
	*wait = x->nodes && !update_nodes_idle(d->update);
	if (x->nodes && !*wait && update_nodes_take(d->update, next, e))
		return e->reason;
	config_take(d->config, next, x->nodes && !*wait);
	if ((x->net || d->config->cert || d->config->mqtt_cert) &&
		d->net) /* they are renewed in their files */
		net_client_renew(d->net);
	else if (net_start(d, e))
		log_error("%s",
			e->detail); /* no child, no descriptor: looked for at the next reload */
	error_clear(e);
	update_reconfigured(d->update, d->net, services_of(d));
	poll_reconfigured(d, x->net);
	metrics_kick(d);
	if (*wait)
		nodes_later(d);
	else
		d->later = sd_event_source_disable_unref(d->later);
	return EF_REASON_OK;
}

enum ef_reason reload(void *ctx, struct config_change *ret, struct error *e)
{
	struct daemon *d = ctx;
	_cleanup_(config_freep) struct config *next = NULL;
	bool wait = false;

	*ret = (struct config_change){0};
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu", (unsigned long long)now_monotonic_us());
	if (config_load(d->config_dir, &next, e) || update_find_slots("", next, e) ||
		take(d, next, ret, &wait, e)) {
		refused(d, e);
		return e->reason;
	}
	ret->nodes = wait; /* what is left of it */
	taken(d, ret, wait);
	return EF_REASON_OK;
}

static int on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	struct config_change ignored;
	struct error e = {0};
	struct daemon *d = userdata;

	if (d->update) /* before that it is about to be read */
		reload(d, &ignored, &e);
	return 0;
}

int reload_on_hangup(struct daemon *d)
{
	return sd_event_add_signal(d->event, NULL, SIGHUP, on_hangup, d);
}
