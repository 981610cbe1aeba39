/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * May the sender of a message do an action? Asked of polkit, asynchronously, with the credentials
 * that the bus knows (S-30). Without polkit on the bus: uid 0 and the daemon's own user only.
 */
#include <stdbool.h>
#include <systemd/sd-bus.h>

/* Comes exactly once, from the event loop or before polkit_check returned. m is the message asked
 * about. */
typedef void (*polkit_answer)(sd_bus_message *m, bool allowed, void *ctx);

/* action: "io.github.edgeferry1.install". Negative errno: nothing was asked, no answer comes. */
int polkit_check(sd_bus_message *m, const char *action, polkit_answer answer, void *ctx);
