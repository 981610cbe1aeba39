/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One image to several nodes of a shared line at once (docs/SPEC-dfu.md, "Broadcast"): blocks are
 * sent to all, then each node is asked what it is missing, and what several lack is sent again; the
 * rest is each one's own upload. Nodes come when they are about to be sent an image, say when they
 * listen, and leave at any time.
 */
#include "links/shared.h"
#include "util/reason.h"

struct spread;
struct spread_member;

/* What a member is told. It may leave from there, and nothing else. */
struct spread_calls {
	/* To be answered by spread_told, or by leaving. */
	void (*ask)(void *ctx, uint32_t from);
	void (*progress)(void *ctx, uint32_t sent);
	/* There is nothing more to come. It has left. */
	void (*over)(void *ctx);
};

/* What each member does in its own turn. */
enum spread_phase { SPREAD_PREFLIGHT, SPREAD_BEGIN, SPREAD_ASK, SPREAD_PHASES };

enum spread_state { SPREAD_OUT, SPREAD_COMING, SPREAD_LISTENING };

/* The owner's, zero at first; between spread_come and the end it belongs to the group. */
struct spread_member {
	const struct spread_calls *calls;
	void *ctx;
	const uint8_t *image; /* stays until it has left */
	uint32_t size;
	uint8_t hash[32]; /* which image that is, by its first bytes to the nodes */

	enum spread_state state;
	struct spread *spread;
	struct spread_member *next;
	bool told, running;
	uint8_t *missing;
	unsigned block; /* of the group that is sent */
};

#define SPREAD_FIRST 64u  /* bytes that each has when it listens */
#define SPREAD_BLOCK 496u /* bytes; what one bit error in 10^5 spoils is a block in 25 */

/* baud: of the line, by which it is paced. */
enum ef_reason spread_new(
	struct spread **ret, sd_event *event, struct shared *line, uint32_t baud, struct error *e);
/* After all have left. */
void spread_free(struct spread *s);

void spread_come(struct spread *s, struct spread_member *m);
/* Others have come for the same image. */
bool spread_worth(const struct spread_member *m);
/* It takes blocks of SPREAD_BLOCK bytes from now on. */
void spread_listening(struct spread_member *m);
/* Bit 0 of the first byte: block number from. False: there is more to be asked, from *next on. */
bool spread_told(struct spread_member *m, uint32_t from, const uint8_t *missing, size_t size,
	uint32_t *next);
/*
 * It did something in so long; and how long to wait for another member to do the same, at most
 * most_us: they are equal, so one that takes much longer than they did is not there any more.
 * most_us for one that is out, and as long as nobody has done it.
 */
void spread_took(struct spread_member *m, enum spread_phase phase, uint64_t us);
uint64_t spread_patience(const struct spread_member *m, enum spread_phase phase, uint64_t most_us);
void spread_leave(struct spread_member *m); /* also of one that is out */
