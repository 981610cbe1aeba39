/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Windowed upload of an image, without I/O, on top of a struct smp_client: several requests under
 * way; what is lost is sent again, and nothing else where the node keeps what comes behind it;
 * chunks as large as the node's buffer takes, and as the line's errors let be of use. Ends in
 * exactly one ended, unless stopped, after a bounded number of requests and time-outs, whatever the
 * node answers (F-15, F-16, F-32).
 */
#include "dfu/pieces.h"
#include "dfu/smp-client.h"
#include "util/reason.h"

struct upload_config {
	const uint8_t *image; /* the caller's until the end */
	uint32_t size;
	uint8_t sha[32];      /* of those size bytes */
	uint32_t buf, window; /* of the node: bytes of a message, requests under way */
	uint64_t erase_us;    /* that it may take before it answers the first request; 0: 3 s */
	uint32_t ahead;	      /* bytes that it keeps behind what is missing; 0: none */
	bool anywhere;	      /* it may have any part of the image already */
	void *ctx;
	void (*progress)(void *ctx, uint32_t done);
	/*
	 * Asked before each request, with how many are without an answer; false: nothing is sent
	 * until upload_go_on. NULL: always.
	 */
	bool (*may_send)(void *ctx, uint32_t under_way);
	/*
	 * Asked once, when so many frames are lost that a CRC in each costs less. True: from now on
	 * the node repairs those that have one wrong bit. NULL: it cannot.
	 */
	bool (*repair)(void *ctx);
	/* again: the node lost what it had (it was reset); identify and preflight, then start anew.
	 */
	void (*ended)(void *ctx, const struct error *e, bool again);
};

struct upload {
	struct upload_config config;
	struct smp_client *client;
	uint64_t now_us;
	uint32_t acked;	      /* the node has the bytes below */
	uint32_t sent;	      /* the highest end of what was ever sent or acknowledged */
	struct pieces pieces; /* from acked on */
	uint32_t chunk, chunk_max;
	uint32_t under_way;
	uint64_t line_bytes; /* carried, and frames lost among them: how good the line is */
	uint32_t losses, lost_in_a_row;
	uint32_t counted_from; /* the first request whose loss counts */
	bool asked_repair;
	uint32_t timeouts;	    /* without an answer in between */
	uint32_t refused, futile;   /* without progress in between */
	uint64_t budget;	    /* payload bytes that may still be sent */
	uint64_t payload, requests; /* sent: figures for reports and benchmarks */
	bool started, resumed, running;
};

/* Smallest buffer: the first message holds an image header besides len and sha. */
#define UPLOAD_BUF_MIN 112u

/*
 * Bytes of image data that fit a message of buf bytes at offset; 0 when none do. The message is
 * exactly as long as buf unless the image ends before.
 */
uint32_t upload_chunk(uint32_t buf, uint32_t offset, uint32_t size);

/* False when buf is too small: nothing was started. */
bool upload_start(struct upload *u, struct smp_client *client, const struct upload_config *config,
	uint64_t now_us);
void upload_go_on(struct upload *u, uint64_t now_us);
void upload_stop(struct upload *u);
/* The node was reset: ended is called with again. */
void upload_interrupt(struct upload *u);
