/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Who the gateway is when no file says Id=. */
#include "config/config.h"

/* Sets id and id_from: of root/STATE/id, or derived from the machine id. STATE_UNREADABLE when that
 * file is damaged; CONFIG when there is neither. */
enum ef_reason identity_find(struct config *c, const char *root, struct error *e);
