/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * An image sent to many nodes of a shared line at once (docs/SPEC-dfu.md, "Broadcast"): blocks come
 * in any order, unasked, and are written where they belong; what is there shows in the flash, which
 * was erased when the upload began. spread.c, or spread-none.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct agent;
struct state;
struct upload;

struct upload_spread {
	uint16_t block;	  /* bytes of one; 0: no broadcast has to do with this upload */
	bool listens;	  /* blocks are taken */
	bool in_session;  /* it was asked for in one, and ends with it: */
	uint32_t session; /* when that one was made */
	uint32_t heard;	  /* milliseconds, when the last block came */
};

/* Largest block; 0: this program knows no broadcast. */
uint32_t spread_block_max(void);

/* A message to all. Never answered; dropped unless it is a block that is missing. */
void spread_receive(struct agent *a, const uint8_t *message, size_t size);

/* A new upload has nothing to do with it: */
void spread_stop(struct upload *u);
/* nor has what the state is going to say. */
void spread_forget(struct state *s);
/* The state says that what was uploaded of an image before a reset may have holes anywhere. */
bool spread_noted(const struct state *s);

/* Passes over what is there already. 1: that was the rest; negative: the flash failed. */
int spread_advance(struct upload *u);
/* Bytes from the wanted one up to the next that is there already. */
uint32_t spread_room(const struct upload *u);
