/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Finds the two slots and the boot loader of a gateway by what lies about, for Boot=auto and for
 * `edgeferry doctor`, which shows every fact. Only looks: small files and names below /dev/disk.
 */
#include "slots/boot.h"

struct slots_fact {
	bool found;
	char text[224];	  /* what was looked for, and where it was or was not */
	char advice[352]; /* what to write into which file, when it was not; or "" */
};

#define SLOTS_FACTS_MAX 24u

struct slots_found {
	const char *boot; /* [Slots] Boot=; NULL: no back-end, or more than one, has all it needs */
	char boot_dir[64], a[96], b[96]; /* BootDirectory=, A=, B=; "": not found */
	char boot_a[96],
		boot_b[96]; /* BootA=, BootB=, where the boot loader has the kernel there; or "" */
	struct slots_fact facts[SLOTS_FACTS_MAX];
	size_t n_facts;
};

/* root: see struct boot_place. CONFIG, with what is missing in e, unless boot, a and b are found;
 * ret is filled in any case. */
enum ef_reason slots_detect(const char *root, struct slots_found *ret, struct error *e);
