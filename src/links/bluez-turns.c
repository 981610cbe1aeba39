/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose turn it is. A turn is a connection that the adapter may hold; who waits longest is next.
 * A connection that rests gives way at once, one in use when its turn has lasted long enough.
 */
#include "links/bluez-internal.h"
#include "util/time-util.h"
#include <time.h>

static struct bluez_peer *first_waiting(struct bluez *b)
{
	struct bluez_peer *first = NULL;

	for (struct bluez_peer *p = b->peers; p; p = p->next)
		if (p->state == PEER_WAITING && (!first || p->ticket < first->ticket))
			first = p;
	return first;
}

static uint32_t held(const struct bluez *b)
{
	uint32_t n = 0;

	for (const struct bluez_peer *p = b->peers; p; p = p->next)
		n += p->holds;
	return n;
}

static bool leaving(const struct bluez *b)
{
	for (const struct bluez_peer *p = b->peers; p; p = p->next)
		if (p->holds && p->state == PEER_LEAVING)
			return true;
	return false;
}

/* Who gives way: the one at rest, else the one whose turn began first. */
static struct bluez_peer *next_to_go(struct bluez *b)
{
	struct bluez_peer *found = NULL;

	for (struct bluez_peer *p = b->peers; p; p = p->next) {
		if (!p->holds || p->state != PEER_UP)
			continue;
		if (!found || p->resting > found->resting ||
			(p->resting == found->resting && p->since_us < found->since_us))
			found = p;
	}
	return found;
}

static void give(struct bluez *b);

static int on_turn(sd_event_source *s, uint64_t usec, void *userdata)
{
	give(userdata);
	return 0;
}

static void give_at(struct bluez *b, uint64_t at)
{
	if (!b->turn &&
		sd_event_add_time(b->event, &b->turn, CLOCK_MONOTONIC, at, 1000, on_turn, b) < 0)
		return;
	sd_event_source_set_time(b->turn, at);
	sd_event_source_set_enabled(b->turn, SD_EVENT_ONESHOT);
}

static void give(struct bluez *b)
{
	struct bluez_peer *next, *go;

	while ((next = first_waiting(b)) && held(b) < b->connections) {
		next->holds = true;
		next->since_us = now_monotonic_us();
		peer_connect(next);
	}
	go = next && !leaving(b) ? next_to_go(b) : NULL;
	if (!go)
		return;
	if (go->resting)
		peer_lose(go, EF_REASON_NODE_UNREACHABLE, "another node's turn");
	else if (now_monotonic_us() - go->since_us >= b->timing.turn_us)
		peer_lose(go, EF_REASON_NODE_UNREACHABLE,
			"its turn is over: others wait for the adapter (MaxConnections=)");
	else
		give_at(b, go->since_us + b->timing.turn_us);
}

void turns_look(struct bluez *b)
{
	give_at(b, now_monotonic_us());
}
