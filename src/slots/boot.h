/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The gateway's boot loader as the core sees it: two slots, one runs, at most one is to be tried
 * once. Every change is durable when the call returns. Calls block shortly (small files).
 */
#include "util/reason.h"
#include <stdbool.h>
#include <stdint.h>

enum slot_id { SLOT_A, SLOT_B, SLOT_NONE };
enum slot_mark { SLOT_GOOD, SLOT_BAD };

const char *slot_word(enum slot_id s); /* "A", "B", "none" */

static inline enum slot_id slot_other(enum slot_id s)
{
	return s == SLOT_A ? SLOT_B : SLOT_A;
}

struct boot_state {
	enum slot_id running; /* what is running now, from the boot loader's own evidence */
	enum slot_id primary; /* what a plain reboot starts */
	enum slot_id trial;   /* to be tried at the next reboot only, or NONE */
	bool on_trial;	      /* the running slot was started as a trial and is not primary */
	enum slot_mark mark[2];
};

/* Where a back-end finds its things; all texts outlive the boot. */
struct boot_place {
	const char *dir;       /* [Slots] BootDirectory= */
	const char *state_dir; /* of both slots alike: a flip does not change it */
	const char *root;      /* what stands before /proc and /sys: "" but in tests */
};

struct boot;

/* name: [Slots] Boot=. CONFIG when no back-end has it, BOOT_STATE when the place is not as it
 * needs. */
enum ef_reason boot_open(
	const char *name, const struct boot_place *place, struct boot **ret, struct error *e);
void boot_close(struct boot *b); /* NULL is fine */
enum ef_reason boot_state(struct boot *b, struct boot_state *ret, struct error *e);
/* The next reboot tries slot once; whatever happens then, the one after starts primary. */
enum ef_reason boot_try_next(struct boot *b, enum slot_id slot, struct error *e);
/*
 * What the kernel is told of dm-verity when slot, which must not run, is started:
 * "edgeferry.roothash=" and "edgeferry.hashoffset=", the superblock's place in it; offset 0:
 * nothing. tryboot has no place for it: OK, and nothing is told.
 */
enum ef_reason boot_set_verity(struct boot *b, enum slot_id slot, const uint8_t root[32],
	uint64_t offset, struct error *e);
/* slot becomes primary and good; a trial that was set is cleared. */
enum ef_reason boot_mark_good(struct boot *b, enum slot_id slot, struct error *e);
/* slot will not be tried; never allowed for the primary slot. */
enum ef_reason boot_mark_bad(struct boot *b, enum slot_id slot, struct error *e);
/* The running slot came up: where the boot loader counts attempts, they start anew. */
enum ef_reason boot_came_up(struct boot *b, struct error *e);
/*
 * To be called right before the machine is restarted. *parameter: what the restart has to hand to
 * the firmware ("0 tryboot"), or NULL; lives as long as the program.
 */
enum ef_reason boot_rebooting(struct boot *b, const char **parameter, struct error *e);
