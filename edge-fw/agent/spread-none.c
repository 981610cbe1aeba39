/* SPDX-License-Identifier: Apache-2.0 */
/* Images come to this node alone. */
#include "agent/spread.h"

uint32_t spread_block_max(void)
{
	return 0;
}

void spread_receive(struct agent *a, const uint8_t *message, size_t size)
{
	(void)a;
	(void)message;
	(void)size;
}

void spread_stop(struct upload *u)
{
	(void)u;
}

void spread_forget(struct state *s)
{
	(void)s;
}

bool spread_noted(const struct state *s)
{
	(void)s;
	return false;
}

int spread_advance(struct upload *u)
{
	(void)u;
	return 0;
}

uint32_t spread_room(const struct upload *u)
{
	(void)u;
	return UINT32_MAX;
}
