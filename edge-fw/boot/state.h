/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The boot state: one record at a time, appended to two pages in turn. A record counts when its
 * CRC holds; the one with the highest sequence is the state. So every change is atomic: a torn
 * record is as if it had not been written (E-06, I-2). Behind each record a word says that it was
 * written to its end, so that one that merely looks whole after a power cut is not relied on.
 */
#include "port/port.h"
#include <edgeferry/status.h>

enum phase {
	PHASE_NONE,	 /* fresh from the factory */
	PHASE_CONFIRMED, /* slot 0 runs */
	PHASE_PENDING,	 /* slot 1 is to be tried at the next reset */
	PHASE_SWAPPING,	 /* its image is on the way to slot 0 */
	PHASE_TRIAL,	 /* slot 0 is new and has one boot to prove itself */
	PHASE_REVERTING, /* the old image is on the way back */
	PHASE_EMPTY,	 /* a trial failed and there is nothing to go back to */
	PHASE_RESTORING, /* slot 0 is no good: the image of slot 1 is copied over it */
	PHASE_COUNT,
};

enum {
	/*
	 * Slot 1 holds an image that was confirmed here before and has not failed since. Until the
	 * swap of a trial it is said of slot 0, whose image then comes to slot 1.
	 */
	STATE_FALLBACK = 1,
	STATE_UPLOADING = 2, /* slot 1 holds the beginning of the image whose digest is digest[1] */
	STATE_SPREAD = 8,    /* with STATE_UPLOADING: there may be holes anywhere in it */
	STATE_SHIFTED = 4,   /* the image in slot 1 begins one unit behind the slot's start */
};

struct state {
	uint32_t magic;
	uint32_t sequence;
	uint8_t phase;
	uint8_t flags;
	uint8_t attempts;  /* boots of an image on trial; of a confirmed one, starts that failed */
	uint8_t revert;	   /* enum ef_reason: why the last image went back */
	uint16_t units;	   /* of the swap under way */
	uint16_t deadline; /* seconds a trial may last */
	uint32_t floor;
	uint8_t digest[2][32]; /* of the verified images in slot 0 and 1; zero: not known */
	uint8_t patch[4]; /* with STATE_UPLOADING: beginning of the SHA-256 of the patch beside it;
			     0: none */
	uint16_t settings[2]; /* of the application (agent/settings.h); 0: the default */
	uint32_t crc;
};

/* False when no record is there: *s is then PHASE_NONE and zero. Its floor may be below the
 * factory's, which verify_image looks at as well. */
bool state_load(struct state *s);

/*
 * Appends s as the newest record; fills in magic, sequence and CRC. On failure the state in flash
 * is the one before or s. The floor is never below that of the record before (I-4).
 */
int state_store(struct state *s);

/*
 * To be called once after power-up, before anything is done because of what was loaded: a record
 * that may be torn, and whose bits may read differently the next time, is written again.
 */
int state_settle(struct state *s);

/* Where the image of a slot lies, and how large it may be. */
struct port_area state_slot(const struct state *s, unsigned slot);
