/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"
#include "update/policy.h"
#include "util/log.h"
#include "util/time-util.h"
#include <string.h>
#include <sys/random.h>

/* What the gateway needs to settle: network, clock, nodes. */
#define FIRST_LOOK_US 200000u
/* After a deployment that a newer release was waiting for, and when woken while something is read.
 */
#define NEXT_LOOK_US 1000000u
#define SPREAD_US 60000000u
#define HORIZON_S (30 * 86400)

uint64_t poll_wait(uint64_t poll_us, uint32_t random)
{
	/* Not random * poll_us: a poll of a year would overflow. */
	return poll_us / 5 * 4 + (uint64_t)((double)poll_us * 0.4 * random / UINT32_MAX);
}

static uint32_t draw(void)
{
	uint32_t r = UINT32_MAX / 2;

	/* No entropy yet at first boot: the middle of the range will do (F-39). */
	if (getrandom(&r, sizeof r, GRND_NONBLOCK) != sizeof r)
		r = UINT32_MAX / 2;
	return r;
}

/* So that an hour is not slept through; not all of a fleet in the same second (F-37). */
static void look_at(struct daemon *d, int64_t when)
{
	int64_t left = when - now_real_s();
	uint64_t set, now;

	if (!d->poll || when == 0 || left > HORIZON_S)
		return;
	uint64_t us = (uint64_t)(left > 0 ? left : 0) * 1000000u + draw() % SPREAD_US;
	if (sd_event_now(d->event, CLOCK_MONOTONIC, &now) < 0 ||
		sd_event_source_get_time(d->poll, &set) < 0 || set <= now + us)
		return;
	sd_event_source_set_time_relative(d->poll, us);
	sd_event_source_set_enabled(d->poll, SD_EVENT_ONESHOT);
}

static void install_newest(struct daemon *d, const char *version)
{
	const struct known_release *known;
	struct error e = {0};
	int64_t until;
	uint64_t id;
	size_t n;

	known = update_known(d->update, &n);
	while (n && strcmp(known->version, version) != 0) {
		known++;
		n--;
	}
	if (!n || !policy_automatic(d->config->automatic, known))
		return;
	if (update_may_begin(d->update, &until, &e)) {
		log_info("release %s is not begun now: %s", version, e.detail);
		look_at(d, until);
		return;
	}
	if (update_install(d->update, version, &id, &e) == EF_REASON_OK) {
		log_info("release %s: deployment %llu began by itself", version,
			(unsigned long long)id);
		return;
	}
	log_warning("release %s is not installed now: %s", version, e.detail);
	const struct deployment *now = update_current(d->update);
	d->newer = now && strcmp(now->release, version) != 0;
}

static void look_soon(struct daemon *d)
{
	if (!d->poll)
		return;
	sd_event_source_set_time_relative(d->poll, NEXT_LOOK_US);
	sd_event_source_set_enabled(d->poll, SD_EVENT_ONESHOT);
}

static void on_looked(void *ctx, const char *version, const struct error *e)
{
	struct daemon *d = ctx;
	char text[512];

	d->looking = false;
	metrics_kick(d);
	rest_soon(d);
	if (e->reason) {
		error_format(e, text, sizeof text);
		log_warning("looking for releases: %s", text);
	} else if (version && *version) {
		log_info("release %s can be installed", version);
		install_newest(d, version);
	}
	if (d->woken)
		look_soon(d);
}

static void look_now(struct daemon *d)
{
	struct error e = {0};

	if (update_check(d->update, on_looked, d, &e)) {
		d->looking = false;
		log_info("not looking for releases now: %s", e.detail);
	}
}

static void look(struct daemon *d, const char *why)
{
	if (!d->config->url || d->rebooting || d->looking)
		return;
	if (update_reading(d->update)) { /* for a deployment, or from before we were woken */
		look_soon(d);
		return;
	}
	log_debug("looking for releases: %s", why);
	d->woken = false;
	d->looking = true;
	clock_look(d, look_now);
}

/* What it is about may be newer than what is being read just now: a halt of it. */
void poll_now(struct daemon *d, const char *why)
{
	d->woken = true;
	look(d, why);
}

static int on_poll(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;

	sd_event_source_set_time_relative(s, poll_wait(d->config->poll_us, draw()));
	sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	look(d, "time to");
	return 0;
}

void poll_over(struct daemon *d)
{
	if (!d->newer)
		return;
	d->newer = false;
	look_soon(d);
}

int poll_start(struct daemon *d)
{
	if (!d->config->url)
		return 0;
	return sd_event_add_time_relative(
		d->event, &d->poll, CLOCK_MONOTONIC, FIRST_LOOK_US, 0, on_poll, d);
}

void poll_reconfigured(struct daemon *d, bool other_source)
{
	uint64_t now, set, wait = poll_wait(d->config->poll_us, draw());

	if (!d->config->url || !d->poll) {
		d->poll = sd_event_source_disable_unref(d->poll);
		if (poll_start(d) < 0)
			log_error("releases are not looked for by time: out of memory");
		return;
	}
	if (other_source)
		poll_now(d, "another source");
	/* Never later than it was to be: otherwise there might be no look at all. */
	if (sd_event_now(d->event, CLOCK_MONOTONIC, &now) >= 0 &&
		sd_event_source_get_time(d->poll, &set) >= 0 && set > now + wait)
		sd_event_source_set_time(d->poll, now + wait);
}
