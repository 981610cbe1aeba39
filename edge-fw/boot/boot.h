/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The boot decision: from the stored state and what the slots hold to one of two ends. Everything
 * that must be finished first (a swap, a revert) is finished here.
 */
#include "boot/factory.h"
#include "boot/retained.h"
#include "boot/state.h"

/* Starts of a confirmed image that may fail, with no hour of calm between them (agent/health.h). */
#define BOOT_FAILURES_MAX 8u

/* Values far from each other and from what a skipped instruction leaves in a register (E-15). */
enum boot_end {
	BOOT_RUN = 0x5a3c96c3,	    /* the image in slot 0 */
	BOOT_RECOVERY = 0x25c3693c, /* no image may run: the agent serves from the bootloader */
	BOOT_AGAIN = 0x3ca5599a,    /* inside boot.c only: the phase changed, look again */
};

/* What is used most stands first: a small core reaches it with shorter instructions. */
struct boot {
	struct retained retained;
	bool stay;   /* asked for: nothing is started, so no trial is used up */
	bool failed; /* the last start of slot 0 ended before the image had shown that it works */
	enum ef_reason reason; /* why not, when the end is BOOT_RECOVERY */
	struct state state;
	struct ef_image_info image; /* as last looked at, when the end is BOOT_RUN */
	struct factory factory;
};

enum boot_end boot_decide(struct boot *b);

/*
 * No slot may run: BOOT_RUN when the board has a recovery image that may. It was written when the
 * device was made, as the factory page was, and is judged by what stands there alone: no newer
 * floor or key can take it away. Forgets the state in *b.
 */
enum boot_end boot_recovery_image(struct boot *b);

/* Where it lies; size 0: the board has none. */
struct port_area boot_recovery_area(void);

/* Looks at what is about to be started as if nothing had been looked at before. */
enum boot_end boot_look_again(struct boot *b, const struct port_area *where);

/* The whole bootloader. */
_Noreturn void boot_main(void);
