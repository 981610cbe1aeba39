/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Requests and answers of SMP, without I/O: sequence numbers, requests under way, time-outs from
 * measured round trips, retransmission. Bytes and the time come in, bytes go out through send.
 * Every request ends in exactly one done, or is forgotten by its owner.
 */
#include <edgeferry/smp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMP_WINDOW_MAX 16     /* requests under way */
#define SMP_MESSAGE_MAX 4096u /* bytes of a request, header included */
#define SMP_TIMEOUT_MIN_US 300000u
#define SMP_TIMEOUT_MAX_US 8000000u

struct smp_client;
struct smp_request;

/* body NULL: no answer in time. The request is over before done is called. */
typedef void (*smp_done)(
	void *ctx, const struct smp_request *request, const uint8_t *body, size_t size);

struct smp_call {
	uint8_t op; /* EF_SMP_READ or EF_SMP_WRITE */
	uint16_t group;
	uint8_t command;
	uint64_t least_us; /* the node may take as long: no time-out before */
	uint64_t total_us; /* sent again, with doubled time-outs, until then; 0: sent once */
	bool soon;	   /* again first after two measured round trips, however short they are */
	bool alone;	   /* sent once, and nothing behind it tells that it was lost: the first
			    * time-out in a row may be as short as that, too */
	smp_done done;
	void *ctx;
	uint32_t offset, length; /* the owner's */
};

struct smp_request {
	struct smp_call call;
	bool used, again; /* again: sent more than once, so no measure of the round trip */
	uint8_t seq;
	uint32_t order; /* of sending */
	uint64_t sent_us, expires_us, gives_up_us, timeout_us;
	uint64_t answered_us; /* or given up: the time when done is called */
	uint8_t *copy;	      /* message, of those that may be sent again */
	size_t size;
};

struct smp_client {
	int (*send)(void *ctx, const uint8_t *message, size_t size);
	void *ctx;
	uint32_t us_per_kib; /* of line time, from the baud rate; 0: unknown */
	uint8_t next_seq;
	uint32_t next_order;
	uint64_t first_us;	     /* time-out before anything was measured */
	uint64_t srtt_us, rttvar_us; /* 0: nothing measured yet */
	uint32_t backoff;	     /* time-outs in a row */
	uint32_t stray;		     /* answers that belong to no request: dropped */
	struct smp_request requests[SMP_WINDOW_MAX];
};

void smp_client_init(struct smp_client *c, int (*send)(void *ctx, const uint8_t *, size_t),
	void *ctx, uint32_t baud);
/* The line's rate from now on; 0: unknown. */
void smp_client_set_baud(struct smp_client *c, uint32_t baud);
/* 0 and *order of the request, or negative errno: -EBUSY with SMP_WINDOW_MAX under way, -EMSGSIZE.
 */
int smp_client_call(struct smp_client *c, uint64_t now_us, const struct smp_call *call,
	const uint8_t *body, size_t size, uint32_t *order);
void smp_client_receive(struct smp_client *c, uint64_t now_us, const uint8_t *message, size_t size);
/* When smp_client_tick wants to be called next; UINT64_MAX: not at all. */
uint64_t smp_client_deadline(const struct smp_client *c);
void smp_client_tick(struct smp_client *c, uint64_t now_us);
/* Forgets, without done, the requests of an owner (call.ctx) sent before order. Returns how many.
 */
unsigned smp_client_forget(struct smp_client *c, const void *owner, uint32_t order);
void smp_client_forget_all(struct smp_client *c);
