/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the service manager (systemd) has to say about the services of this machine. */
#include <stdbool.h>
#include <systemd/sd-bus.h>

struct services_ask;

/*
 * Comes exactly once, from the event loop, not before services_ask returned. known: it answered.
 * starting: the machine has not finished coming up. failed: names of units that failed, one a line;
 * until the callback ends.
 */
typedef void (*services_done)(void *ctx, bool known, bool starting, const char *failed);

/* Asks for both, asynchronously, within 25 s a question. Negative errno when it cannot. */
int services_ask(struct services_ask **ret, sd_bus *bus, services_done done, void *ctx);
/* No callback after this. Not needed after the callback. NULL is fine. */
void services_ask_cancel(struct services_ask *s);
