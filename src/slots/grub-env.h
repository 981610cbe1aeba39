/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * GRUB's environment block (GRUB manual, "Environment block"): 1024 bytes, a signature line, lines
 * NAME=VALUE, filled up with '#'. GRUB rewrites the same disk blocks in place, so its length must
 * never change. Ours stand first and have one length whatever they say, so that every change stays
 * inside the file's first sector, which a power cut leaves old or new:
 *   edgeferry_primary=A|B
 *   edgeferry_trial=A|B|-
 *   edgeferry_marks=gg	 slot A, slot B: 'g'ood or 'b'ad
 *   edgeferry_verity_A=…	 and _B: BOOT_ARGS_SIZE characters for the kernel command line; only
 *			 once a release had a root hash
 * A block without them means primary A, no trial, both good, as the script in conf/boot says.
 */
#include "slots/vars.h"

#define GRUB_ENV_SIZE 1024u

/* data: GRUB_ENV_SIZE bytes. BOOT_STATE when it is no such block or says anything else. */
enum ef_reason grub_env_parse(const char *data, struct slot_vars *ret, struct error *e);
/* Sets ours in data, all other lines kept. BOOT_STATE, data as before, when they do not fit. */
enum ef_reason grub_env_format(char *data, const struct slot_vars *v, struct error *e);
/* Sets a slot's edgeferry_verity; blanks where there is none change nothing. */
enum ef_reason grub_env_set_args(char *data, enum slot_id slot, const char *args, struct error *e);
