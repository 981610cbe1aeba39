/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What of an image is between "the node has all below" and "not sent yet": pieces in order, without
 * a hole and without an overlap, each under way, lost, or kept by the node before its turn. No I/O.
 */
#include <stdbool.h>
#include <stdint.h>

#define PIECES_MAX 64u
#define PIECES_NEW 32u /* no new piece is begun above that: the rest is for cutting lost ones */

enum piece_state { PIECE_SENT, PIECE_LOST, PIECE_KEPT };

struct piece {
	uint32_t at, end;
	uint32_t order; /* of its request, while it is under way */
	enum piece_state state;
};

struct pieces {
	struct piece list[PIECES_MAX];
	unsigned n;
};

/* Behind the last one. False, and nothing done, when there are PIECES_NEW. */
bool pieces_add(struct pieces *p, uint32_t at, uint32_t end, uint32_t order);

/* The first lost one; NULL: none. */
const struct piece *pieces_lost(const struct pieces *p);

/*
 * The first size bytes of the first lost piece are under way again. False, and nothing done, when
 * it would have to be cut and there is no room.
 */
bool pieces_resend(struct pieces *p, uint32_t size, uint32_t order);

/* The node has all below off. One that it wants from its very first byte it has not kept. */
void pieces_trim(struct pieces *p, uint32_t off);

/* The one under way with this request; NULL: none. */
struct piece *pieces_find(struct pieces *p, uint32_t order);

/* Sent, and there is an end to it. Neighbours in the same state become one. */
void pieces_settle(struct pieces *p, struct piece *piece, enum piece_state state);

/* Those under way that were sent before order are lost. Returns how many. */
unsigned pieces_lose(struct pieces *p, uint32_t order);
