/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers that lie in an instruction in pieces. */
#include "wire/patch-model.h"

uint32_t patch_word(const struct patch_unit *u)
{
	return le32_get(u->bytes);
}

uint32_t patch_field_get(const uint8_t *f, uint32_t w)
{
	unsigned bits = *f++, at = *f++;
	uint32_t v = 0;

	for (; *f; f += 2) {
		v |= (w >> f[1] & ((1u << f[0]) - 1)) << at;
		at += f[0];
	}
	return patch_sign(v, bits);
}

uint32_t patch_field_put(const uint8_t *f, uint32_t w, uint32_t v)
{
	v >>= *++f;
	while (*++f) {
		unsigned width = *f++;
		uint32_t mask = (1u << width) - 1;

		w = (w & ~(mask << *f)) | (v & mask) << *f;
		v >>= width;
	}
	return w;
}
