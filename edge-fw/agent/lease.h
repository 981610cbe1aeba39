/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which of several gateways on a shared line may change something here (docs/SPEC-dfu.md, "Lease";
 * F-20). lease.c, or lease-none.c where the line has one node and so one gateway.
 */
#include <stdbool.h>
#include <stdint.h>

#define LEASE_OWNER_MAX 32u

struct agent;
struct cbor_writer;

struct agent_lease {
	uint16_t sender; /* who has it */
	uint8_t kept;	 /* from before a reset: what is left of sender; else 0 */
	bool held;
	uint8_t owner_size;
	char owner[LEASE_OWNER_MAX];
	uint32_t epoch;	      /* of the owner's start */
	uint32_t ms, renewed; /* how long it lasts; milliseconds, when its owner was heard last */
};

/* What a reset left of it, and what it is to leave. */
void lease_init(struct agent *a);
void lease_keep(const struct agent *a);
/* The message at hand is for this node. */
void lease_heard(struct agent *a);
/* Its sender may act: nobody else has the lease. */
bool lease_admits(const struct agent *a);
/* A pair of the answer's map: who has it. */
void lease_put_owner(const struct agent *a, struct cbor_writer *w);
