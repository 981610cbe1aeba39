/* SPDX-License-Identifier: Apache-2.0 */
/* Data is taken in order only. */
#include "agent/ahead.h"

uint32_t ahead_span(void)
{
	return 0;
}

int ahead_keep(struct upload *u, uint32_t at, const uint8_t *data, uint32_t size)
{
	(void)u;
	(void)at;
	(void)data;
	(void)size;
	return 0;
}

uint32_t ahead_room(const struct upload *u)
{
	(void)u;
	return UINT32_MAX;
}

int ahead_join(struct upload *u)
{
	(void)u;
	return 0;
}

uint32_t ahead_resume(const struct upload *u, uint32_t page, bool anywhere)
{
	(void)u;
	(void)anywhere;
	return page;
}
