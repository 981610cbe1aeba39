/* SPDX-License-Identifier: Apache-2.0 */
/* Linked by boards without a battery. */
#include "port/port.h"

void port_power(struct port_power *p)
{
	*p = (struct port_power){.battery = 100, .external = true};
}
