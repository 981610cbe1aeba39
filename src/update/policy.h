/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What is done without being asked (S-36), and what a failure means for the rest. Pure. */
#include "update/update.h"

/* Whether the release that a look at the source found newest is to be installed by itself. */
bool policy_automatic(enum config_automatic automatic, const struct known_release *newest);

/* The part whose failure is one too many: of a component that is required, beyond its budget. NULL:
 * go on. */
const struct part *policy_broken(const struct deployment *d);
