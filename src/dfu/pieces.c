/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/pieces.h"
#include <string.h>

static void insert(struct pieces *p, unsigned i)
{
	memmove(&p->list[i + 1], &p->list[i], (p->n - i) * sizeof *p->list);
	p->n++;
}

static void take_out(struct pieces *p, unsigned i)
{
	p->n--;
	memmove(&p->list[i], &p->list[i + 1], (p->n - i) * sizeof *p->list);
}

bool pieces_add(struct pieces *p, uint32_t at, uint32_t end, uint32_t order)
{
	if (p->n >= PIECES_NEW)
		return false;
	p->list[p->n++] = (struct piece){at, end, order, PIECE_SENT};
	return true;
}

static unsigned first_lost(const struct pieces *p)
{
	unsigned i = 0;

	while (i < p->n && p->list[i].state != PIECE_LOST)
		i++;
	return i;
}

const struct piece *pieces_lost(const struct pieces *p)
{
	unsigned i = first_lost(p);

	return i < p->n ? &p->list[i] : NULL;
}

bool pieces_resend(struct pieces *p, uint32_t size, uint32_t order)
{
	unsigned i = first_lost(p);
	struct piece *lost = &p->list[i];

	if (size < lost->end - lost->at) {
		if (p->n >= PIECES_MAX)
			return false;
		insert(p, i);
		lost->end = lost->at + size;
		lost[1].at = lost->end;
	}
	lost->order = order;
	lost->state = PIECE_SENT;
	return true;
}

void pieces_trim(struct pieces *p, uint32_t off)
{
	while (p->n && p->list[0].end <= off)
		take_out(p, 0);
	if (!p->n)
		return;
	if (p->list[0].at < off)
		p->list[0].at = off;
	if (p->list[0].state == PIECE_KEPT)
		pieces_settle(p, &p->list[0], PIECE_LOST);
}

struct piece *pieces_find(struct pieces *p, uint32_t order)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->list[i].state == PIECE_SENT && p->list[i].order == order)
			return &p->list[i];
	return NULL;
}

void pieces_settle(struct pieces *p, struct piece *piece, enum piece_state state)
{
	unsigned i = (unsigned)(piece - p->list);

	piece->state = state;
	if (i + 1 < p->n && piece[1].state == state) {
		piece->end = piece[1].end;
		take_out(p, i + 1);
	}
	if (i && piece[-1].state == state) {
		piece[-1].end = piece->end;
		take_out(p, i);
	}
}

unsigned pieces_lose(struct pieces *p, uint32_t order)
{
	unsigned lost = 0;

	/* from the end: what is merged lies behind */
	for (unsigned i = p->n; i-- > 0;)
		if (p->list[i].state == PIECE_SENT && (int32_t)(p->list[i].order - order) < 0) {
			pieces_settle(p, &p->list[i], PIECE_LOST);
			lost++;
		}
	return lost;
}
