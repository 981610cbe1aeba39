/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of a patch, step by step: the map, then its ranges with what is inserted in them. */
#include "wire/patch-model.h"
#include <string.h>

enum phase { PHASE_COUNT, PHASE_MAP, PHASE_RANGE, PHASE_INSERT, PHASE_PIECE, PHASE_FINISHED };
/* How a segment says where it is made from. Those of the map know the first three. */
enum form {
	FORM_AHEAD, /* as far behind the end of the one before as it lies behind that itself */
	FORM_NEXT,  /* right behind the one before */
	FORM_MOVED,
	FORM_SELF, /* the new image */
	FORM_LITERALS,
	FORMS
};
enum number { N_COUNT, N_GAP, N_FORM, N_FORM_GAP, N_MOVE, N_SELF, N_SIZE };
_Static_assert(N_SIZE + FORMS == PATCH_NUMBERS, "sets of patch_code_number");
#define F_BLOCK 0u
#define WARM 28u /* units as predicted that a piece may bring along from the one before */

bool patch_finished(const struct ef_patch *s)
{
	return s->phase == PHASE_FINISHED;
}

/* The segment that the encoder wants next; a decoder has none. */
static const struct ef_patch_segment *wanted(const struct ef_patch *s)
{
	const struct ef_patch_want *want = patch_want(s);

	if (!want)
		return NULL;
	return s->phase == PHASE_MAP ? &want->map[s->n_segments] : want->inserts;
}

/* The encoder's choice for w, behind a gap. */
static enum form choose_form(
	const struct ef_patch *s, const struct ef_patch_segment *w, uint32_t gap)
{
	if (w->from == PATCH_LITERALS)
		return FORM_LITERALS;
	if (w->from >= s->header.old_size && w->size)
		return FORM_SELF;
	if (w->from == s->from_end + gap)
		return FORM_AHEAD;
	return w->from == s->from_end ? FORM_NEXT : FORM_MOVED;
}

static uint32_t code_move(struct ef_patch *s, uint32_t want)
{
	uint32_t z = patch_code_number(s, N_MOVE, want << 1 ^ -(want >> 31));

	return z >> 1 ^ -(z & 1);
}

/* A segment in [at, end). */
static void code_segment(struct ef_patch *s, struct ef_patch_segment *g, uint32_t at, uint32_t end)
{
	const struct ef_patch_segment *w = wanted(s);
	uint32_t gap = patch_code_number(s, N_GAP, w ? w->to - at : 0);
	uint32_t form =
		patch_code_number(s, gap ? N_FORM_GAP : N_FORM, w ? choose_form(s, w, gap) : 0);
	uint32_t old_size = s->header.old_size, room;

	s->reason = EF_REASON_BAD_FORMAT; /* unless all of it holds */
	if (gap >= end - at || form >= FORMS)
		return;
	g->to = at + gap;
	room = end - g->to;
	if (form == FORM_LITERALS)
		g->from = PATCH_LITERALS;
	else if (form == FORM_SELF) {
		uint32_t far = g->to - EF_PATCH_FAR;
		uint32_t back = patch_code_number(s, N_SELF, w ? far - (w->from - old_size) : 0);

		if (g->to < EF_PATCH_FAR || back > far)
			return;
		g->from = old_size + far - back;
	} else {
		g->from = s->from_end;
		if (form == FORM_AHEAD)
			g->from += gap;
		else if (form == FORM_MOVED)
			g->from += code_move(s, w ? w->from - s->from_end : 0);
		if (g->from >= old_size)
			return;
		if (room > old_size - g->from)
			room = old_size - g->from;
	}
	g->size = patch_code_number(s, N_SIZE + form, w ? w->size - 1 : 0) + 1;
	if (g->size > room)
		return;
	if (form <= FORM_MOVED)
		s->from_end = g->from + g->size;
	s->reason = EF_REASON_OK;
}

static void step_map(struct ef_patch *s)
{
	unsigned n = s->n_segments;
	uint32_t at = n ? s->map[n - 1].to + s->map[n - 1].size : 0;

	code_segment(s, &s->map[n], at, s->header.new_size);
	if (s->reason)
		return;
	patch_map_add(s);
	if (s->n_segments == s->end) {
		s->from_end = 0;
		s->phase = PHASE_RANGE;
	}
}

PATCH_APART static void begin_piece(
	struct ef_patch *s, const struct ef_patch_segment *g, uint32_t end)
{
	s->piece.from = PATCH_LITERALS;
	s->piece.size = 0;
	if (g && g->from != PATCH_LITERALS)
		s->piece = *g;
	s->end = end;
	s->block_left = s->block_size = s->block_sure = 0;
	if (s->run > WARM)
		s->run = WARM;
	s->phase = PHASE_PIECE;
}

/* Even ranges lie between the segments of the map, odd ones are those. */
static const struct ef_patch_segment *range_segment(const struct ef_patch *s)
{
	return s->range_index & 1 ? &s->map[s->range_index >> 1] : NULL;
}

static uint32_t inserts_before(const struct ef_patch *s, uint32_t end)
{
	const struct ef_patch_want *want = patch_want(s);
	uint32_t n = 0;

	if (want)
		while (n < want->n_inserts && want->inserts[n].to < end)
			n++;
	return n;
}

