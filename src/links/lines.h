/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Single lines of GPIO chips: a node's reset, boot and ready. A line is "LABEL:OFFSET", by the
 * label of its chip ("pinctrl-rp1:17"), or "NAME", as the device tree calls it, with '!' in front
 * when it is active low: on is then the low level. Never by the number of a chip, which changes
 * from boot to boot. Behind it libgpiod, 1.6 (lines-v1.c) or 2 (lines-v2.c).
 *
 * Every call is a few system calls and none waits. Errors say which line, why, and what to do:
 * CONFIG when there is no such chip or line, or a name is there twice; BUSY when another program
 * or driver has it; DENIED.
 */
#include "util/reason.h"
#include <stdbool.h>
#include <systemd/sd-event.h>

struct line;

/* An output, at on from the first moment. It keeps its level when it is closed, as far as the chip
 * does. */
enum ef_reason line_output(struct line **ret, const char *spec, bool on, struct error *e);
int line_set(struct line *l, bool on);

/* From the event loop, for each edge in its order. May close the line. */
typedef void (*line_changed)(void *ctx, bool on);
enum ef_reason line_input(struct line **ret, sd_event *event, const char *spec,
	line_changed changed, void *ctx, struct error *e);
int line_get(const struct line *l); /* 0, 1 or negative errno: the level now */

/* Whether there is such a line; it stays as it is, whoever has it. */
enum ef_reason line_look(const char *spec, struct error *e);

void line_close(struct line *l); /* NULL is nothing to close; no callback comes after it */
