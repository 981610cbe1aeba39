/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "repo/workspace.h"
#include "trust/rollout.h"

/* The newest statement of the workspace's product, signed or not; counter 0 when there is none yet.
 */
enum ef_reason rollout_newest(const struct workspace *w, struct rollout *ret, struct error *e);
