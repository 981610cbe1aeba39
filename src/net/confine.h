/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Gives up what the process does not need (S-29), for good, in two steps. The first:
 * root for user and no groups, all capabilities, new privileges, being looked into,
 * memory without bound. -errno and *what on failure: do not go on.
 */
int confine(const char *user, int keep_fd, const char **what);

/* Between the two the way to a token is opened (net/net.h); nothing is heard from the network. */
