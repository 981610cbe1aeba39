/* SPDX-License-Identifier: Apache-2.0 */
/*
 * REVERTING: the gateway first, because the old slot is known to work, then the nodes from there.
 * Every step asks what is and does what is missing; a node that went back by itself is back.
 */
#include "update/internal.h"
#include "util/log.h"
#include <string.h>

#define NODE_BACK_S 120

/* True: the old slot runs and nothing else is going to be tried. */
static bool slot_back(struct update *u, size_t part)
{
	struct part *p = &u->current->parts[part];
	enum slot_id slot = slot_from_word(p->place);
	struct boot_state boot;
	struct error e = {0};

	if (update_boot(u, &boot, &e) == EF_REASON_OK && boot.primary != slot &&
		(boot.mark[slot] != SLOT_BAD || boot.trial == slot))
		boot_mark_bad(u->boot, slot, &e);
	if (e.reason) {
		log_error("taking slot %s back: %s", p->place, e.detail);
		update_kick_at(u, now_monotonic_us() + update_backoff(u, BOOT_RETRIES));
		return false;
	}
	if (boot.running == slot) {
		ask_reboot(u);
		return false;
	}
	if (u->env.observer.slots_changed)
		u->env.observer.slots_changed(u->env.observer.ctx);
	return part_move(u, part, COMPONENT_REVERTED, &u->current->error);
}

static void on_node_back(
	struct update *u, struct node_state *ns, size_t part, const struct error *e)
{
	struct part_run *r = run_of(u, part);

	r->busy = false;
	if (e->reason == EF_REASON_OK)
		part_move(u, part, COMPONENT_REVERTED, &u->current->error);
	else
		run_retry(u, r);
}

/* It runs its old image, for good, and has nothing to try. */
static bool node_is_back(const struct node_state *ns, const struct part *p)
{
	const struct node_slot *running = plan_running(&ns->identity);

	return running && memcmp(running->hash, p->hash, 32) != 0 && running->confirmed &&
	       !ns->identity.slots[0].pending && !ns->identity.slots[1].pending;
}

/* True: through, one way or the other. */
static bool node_back(struct update *u, size_t part)
{
	struct part *p = &u->current->parts[part];
	struct node_state *ns = nodes_find(u, p->place);
	struct part_run *r = run_of(u, part);
	struct error e = {0};

	if (!ns || r->attempts >= RETRIES_MAX) {
		/* its trial ends by itself; the history says that nobody saw it */
		error_set(&e, EF_REASON_NODE_UNREACHABLE, "node %s was not seen going back",
			p->place);
		return part_move(u, part, COMPONENT_REVERTED, &e);
	}
	if (!run_ready(u, r))
		return false;
	if (!nodes_fresh(ns, u->run.since_us))
		return false;
	if (ns->present && node_is_back(ns, p))
		return part_move(u, part, COMPONENT_REVERTED,
			p->error.reason ? &p->error : &u->current->error);
	if (!nodes_claim(ns, part, on_node_back))
		return false;
	r->busy = true;
	nodes_started(ns, node_revert(ns->node, NODE_BACK_S, nodes_done, ns));
	return false;
}

static bool was_begun(const struct part *p)
{
	return p->step > 0 && (p->state == COMPONENT_ACTIVATING || p->state == COMPONENT_TRIAL ||
				      p->state == COMPONENT_FAILED);
}

static void done(struct update *u)
{
	if (deployment_move(u, EVENT_DONE, NULL, NULL))
		objects_sweep(u);
}

void revert_advance(struct update *u)
{
	struct deployment *d = u->current;
	bool all = true;

	if (!u->run.begun) {
		u->run.begun = true;
		u->run.since_us = now_monotonic_us();
		nodes_poll(u);
	}
	for (size_t i = 0; i < d->n_parts; i++)
		if (!part_is_mcu(&d->parts[i]) && was_begun(&d->parts[i]) && !slot_back(u, i))
			return;
	for (size_t i = 0; i < d->n_parts; i++)
		if (part_is_mcu(&d->parts[i]) && was_begun(&d->parts[i]) && !node_back(u, i))
			all = false;
	for (size_t i = 0; all && i < d->n_parts; i++)
		if (d->parts[i].state == COMPONENT_STAGED)
			part_move(u, i, COMPONENT_REVERTED, &d->error);
	if (all && nodes_settled(u))
		done(u);
}
