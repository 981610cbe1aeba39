/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <edgeferry/patch.h>

enum patch_kind { PATCH_PLAIN, PATCH_WIDE, PATCH_BRANCH, PATCH_LOAD, PATCH_UPPER, PATCH_CALL, PATCH_LOW, PATCH_POINTER, PATCH_RAM, PATCH_LITERAL };
#define PATCH_AHEAD 12u
#define PATCH_BLOCK 32u

struct patch_unit {
	uint8_t kind, size, exact, form;
	uint8_t bytes[PATCH_AHEAD];
	uint32_t address, mapped;	/* address that the old code names; where the map alone puts it */
};

struct ef_patch_model {
	uint8_t id;
	void (*decode)(const struct ef_patch_state *s, struct patch_unit *u, uint32_t pc, unsigned which);
	void (*encode)(const struct ef_patch_state *s, struct patch_unit *u, uint32_t pc, uint32_t address);
	void (*follow)(struct ef_patch_state *s, const uint8_t *old, uint32_t old_pc, const uint8_t *new, uint32_t new_pc);
};

extern const struct ef_patch_model ef_patch_generic, ef_patch_thumb, ef_patch_riscv;

void patch_init(struct ef_patch_state *s);
void patch_train(struct ef_patch_state *s, const uint8_t *data, unsigned size);
void patch_map_add(struct ef_patch_state *s);
uint32_t patch_map(const struct ef_patch_state *s, uint32_t x, bool *exact);
void patch_predict(const struct ef_patch_state *s, uint32_t to, uint32_t from, const uint8_t *code, struct patch_unit *u);
void patch_follow(struct ef_patch_state *s, uint32_t to, uint32_t from, const uint8_t *old, const uint8_t *new);
void patch_learn(struct ef_patch_state *s, uint32_t to, struct patch_unit *u);
uint32_t patch_code_number(struct ef_patch_state *s, unsigned set, uint32_t want);
unsigned patch_code_simple(struct ef_patch_state *s, uint16_t *c, unsigned bit);
void patch_code_segment(struct ef_patch_state *s, struct ef_patch_segment *g, uint32_t at);
uint8_t patch_code_byte(struct ef_patch_state *s, uint8_t want, unsigned kind, unsigned index, uint8_t guess, unsigned same);
/* actual: the true bytes when encoding */
void patch_code_unit(struct ef_patch_state *s, uint32_t to, struct patch_unit *u, unsigned size, const uint8_t *actual, uint32_t context);
