/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a configuration file: refused with file and line, or items that keep the contract
 * (F-27). */
#include "util/ini.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum ef_reason item(const struct ini_item *i, void *ctx, struct error *e)
{
	unsigned *last = ctx;
	size_t n = strlen(i->value);

	if (i->line <= *last || !i->section[0] || (!i->key[0] && n > 0) || strchr(i->value, '\n'))
		abort();
	if (n > 0 && (strchr(" \t\r", i->value[0]) || strchr(" \t\r", i->value[n - 1])))
		abort();
	*last = i->line;
	return EF_REASON_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error e = {0};
	unsigned last = 0;

	enum ef_reason r = ini_parse("f", (const char *)data, size, item, &last, &e);
	if (r != EF_REASON_OK && (r != EF_REASON_CONFIG || strncmp(e.detail, "f:", 2) != 0))
		abort();
	return 0;
}
