/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/swap.h"
#include "boot/flash.h"

enum { STEPS = 2 };

static uint32_t unit_size(void)
{
	const struct port_board *b = port_board();
	return b->slot[1].size - b->slot[0].size;
}

uint16_t swap_units(uint32_t size)
{
	return (uint16_t)((size + unit_size() - 1) / unit_size());
}

int swap_prepare(void)
{
	const struct port_area *j = &port_board()->journal;
	return flash_erase(j->offset, j->size);
}

static uint32_t mark_offset(uint32_t number)
{
	return port_board()->journal.offset + number * flash_mark_size();
}

static int set_mark(uint32_t number)
{
	return flash_zero(mark_offset(number), flash_mark_size());
}

static int run_step(const struct state *s, uint32_t step, bool again)
{
	const struct port_area *slot = port_board()->slot;
	bool shifted = s->flags & STATE_SHIFTED;
	/* towards the free unit, from its side */
	uint32_t unit = shifted ? step / STEPS : s->units - 1 - step / STEPS;
	uint32_t here = slot[0].offset + unit * unit_size();
	uint32_t there = slot[1].offset + unit * unit_size();
	uint32_t coming = there + shifted * unit_size(), free = there + !shifted * unit_size();

	if (step % STEPS == 0)
		return flash_copy(free, here, unit_size(), false);
	return flash_copy(here, coming, unit_size(), !again);
}

int swap_run(const struct state *s)
{
	const struct port_board *b = port_board();
	uint32_t steps = (uint32_t)s->units * STEPS, first = steps;

	if (s->units > b->slot[0].size / unit_size() || steps * flash_mark_size() > b->journal.size)
		return -1;
	/* the last mark that was begun: all steps up to it are complete. One bad reading proves
	 * nothing */
	/* NOLINTNEXTLINE(misc-redundant-expression) */
	while (first && (flash_blank(mark_offset(first - 1), flash_mark_size()) ||
				flash_blank(mark_offset(first - 1), flash_mark_size())))
		first--;
	if (first && set_mark(first - 1) < 0) /* it may be torn */
		return -1;
	for (uint32_t step = first; step < steps; step++)
		if (run_step(s, step, step == first) < 0 || set_mark(step) < 0)
			return -1;
	return 0;
}

int swap_restore(const struct state *s)
{
	return flash_copy(port_board()->slot[0].offset, state_slot(s, 1).offset,
		s->units * unit_size(), false);
}
