/* SPDX-License-Identifier: Apache-2.0 */
/* The restart that a trial or a way back needs, through logind. What comes of it, update finds out.
 */
#include "bus/logind.h"
#include "daemon/daemon.h"
#include "util/log.h"
#include <systemd/sd-daemon.h>

void reboot_close(struct daemon *d)
{
	logind_reboot_cancel(d->reboot);
	d->reboot = NULL;
	d->reboot_bus = sd_bus_flush_close_unref(d->reboot_bus);
}

static void on_done(void *ctx, const struct error *e)
{
	struct daemon *d = ctx;

	d->reboot = NULL;
	if (e->reason == EF_REASON_OK)
		return; /* SIGTERM comes */
	log_error("the machine was not restarted: %s", e->detail);
	d->rebooting = false;
}

void reboot_machine(struct daemon *d, const char *parameter)
{
	struct error e = {0};

	reboot_close(d);
	int r = system_bus_open(d, &d->reboot_bus);
	if (r < 0)
		error_errno(&e, r, "system bus");
	else
		logind_reboot(&d->reboot, d->reboot_bus, parameter, on_done, d, &e);
	if (e.reason == EF_REASON_OK)
		return;
	on_done(d, &e);
}
