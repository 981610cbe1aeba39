/* SPDX-License-Identifier: Apache-2.0 */
/* For programs that make patches; all others link patch-want-none.c. */
#include "wire/patch-model.h"

struct ef_patch_want *patch_want(const struct ef_patch *s)
{
	return s->want;
}
