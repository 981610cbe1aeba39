/* SPDX-License-Identifier: Apache-2.0 */
/* Thumb, ARMv6-M to ARMv8-M: branches and loads of literals. */
#include "wire/patch-model.h"

/* Where a form begins in forms: its kind, then the offset in it, the first halfword being lower. */
enum {
	PLAIN,
	WIDE,
	LOAD, /* and ADR */
	NEAR = LOAD + 6,
	CONDITION = NEAR + 6,
	ZERO = CONDITION + 6, /* CBZ, CBNZ */
	LOAD_WIDE = ZERO + 8,
	FAR = LOAD_WIDE + 6, /* from here on the reach is not looked at */
	CALL = FAR + 14,     /* BL, BLX, B.W */
};
#define FORM(...) __VA_ARGS__, 0
static const uint8_t forms[CALL + 14] = {[PLAIN] = PATCH_PLAIN,
	[WIDE] = PATCH_WIDE,
	[LOAD] = FORM(PATCH_LOAD, 32, 2, 8, 0),
	[NEAR] = FORM(PATCH_BRANCH, 12, 1, 11, 0),
	[CONDITION] = FORM(PATCH_BRANCH, 9, 1, 8, 0),
	[ZERO] = FORM(PATCH_BRANCH, 32, 1, 5, 3, 1, 9),
	[LOAD_WIDE] = FORM(PATCH_LOAD, 32, 0, 12, 16),
	[FAR] = FORM(PATCH_BRANCH, 21, 1, 11, 16, 6, 0, 1, 29, 1, 27, 1, 10),
	[CALL] = FORM(PATCH_CALL, 25, 1, 11, 16, 10, 0, 1, 27, 1, 29, 1, 10)};
#define UPWARDS 0x80u /* of LOAD_WIDE */

PATCH_APART static unsigned find_form(uint32_t w)
{
	uint32_t h = w & 0xffff, top = h >> 11;

	if (top == 0x1e && w >> 31) {
		if (w & 0x50000000)
			return CALL;
		return (h & 0x380) == 0x380 ? WIDE : FAR;
	}
	if (top >= 0x1d)
		return (h & 0xff7f) == 0xf85f ? LOAD_WIDE : WIDE;
	if (top == 9 || top == 0x14)
		return LOAD;
	if (top == 0x1c)
		return NEAR;
	if (h >> 12 == 13 && (h & 0xe00) != 0xe00)
		return CONDITION;
	return (h & 0xf500) == 0xb100 ? ZERO : PLAIN;
}

/* What the offset is relative to. */
static uint32_t base(const struct patch_unit *u, uint32_t pc)
{
	return u->kind == PATCH_LOAD ? (pc + 4) & ~3u : pc + 4;
}

/* The offset of a call as it is coded, and back: two bits are inverted unless it is negative. */
static uint32_t call(uint32_t d)
{
	return d >> 24 & 1 ? d : d ^ 0xc00000;
}

static void decode(const struct ef_patch *s, struct patch_unit *u, uint32_t pc, unsigned which)
{
	uint32_t w = patch_word(u), d;

	(void)s;
	(void)which;
	u->form = (uint8_t)find_form(w);
	u->kind = forms[u->form];
	if (u->form == WIDE || u->form >= LOAD_WIDE)
		u->size = 4;
	if (u->kind < PATCH_BRANCH)
		return;
	d = patch_field_get(&forms[u->form + 1], w);
	if (u->form == CALL)
		d = call(d);
	if (u->form == LOAD_WIDE && !(w & UPWARDS))
		d = -d;
	u->offset = d;
	u->address = base(u, pc) + d;
}

static void encode(const struct ef_patch *s, struct patch_unit *u, uint32_t pc, uint32_t a)
{
	const uint8_t *field = &forms[u->form + 1];
	uint32_t w = u->code, d = a - base(u, pc);

	(void)s;
	if (u->form == LOAD_WIDE) {
		w |= UPWARDS;
		if (d >> 31) {
			w ^= UPWARDS;
			d = -d;
		}
	} else if (d == u->offset) /* as most are */
		return;
	if (u->form == CALL)
		d = call(d);
	w = patch_field_put(field, w, d);
	/* a branch leaves out the lowest bit */
	if (u->form >= FAR || (patch_field_get(field, w) ^ d) <= (u->kind == PATCH_BRANCH))
		le32_put(u->bytes, w);
}

const struct ef_patch_model ef_patch_thumb = {1, decode, encode, NULL};
