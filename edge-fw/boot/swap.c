/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/swap.h"
#include "boot/flash.h"
#include <string.h>

enum { STEPS = 3 };
#define WORD_MAX 16u

uint16_t swap_units(uint32_t size)
{
	uint32_t unit = port_board()->scratch.size;
	return (uint16_t)((size + unit - 1) / unit);
}

int swap_prepare(void)
{
	const struct port_area *j = &port_board()->journal;
	return flash_erase(j->offset, j->size);
}

static uint32_t mark_size(void)
{
	return port_board()->word < 4 ? 4 : port_board()->word;
}

static uint32_t mark_offset(uint32_t number)
{
	return port_board()->journal.offset + number * mark_size();
}

static int set_mark(uint32_t number)
{
	static const uint8_t zero[WORD_MAX];
	return flash_write(mark_offset(number), zero, mark_size());
}

static int run_step(uint32_t unit, uint32_t step)
{
	const struct port_board *b = port_board();
	uint32_t at = unit * b->scratch.size;
	const uint32_t place[3] = {
		b->slot[0].offset + at, b->scratch.offset, b->slot[1].offset + at};
	static const uint8_t from[STEPS] = {0, 2, 1}, to[STEPS] = {1, 0, 2};

	return flash_copy(place[to[step]], place[from[step]], b->scratch.size);
}

int swap_run(uint16_t units)
{
	const struct port_board *b = port_board();
	uint32_t steps = (uint32_t)units * STEPS, done = steps;

	if (units > b->slot[0].size / b->scratch.size || steps * mark_size() > b->journal.size)
		return -1;
	/* the last mark that was begun: all steps up to it are complete */
	while (done && flash_blank(mark_offset(done - 1), mark_size()))
		done--;
	if (done && set_mark(done - 1) < 0) /* it may be torn */
		return -1;
	for (; done < steps; done++)
		if (run_step(done / STEPS, done % STEPS) < 0 || set_mark(done) < 0)
			return -1;
	return 0;
}
