/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What happens to a node in the field, as stories that can be told again and again with something
 * going wrong at any point: bootloader and agent are the real ones, on the flash of flash-sim.h.
 */
#include "flash-gateway.h"
#include "flash-keys.h"
#include "flash-sim.h"
#include <setjmp.h>

enum { OLD = 1, NEW = 2, OLD_COUNTER = 3, NEW_COUNTER = 5 };

/* A board, scaled down: the slots of a real one have 96 units. */
struct geometry {
	const char *name;
	uint32_t page, pages_in_unit, units, old_size, new_size;
	bool fast;
};

struct story {
	const char *name;
	uint32_t counter;      /* of the new image */
	void (*prepare)(void); /* from the node's first power-up to where the story begins */
	void (*run)(void);
	void (*again)(void); /* the gateway comes again after what went wrong; NULL: it need not */
};

extern const struct story stories[];
extern const size_t n_stories;

/* How a step that does not work is taken. */
enum teller {
	TELL_STRICTLY, /* a bug in story or code: ends the program */
	TELL_FAULTS,   /* the fault did it: the story ends here */
	TELL_AGAIN,    /* wrong: everything must work after a recovery */
};

struct world {
	EVP_PKEY *key, *new_key;
	struct test_document keys; /* from the factory's one key to both */
	struct test_image old, fresh;
	const struct geometry *geometry;
	const struct story *story;
	enum teller teller;
	const char *wrong; /* the first thing that was */
	/* what was seen so far: it must not go back */
	bool confirmed; /* the new image, on request */
	uint32_t floor;
	unsigned key_set;
};
extern struct world world;

/* A node of this geometry as it leaves the factory, for a story; its images are made. */
void story_node(const struct geometry *g, const struct story *s);

/* Runs the bootloader; what it started, if anything, is judged: NULL when all that must hold does.
 */
enum sim_event story_power_up(void);
const char *story_judge(enum sim_event e);

/* The record pages are as after that many changes more. */
void story_age(unsigned records);

/* What is in slot 0. */
bool story_runs(const struct test_image *i);
