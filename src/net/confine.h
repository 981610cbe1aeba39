/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Gives up what the process does not need (S-29), for good: root for user and no groups, all
 * capabilities, new privileges, being looked into, memory without bound, and every system call that
 * fetching and reporting can do without. Afterwards it can open files for reading only, connect but
 * not be connected to, and start threads but no programs. -errno and *what on failure: do not go
 * on.
 */
int confine(const char *user, int keep_fd, const char **what);
