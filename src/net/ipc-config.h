/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "config/config.h"

/* The payload of CONFIG (net/ipc.h) for a configuration: JSON text, caller frees. 0 or negative
 * errno. */
int ipc_config_format(const struct config *c, char **ret);
