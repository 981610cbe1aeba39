/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edgeferry-net: serves the core on socket until it goes away (returns 0) or something ends it
 * (negative errno, logged). The core's settings are taken first and, if they name a key in a token,
 * the way to it is opened: a connection, which is all there will be of sockets of that kind. Then
 * seal is called (confine_calls; NULL: nothing), and the network only after that.
 */
int net_run(int socket, int (*seal)(void));
