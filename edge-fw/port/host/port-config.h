/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* edgeferry-node and the boards that live in the memory of a test. */
#define PORT_MESSAGE_MAX 1024u
#define PORT_WINDOW 4u
#define PORT_RING 8192u
#define PORT_TICK_MS 20u
