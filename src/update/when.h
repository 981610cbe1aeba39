/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * When something is begun by itself, and when what lies ready is activated (S-36): windows,
 * postponement, pause, the policy for restarts. Pure, but for the time zone. until: when that will
 * change by itself, seconds since 1970; 0: not by itself.
 */
#include "config/config.h"
#include "util/reason.h"

struct when {
	const struct config *config;
	int64_t now; /* the wall clock */
	bool paused;
	int64_t postponed_until; /* 0 or in the past: not postponed */
};

/* Whether anything may be begun that nobody has asked for now: OK, or HELD and why. */
enum ef_reason when_begin(const struct when *w, int64_t *until, struct error *e);

/*
 * Whether what lies ready may be activated. itself: nobody asked for it; let_go: somebody said so
 * of this one, whatever the hour.
 */
enum ef_reason when_activate(
	const struct when *w, bool itself, bool let_go, int64_t *until, struct error *e);

bool when_open(const struct config *c, int64_t now);	 /* Window= and WindowDays= */
int64_t when_opens(const struct config *c, int64_t now); /* the next time that it does, after now */
