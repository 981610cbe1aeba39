/* SPDX-License-Identifier: Apache-2.0 */
#include "links/entry.h"
#include "links/lines.h"
#include "util/cleanup.h"
#include <string.h>
#include <time.h>

struct entry {
	struct line *reset, *boot;
	sd_event_source *timer;
	uint64_t boot_us;
	bool running; /* reset is off again */
	entry_done done;
	void *ctx;
};

void entry_cancel(struct entry *n)
{
	if (!n)
		return;
	n->timer = sd_event_source_disable_unref(n->timer);
	if (n->boot)
		line_set(n->boot, false);
	if (n->reset)
		line_set(n->reset, false);
	line_close(n->boot);
	line_close(n->reset);
	free(n);
}

static void entry_end(struct entry *n, int r)
{
	entry_done done = n->done;
	struct error e = {0};
	void *ctx = n->ctx;

	entry_cancel(n);
	if (r < 0)
		error_errno(&e, r, "reset and boot lines");
	done(ctx, r < 0 ? &e : NULL);
}

static int entry_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct entry *n = userdata;
	int r;

	if (n->running || !n->boot) {
		entry_end(n, n->running ? 0 : line_set(n->reset, false));
		return 0;
	}
	n->running = true;
	r = line_set(n->reset, false);
	if (r >= 0)
		r = sd_event_source_set_time_relative(source, n->boot_us);
	if (r >= 0)
		r = sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
	if (r < 0)
		entry_end(n, r);
	return 0;
}

enum ef_reason entry_begin(struct entry **ret, sd_event *event, const struct entry_spec *spec,
	bool to_boot, entry_done done, void *ctx, struct error *e)
{
	struct entry *n = calloc(1, sizeof *n);
	int r;

	if (!n)
		return error_set(e, EF_REASON_NO_MEMORY, "reset and boot lines");
	*n = (struct entry){.boot_us = spec->boot_us, .done = done, .ctx = ctx};
	/* boot is right before the node looks at it, and reset comes first only if boot is free */
	if ((spec->boot && line_output(&n->boot, spec->boot, to_boot, e)) ||
		line_output(&n->reset, spec->reset, true, e)) {
		entry_cancel(n);
		return e->reason;
	}
	r = sd_event_add_time_relative(
		event, &n->timer, CLOCK_MONOTONIC, spec->reset_us, 1000, entry_timer, n);
	if (r < 0) {
		entry_cancel(n);
		return error_errno(e, r, "reset and boot lines");
	}
	*ret = n;
	return EF_REASON_OK;
}
