/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/services.h"
#include "daemon/daemon.h"
#include "util/log.h"
#include <stdlib.h>
#include <string.h>

int system_bus_open(struct daemon *d, struct sd_bus **ret)
{
	int r = d->bus_address ? sd_bus_new(ret) : sd_bus_open_system(ret);

	if (r >= 0 && d->bus_address) {
		r = sd_bus_set_address(*ret, d->bus_address);
		if (r >= 0)
			r = sd_bus_set_bus_client(*ret, 1);
		if (r >= 0)
			r = sd_bus_start(*ret);
	}
	return r < 0 ? r : sd_bus_attach_event(*ret, d->event, SD_EVENT_PRIORITY_NORMAL);
}

void services_close(struct daemon *d)
{
	services_ask_cancel(d->services);
	d->services = NULL;
	d->services_nobody = sd_event_source_disable_unref(d->services_nobody);
	d->services_bus = sd_bus_flush_close_unref(d->services_bus);
}

static void on_told(void *ctx, bool known, bool starting, const char *failed)
{
	struct daemon *d = ctx;

	d->services = NULL;
	if (!known)
		log_info("systemd does not say how the services of this machine are");
	d->services_done(d->services_ctx, known, starting, failed);
}

static int on_nobody(sd_event_source *s, void *userdata)
{
	on_told(userdata, false, false, "");
	return 0;
}

static void ask(void *ctx, update_services_done done, void *done_ctx)
{
	struct daemon *d = ctx;

	services_close(d);
	d->services_done = done;
	d->services_ctx = done_ctx;
	int r = system_bus_open(d, &d->services_bus);
	if (r >= 0)
		r = services_ask(&d->services, d->services_bus, on_told, d);
	if (r < 0 && sd_event_add_defer(d->event, &d->services_nobody, on_nobody, d) < 0)
		abort(); /* out of memory: the deployment would wait for ever */
}

/* The simulated machine has no service manager. */
struct update_services services_of(struct daemon *d)
{
	bool asked = d->config->check_services && strcmp(d->config->boot, "sim") != 0;

	return (struct update_services){d, asked ? ask : NULL};
}
