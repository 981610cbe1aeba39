/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether the wall clock counts (S-19). The unit takes away every call that is about the clock, the
 * harmless question to the kernel with them: systemd-timedated asks it for us. Where nothing is
 * taken away, by hand and in tests, the kernel answers. Nobody to ask: it does not count.
 */
#include "daemon/daemon.h"
#include "util/log.h"
#include "util/time-util.h"
#include <systemd/sd-bus.h>

#define SERVICE "org.freedesktop.timedate1"
#define PATH "/org/freedesktop/timedate1"
#define PATIENCE_US 5000000u

void clock_close(struct daemon *d)
{
	d->clock_call = sd_bus_slot_unref(d->clock_call);
	d->clock_bus = sd_bus_flush_close_unref(d->clock_bus);
}

static void answered(struct daemon *d, bool good)
{
	void (*then)(struct daemon *) = d->clock_then;

	if (good != d->clock_good)
		log_debug("the clock is %ssynchronised", good ? "" : "not ");
	d->clock_good = good;
	d->clock_then = NULL;
	if (then)
		then(d);
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct daemon *d = userdata;
	int good = 0;

	d->clock_call = sd_bus_slot_unref(d->clock_call);
	if (sd_bus_message_is_method_error(reply, NULL) ||
		sd_bus_message_read(reply, "v", "b", &good) < 0) {
		log_debug("nobody says whether the clock is synchronised");
		good = 0;
	}
	answered(d, good != 0);
	return 0;
}

static int ask(struct daemon *d)
{
	int r = 0;

	if (d->clock_bus && sd_bus_is_open(d->clock_bus) <= 0)
		clock_close(d);
	if (!d->clock_bus)
		r = system_bus_open(d, &d->clock_bus);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(d->clock_bus, PATIENCE_US);
	if (r >= 0)
		r = sd_bus_call_method_async(d->clock_bus, &d->clock_call, SERVICE, PATH,
			"org.freedesktop.DBus.Properties", "Get", on_answer, d, "ss", SERVICE,
			"NTPSynchronized");
	return r;
}

void clock_look(struct daemon *d, void (*then)(struct daemon *d))
{
	int kernel = clock_is_synchronised();

	d->clock_then = then;
	if (d->clock_call)
		return;
	if (kernel >= 0)
		answered(d, kernel > 0);
	else if (ask(d) < 0)
		answered(d, false);
}

bool clock_counts(void *ctx)
{
	const struct daemon *d = ctx;
	int kernel = clock_is_synchronised();

	return kernel >= 0 ? kernel > 0 : d->clock_good;
}
