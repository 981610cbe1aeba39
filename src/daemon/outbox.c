/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"
#include "util/log.h"
#include <string.h>

/* A broker that is away: edgeferry-net tells when it is back, this is for what it does not tell. */
#define RETRY_US 60000000u

static int send_next(void *ctx, uint64_t id, const char *json);

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;

	d->retry_outbox = sd_event_source_disable_unref(d->retry_outbox);
	outbox_kick(d);
	return 0;
}

static void on_reported(void *ctx, const struct error *e)
{
	struct daemon *d = ctx;
	struct error store = {0};
	uint64_t id = d->reporting;

	d->reporting = 0;
	if (e->reason) {
		log_debug("report %llu waits: %s", (unsigned long long)id, e->detail);
		if (!d->retry_outbox)
			sd_event_add_time_relative(d->event, &d->retry_outbox, CLOCK_MONOTONIC,
				RETRY_US, 0, on_retry, d);
		return;
	}
	/* Not deleted: sent once more after the next start (at least once, S-34). */
	if (update_outbox_done(d->update, id, &store)) {
		log_warning("report %llu: %s", (unsigned long long)id, store.detail);
		return;
	}
	outbox_kick(d);
}

static int send_next(void *ctx, uint64_t id, const char *json)
{
	struct daemon *d = ctx;

	d->reporting = id;
	if (!net_report(d->net, json, on_reported, d))
		d->reporting = 0;
	return 1;
}

static int on_kick(sd_event_source *s, void *userdata)
{
	struct daemon *d = userdata;

	if (!d->reporting && d->net && d->config->mqtt_host)
		update_outbox(d->update, 1, send_next, d);
	return 0;
}

void outbox_kick(struct daemon *d)
{
	/* Deferred: what lies in the outbox may just be being stored. */
	if (!d->outbox) {
		if (sd_event_add_defer(d->event, &d->outbox, on_kick, d) < 0)
			return;
	}
	sd_event_source_set_enabled(d->outbox, SD_EVENT_ONESHOT);
}
