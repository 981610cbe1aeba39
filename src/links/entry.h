/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node's reset and boot lines, and the pulse that starts it: reset on, boot as wanted, after
 * reset_us reset off, after boot_us boot off. By the event loop; nothing waits.
 *
 * The lines are held from open to close. A line that is released floats or keeps its level, as
 * the chip does it, so the pulse ends with both off and only then releases them.
 */
#include "util/reason.h"
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct entry_spec {
	const char *reset, *boot; /* links/lines.h; boot NULL: this part has none */
	uint64_t reset_us, boot_us;
};

struct entry;

/* e NULL: done, the node starts. It comes once, and not after entry_cancel. */
typedef void (*entry_done)(void *ctx, const struct error *e);

/* to_boot: the node is to stay in its bootloader. Returns what the lines said, with e. */
enum ef_reason entry_begin(struct entry **ret, sd_event *event, const struct entry_spec *spec,
	bool to_boot, entry_done done, void *ctx, struct error *e);
/* Both lines off at once. NULL is nothing to cancel. */
void entry_cancel(struct entry *n);
