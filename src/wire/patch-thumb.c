/* SPDX-License-Identifier: Apache-2.0 */
/* Thumb, ARMv6-M to ARMv8-M: branches and loads of literals. */
#include "wire/le.h"
#include "wire/patch-model.h"

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}

static void decode_wide(struct patch_unit *u, uint32_t pc, uint32_t h1, uint32_t h2)
{
	bool branch = h1 >> 11 == 0x1e && h2 >> 15;

	u->size = 4;
	u->kind = PATCH_WIDE;
	if (branch && h2 & 0x5000) { /* BL, BLX, B.W */
		uint32_t s = h1 >> 10 & 1, i1 = ~(h2 >> 13 ^ s) & 1, i2 = ~(h2 >> 11 ^ s) & 1;

		u->kind = PATCH_CALL;
		u->address = pc + patch_sign(s << 24 | i1 << 23 | i2 << 22 | (h1 & 0x3ff) << 12 |
						     (h2 & 0x7ff) << 1,
					  25);
	} else if (branch && !(h2 & 0x5000) && (h1 & 0x380) != 0x380) { /* conditional */
		u->kind = PATCH_BRANCH;
		u->address = pc + patch_sign((h1 >> 10 & 1) << 20 | (h2 >> 11 & 1) << 19 |
						     (h2 >> 13 & 1) << 18 | (h1 & 0x3f) << 12 |
						     (h2 & 0x7ff) << 1,
					  21);
	} else if ((h1 & 0xff7f) == 0xf85f) {
		u->kind = PATCH_LOAD;
		u->address = (pc & ~3u) + (h1 & 0x80 ? h2 & 0xfff : -(h2 & 0xfff));
	}
}

static void decode(const struct ef_patch *s, struct patch_unit *u, uint32_t pc, unsigned which)
{
	uint32_t h = le16_get(u->bytes), top = h >> 11;

	(void)s;
	(void)which;
	pc += 4;
	if (top >= 0x1d) {
		decode_wide(u, pc, h, le16_get(u->bytes + 2));
		return;
	}
	u->kind = PATCH_BRANCH;
	if (top == 9 || top == 0x14) { /* LDR, ADR */
		u->kind = PATCH_LOAD;
		u->address = (pc & ~3u) + (h & 255) * 4;
	} else if (top == 0x1c)
		u->address = pc + patch_sign(h << 1, 12);
	else if (h >> 12 == 13 && (h & 0xe00) != 0xe00)
		u->address = pc + patch_sign(h << 1, 9);
	else if ((h & 0xf500) == 0xb100) /* CBZ, CBNZ */
		u->address = pc + ((h >> 2 & 0x3e) | (h >> 3 & 0x40));
	else
		u->kind = PATCH_PLAIN;
}

static void encode_wide(struct patch_unit *u, uint32_t pc, uint32_t a)
{
	uint32_t h1 = le16_get(u->bytes), h2 = le16_get(u->bytes + 2), d = a - pc, s = d >> 24 & 1;

	if (u->kind == PATCH_CALL) {
		h1 = 0xf000 | s << 10 | (d >> 12 & 0x3ff);
		h2 = (h2 & 0xd000) | (~(d >> 23 ^ s) & 1) << 13 | (~(d >> 22 ^ s) & 1) << 11 |
		     (d >> 1 & 0x7ff);
	} else if (u->kind == PATCH_LOAD) {
		d = a - (pc & ~3u);
		h1 = 0xf8df;
		if (d >> 31) {
			d = -d;
			h1 = 0xf85f;
		}
		if (d > 0xfff)
			return;
		h2 = (h2 & 0xf000) | d;
	} else {
		h1 = (h1 & 0xfbc0) | (d >> 20 & 1) << 10 | (d >> 12 & 0x3f);
		h2 = (h2 & 0xd000) | (d >> 18 & 1) << 13 | (d >> 19 & 1) << 11 | (d >> 1 & 0x7ff);
	}
	put16(u->bytes, h1);
	put16(u->bytes + 2, h2);
}

static void encode(const struct ef_patch *s, struct patch_unit *u, uint32_t pc, uint32_t a)
{
	uint32_t h = le16_get(u->bytes), d;

	(void)s;
	pc += 4;
	d = a - pc;
	if (u->size == 4)
		encode_wide(u, pc, a);
	else if (u->kind == PATCH_LOAD) {
		d = a - (pc & ~3u);
		if (!(d & 3) && d < 1024)
			u->bytes[0] = (uint8_t)(d >> 2);
	} else if (h >> 11 == 0x1c) {
		if (d + 2048 < 4096)
			put16(u->bytes, 0xe000 | (d >> 1 & 0x7ff));
	} else if (h >> 12 == 13) {
		if (d + 256 < 512)
			u->bytes[0] = (uint8_t)(d >> 1);
	} else if (d < 128)
		put16(u->bytes, (h & 0xfd07) | (d >> 1 & 31) << 3 | (d >> 6 & 1) << 9);
}

const struct ef_patch_model ef_patch_thumb = {1, decode, encode, NULL};