static void step_range(struct ef_patch *s)
{
	const struct ef_patch_segment *g = range_segment(s);
	unsigned k = s->range_index >> 1;

	if (g)
		s->range_end = g->to + g->size;
	else
		s->range_end = k < s->n_segments ? s->map[k].to : s->header.new_size;
	if (s->to == s->range_end) {
		if (k == s->n_segments)
			s->phase = PHASE_FINISHED;
		s->range_index++;
		return;
	}
	if (g)
		s->from_end = g->from;
	else if (k)
		s->from_end = s->map[k - 1].from + s->map[k - 1].size;
	s->inserts = patch_code_number(s, N_COUNT, inserts_before(s, s->range_end));
	s->phase = PHASE_INSERT;
}

static void step_insert(struct ef_patch *s)
{
	s->insert.to = s->range_end;
	s->insert.size = 0;
	if (s->inserts) {
		s->inserts--;
		code_segment(s, &s->insert, s->to, s->range_end);
	}
	begin_piece(s, range_segment(s), s->insert.to);
}

/* A piece is over: the insert that it was in front of, or what comes after that. */
static void end_piece(struct ef_patch *s)
{
	if (s->insert.size && s->to == s->insert.to)
		begin_piece(s, &s->insert, s->insert.to + s->insert.size);
	else {
		struct ef_patch_want *want = patch_want(s);

		if (want && s->insert.size) {
			want->inserts++;
			want->n_inserts--;
		}
		s->phase = s->to == s->range_end ? PHASE_RANGE : PHASE_INSERT;
	}
}

unsigned patch_next(struct ef_patch *s, struct patch_unit *u)
{
	uint32_t from = s->to - s->piece.to + s->piece.from;

	patch_read(s, from, u->bytes);
	patch_predict(s, s->to, from, u);
	return u->size < s->end - s->to ? u->size : s->end - s->to;
}

/* Whether the next units are in a block that is as predicted as a whole. */
static bool code_block(struct ef_patch *s)
{
	if (!s->block_left && s->run >= PATCH_BLOCK) {
		unsigned units = PATCH_BLOCK << s->block_size;
		const struct ef_patch_want *want = patch_want(s);
		bool sure = want && want->sure(s, units);

		s->block_sure = (uint8_t)patch_code_flag(
			s, F_BLOCK + s->block_size * 2 + s->block_sure, sure);
		s->block_left = (uint16_t)(s->block_sure ? units : PATCH_BLOCK);
		if (!s->block_sure)
			s->block_size = 0;
		else if (s->block_size < PATCH_BLOCK_SIZES - 1)
			s->block_size++;
	}
	if (!s->block_left)
		return false;
	s->block_left--;
	return s->block_sure;
}

static unsigned step_unit(struct ef_patch *s, uint8_t *bytes)
{
	struct patch_unit u;
	unsigned n = patch_next(s, &u);
	const struct ef_patch_want *want = patch_want(s);
	const uint8_t *is = want ? want->image + s->to : NULL;
	bool differs = false;

	if (code_block(s))
		s->run++;
	else if (!patch_code_hit(
			 s, u.kind, u.exact, u.code & 0xffff, is && memcmp(u.bytes, is, n) == 0)) {
		for (unsigned k = 0; k < n; k++) {
			uint8_t guess = u.bytes[k];

			u.bytes[k] = patch_code_byte(
				s, is ? is[k] : 0, u.kind, k, guess, k == n - 1 && !differs);
			differs |= u.bytes[k] != guess;
		}
		if (n == u.size && u.kind >= PATCH_CALL)
			patch_learn(s, s->to, &u);
	}
	memcpy(bytes, u.bytes, n);
	s->last = bytes[n - 1];
	patch_follow(s, n, &u);
	return n;
}

static unsigned step_piece(struct ef_patch *s, uint8_t *bytes)
{
	const struct ef_patch_want *want = patch_want(s);
	unsigned n = 1;

	if (s->to == s->end) {
		end_piece(s);
		return 0;
	}
	if (s->piece.from == PATCH_LITERALS)
		bytes[0] = patch_code_byte(
			s, want ? want->image[s->to] : 0, PATCH_LITERAL, s->to & 1, 0, true);
	else
		n = step_unit(s, bytes);
	s->to += n;
	return n;
}

unsigned patch_step(struct ef_patch *s, uint8_t bytes[EF_PATCH_AHEAD])
{
	const struct ef_patch_want *want = patch_want(s);

	switch (s->phase) {
	case PHASE_COUNT:
		s->end = patch_code_number(s, N_COUNT, want ? want->n_map : 0);
		if (s->end > EF_PATCH_SEGMENTS)
			s->reason = EF_REASON_BAD_FORMAT;
		s->phase = s->end ? PHASE_MAP : PHASE_RANGE;
		break;
	case PHASE_MAP:
		step_map(s);
		break;
	case PHASE_RANGE:
		step_range(s);
		break;
	case PHASE_INSERT:
		step_insert(s);
		break;
	case PHASE_PIECE:
		return step_piece(s, bytes);
	default:
		break;
	}
	return 0;
}
