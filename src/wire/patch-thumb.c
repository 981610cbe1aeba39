/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/patch-model.h"

static uint32_t le16(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8;
}
static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)v;
	p[1] = (uint8_t)(v >> 8);
}
static uint32_t sx(uint32_t v, unsigned bits)
{
	return (uint32_t)((int32_t)(v << (32 - bits)) >> (32 - bits));
}

static void decode(const struct ef_patch_state *s_, struct patch_unit *u, uint32_t pc, unsigned which)
{
	uint32_t h1 = le16(u->bytes), h2 = le16(u->bytes + 2), top = h1 >> 11, q;
	pc += 4;
	u->size = 2;
	if (top >= 0x1d) {
		u->size = 4;
		u->kind = PATCH_WIDE;
		if (top == 0x1e && ((h2 & 0xC000) == 0xC000 || (h2 & 0xD000) == 0x9000)) {
			uint32_t s = h1 >> 10 & 1, i1 = !((h2 >> 13 & 1) ^ s), i2 = !((h2 >> 11 & 1) ^ s);
			u->kind = PATCH_CALL;
			u->address = pc + sx(s << 24 | i1 << 23 | i2 << 22 | (h1 & 0x3ff) << 12 | (h2 & 0x7ff) << 1, 25);
		} else if (top == 0x1e && (h2 & 0xD000) == 0x8000 && (h1 & 0x380) != 0x380) {
			u->kind = PATCH_BRANCH;
			u->address = pc + sx((h1 >> 10 & 1) << 20 | (h2 >> 11 & 1) << 19 | (h2 >> 13 & 1) << 18 | (h1 & 0x3f) << 12 | (h2 & 0x7ff) << 1, 21);
		} else if ((h1 & 0xFF7F) == 0xF85F) {
			u->kind = PATCH_LOAD;
			q = h2 & 0xfff;
			u->address = (pc & ~3u) + (h1 & 0x80 ? q : -q);
		}
		return;
	}
	if (top == 9 || top == 0x14) {
		u->kind = PATCH_LOAD;
		u->address = (pc & ~3u) + (h1 & 255) * 4;
	} else if (top == 0x1c) {
		u->kind = PATCH_BRANCH;
		u->address = pc + sx(h1 & 0x7ff, 11) * 2;
	} else if ((h1 >> 12) == 13 && (h1 & 0xE00) != 0xE00) {
		u->kind = PATCH_BRANCH;
		u->address = pc + sx(h1 & 255, 8) * 2;
	} else if ((h1 & 0xF500) == 0xB100) {
		u->kind = PATCH_BRANCH;
		u->address = pc + ((h1 >> 3 & 31) | (h1 >> 4 & 32)) * 2;
	}
}

static void encode(const struct ef_patch_state *s_, struct patch_unit *u, uint32_t pc, uint32_t a)
{
	uint32_t h1 = le16(u->bytes), h2 = le16(u->bytes + 2), d;
	pc += 4;
	d = a - pc;
	if (u->kind == PATCH_CALL) {
		uint32_t s = d >> 24 & 1;
		put16(u->bytes, 0xF000 | s << 10 | (d >> 12 & 0x3ff));
		put16(u->bytes + 2, (h2 & 0xD000) | ((~(d >> 23) ^ s) & 1) << 13 | ((~(d >> 22) ^ s) & 1) << 11 | (d >> 1 & 0x7ff));
	} else if (u->kind == PATCH_LOAD) {
		d = a - (pc & ~3u);
		if (u->size == 4) {
			h1 = 0xF8DF;
			if ((int32_t)d < 0) {
				d = -d;
				h1 = 0xF85F;
			}
			if (d < 4096) {
				put16(u->bytes, h1);
				put16(u->bytes + 2, (h2 & 0xf000) | d);
			}
		} else if (!(d & 3) && d < 1024)
			u->bytes[0] = (uint8_t)(d >> 2);
	} else if (u->size == 4) {
		put16(u->bytes, (h1 & 0xFBC0) | (d >> 20 & 1) << 10 | (d >> 12 & 0x3f));
		put16(u->bytes + 2, (h2 & 0xD000) | (d >> 18 & 1) << 13 | (d >> 19 & 1) << 11 | (d >> 1 & 0x7ff));
	} else if ((h1 >> 11) == 0x1c) {
		if (d + 2048 < 4096)
			put16(u->bytes, 0xE000 | (d >> 1 & 0x7ff));
	} else if ((h1 >> 12) == 13) {
		if (d + 256 < 512)
			u->bytes[0] = (uint8_t)(d >> 1);
	} else if (d < 128)
		put16(u->bytes, (h1 & 0xFD07) | (d >> 1 & 31) << 3 | (d >> 6 & 1) << 9);
}

const struct ef_patch_model ef_patch_thumb = {1, decode, encode, 0};
static void none(const struct ef_patch_state *s, struct patch_unit *u, uint32_t pc, unsigned w) {}
static void none2(const struct ef_patch_state *s, struct patch_unit *u, uint32_t pc, uint32_t a) {}
const struct ef_patch_model ef_patch_generic = {0, none, none2, 0};
