/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Data of an upload that comes before its turn, because a frame in front of it was lost: it is
 * written where it belongs, and only what is missing need be sent again (docs/SPEC-dfu.md, section
 * 3). ahead.c, or ahead-none.c where there is no room for it.
 */
#include <stdbool.h>
#include <stdint.h>

#define AHEAD_PIECES 4u /* runs of data that wait for what is missing in front of them */
#define AHEAD_UNIT 16u	/* where they begin and end; every board's word divides it */

struct upload;

struct ahead {
	uint32_t at, end; /* end 0: none */
};

/* Bytes behind the wanted offset within which data is kept; 0: nowhere. */
uint32_t ahead_span(void);

/* 1: all of it is in flash now, or was; 0: it is not taken; negative: the flash failed. */
int ahead_keep(struct upload *u, uint32_t at, const uint8_t *data, uint32_t size);

/* What may still be taken at the wanted offset before data that is there already. */
uint32_t ahead_room(const struct upload *u);

/* Goes on behind what is there already. Negative: the flash failed. */
int ahead_join(struct upload *u);

/*
 * Where to go on after a reset, when page is the last one that holds anything. anywhere: there may
 * be holes further in front than data is otherwise kept.
 */
uint32_t ahead_resume(const struct upload *u, uint32_t page, bool anywhere);

/* Into flash that is blank there; the wanted offset stays. Negative: the flash failed. */
int ahead_write(struct upload *u, uint32_t at, const uint8_t *data, uint32_t size);
