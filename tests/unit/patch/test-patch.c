/* SPDX-License-Identifier: Apache-2.0 */
/* The vectors of docs/SPEC-patch.md at both ends, and patches that are wrong (F-32). */
#include "patch/patch.h"
#include "unit.h"
#include "vectors.h"
#include "wire/le.h"

#define FILE_NAME "patch.txt"
#define ROOM 4096u

static const struct ef_patch_model *const models[] = {
	&ef_patch_generic, &ef_patch_thumb, &ef_patch_riscv, NULL};
static const struct {
	const char *name;
	uint32_t base;
} vectors[] = {{"generic", 0}, {"thumb", 0x08000000}, {"riscv", 0x42000000}};

/* The images and the patch of a vector, and what the decoder does with them. */
struct bench {
	uint8_t old[ROOM], new[ROOM], patch[ROOM], made[ROOM];
	uint32_t old_size, new_size, used;
	size_t patch_size, at;
	unsigned reads, writes, fail_read, fail_write; /* the callback that fails, from 1 on */
};

static int next(void *ctx)
{
	struct bench *b = ctx;

	return b->at < b->patch_size ? b->patch[b->at++] : -1;
}

static int read_old(void *ctx, uint32_t offset, void *buf, size_t size)
{
	struct bench *b = ctx;

	ck_assert_uint_le(offset + size, b->old_size);
	memcpy(buf, b->old + offset, size);
	return ++b->reads == b->fail_read;
}

static int read_new(void *ctx, uint32_t offset, void *buf, size_t size)
{
	struct bench *b = ctx;

	ck_assert_uint_le(offset + size + EF_PATCH_PAGE, b->used);
	memcpy(buf, b->made + offset, size);
	return ++b->reads == b->fail_read;
}

static int write_new(void *ctx, uint32_t offset, const void *buf, size_t size)
{
	struct bench *b = ctx;

	ck_assert_uint_eq(offset, b->used);
	ck_assert_uint_ge(size, 1);
	ck_assert_uint_le(size, 4);
	ck_assert_uint_le(offset + size, b->new_size);
	memcpy(b->made + offset, buf, size);
	b->used += (uint32_t)size;
	return ++b->writes == b->fail_write;
}

static void load(struct bench *b, const char *name)
{
	char key[64];

	memset(b, 0, sizeof(*b));
	snprintf(key, sizeof(key), "%s-old", name);
	b->old_size = (uint32_t)vector(FILE_NAME, key, b->old, ROOM);
	snprintf(key, sizeof(key), "%s-new", name);
	b->new_size = (uint32_t)vector(FILE_NAME, key, b->new, ROOM);
	snprintf(key, sizeof(key), "%s-patch", name);
	b->patch_size = vector(FILE_NAME, key, b->patch, ROOM);
}

static enum ef_reason apply_with(
	struct bench *b, const struct ef_patch_model *const *known, uint32_t limit)
{
	struct ef_patch_io io = {b, b->old_size, limit, next, read_old, read_new, write_new};
	static struct ef_patch p;
	enum ef_reason r = EF_REASON_OK;

	b->at = b->used = b->reads = b->writes = 0;
	ef_patch_begin(&p, &io, known);
	while (!r && !ef_patch_done(&p)) {
		uint32_t before = b->used;

		r = ef_patch_step(&p);
		ck_assert_uint_le(b->used - before, EF_PATCH_PAGE + 3);
	}
	ck_assert_int_eq(ef_patch_done(&p), !r);
	if (r) /* for good */
		ck_assert_int_eq(ef_patch_step(&p), r);
	return r;
}

static enum ef_reason apply(struct bench *b)
{
	return apply_with(b, models, b->new_size);
}

static struct bench b;

START_TEST(vectors_decode)
{
	load(&b, vectors[_i].name);
	ck_assert_int_eq(apply(&b), EF_REASON_OK);
	ck_assert_uint_eq(b.used, b.new_size);
	ck_assert_mem_eq(b.made, b.new, b.new_size);
	ck_assert_uint_eq(b.at, b.patch_size);
}
END_TEST

START_TEST(vectors_encode)
{
	load(&b, vectors[_i].name);
	struct patch_hints hints = {models[_i], true, vectors[_i].base};
	const struct patch_image old = {b.old, b.old_size}, new = {b.new, b.new_size};
	uint8_t *patch;
	size_t size;

	ck_assert_int_eq(patch_make(&old, &new, &hints, &patch, &size), 0);
	ck_assert_uint_eq(size, b.patch_size);
	ck_assert_mem_eq(patch, b.patch, size);
	free(patch);
}
END_TEST

START_TEST(vectors_stand_in_the_document)
{
	vectors_documented(FILE_NAME, "SPEC-patch.md");
}
END_TEST

