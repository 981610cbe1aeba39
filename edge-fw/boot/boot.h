/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The boot decision: from the stored state and what the slots hold to one of two ends. Everything
 * that must be finished first (a swap, a revert) is finished here.
 */
#include "boot/factory.h"
#include "boot/retained.h"
#include "boot/state.h"

enum boot_end {
	BOOT_RUN,      /* the image in slot 0 */
	BOOT_RECOVERY, /* no image may run: the agent serves from the bootloader */
};

struct boot {
	struct factory factory;
	struct state state;
	struct retained retained;
	bool stay;		    /* asked for: nothing is started, so no trial is used up */
	struct ef_image_info image; /* of slot 0, when the end is BOOT_RUN */
	enum ef_reason reason;	    /* why not, when it is BOOT_RECOVERY */
};

enum boot_end boot_decide(struct boot *b);

/* The whole bootloader. */
_Noreturn void boot_main(void);
