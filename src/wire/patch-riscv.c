/* SPDX-License-Identifier: Apache-2.0 */
/* RV32IMC: jal, branches and their compressed forms; lui and auipc with the instruction that adds
 * the low bits. */
#include "wire/patch-model.h"

/* The number in an instruction of each form, as patch_field_get wants it. */
static const uint8_t fields[6][19] = {
	{12, 0, 12, 20},					   /* I */
	{12, 0, 5, 7, 7, 25},					   /* S */
	{13, 1, 4, 8, 6, 25, 1, 7, 1, 31},			   /* B */
	{21, 1, 10, 21, 1, 20, 8, 12, 1, 31},			   /* J */
	{12, 1, 3, 3, 1, 11, 1, 2, 1, 7, 1, 6, 2, 9, 1, 8, 1, 12}, /* CJ */
	{9, 1, 2, 3, 2, 10, 1, 2, 2, 5, 1, 12},			   /* CB */
};

static uint32_t imm(uint32_t w, unsigned form)
{
	return patch_field_get(fields[form], w);
}

/* form of the low half that uses register r, or 9 */
static unsigned low_form(uint32_t w)
{
	unsigned op = w & 0x7f;
	if (op == 0x23)
		return 1;
	if ((op == 0x13 && (w >> 12 & 7) == 0) || op == 0x03 || op == 0x67)
		return 0;
	return 9;
}

static void decode(const struct ef_patch *s, struct patch_unit *u, uint32_t pc, unsigned which)
{
	uint32_t w = patch_word(u), op = w & 0x7f;
	if ((w & 3) != 3) {
		uint32_t f = w >> 13 & 7;
		u->size = 2;
		if ((w & 3) == 1 && (f == 1 || f == 5)) {
			u->kind = PATCH_BRANCH;
			if (f == 1)
				u->kind = PATCH_CALL;
			u->form = 4;
			u->address = pc + imm(w, 4);
		} else if ((w & 3) == 1 && f >= 6) {
			u->kind = PATCH_BRANCH;
			u->form = 5;
			u->address = pc + imm(w, 5);
		}
		return;
	}
	u->size = 4;
	u->kind = PATCH_WIDE;
	if (op == 0x63) {
		u->kind = PATCH_BRANCH;
		u->form = 2;
		u->address = pc + imm(w, 2);
	} else if (op == 0x6f) {
		u->kind = PATCH_CALL;
		u->form = 3;
		u->address = pc + imm(w, 3);
	} else if (op == 0x37 || op == 0x17) {
		unsigned r = w >> 7 & 31;
		u->form = 6;
		u->address = (w & 0xfffff000) + (op == 0x17 ? pc : 0);
		uint32_t next = le32_get(u->bytes + 4);
		if ((next & 3) == 3 && (next >> 15 & 31) == r && low_form(next) != 9) {
			u->kind = PATCH_UPPER;
			u->address += imm(next, low_form(next));
		}
	} else if (low_form(w) != 9) {
		unsigned r = w >> 15 & 31;

		if (s->upper[r & 3].reg == r + 1) {
			u->kind = PATCH_LOW;
			u->form = (uint8_t)low_form(w);
			u->address = (which ? s->upper[r & 3].new : s->upper[r & 3].old) +
				     imm(w, u->form);
		}
	}
}

static void encode(const struct ef_patch *s, struct patch_unit *u, uint32_t pc, uint32_t a)
{
	uint32_t w = u->code;
	static const uint16_t reach[] = {0, 0, 4096, 0, 2048, 256};
	if (u->form == 6) {
		a -= (w & 0x7f) == 0x17 ? pc : 0;
		le32_put(u->bytes, (w & 0xfff) | ((a + 0x800) & 0xfffff000));
		return;
	}
	if (u->form <= 1)
		a -= s->upper[w >> 15 & 3].new;
	else
		a -= pc;
	if (u->form <= 1 && a + 2048 >= 4096)
		return;
	if (u->form >= 4 && a + reach[u->form] >= 2u * reach[u->form])
		return;
	le32_put(u->bytes, patch_field_put(fields[u->form], w, a));
}

static void follow(struct ef_patch *s, uint32_t w, uint32_t from, uint32_t v, uint32_t to)
{
	uint32_t op = v & 0x7f;
	if ((w & 0xfff) != (v & 0xfff) || (op != 0x37 && op != 0x17))
		return;
	unsigned k = v >> 7 & 3;
	s->upper[k].reg = (uint8_t)((v >> 7 & 31) + 1);
	s->upper[k].old = (w & 0xfffff000) + (op == 0x17 ? patch_from_address(s, from) : 0);
	s->upper[k].new = (v & 0xfffff000) + (op == 0x17 ? patch_address(s, 1, to) : 0);
}

const struct ef_patch_model ef_patch_riscv = {2, decode, encode, follow};
