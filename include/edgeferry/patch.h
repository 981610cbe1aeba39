/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Decoder of patches for microcontrollers (docs/SPEC-patch.md): the new image is made out of the
 * old one, in order, a page a step. It pulls the patch byte by byte and reads the old image and
 * what it has made already, through callbacks; it allocates nothing and needs about 400 bytes of
 * stack. Freestanding.
 *
 * What it makes is checked against a CRC-32 only: it is to be verified like any other image.
 */
#include <edgeferry/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EF_PATCH_VERSION 1u
#define EF_PATCH_PAGE 256u	       /* bytes a step makes; 3 more at most */
#define EF_PATCH_IMAGE_MAX (16u << 20) /* bytes of an image, old or new */
#define EF_PATCH_HEADER_MAX (37u + 5u * 16u)
#define EF_PATCH_SIZES_END 21u /* of the header, up to the sizes of the images */
#define EF_PATCH_REGIONS 6u
#define EF_PATCH_SEGMENTS 128u
#define EF_PATCH_LEARNED 64u
#define EF_PATCH_KINDS 10u
#define EF_PATCH_EVEN (12u + 11u * 32u + 704u)
#define EF_PATCH_AHEAD 8u /* bytes of code that a prediction looks at */
#define EF_PATCH_FAR 264u /* how far behind the end a copy from the new image starts at least */

/* What is known of the processor. Numbers are in patches: append, never renumber. */
struct ef_patch_model;
extern const struct ef_patch_model ef_patch_generic; /* 0 */
extern const struct ef_patch_model ef_patch_thumb;   /* 1: ARMv6-M to ARMv8-M */
extern const struct ef_patch_model ef_patch_riscv;   /* 2: RV32IMC */

/* From offset on (up to the next region's), an image lies at address. */
struct ef_patch_region {
	uint32_t offset, address;
};

struct ef_patch_header {
	uint8_t model, n_regions;
	uint32_t old_crc, new_crc;			     /* CRC-32 of the images */
	uint32_t old_size, new_size;			     /* bytes */
	uint32_t ram, ram_size;				     /* addresses that are memory */
	struct ef_patch_region regions[2][EF_PATCH_REGIONS]; /* of the old image, of the new one */
};

/* size bytes at to are made from those at from: of the old image, or from old_size on of the new.
 */
struct ef_patch_segment {
	uint32_t to, from, size;
};

/*
 * Where bytes come from and go to; a callback that fails returns non-zero. What is read of the new
 * image ends at least EF_PATCH_PAGE bytes before what was written last: so many may wait in a
 * buffer.
 */
struct ef_patch_io {
	void *ctx;
	uint32_t old_limit, new_limit; /* bytes that may be read, written */
	int (*next)(void *ctx);	       /* byte of the patch; negative: there are no more */
	int (*read_old)(void *ctx, uint32_t offset, void *buf, size_t size);
	int (*read_new)(void *ctx, uint32_t offset, void *buf, size_t size);
	/* Called in order, without gaps: 1 to 4 bytes. */
	int (*write)(void *ctx, uint32_t offset, const void *buf, size_t size);
};

/*
 * What encoder and decoder both know at one point of a patch. Nobody looks into it but
 * src/wire/patch*.c and the encoder. What is used most is in front: short instructions reach it.
 */
struct ef_patch {
	uint8_t reason, beyond;
	/* where in the stream */
	uint8_t phase, block_size, block_sure, n_segments;
	/* what was seen */
	uint8_t history, last, difference, n_learned, oldest;
	uint16_t range_index, block_left;
	uint32_t to, end, range_end, inserts, from_end, run;
	struct ef_patch_segment piece, insert; /* what is under way, what comes next */
	uint32_t low, range, crc; /* of the range decoder; of what was read or written */
	const struct ef_patch_io *io;
	const struct ef_patch_model *const *models, *model;
	struct ef_patch_want *want; /* the encoder's; NULL: decoding */
	struct ef_patch_header header;
	struct {
		uint32_t old, new;
		uint8_t reg;
	} upper[4];
	/* the map, and its entries in order of from */
	struct ef_patch_segment map[EF_PATCH_SEGMENTS];
	uint8_t order[EF_PATCH_SEGMENTS];
	/* addresses that the map alone gets wrong, ascending, and by how much */
	struct ef_patch_learned {
		uint32_t address;
		int16_t shift;
	} learned[EF_PATCH_LEARNED];
	/* probabilities: of units being as predicted, and those that begin even; weights */
	uint16_t hits[EF_PATCH_KINDS * 16 + 3 * 64], even[EF_PATCH_EVEN];
	int16_t flag_weights[EF_PATCH_KINDS][4], byte_weights[EF_PATCH_KINDS + 2][3];
};

/* Bit per number of these models. */
uint32_t ef_patch_model_bits(const struct ef_patch_model *const *models);
/* As the first bytes of a patch say: */
struct ef_patch_sizes {
	uint32_t old_size, new_size; /* bytes of the images */
};
/*
 * Looks at the first EF_PATCH_SIZES_END bytes of a patch at least (BAD_SIZE): OK, BAD_FORMAT for
 * what is no patch, NOT_COMPATIBLE for another version or an unknown model. The rest is for
 * ef_patch_step.
 */
enum ef_reason ef_patch_look(const uint8_t *data, size_t size,
	const struct ef_patch_model *const *models, struct ef_patch_sizes *ret);

/* io and models (those that this program knows, then NULL) must outlive p. */
void ef_patch_begin(struct ef_patch *p, const struct ef_patch_io *io,
	const struct ef_patch_model *const *models);
/*
 * Reads the header, then checks a page of the old image, then makes one of the new: the time is
 * bounded. Once it fails it fails for good. Before the first write: BAD_FORMAT for what is no
 * patch, BAD_SIZE for one that is cut off, NOT_COMPATIBLE for an unknown version or model,
 * TOO_LARGE for what does not fit new_limit, REQUIREMENT when the old image is not the one that the
 * patch was made for. After: BAD_FORMAT, BAD_SIZE, BAD_DIGEST for wrong bytes, IO of a callback.
 */
enum ef_reason ef_patch_step(struct ef_patch *p);
/* The new image is whole. */
bool ef_patch_done(const struct ef_patch *p);
