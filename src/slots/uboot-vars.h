/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * U-Boot's environment, with the variables that A/B boot scripts commonly use, and one of ours:
 *   BOOT_ORDER       "A B", "B A", "A", "B": who is asked first
 *   BOOT_A_LEFT      attempts that slot A has left; the script takes one before it starts the slot,
 *   BOOT_B_LEFT      and skips a slot that has none
 *   edgeferry_trial  "A" or "B": first in the order for one attempt only; empty or absent: nothing
 *   edgeferry_verity_A  what is added to the kernel command line of slot A, or absent; _B the same
 * conf/boot/edgeferry.uboot is such a script.
 */
#include "slots/vars.h"

#define UBOOT_ATTEMPTS 3u /* of a slot that is primary */

enum uboot_name { UBOOT_ORDER, UBOOT_A_LEFT, UBOOT_B_LEFT, UBOOT_TRIAL, UBOOT_NAMES };
extern const char *const uboot_names[UBOOT_NAMES];

struct uboot_vars {
	enum slot_id order[2]; /* the second may be NONE */
	unsigned left[2];      /* of slot A and B */
	enum slot_id trial;    /* or NONE */
};

/* text[i]: value of uboot_names[i], NULL: not set. BOOT_STATE for what is not understood (S-14). */
enum ef_reason uboot_vars_parse(
	const char *const text[UBOOT_NAMES], struct uboot_vars *ret, struct error *e);

#define UBOOT_TEXT_MAX 8u
void uboot_vars_format(const struct uboot_vars *v, char text[UBOOT_NAMES][UBOOT_TEXT_MAX]);

/* What they mean while running runs, and what they have to be so that they mean it. */
void uboot_to_slots(const struct uboot_vars *v, enum slot_id running, struct slot_vars *ret);
void uboot_from_slots(const struct slot_vars *s, struct uboot_vars *ret);
