/* SPDX-License-Identifier: Apache-2.0 */
#include "links/link.h"
#include <string.h>

const struct link_ops *link_find(const char *name)
{
	static const struct link_ops *const kinds[] = {
		&link_uart, &link_spi, &link_udp, &link_sim, &link_ble};

	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}
