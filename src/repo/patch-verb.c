/* SPDX-License-Identifier: Apache-2.0 */
/* patch: what a patch from one firmware to another saves, proved by applying it. */
#include "patch/patch.h"
#include "repo/options.h"
#include "repo/verbs.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/json.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const char *name;
	const struct ef_patch_model *model;
} arches[] = {
	{"generic", &ef_patch_generic}, {"thumb", &ef_patch_thumb}, {"riscv", &ef_patch_riscv}};
#define ARCHES (sizeof(arches) / sizeof(arches[0]))

static enum ef_reason read_hints(
	const char *arch, const char *base, struct patch_hints *ret, struct error *e)
{
	uint64_t address;
	enum ef_reason r;

	for (size_t k = 0; arch && k < ARCHES; k++)
		if (strcmp(arches[k].name, arch) == 0)
			ret->model = arches[k].model;
	if (arch && !ret->model)
		return error_set(
			e, EF_REASON_USAGE, "--arch '%s': one of generic, thumb, riscv", arch);
	if (!base)
		return EF_REASON_OK;
	r = option_number(base, "--base", UINT32_MAX, &address, e);
	if (!r) {
		ret->has_base = true;
		ret->base = (uint32_t)address;
	}
	return r;
}

static enum ef_reason read_image(
	const char *file, uint8_t **data, struct patch_image *ret, struct error *e)
{
	size_t size;
	int n = file_read(file, PATCH_INPUT_MAX, data, &size);

	if (n == -EFBIG)
		return error_set(e, EF_REASON_TOO_LARGE,
			"%s: patches are made of images of up to %u MiB", file,
			PATCH_INPUT_MAX >> 20);
	if (n < 0)
		return error_errno(e, n, "%s", file);
	*ret = (struct patch_image){*data, (uint32_t)size};
	return EF_REASON_OK;
}

/* The patch gives the new image, or nobody gets it. */
static enum ef_reason prove(const struct patch_image *old, const struct patch_image *new,
	const uint8_t *patch, size_t size, struct ef_patch_header *h, struct error *e)
{
	_cleanup_free_ uint8_t *made = NULL;
	uint32_t made_size = 0;
	enum ef_reason r = patch_apply(old, patch, size, h, &made, &made_size);

	if (r)
		return error_set(e, r, "the patch cannot be applied; this is a bug");
	if (made_size != new->size || memcmp(made, new->data, made_size) != 0)
		return error_set(
			e, EF_REASON_BAD_DIGEST, "the patch gives another image; this is a bug");
	return EF_REASON_OK;
}

static double percent(uint64_t part, uint64_t all)
{
	return all ? 100.0 * (double)part / (double)all : 0;
}

static void print_text(const struct ef_patch_header *h, size_t size)
{
	const struct ef_patch_region *first = &h->regions[1][0];

	printf("%s, at 0x%08" PRIx32, arches[h->model].name, first->address + first->offset);
	if (h->n_regions > 1)
		printf(" and %u more addresses", h->n_regions - 1u);
	if (h->ram_size)
		printf(", memory from 0x%08" PRIx32, h->ram);
	printf("\n%" PRIu32 " bytes by a patch of %zu (%.2f %%)", h->new_size, size,
		percent(size, h->new_size));
	if (size < h->new_size)
		printf(": saves %zu\n", h->new_size - size);
	else
		printf(": saves nothing\n");
}

static enum ef_reason print_json(const struct ef_patch_header *h, size_t size, struct error *e)
{
	_cleanup_json_ json_t *all = json_pack("{s:s, s:I, s:I, s:I, s:I, s:f, s:I, s:i}", "arch",
		arches[h->model].name, "old-size", (json_int_t)h->old_size, "new-size",
		(json_int_t)h->new_size, "patch-size", (json_int_t)size, "saved",
		(json_int_t)h->new_size - (json_int_t)size, "percent", percent(size, h->new_size),
		"base", (json_int_t)h->regions[1][0].address, "regions", (int)h->n_regions);

	if (!all || json_dumpf(all, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "patch");
	putchar('\n');
	return EF_REASON_OK;
}

enum ef_reason verb_patch(struct invocation *i, struct error *e)
{
	const char *arch = NULL, *base = NULL, *out = NULL;
	const struct option options[] = {
		{"arch", OPTION_TEXT, &arch, "ARCH",
			"generic, thumb or riscv (default: as the image looks)"},
		{"base", OPTION_TEXT, &base, "ADDRESS",
			"where the images' first byte lies (default: as the image looks)"},
		{"out", OPTION_TEXT, &out, "FILE", "write the patch"},
		{0},
	};
	_cleanup_free_ uint8_t *old_data = NULL, *new_data = NULL, *patch = NULL;
	struct patch_image old, new;
	struct patch_hints hints = {0};
	struct ef_patch_header h;
	size_t size;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	r = read_hints(arch, base, &hints, e);
	if (!r)
		r = read_image(i->words.items[0], &old_data, &old, e);
	if (!r)
		r = read_image(i->words.items[1], &new_data, &new, e);
	if (r)
		return r;
	int n = patch_make(&old, &new, &hints, &patch, &size);
	if (n < 0)
		return error_errno(e, n, "%s", i->words.items[1]);
	r = prove(&old, &new, patch, size, &h, e);
	if (r)
		return r;
	n = out ? atomic_file_write(out, patch, size, 0644) : 0;
	if (n < 0)
		return error_errno(e, n, "%s", out);
	if (i->common.json)
		return print_json(&h, size, e);
	print_text(&h, size);
	return EF_REASON_OK;
}
