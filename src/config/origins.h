/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Where each value of a configuration was said last: for those who are shown it. */
#include "config/config.h"
#include "util/ini.h"

struct origins;

/* Of an item that was taken; o NULL: nothing. node: name or NULL. */
enum ef_reason origins_note(
	struct origins *o, const char *node, const struct ini_item *item, struct error *e);

enum ef_reason config_load_from(const char *root, const char *dir, struct origins *origins,
	struct config **ret, struct error *e);
