/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * edgeferry-net, once it is confined: serves the core on socket until it goes away (returns 0) or
 * something ends it (negative errno, logged).
 */
int net_run(int socket);
