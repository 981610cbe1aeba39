/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A line that several nodes share (docs/SPEC-dfu.md, section 1): one link below, and above it a
 * link a node, link_shared, told apart by address. Nodes speak only when asked, so who asks takes
 * turns: a message is sent by whoever holds the turn, and nobody else does until it was left.
 */
#include "links/link.h"
#include <stdbool.h>

struct shared;

/*
 * ops and spec: of the link below, which is opened with the first link above it. spec is copied.
 * sender: this gateway's number on the line, from its name (0 is taken as 1).
 */
enum ef_reason shared_new(struct shared **ret, sd_event *event, const struct link_ops *ops,
	const struct link_spec *spec, uint16_t sender, struct error *e);
/* After all links above it are closed and all turns are left. */
void shared_free(struct shared *s);

/*
 * Wants spec.shared, and spec.address, which no other open link of it has: BUSY. What is sent to
 * address 0 goes to all. Nobody is told when all is sent (drained).
 */
extern const struct link_ops link_shared;

enum turn_state { TURN_NONE, TURN_WAITED, TURN_HELD };

struct turn {
	void (*granted)(void *ctx);
	void *ctx;
	enum turn_state state; /* for the owner to read */
	bool silent;	       /* for the owner to set: its node did not answer in the last turn */
	struct turn *next;
};

/*
 * In the order of asking: granted is called, from the event loop, when everybody in front has left.
 * But the silent ones have no more than a quarter of the line's time while others wait (F-32).
 * Another gateway that is heard on the line is let finish first (F-20). Nothing for a turn that is
 * waited for or held already.
 */
void turn_ask(struct shared *s, struct turn *t);
void turn_leave(struct shared *s, struct turn *t); /* held or waited for; else nothing */
bool turn_wanted(const struct shared *s);	   /* somebody waits */
