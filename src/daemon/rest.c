/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/daemon.h"
#include "util/memory.h"
#include "util/time-util.h"

#define REST_US (10 * USEC_PER_SEC)

static int on_rest(sd_event_source *s, uint64_t usec, void *userdata)
{
	memory_give_back();
	return 0;
}

void rest_soon(struct daemon *d)
{
	if (!d->rest && sd_event_add_time(
				d->event, &d->rest, CLOCK_MONOTONIC, 0, REST_US, on_rest, NULL) < 0)
		return; /* it goes without */
	sd_event_source_set_time_relative(d->rest, REST_US);
	sd_event_source_set_enabled(d->rest, SD_EVENT_ONESHOT);
}
