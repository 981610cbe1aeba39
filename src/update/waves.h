/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Local waves: the nodes of one component are activated in shares that grow, so that an image that
 * does not do harms few. Pure. Waves are numbered from 0.
 */
#include "update/update.h"

/* How many of n are up after wave k: 1, 10, 25, 50, 100 %, rounded up, each at least one more than
 * before. */
size_t waves_share(size_t n, unsigned k);

/*
 * Gives each of n members its wave, in their order; of a redundancy group (NULL: none) never two in
 * one, which may take more waves than five. Returns how many there are.
 */
unsigned waves_assign(const char *const *groups, size_t n, unsigned *waves);

/* So many image failures stop it in wave k of n members, whatever the release's budget is.
 */
size_t waves_limit(size_t n, unsigned k);

/* Sets wave in all parts of d: of those of one component that are not skipped. Negative errno. */
int waves_number(struct deployment *d, const struct config *config);
