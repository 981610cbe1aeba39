/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Restarting the machine through logind: orderly, and with an argument for the boot loader. */
#include "util/reason.h"
#include <systemd/sd-bus.h>

#define LOGIND_PARAMETER_MAX 255u

struct logind_reboot;

/*
 * Comes exactly once, from the event loop, not before logind_reboot returned: OK, the machine is
 * going down; else it is not, and the argument is taken back as far as possible.
 */
typedef void (*logind_done)(void *ctx, const struct error *e);

/*
 * SetRebootParameter(parameter), then Reboot(false). parameter: ASCII without control characters,
 * like "0 tryboot"; "" or NULL: none, what an earlier attempt left is cleared. Asynchronous. USAGE
 * when the parameter cannot be passed on.
 */
enum ef_reason logind_reboot(struct logind_reboot **ret, sd_bus *bus, const char *parameter,
	logind_done done, void *ctx, struct error *e);
/* No callback after this. Not needed after the callback. NULL is fine. */
void logind_reboot_cancel(struct logind_reboot *r);
