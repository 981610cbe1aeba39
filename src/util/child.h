/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child_spec {
	const char *path;	 /* absolute; no search, no shell (S-26) */
	const char *const *argv; /* NULL-terminated, argv[0] included */
	const char *const *env;	 /* NULL: PATH, LANG=C.UTF-8, and NOTIFY-free, nothing else */
	const int *fds;		 /* passed as 3, 4, …; everything else above 2 is closed */
	int n_fds;
	int stdout_fd;	 /* -1: inherited */
	bool stderr_too; /* standard error goes where stdout_fd goes */
};

/*
 * Starts a child: default signals, PR_SET_PDEATHSIG(SIGTERM), clean environment. Returns its pid
 * or negative errno, an exec that failed included. The caller reaps (sd_event_add_child).
 */
pid_t child_start(const struct child_spec *spec);

/* Absolute path of a sibling program: $EDGEFERRY_LIBEXEC/NAME when set (tests), else the installed
 * one. */
const char *child_program(const char *name, char *buf, size_t size);
