/* SPDX-License-Identifier: Apache-2.0 */
/* No processor: units of two bytes, and aligned words that are addresses. */
#include "wire/patch-model.h"

static void decode(const struct ef_patch *s, struct patch_unit *u, uint32_t pc, unsigned which)
{
	(void)s;
	(void)u;
	(void)pc;
	(void)which;
}

static void encode(const struct ef_patch *s, struct patch_unit *u, uint32_t pc, uint32_t a)
{
	(void)s;
	(void)u;
	(void)pc;
	(void)a;
}

const struct ef_patch_model ef_patch_generic = {0, decode, encode, NULL};
