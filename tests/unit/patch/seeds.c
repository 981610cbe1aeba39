/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes work: images of many kinds, made from seeds, go through a patch and come out as they
 * were, whatever processor the patch takes them for. TAP, with the checksum of each patch.
 *
 *	seeds FIRST N SIZE	seeds from FIRST on, images of at most SIZE bytes
 */
#include "patch/patch.h"
#include "wire/crc.h"
#include "wire/le.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state;

static uint32_t draw(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 17;
	state ^= state << 5;
	return below ? state % below : 0;
}

static void fill_random(uint8_t *p, uint32_t size)
{
	for (uint32_t i = 0; i < size; i++)
		p[i] = (uint8_t)draw(256);
}

static uint32_t call_to(uint32_t from, uint32_t to)
{
	uint32_t d = to - from - 4, s = d >> 24 & 1, j1 = ~(d >> 23 ^ s) & 1,
		 j2 = ~(d >> 22 ^ s) & 1;

	return (0xf000 | s << 10 | (d >> 12 & 0x3ff)) |
	       (0xd000 | j1 << 13 | j2 << 11 | (d >> 1 & 0x7ff)) << 16;
}

static uint32_t jump_to(uint32_t from, uint32_t to)
{
	uint32_t d = to - from;

	return 0xef | (d >> 20 & 1) << 31 | (d >> 1 & 0x3ff) << 21 | (d >> 11 & 1) << 20 |
	       (d >> 12 & 255) << 12;
}

/* Instructions that call into [0, size), pointers to it and to memory, and texts; behind
 * inserted_at all is inserted bytes on. */
static void fill_code(
	uint8_t *p, uint32_t size, bool riscv, uint32_t inserted_at, uint32_t inserted)
{
	uint32_t moved;

	for (uint32_t i = 0; i + 4 <= size; i += 4) {
		uint32_t to = draw(size) & ~3u, what = draw(8);

		moved = i >= inserted_at ? i + inserted : i;
		to += to >= inserted_at ? inserted : 0;
		if (what < 3)
			le32_put(p + i, riscv ? jump_to(moved, to) : call_to(moved, to));
		else if (what == 3)
			le32_put(p + i, 0x08000000 + to + !riscv);
		else if (what == 4)
			le32_put(p + i, 0x20000000 + draw(4096) * 4 + inserted);
		else
			le32_put(p + i, riscv ? 0x00000013 | draw(4096) << 20
					      : 0x46c0b510 ^ draw(16) << 16);
	}
}

static uint32_t draw_size(uint32_t max)
{
	unsigned bits = 0;

	while (max >> bits > 1)
		bits++;
	uint32_t size = (1u << draw(bits + 1)) + draw(1000);
	return size > max ? max : size;
}

static void mutate(uint8_t *p, uint32_t size)
{
	for (uint32_t n = draw(20); n-- && size;) {
		uint32_t at = draw(size), len = 1 + draw(64), from = draw(size);

		if (len > size - at)
			len = size - at;
		if (len > size - from)
			len = size - from;
		if (draw(2))
			memmove(p + at, p + from, len);
		else
			fill_random(p + at, len);
	}
}

enum shape {
	RANDOM,
	EQUAL,
	REVERSED,
	MUTATED,
	SHIFTED,
	CODE,
	CODE_RISCV,
	EMPTY_OLD,
	EMPTY_NEW,
	PERIODIC,
	SHAPES
};

/* Both have room for twice max. */
static void make_images(enum shape shape, uint32_t max, uint8_t *old, uint32_t *old_size,
	uint8_t *new, uint32_t *new_size)
{
	uint32_t n = draw_size(max), seed = state, cut;

	*old_size = *new_size = n;
	fill_random(old, n);
	memcpy(new, old, n);
	switch (shape) {
	case RANDOM:
		*new_size = draw_size(max);
		fill_random(new, *new_size);
		break;
	case REVERSED:
		for (uint32_t i = 0; i < n; i++)
			new[i] = old[n - 1 - i];
		break;
	case MUTATED:
		mutate(new, n);
		break;
	case SHIFTED:
		cut = draw(n);
		*new_size = n - cut;
		memcpy(new, old + cut, n - cut);
		mutate(new, *new_size);
		break;
	case CODE:
	case CODE_RISCV:
		cut = draw(n) & ~3u;
		state = seed;
		fill_code(old, n, shape == CODE_RISCV, UINT32_MAX, 0);
		state = seed;
		fill_code(new, n, shape == CODE_RISCV, cut, 12);
		memmove(new + cut + 12, new + cut, n - cut);
		memset(new + cut, 0x11, 12);
		*new_size = n + 12;
		mutate(new, draw(2) ? 0 : *new_size);
		break;
	case EMPTY_OLD:
		*old_size = 0;
		break;
	case EMPTY_NEW:
		*new_size = 0;
		break;
	case PERIODIC:
		cut = 1 + draw(9);
		for (uint32_t i = cut; i < n; i++)
			old[i] = new[i] = old[i - cut];
		mutate(new, n);
		break;
	default:
		break;
	}
}

static const struct ef_patch_model *const models[] = {
	&ef_patch_generic, &ef_patch_thumb, &ef_patch_riscv, NULL};

/* Its checksum; *size 0 when it was wrong. */
static uint32_t round_trip(
	const struct patch_image *old, const struct patch_image *new, uint32_t choice, size_t *size)
{
	struct patch_hints hints = {
		.model = models[choice & 3], .has_base = choice & 4, .base = choice << 12};
	uint8_t *patch, *back;
	uint32_t back_size, crc;

	*size = 0;
	if (patch_make(old, new, &hints, &patch, size))
		return 0;
	crc = crc32_ieee(0, patch, *size);
	if (patch_apply(old, patch, *size, NULL, &back, &back_size)) {
		*size = 0;
	} else {
		if (back_size != new->size || memcmp(back, new->data, back_size) != 0)
			*size = 0;
		free(back);
	}
	free(patch);
	return crc;
}

int main(int argc, char **argv)
{
	uint32_t first, n, max;
	int failed = 0;

	if (argc != 4)
		return 64;
	first = (uint32_t)strtoul(argv[1], NULL, 0);
	n = (uint32_t)strtoul(argv[2], NULL, 0);
	max = (uint32_t)strtoul(argv[3], NULL, 0);
	uint8_t *old = calloc(2, (size_t)max + 1024), *new = calloc(2, (size_t)max + 1024);
	if (!old || !new)
		return 1;
	printf("1..%u\n", (unsigned)n);
	for (uint32_t k = 0; k < n; k++) {
		struct patch_image o = {.data = old}, w = {.data = new};
		size_t size;

		state = (first + k) * 2654435761u | 1;
		enum shape shape = (enum shape)(draw(1 << 16) % SHAPES);
		make_images(shape, max, old, &o.size, new, &w.size);
		uint32_t choice = draw(8), crc = round_trip(&o, &w, choice, &size);
		printf("%s %u - seed %u, shape %d, choice %u: %u from %u bytes by a patch of %u, "
		       "%08x\n",
			size ? "ok" : "not ok", (unsigned)k + 1, (unsigned)(first + k), (int)shape,
			(unsigned)choice, (unsigned)w.size, (unsigned)o.size, (unsigned)size,
			(unsigned)crc);
		failed |= !size;
	}
	free(old);
	free(new);
	return failed;
}
