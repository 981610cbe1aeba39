/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The two ways to a new edgeferry-net. Both give the core's end of a socket (ipc.h), non-blocking,
 * or negative errno. */
#include <sys/types.h>

/* A child, which becomes user. The caller reaps *ret_pid. */
int net_peer_spawn(const char *user, pid_t *ret_pid);
/* edgeferry-net.socket, at path: each connection gets a process from systemd, with what its unit
 * allows it. */
int net_peer_connect(const char *path);
