/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Does a confirmed image work? It does as soon as it has answered a request, for then it can be
 * replaced over the wire, or when it has run for an hour. A start that ends before, other than by a
 * reset on request or a loss of power, failed; the bootloader counts these in flash and gives the
 * image up after BOOT_FAILURES_MAX of them. Only an hour of calm starts the count anew, so that it
 * is written BOOT_FAILURES_MAX + 1 times an hour at most.
 */
#include "agent/agent.h"

#define HEALTH_CALM_MS 3600000u

void health_answered(struct agent *a);
/* To be called again and again. */
void health_watch(struct agent *a);
