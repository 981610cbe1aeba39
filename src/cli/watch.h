/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Follows deployments by the daemon's signals until they end. */
#include "cli/cli.h"
#include "util/cleanup.h"

enum watch_mode {
	WATCH_ONE,  /* the deployment given, to its end; its outcome is the exit code */
	WATCH_NEXT, /* the one under way or the next that begins, to its end; the same */
	WATCH_ALL,  /* everything, until interrupted */
};

struct watch;

/* Subscribes, so that nothing is missed of what a later call begins. Exit code; the message is
 * printed. */
int watch_new(struct cli *cli, enum watch_mode mode, struct watch **ret);
void watch_free(struct watch *w);
DEFINE_CLEANUP(struct watch *, watch_free)

/* path: of the deployment for WATCH_ONE, NULL otherwise. Returns an exit code. */
int watch_run(struct watch *w, const char *path);
