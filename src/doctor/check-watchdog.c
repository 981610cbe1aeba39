/* SPDX-License-Identifier: Apache-2.0 */
/* What ends a hang or a panic: without it, a slot on trial that stands still is never left. */
#include "doctor/doctor.h"
#include "util/time-util.h"
#include <string.h>

#define PI_MAX_US                                                                       \
	(15 * USEC_PER_SEC) /* what every kernel of a Raspberry Pi arms as it was asked \
			     */

/* The last word NAME=… of the kernel's command line; false: none. */
static bool kernel_says(const struct doctor *d, const char *name, char *out, size_t size)
{
	_cleanup_free_ char *text = text_below(d, "/proc/cmdline");
	char *save = NULL;
	size_t n = strlen(name);
	bool found = false;

	for (char *w = text ? strtok_r(text, " \n", &save) : NULL; w;
		w = strtok_r(NULL, " \n", &save))
		if (strncmp(w, name, n) == 0 && w[n] == '=') {
			snprintf(out, size, "%s", w + n + 1);
			found = true;
		}
	return found;
}

void check_watchdog(struct doctor *d)
{
	_cleanup_free_ char *model = text_below(d, "/sys/firmware/devicetree/base/model");
	bool pi = model && strncmp(model, "Raspberry Pi", 12) == 0;
	enum level missing = with_slots(d, LEVEL_ERROR, LEVEL_WARNING);
	char text[64] = "off";
	uint64_t us = 0;

	if (!there(d, "/dev/watchdog0") && !there(d, "/dev/watchdog")) {
		say(d, missing,
			pi ? "dtparam=watchdog=on in config.txt"
			   : "load the driver of the board's watchdog, or softdog when it has none",
			"there is no /dev/watchdog: a hang does not end");
		return;
	}
	if (!kernel_says(d, "systemd.watchdog_sec", text, sizeof(text)))
		unit_says(d, "system.conf", "RuntimeWatchdogSec", text, sizeof(text));
	if (strcmp(text, "default") != 0 && (!timespan_parse(text, &us) || us == 0))
		say(d, missing,
			"write [Manager] and RuntimeWatchdogSec=15s into "
			"/etc/systemd/system.conf.d/watchdog.conf, in the images of both slots",
			"RuntimeWatchdogSec= is %s: a hang does not end", text);
	else if (pi && us > PI_MAX_US)
		say(d, LEVEL_WARNING, "RuntimeWatchdogSec=15s",
			"RuntimeWatchdogSec=%s: a Raspberry Pi's watchdog counts 15 s at most, and "
			"kernels do other things when asked for more",
			text);
	else
		say(d, LEVEL_OK, "", "the init system serves the watchdog, RuntimeWatchdogSec=%s",
			text);
}

void check_panic(struct doctor *d)
{
	_cleanup_free_ char *later = text_below(d, "/proc/sys/kernel/panic");
	char text[16] = "0";

	if (kernel_says(d, "panic", text, sizeof(text)) && strtol(text, NULL, 10) != 0)
		say(d, LEVEL_OK, "", "a panic restarts the machine, panic=%s", text);
	else if (later && strtol(later, NULL, 10) != 0)
		say(d, LEVEL_WARNING, "put panic=5 on the kernel command line",
			"kernel.panic is set by sysctl: a panic before that is run does not "
			"restart "
			"the machine");
	else
		say(d, with_slots(d, LEVEL_ERROR, LEVEL_WARNING),
			"put panic=5 on the kernel command line",
			"a panic does not restart the machine: no panic= on the kernel command "
			"line");
}