START_TEST(wrong_headers_write_nothing)
{
	static const struct {
		unsigned at;
		uint8_t value;
		enum ef_reason reason;
	} wrong[] = {{0, 'e', EF_REASON_BAD_FORMAT}, {1, 0, EF_REASON_BAD_FORMAT},
		{2, 2, EF_REASON_NOT_COMPATIBLE}, {3, 9, EF_REASON_NOT_COMPATIBLE},
		{4, 0, EF_REASON_BAD_FORMAT}, {4, EF_PATCH_REGIONS + 1, EF_REASON_BAD_FORMAT},
		{4, 2, EF_REASON_BAD_FORMAT},	   /* regions that do not ascend */
		{16, 0xff, EF_REASON_BAD_FORMAT},  /* old image beyond EF_PATCH_IMAGE_MAX */
		{20, 0xff, EF_REASON_BAD_FORMAT}}; /* new image */

	for (size_t k = 0; k < sizeof(wrong) / sizeof(wrong[0]); k++) {
		load(&b, "thumb");
		ck_assert_uint_ne(b.patch[wrong[k].at], wrong[k].value);
		b.patch[wrong[k].at] = wrong[k].value;
		ck_assert_int_eq(apply(&b), wrong[k].reason);
		ck_assert_uint_eq(b.used, 0);
	}
}
END_TEST

START_TEST(another_base_writes_nothing)
{
	load(&b, "thumb");
	for (uint32_t at = 0; at < b.old_size; at += 7) {
		b.old[at] ^= 1;
		ck_assert_int_eq(apply(&b), EF_REASON_REQUIREMENT);
		ck_assert_uint_eq(b.used, 0);
		b.old[at] ^= 1;
	}
	b.old_size--;
	ck_assert_int_eq(apply(&b), EF_REASON_REQUIREMENT);
	ck_assert_uint_eq(b.used, 0);
}
END_TEST

START_TEST(no_room_or_no_model_writes_nothing)
{
	load(&b, "thumb");
	ck_assert_int_eq(apply_with(&b, models, b.new_size - 1), EF_REASON_TOO_LARGE);
	ck_assert_int_eq(
		apply_with(
			&b, (const struct ef_patch_model *const[]){&ef_patch_generic, NULL}, ROOM),
		EF_REASON_NOT_COMPATIBLE);
	ck_assert_uint_eq(b.used, 0);
}
END_TEST

START_TEST(cut_anywhere)
{
	load(&b, vectors[_i].name);
	for (size_t n = b.patch_size; b.patch_size-- > 0;) {
		enum ef_reason r = apply(&b);

		ck_assert_msg(r != EF_REASON_OK, "%s: %u of %u bytes", vectors[_i].name,
			(unsigned)b.patch_size, (unsigned)n);
		if (b.patch_size < EF_PATCH_HEADER_MAX - 80)
			ck_assert_uint_eq(b.used, 0);
	}
}
END_TEST

/* Up to four zeros may be left out there, so some may as well be there. */
START_TEST(bytes_behind_the_end)
{
	load(&b, vectors[_i].name);
	b.patch_size += 5;
	ck_assert_int_eq(apply(&b), EF_REASON_BAD_FORMAT);
}
END_TEST

/* Every bit: it is refused, or found by the checksum, and the callbacks above see nothing out of
 * bounds. */
START_TEST(every_bit_flipped)
{
	load(&b, vectors[_i].name);
	for (size_t bit = 0; bit < 8 * b.patch_size; bit++) {
		if (bit / 8 - 21 < 8) /* the memory's window: a guess, which may be as good */
			continue;
		b.patch[bit / 8] ^= (uint8_t)(1 << bit % 8);
		ck_assert_msg(apply(&b) != EF_REASON_OK || memcmp(b.made, b.new, b.new_size) == 0,
			"bit %u", (unsigned)bit);
		b.patch[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
}
END_TEST

START_TEST(callbacks_that_fail)
{
	load(&b, vectors[_i].name);
	ck_assert_int_eq(apply(&b), EF_REASON_OK);
	for (unsigned n = 1, all = b.reads; n <= all; n++) {
		b.fail_read = n;
		ck_assert_int_eq(apply(&b), EF_REASON_IO);
	}
	b.fail_read = 0;
	for (unsigned n = 1, all = b.writes; n <= all; n++) {
		b.fail_write = n;
		ck_assert_int_eq(apply(&b), EF_REASON_IO);
	}
}
END_TEST

START_TEST(too_large_for_the_encoder)
{
	const struct patch_image old = {NULL, PATCH_INPUT_MAX + 1}, new = {NULL, 0};
	struct patch_hints hints = {0};
	uint8_t *patch;
	size_t size;

	ck_assert_int_lt(patch_make(&old, &new, &hints, &patch, &size), 0);
	ck_assert_int_lt(patch_make(&new, &old, &hints, &patch, &size), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("patch");
	TCase *c = tcase_create("patch");
	const int n = (int)(sizeof(vectors) / sizeof(vectors[0]));

	tcase_add_loop_test(c, vectors_decode, 0, n);
	tcase_add_loop_test(c, vectors_encode, 0, n);
	tcase_add_test(c, vectors_stand_in_the_document);
	tcase_add_test(c, wrong_headers_write_nothing);
	tcase_add_test(c, another_base_writes_nothing);
	tcase_add_test(c, no_room_or_no_model_writes_nothing);
	tcase_add_loop_test(c, cut_anywhere, 0, n);
	tcase_add_loop_test(c, bytes_behind_the_end, 0, n);
	tcase_add_loop_test(c, every_bit_flipped, 0, n);
	tcase_add_loop_test(c, callbacks_that_fail, 0, n);
	tcase_add_test(c, too_large_for_the_encoder);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
