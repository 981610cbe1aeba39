/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The upload engine and a model of node and line around it, in virtual time. */
#include "dfu/upload.h"
#include "unit.h"

#define WORLD_IMAGE_MAX (256u << 10)
#define WORLD_FLIGHT_MAX 256
#define WORLD_AROUND 26u /* session, COBS and its end */

struct flight {
	uint64_t at_us;
	bool to_node;
	size_t size;
	uint8_t data[SMP_MESSAGE_MAX];
};

/* What line and node do wrong. */
struct trouble {
	unsigned lose, duplicate, reorder; /* per thousand messages, each way */
	uint32_t reset_at;		   /* node forgets everything once it wants this offset */
	uint64_t silent_after_us;
	uint32_t lose_request, lose_answer; /* this one */
	uint64_t verify_us; /* it takes for the whole image, and hears nothing meanwhile */
	const char *lie;    /* see node_answer */
	bool bit_errors;    /* loss grows with the size of a message: lose is per 128 bytes */
	double flip;	    /* chance of each bit */
	bool repairs;	    /* one wrong bit, when it is asked to */
};

extern struct world {
	struct trouble t;
	uint32_t rng;
	uint64_t now_us, line_free_us[2];
	uint32_t around; /* bytes that session and frame put around a message */
	struct flight flight[WORLD_FLIGHT_MAX];
	size_t n_flight;
	/* node */
	uint8_t flash[WORLD_IMAGE_MAX];
	uint32_t wanted, size, buf, under_way, max_under_way, requests, answers;
	uint64_t busy_until_us;
	uint32_t ahead; /* it keeps what comes before its turn, so far */
	uint8_t have[WORLD_IMAGE_MAX];
	bool open, was_reset, verdict;
	bool checked; /* requests have a CRC */
	unsigned asked;
	uint32_t chunk_asked;
	uint8_t sha[32];
	/* outcome */
	unsigned ended;
	bool again;
	struct error e;
	uint32_t progress;
} world;

extern uint8_t image[WORLD_IMAGE_MAX];
extern struct smp_client client;
extern struct upload upload;

void world_make(void);
/* An upload to its end. */
void world_run(uint32_t size, uint32_t buf, uint32_t window);
/* The node has the first size bytes of image, and the upload said so. */
void world_has(uint32_t size);

/* For tests that begin an upload by themselves. */
int world_send(void *ctx, const uint8_t *message, size_t size);
void world_ended(void *ctx, const struct error *e, bool again);
