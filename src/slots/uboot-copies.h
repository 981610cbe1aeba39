/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The copies of U-Boot's environment, one by one, for `edgeferry doctor`: a power cut loses an
 * environment that has one copy. Only looks.
 */
#include <stdbool.h>
#include <stddef.h>

struct uboot_copy {
	char device[256];
	long long offset;
	size_t size;
	bool valid; /* as libubootenv sees it */
};

/* Of those that the file fw_env.config names, the first two: how many there are. 0: none, or it
 * cannot be read. valid is said where there are two. */
unsigned uboot_copies(const char *config, struct uboot_copy ret[2]);
/* Whether they lie in places of their own. */
bool uboot_copies_apart(const struct uboot_copy c[2]);
