/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The gateway's boot loader as the core sees it: two slots, one runs, at most one is to be tried
 * once. Every change is durable when the call returns. Calls block shortly (small files).
 */
#include "util/reason.h"
#include <stdbool.h>

enum slot_id { SLOT_A, SLOT_B, SLOT_NONE };
enum slot_mark { SLOT_GOOD, SLOT_BAD };

const char *slot_word(enum slot_id s);	/* "A", "B", "none" */

struct boot_state {
	enum slot_id running;	/* what is running now, from the boot loader's own evidence */
	enum slot_id primary;	/* what a plain reboot starts */
	enum slot_id trial;	/* to be tried at the next reboot only, or NONE */
	bool on_trial;		/* the running slot was started as a trial and is not primary */
	enum slot_mark mark[2];
};

struct boot;

struct boot_ops {
	const char *name;	/* Boot= in [Slots] */
	enum ef_reason (*open)(const char *dir, struct boot **ret, struct error *e);
	void (*close)(struct boot *b);
	enum ef_reason (*state)(struct boot *b, struct boot_state *ret, struct error *e);
	/* The next reboot tries slot once; whatever happens then, the one after starts primary. */
	enum ef_reason (*try_next)(struct boot *b, enum slot_id slot, struct error *e);
	/* slot becomes primary and good; a trial that was set is cleared. */
	enum ef_reason (*mark_good)(struct boot *b, enum slot_id slot, struct error *e);
	/* slot will not be tried; never allowed for the primary slot. */
	enum ef_reason (*mark_bad)(struct boot *b, enum slot_id slot, struct error *e);
	/* Asks for the reboot that try_next prepared. Returns; the reboot comes. */
	enum ef_reason (*reboot)(struct boot *b, struct error *e);
};

/* A folder in place of a boot loader, for demos and tests: docs/DESIGN.md, "Simulated boot". */
extern const struct boot_ops boot_sim;
const struct boot_ops *boot_find(const char *name);
