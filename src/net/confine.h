/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Gives up what the process does not need (S-29), for good, in two steps. -errno on failure: do not
 * go on.
 *
 * The first: root for user and no groups, all capabilities, new privileges, being looked into,
 * memory without bound. *what: what failed.
 */
int confine(const char *user, int keep_fd, const char **what);

/*
 * The second: every system call that fetching and reporting can do without. Afterwards it can open
 * files for reading only, connect but not be connected to, and start threads but no programs. Between
 * the two the way to a token is opened (net/net.h), and nothing is heard from the network.
 */
int confine_calls(void);
