/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <errno.h>
#include <seccomp.h>
/* What comes of a call that no rule names. */
#define CONFINE_CALLS_ELSE SCMP_ACT_ERRNO(EPERM)
/*
 * The second step of confining (net/confine.h): the system call filter, for all threads. Afterwards
 * the process can open files for reading only, connect but not be connected to, and start threads
 * but no programs. Needs no_new_privs. 0 or negative errno: do not go on.
 */
int confine_calls(void);
/* Its rules alone, for whatever architectures ctx has: to look at those of another machine. */
int confine_calls_fill(scmp_filter_ctx ctx);
