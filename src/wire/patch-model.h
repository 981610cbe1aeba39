/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the decoder and the encoder of patches share, so that they cannot drift apart. */
#include "wire/le.h"
#include <edgeferry/patch.h>

enum patch_kind {
	PATCH_PLAIN,
	PATCH_WIDE,   /* an instruction of four bytes */
	PATCH_BRANCH, /* short, and a word away at most */
	PATCH_LOAD,   /* of a literal */
	PATCH_UPPER,  /* the upper bits of an address; from here on corrections are applied */
	PATCH_CALL,   /* from here on they are learned */
	PATCH_LOW,    /* the lower bits */
	PATCH_POINTER,
	PATCH_RAM,
	PATCH_LITERAL, /* a byte without counterpart */
};
#define PATCH_BLOCK 32u		  /* units */
#define PATCH_BLOCK_SIZES 6u	  /* each twice the one before */
#define PATCH_NUMBERS 11u	  /* sets of patch_code_number */
#define PATCH_LITERALS UINT32_MAX /* from of a piece without counterpart */

struct patch_unit {
	uint8_t kind, size, exact, form;
	uint8_t bytes[EF_PATCH_AHEAD];
	uint32_t code;		  /* the first four bytes as they were read */
	uint32_t offset;	  /* the model's: by which it names its address */
	uint32_t address, mapped; /* that the old code names; where the map alone puts it */
};

struct ef_patch_model {
	uint8_t id;
	/* Sets kind, size and address by the bytes at pc; which image they are of: 0 old, 1 new. */
	void (*decode)(const struct ef_patch *s, struct patch_unit *u, uint32_t pc, unsigned which);
	/* Has the bytes name address from pc, if they can. */
	void (*encode)(
		const struct ef_patch *s, struct patch_unit *u, uint32_t pc, uint32_t address);
	/* NULL or: what the units after it need of one of four bytes that is known now: its bytes
	 * at from, and at to of the new image */
	void (*follow)(struct ef_patch *s, uint32_t old, uint32_t from, uint32_t new, uint32_t to);
};

/* The encoder's. Segments and inserts in order of to; inserts is what is left of them. */
struct ef_patch_want {
	/* Codes a bit whose probability of being 1 is p in 4,096; returns it. */
	unsigned (*bit)(struct ef_patch *s, unsigned p, unsigned bit);
	void (*read)(struct ef_patch *s, uint32_t from, uint8_t *buf);
	const uint8_t *image;
	const struct ef_patch_segment *map, *inserts;
	uint32_t n_map, n_inserts;
	/* whether the next units, at most so many, are all as predicted */
	bool (*sure)(const struct ef_patch *s, unsigned units);
};

/* of functions that compilers put into their callers, which makes the decoder larger */
#define PATCH_APART __attribute__((noinline))

static inline uint32_t patch_sign(uint32_t v, unsigned bits)
{
	uint32_t top = 1u << (bits - 1);

	return ((v & (2 * top - 1)) ^ top) - top;
}

/* patch-field.c: its first four bytes as they are now */
uint32_t patch_word(const struct patch_unit *u);

/* After a unit of n bytes, at s->to; u->bytes are the true ones. */
static inline void patch_follow(struct ef_patch *s, unsigned n, const struct patch_unit *u)
{
	if (n == 4 && s->model->follow)
		s->model->follow(
			s, u->code, s->to - s->piece.to + s->piece.from, patch_word(u), s->to);
}

/* patch-want.c, patch-want-none.c: NULL: this is a decoder */
struct ef_patch_want *patch_want(const struct ef_patch *s);

/* patch.c */
/* Decodes a bit whose probability of being 1 is so many in 4,096, or encodes bit; returns it. */
unsigned patch_bit(struct ef_patch *p, unsigned probability, unsigned bit);
/* EF_PATCH_AHEAD bytes at from, as in a segment; zeros behind the end of the old image */
void patch_read(struct ef_patch *p, uint32_t from, uint8_t *buf);

/* patch-walk.c: the stream */
/* Before the first: s->header, model and want are set, patch_code_start was called, all else is 0.
 */
/* One step; the new image's bytes that it made, at most 4; s->reason when the stream is wrong. */
unsigned patch_step(struct ef_patch *s, uint8_t bytes[EF_PATCH_AHEAD]);
bool patch_finished(const struct ef_patch *s);
/* The unit that comes next, as predicted. */
unsigned patch_next(struct ef_patch *s, struct patch_unit *u);

/* patch-code.c: probabilities as they begin; numbers, flags and bytes by adaptive binary contexts
 */
void patch_code_start(struct ef_patch *s);
unsigned patch_code_flag(struct ef_patch *s, unsigned which, unsigned want);
uint32_t patch_code_number(struct ef_patch *s, unsigned set, uint32_t want);
unsigned patch_code_hit(
	struct ef_patch *s, unsigned kind, unsigned exact, uint32_t code, unsigned want);
uint8_t patch_code_byte(struct ef_patch *s, uint8_t want, unsigned kind, unsigned index,
	unsigned guess, bool differs);

/*
 * patch-field.c: a number in an instruction w. field: its bits (32 when it has no sign); how many
 * of the lowest are left out; width and place of each piece, from the lowest on; 0.
 */
uint32_t patch_field_get(const uint8_t *field, uint32_t w);
uint32_t patch_field_put(const uint8_t *field, uint32_t w, uint32_t v);

/* patch-map.c: addresses */
void patch_map_add(struct ef_patch *s); /* map[n_segments] is set */
uint32_t patch_address(const struct ef_patch *s, unsigned which, uint32_t offset);
uint32_t patch_from_address(const struct ef_patch *s, uint32_t from); /* as in a segment */
/* u->bytes are those at from; then they are the prediction. */
void patch_predict(const struct ef_patch *s, uint32_t to, uint32_t from, struct patch_unit *u);
/* u->bytes are the true ones now; old: the code that they were predicted from */
void patch_learn(struct ef_patch *s, uint32_t to, struct patch_unit *u);
/* What is left of an instruction when its addresses are taken out; the size of the unit. */
unsigned patch_neutral(const struct ef_patch *s, unsigned which, uint32_t offset,
	const uint8_t *code, uint8_t ret[EF_PATCH_AHEAD]);
