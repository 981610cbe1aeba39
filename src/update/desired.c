/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The release of this gateway says what every node runs. One that appears and runs something else
 * (it was off, it is a spare part, the gateway's boot loader fell back) is brought to it by a
 * deployment of that same release, from our own records, for the nodes that are behind and nothing
 * else. It gives way to any other deployment until it activates something.
 */
#include "update/internal.h"
#include "util/log.h"
#include <string.h>

/* In units of the first retry, a second: */
#define SETTLE 5u   /* since a node was seen to be behind: others may be starting as well */
#define AGAIN 600u  /* after a try; doubles */
#define AGAIN_MAX 6 /* times: 10 hours */

static uint64_t units(const struct update *u, uint64_t n)
{
	return n * update_backoff(u, 0);
}

void desired_forget(struct update *u)
{
	u->desired = deployment_free(u->desired);
	u->desired_known = false;
}

/* The release that runs, with the images that its nodes were told of; NULL: not on record. */
static const struct deployment *desired(struct update *u)
{
	struct error e = {0};

	if (!u->desired_known && u->release[0] &&
		store_deployment_of(u->store, u->release, &u->desired, NULL, NULL, &e))
		log_warning("what release %s is made of: %s", u->release, e.detail);
	u->desired_known = true;
	return u->desired;
}

/* How a node names the image that it is to run. */
static const uint8_t *wanted(const struct deployment *d, const struct node_state *ns)
{
	for (size_t i = 0; i < d->n_parts; i++)
		if (part_is_mcu(&d->parts[i]) && plan_takes(d->parts[i].component, ns->config))
			return d->parts[i].hash;
	return NULL;
}

static bool behind(struct update *u, const struct deployment *d, const struct node_state *ns)
{
	const uint8_t *hash = wanted(d, ns);
	struct error e = {0};

	/* a trial ends by itself; a plain node may not say what it runs */
	return hash && ns->present && ns->last.reason == EF_REASON_OK && !ns->identity.trial &&
	       !ns->identity.plain && !nodes_runs(ns, hash) &&
	       plan_may_touch(ns->config, &ns->identity, update_minute(u), &e) == EF_REASON_OK;
}

/* When a node's turn is; UINT64_MAX: it has nothing to catch up. */
static uint64_t due(struct update *u, const struct deployment *d, struct node_state *ns)
{
	uint64_t now = now_monotonic_us();

	if (!behind(u, d, ns)) {
		ns->behind_us = 0;
		if (ns->present && wanted(d, ns) && nodes_runs(ns, wanted(d, ns)))
			ns->tries = 0;
		return UINT64_MAX;
	}
	if (!ns->behind_us)
		ns->behind_us = now;
	if (ns->tries && ns->behind_us + units(u, SETTLE) < ns->not_before_us)
		return ns->not_before_us;
	return ns->behind_us + units(u, SETTLE);
}

static void begin(struct update *u)
{
	struct error e = {0};
	uint64_t now = now_monotonic_us(), id;

	for (size_t i = 0; i < u->n_nodes; i++) {
		struct node_state *ns = &u->nodes[i];

		if (!ns->catching_up)
			continue;
		log_info("node %s does not run what release %s says", ns->config->name, u->release);
		ns->not_before_us = now + (units(u, AGAIN) << ns->tries);
		if (ns->tries < AGAIN_MAX)
			ns->tries++;
	}
	if (update_catch_up(u, &id, &e))
		log_warning("nodes are not brought to release %s: %s", u->release, e.detail);
}

void desired_advance(struct update *u)
{
	const struct deployment *d = desired(u);
	uint64_t now = now_monotonic_us(), next = UINT64_MAX;
	bool any = false;

	for (size_t i = 0; d && i < u->n_nodes; i++) {
		uint64_t at = due(u, d, &u->nodes[i]);

		u->nodes[i].catching_up = at <= now;
		any |= at <= now;
		if (at < next)
			next = at;
	}
	if (any)
		begin(u);
	else if (next != UINT64_MAX)
		update_kick_at(u, next);
}
