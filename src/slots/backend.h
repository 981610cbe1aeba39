/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a boot back-end is: a place where slot_vars are kept, and evidence of what was started.
 * boot.c makes the decisions, the same for all (vars.h).
 */
#include "slots/vars.h"

/* One length whatever it says, as a change is to stay in one sector. */
#define BOOT_ARGS_FORMAT "edgeferry.roothash=%s edgeferry.hashoffset=%-20llu"
#define BOOT_ARGS_SIZE (19u + 64u + 1u + 21u + 20u)

struct boot_ops {
	const char *name; /* [Slots] Boot= */
	/* Allocates a struct that begins with struct boot; ops is set by the caller. */
	enum ef_reason (*open)(const struct boot_place *place, struct boot **ret, struct error *e);
	void (*close)(struct boot *b);
	/* BOOT_STATE for anything that is not exactly understood (S-14). */
	enum ef_reason (*load)(
		struct boot *b, struct slot_vars *vars, struct slot_evidence *now, struct error *e);
	/*
	 * Durable, old or new after a cut at any point (F-02). now is what load gave. The trial
	 * that vars name has to be used up by the boot loader itself before it starts the slot.
	 */
	enum ef_reason (*store)(struct boot *b, const struct slot_vars *vars,
		const struct slot_evidence *now, struct error *e);
	/*
	 * What is added to the kernel command line of slot, BOOT_ARGS_SIZE characters, filled up
	 * with blanks; NULL: the back-end has no place for it.
	 */
	enum ef_reason (*set_args)(
		struct boot *b, enum slot_id slot, const char *args, struct error *e);
	enum ef_reason (*came_up)(struct boot *b, struct error *e); /* NULL: nothing is counted */
	enum ef_reason (*rebooting)(
		struct boot *b, const char **parameter, struct error *e); /* or NULL */
};

struct boot {
	const struct boot_ops *ops;
};

extern const struct boot_ops boot_sim;	   /* a folder: docs/DESIGN.md, "Simulated boot" */
extern const struct boot_ops boot_grub;	   /* grubenv and conf/boot/edgeferry.grub */
extern const struct boot_ops boot_uboot;   /* libubootenv and conf/boot/edgeferry.uboot */
extern const struct boot_ops boot_tryboot; /* Raspberry Pi: autoboot.txt */
