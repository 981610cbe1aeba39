/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The site's own checks: every executable regular file of a directory, in the order of their names,
 * one after the other, in a clean environment, no shell (S-26). Exit status 0 is "passed".
 */
#include "util/reason.h"
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct checks;

struct checks_spec {
	const char *dir;	/* NULL or absent: nothing to check */
	const char *const *env; /* "NAME=value", on top of PATH and LANG; NULL-terminated */
	uint64_t deadline_us;	/* monotonic, for all of them */
	void *ctx;
	/* After each: OK, or CHECK_FAILED with its name and the last line it wrote. */
	void (*each)(void *ctx, const char *name, const struct error *e);
	/* Once: OK when all passed, else the first failure. Never from within checks_start. */
	void (*done)(void *ctx, const struct error *e);
};

enum ef_reason checks_start(
	struct checks **ret, sd_event *event, const struct checks_spec *spec, struct error *e);
void checks_free(struct checks *c); /* ends what runs, without a callback */
