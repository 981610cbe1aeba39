/* SPDX-License-Identifier: Apache-2.0 */
#include "slots/boot.h"
#include <string.h>

static const struct boot_ops *const table[] = {&boot_sim};

const char *slot_word(enum slot_id s)
{
	static const char *const words[] = {"A", "B", "none"};

	return s <= SLOT_NONE ? words[s] : words[SLOT_NONE];
}

const struct boot_ops *boot_find(const char *name)
{
	for (size_t i = 0; name && i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i]->name, name) == 0)
			return table[i];
	return NULL;
}
