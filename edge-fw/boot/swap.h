/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Exchanges the contents of the two slots, unit by unit (a unit is as large as the scratch area):
 *
 *	1  slot 0 → scratch	2  slot 1 → slot 0	3  scratch → slot 1
 *
 * After each step its mark in the journal is programmed to zero. The source of a step stays intact
 * until the mark of the next, so a step that was cut is simply done again; a torn mark proves that
 * its step was complete. Only the units that the larger image uses are moved.
 */
#include "port/port.h"

/* Units that an image of size bytes takes. */
uint16_t swap_units(uint32_t size);

/* Blanks the journal. Only while no swap is under way. */
int swap_prepare(void);

/* Does what is left of the swap; the same call after any number of cuts ends in the same state. */
int swap_run(uint16_t units);
