/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/state.h"
#include "boot/flash.h"
#include "wire/crc.h"
#include <string.h>

#define STATE_MAGIC 0x31534645u /* "EFS1" */
_Static_assert(sizeof(struct state) == 96, "records lie in flash as they are, in whole words");

static uint32_t records_in_page(void)
{
	return port_board()->page / sizeof(struct state);
}

static uint32_t place(uint32_t page, uint32_t index)
{
	return port_board()->state.offset + page * port_board()->page +
	       index * sizeof(struct state);
}

static bool read_record(uint32_t page, uint32_t index, struct state *s)
{
	return port_flash_read(place(page, index), s, sizeof(*s)) == 0 && s->magic == STATE_MAGIC &&
	       s->phase < PHASE_COUNT && crc32_ieee(0, s, offsetof(struct state, crc)) == s->crc;
}

/* The newest record and the page it lies in; -1: none. */
static int newest(struct state *s)
{
	struct state r;
	int found = -1;

	memset(s, 0, sizeof(*s));
	for (uint32_t page = 0; page < 2; page++)
		for (uint32_t i = 0; i < records_in_page(); i++)
			if (read_record(page, i, &r) && r.sequence >= s->sequence) {
				*s = r;
				found = (int)page;
			}
	return found;
}

bool state_load(struct state *s, uint32_t factory_floor)
{
	bool found = newest(s) >= 0;

	if (s->floor < factory_floor)
		s->floor = factory_floor;
	return found;
}

/* The first place after everything that was ever begun in the page; torn records stay behind. */
static uint32_t first_free(uint32_t page)
{
	uint32_t i = records_in_page();
	while (i && flash_blank(place(page, i - 1), sizeof(struct state)))
		i--;
	return i;
}

int state_store(struct state *s)
{
	struct state last;
	int found = newest(&last);
	uint32_t page = found < 0 ? 0 : (uint32_t)found;
	uint32_t index = first_free(page);

	if (index == records_in_page()) {
		/* the newest record stays in its page until the new one stands in the other */
		page = found < 0 ? 0 : !page;
		index = 0;
		if (flash_erase(place(page, 0), port_board()->page) < 0)
			return -1;
	}
	s->magic = STATE_MAGIC;
	s->sequence = last.sequence + 1;
	if (s->floor < last.floor)
		s->floor = last.floor;
	s->crc = crc32_ieee(0, s, offsetof(struct state, crc));
	return flash_write(place(page, index), s, sizeof(*s));
}
