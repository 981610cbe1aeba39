/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Exchanges the contents of the two slots, unit by unit. Slot 1 has one unit more than slot 0, so
 * beside the image in it there is always a free one:
 *
 *	1  slot 0 → the free unit	2  slot 1 → slot 0, which frees the next unit
 *
 * So nothing but the slots wears, each page of them once, and the image comes to lie one unit
 * further up or down than the one before: where is told by STATE_SHIFTED, which the caller turns
 * over with the record that ends the swap. After each step its mark in the journal is programmed to
 * zero. The source of a step stays intact until the mark of the next, so a step that was cut is
 * simply done again; a torn mark proves that its step was complete. Only the units that the larger
 * image uses are moved.
 */
#include "boot/state.h"

/* Units that an image of size bytes takes. */
uint16_t swap_units(uint32_t size);

/* Blanks the journal. Only while no swap is under way. */
int swap_prepare(void);

/* Does what is left of the swap; the same call after any number of cuts ends in the same state. */
int swap_run(const struct state *s);

/* Copies the image of slot 1 over slot 0. To be called again after a cut. */
int swap_restore(const struct state *s);
