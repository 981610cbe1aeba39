/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder of patches: bounded writes, in order, and reads of what is there. The first byte says
 * whether the rest is a whole patch, or a stream behind a header that is right.
 */
#include "wire/crc.h"
#include "wire/le.h"
#include <edgeferry/patch.h>
#include <stdlib.h>
#include <string.h>

#define OLD 2048u
#define NEW 6000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct board {
	const uint8_t *patch;
	size_t at, size;
	uint32_t used;
	uint8_t old[OLD], new[NEW];
};

static int next(void *ctx)
{
	struct board *b = ctx;

	return b->at < b->size ? b->patch[b->at++] : -1;
}

static int read_old(void *ctx, uint32_t offset, void *buf, size_t size)
{
	struct board *b = ctx;

	if (offset > OLD || size > OLD - offset)
		abort();
	memcpy(buf, b->old + offset, size);
	return 0;
}

static int read_new(void *ctx, uint32_t offset, void *buf, size_t size)
{
	struct board *b = ctx;

	if (offset > b->used || size + EF_PATCH_PAGE > b->used - offset)
		abort();
	memcpy(buf, b->new + offset, size);
	return 0;
}

static int write_new(void *ctx, uint32_t offset, const void *buf, size_t size)
{
	struct board *b = ctx;

	if (offset != b->used || size > NEW - offset || !size)
		abort();
	memcpy(b->new + offset, buf, size);
	b->used += (uint32_t)size;
	return 0;
}

/* A header for the old image of this program, with the model that the byte says. */
static size_t header(uint8_t *buf, const struct board *b, uint8_t model)
{
	const uint32_t words[] = {crc32_ieee(0, b->old, OLD), 0, OLD, NEW, 0x20000000, 0x100000,
		0x08000000, 0x08000000};

	memcpy(buf, (const uint8_t[]){'E', 'P', EF_PATCH_VERSION, model % 3, 1}, 5);
	for (size_t k = 0; k < sizeof(words) / sizeof(words[0]); k++)
		le32_put(buf + 5 + 4 * k, words[k]);
	return 5 + sizeof(words);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ef_patch_model *const models[] = {
		&ef_patch_generic, &ef_patch_thumb, &ef_patch_riscv, NULL};
	static struct board b;
	static struct ef_patch p;
	static uint8_t patch[4096];
	struct ef_patch_io io = {&b, OLD, NEW, next, read_old, read_new, write_new};
	size_t used = 0;

	if (!size || size > 2048)
		return 0;
	b.at = b.used = 0;
	for (uint32_t k = 0, x = 1; k < OLD; k++, x = x * 1103515245u + 12345u)
		b.old[k] = (uint8_t)(x >> 16);
	for (uint32_t k = 0; k < OLD; k += 16) /* with code and pointers in it */
		le32_put(b.old + k, k & 16 ? 0x08000000 + k : k & 32 ? 0xf802f000 : 0x004000ef);
	if (data[0] & 128)
		used = header(patch, &b, data[0]);
	memcpy(patch + used, data + 1, size - 1);
	b.patch = patch;
	b.size = used + size - 1;
	ef_patch_begin(&p, &io, models);
	while (!ef_patch_done(&p) && !ef_patch_step(&p))
		;
	return 0;
}
