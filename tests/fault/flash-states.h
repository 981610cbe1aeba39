/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Boards as power cuts leave them, collected while something runs to its end: before each
 * operation, what a cut of each kind would leave there. Many cuts leave the very same flash, and
 * what happens then is the same every time, unless bits of it read as they like: such a board is
 * kept once. "The same" is a 64-bit hash of the flash, its unstable bits, and what was seen of the
 * node so far.
 */
#include "flash-sim.h"

struct left {
	struct left *next;
	enum sim_cut kind;
	uint32_t at; /* operations of the run until then, from 1 */
	bool confirmed, unstable_bits;
	uint32_t random, floor;
	unsigned key_set;
	uint8_t flash[]; /* then as many bytes of unstable bits, where there are any */
};

struct collection {
	struct left *first;
	unsigned long cuts; /* that were looked at, kept or not */
};

/* Another node: nothing was seen. */
void states_forget(void);

/* Runs f on the board in sim; what cuts would leave is added to ret, with chance in their seeds. */
void states_collect(struct collection *ret, uint32_t chance, void (*f)(void));

/* Puts it into sim and world, which are those of the same node. */
void states_put(const struct left *l);

/* Whether bits of the board in sim read as they like. */
bool states_unstable(void);

void states_free(struct collection *c);
