/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/state.h"
#include "boot/flash.h"
#include "wire/crc.h"
#include <string.h>

#define STATE_MAGIC 0x31534645u /* "EFS1" */
#define FIRM_SIZE 16u		/* as large as a word of flash may be */
#define BLANK_LOOKS 16
#define PLACE_SIZE (sizeof(struct state) + FIRM_SIZE)
_Static_assert(sizeof(struct state) == 96, "records lie in flash as they are, in whole words");

static uint32_t records_in_page(void)
{
	return port_board()->page / PLACE_SIZE;
}

static uint32_t place(uint32_t page, uint32_t index)
{
	return port_board()->state.offset + page * port_board()->page + index * PLACE_SIZE;
}

/* A record of at least this sequence. */
static bool read_record(uint32_t page, uint32_t index, uint32_t sequence, struct state *s)
{
	return port_flash_read(place(page, index), s, sizeof(*s)) == 0 && s->magic == STATE_MAGIC &&
	       s->sequence >= sequence && s->phase < PHASE_COUNT &&
	       crc32_ieee(0, s, offsetof(struct state, crc)) == s->crc;
}

/* The newest record and the page it lies in; -1: none. */
static int newest(struct state *s)
{
	struct state r;
	int found = -1;

	memset(s, 0, sizeof(*s));
	/* both pages twice: what reads badly once is not taken for absent. From the end, as of two
	 * records with one sequence the later one counts */
	for (uint32_t look = 0; look < 4; look++)
		for (uint32_t i = records_in_page(); i--;)
			if (read_record(look % 2, i, s->sequence + 1, &r)) {
				*s = r;
				found = (int)look % 2;
			}
	return found;
}

bool state_load(struct state *s)
{
	return newest(s) >= 0;
}

/* The first place after everything that was ever begun in the page, or behind the page; torn
 * records stay behind. What was hardly begun reads as ones now and then, and under a record would
 * go on reading as it likes: the place is looked at many times. */
static uint32_t first_free(uint32_t page)
{
	uint32_t i = records_in_page();
	while (i && flash_blank(place(page, i - 1), PLACE_SIZE))
		i--;
	for (int looks = BLANK_LOOKS; looks--;)
		i += !flash_blank(place(page, i), PLACE_SIZE);
	return i;
}

static int append(struct state *s)
{
	struct state last;
	int found = newest(&last);
	uint32_t page = found < 0 ? 0 : (uint32_t)found;
	uint32_t index = first_free(page);

	if (s->floor < last.floor && s->sequence == last.sequence)
		s->floor = last.floor;
	/* what is found now need not be what was loaded: a torn record reads as it likes */
	if (s->sequence < last.sequence)
		s->sequence = last.sequence;
	s->sequence++;
	if (index >= records_in_page()) {
		/* the newest record stays in its page until the new one stands in the other */
		page = found < 0 ? 0 : !page;
		index = 0;
		/* more than a torn one that stays behind can have; in one page the place decides */
		s->sequence += records_in_page();
		if (flash_erase(place(page, 0), port_board()->page) < 0)
			return -1;
	}
	s->magic = STATE_MAGIC;
	s->crc = crc32_ieee(0, s, offsetof(struct state, crc));
	if (flash_write(place(page, index), s, sizeof(*s)) < 0)
		return -1;
	return flash_zero(place(page, index) + sizeof(*s), FIRM_SIZE);
}

int state_store(struct state *s)
{
	/* worn places are left behind, as many as a page has; then it is more than that */
	for (uint32_t tries = records_in_page() + 1; tries--;)
		if (append(s) == 0)
			return 0;
	return -1;
}

struct port_area state_slot(const struct state *s, unsigned slot)
{
	const struct port_board *b = port_board();
	struct port_area a = {b->slot[0].offset, b->slot[0].size};

	if (slot) {
		a.offset = b->slot[1].offset;
		if (s->flags & STATE_SHIFTED)
			a.offset += b->slot[1].size - a.size;
	}
	return a;
}

/* It was written to its end, and nothing was begun after it that may turn out to be a record. */
static bool is_settled(uint32_t page, uint32_t index, const struct state *s)
{
	struct state r;

	if (flash_blank(place(page, index) + sizeof(r), FIRM_SIZE))
		return false;
	if (++index == records_in_page()) {
		page = !page;
		index = 0;
	}
	return flash_blank(place(page, index), PLACE_SIZE) ||
	       (read_record(page, index, 0, &r) && r.sequence < s->sequence);
}

int state_settle(struct state *s)
{
	struct state r;

	if (!s->sequence)
		return 0;
	for (uint32_t page = 0; page < 2; page++)
		for (uint32_t i = 0; i < records_in_page(); i++)
			if (read_record(page, i, s->sequence, &r) && r.sequence == s->sequence &&
				is_settled(page, i, s))
				return 0;
	return state_store(s);
}
