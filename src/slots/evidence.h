/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the boot loader left behind for those it started. root: see struct boot_place. */
#include "slots/vars.h"
#include <stdint.h>

/*
 * Boot loaders that hand the slot over on the kernel's command line:
 *   edgeferry.slot=A|B	what was started; rauc.slot= is taken as well, so that such scripts serve
 *   edgeferry.trial=1	because of a trial
 * Said twice, differently, or not at all: BOOT_STATE.
 */
enum ef_reason evidence_cmdline(const char *root, struct slot_evidence *ret, struct error *e);
/* The same from the text itself. */
enum ef_reason evidence_parse(const char *cmdline, struct slot_evidence *ret, struct error *e);

/* /chosen/bootloader/NAME of the device tree, 32 bits. BOOT_STATE when it is not there. */
enum ef_reason evidence_device_tree(
	const char *root, const char *name, uint32_t *ret, struct error *e);

/* The kernel's id of this boot, without line end. */
#define BOOT_ID_MAX 40u
enum ef_reason evidence_boot_id(const char *root, char ret[BOOT_ID_MAX], struct error *e);
