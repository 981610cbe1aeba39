/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CONFIRMING: the gateway's slot first, then the nodes, then floors and records. The first thing
 * made permanent is the point of no return: before it a failure takes everything back, after it
 * everything goes forward, and a node that went back meanwhile is brought up again (S-22). Each
 * step asks what is and does nothing when it is done already, so that a second run equals one
 * (I-5).
 */
#include "update/internal.h"
#include "update/policy.h"
#include "util/log.h"
#include <string.h>

#define REDO_MAX 2
#define NODE_START_S 120

static bool committed(const struct deployment *d)
{
	for (size_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].state == COMPONENT_CONFIRMED)
			return true;
	return false;
}

/* --- records --- */

static enum ef_reason put_installed(struct update *u, const struct part *p, struct error *e)
{
	struct installed i = {0};

	strcpy(i.place, p->place);
	strcpy(i.component, p->component->name);
	ef_version_format(&p->component->version, i.version);
	strcpy(i.release, u->current->release);
	component_hash(p->component, i.image);
	return store_installed_put(u->store, &i, e);
}

static bool runs_it(const struct part *p)
{
	return p->state == COMPONENT_CONFIRMED ||
	       (p->state == COMPONENT_SKIPPED && p->error.reason == EF_REASON_ALREADY_INSTALLED);
}

/* So that it is seen when another one runs, which nobody here has decided (F-30). */
static enum ef_reason note_slot(struct update *u, struct error *e)
{
	struct boot_state boot;

	if (!u->boot)
		return EF_REASON_OK;
	if (update_boot(u, &boot, e))
		return e->reason;
	return store_set(u->store, "slot", slot_word(boot.running), e);
}

/* In the same transaction as CONFIRMED: floors rise only now (S-13), sequences never fall (I-4). */
static enum ef_reason store_records(struct update *u, struct error *e)
{
	const struct deployment *d = u->current;
	char text[32];

	for (size_t i = 0; i < d->n_parts; i++) {
		const struct part *p = &d->parts[i];
		if (!runs_it(p))
			continue;
		if (put_installed(u, p, e) || store_floor_raise(u->store, p->component->compatible,
						      p->component->security, e))
			return e->reason;
	}
	if (store_get(u->store, "sequence", text, sizeof(text), e))
		return e->reason;
	if (d->sequence > strtoull(text, NULL, 10)) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)d->sequence);
		if (store_set(u->store, "sequence", text, e))
			return e->reason;
	}
	if (store_set(u->store, "release", d->release, e) || note_slot(u, e) ||
		(d->itself && when_settle(u, e)))
		return e->reason;
	if (d->origin != ORIGIN_ROLLBACK)
		return EF_REASON_OK;
	/* what was left on purpose does not come back by itself */
	struct deployment *left = NULL;
	const struct error why = {EF_REASON_ROLLED_BACK, "rolled back on request"};
	if (store_deployment_of(u->store, d->before, &left, NULL, NULL, e) == EF_REASON_OK && left)
		store_refused_put(u->store, left->manifest_sha256, &why, update_stamp(u), e);
	deployment_free(left);
	return e->reason;
}

static void finish(struct update *u)
{
	char before[EF_VERSION_TEXT_MAX];

	strcpy(before, u->release);
	strcpy(u->release, u->current->release);
	if (deployment_move(u, EVENT_DONE, NULL, store_records)) {
		if (u->current->itself)
			when_settled(u);
		objects_sweep(u);
		if (u->env.observer.slots_changed)
			u->env.observer.slots_changed(u->env.observer.ctx);
		return;
	}
	strcpy(u->release, before);
}

/* --- gateway --- */

/* True: go on. */
static bool confirm_slot(struct update *u, size_t part)
{
	struct part *p = &u->current->parts[part];
	enum slot_id slot = slot_from_word(p->place);
	struct boot_state boot;
	struct error e = {0};

	if (update_boot(u, &boot, &e)) {
		log_error("boot loader: %s", e.detail);
		update_kick_at(u, now_monotonic_us() + update_backoff(u, BOOT_RETRIES));
		return false;
	}
	if (boot.running != slot && boot.primary != slot) {
		error_set(&e, EF_REASON_TRIAL_NOT_BOOTED,
			"slot %s came back before anything was permanent", slot_word(boot.running));
		part_move(u, part, COMPONENT_FAILED, &e);
		deployment_move(u, EVENT_FAILED, &e, NULL);
		return false;
	}
	if (boot.primary != slot && boot_mark_good(u->boot, slot, &e)) {
		log_error("confirming slot %s: %s", p->place, e.detail);
		update_kick_at(u, now_monotonic_us() + update_backoff(u, BOOT_RETRIES));
		return false;
	}
	if (u->env.observer.slots_changed)
		u->env.observer.slots_changed(u->env.observer.ctx);
	return part_move(u, part, COMPONENT_CONFIRMED, NULL);
}

/* --- nodes --- */

enum redo { REDO_NONE, REDO_STAGE, REDO_ACTIVATE, REDO_SELF_TEST };

static void confirm_node(struct update *u, struct node_state *ns, size_t part);

static void give_up(struct update *u, size_t part, const struct error *e)
{
	bool forward = committed(u->current);

	if (!part_move(u, part, COMPONENT_FAILED, e))
		return;
	/* after the point of no return it stays behind, and says so */
	if (!forward && policy_broken(u->current))
		deployment_move(u, EVENT_FAILED, e, NULL);
	update_kick(u);
}

static void on_redo(struct update *u, struct node_state *ns, size_t part, const struct error *e)
{
	struct part_run *r = run_of(u, part);

	r->busy = false;
	if (e->reason == EF_REASON_OK) {
		r->redo = r->redo == REDO_SELF_TEST ? REDO_NONE : r->redo + 1;
		return;
	}
	r->redo = REDO_STAGE;
	if (!run_retry(u, r))
		give_up(u, part, e);
}

static void redo_node(struct update *u, struct node_state *ns, size_t part)
{
	const struct part *p = &u->current->parts[part];
	struct part_run *r = run_of(u, part);
	struct error e = {0};

	if (r->redo == REDO_STAGE) {
		if (stage_node(u, ns, part, on_redo, &e))
			give_up(u, part, &e);
		return;
	}
	if (!nodes_claim(ns, part, on_redo))
		return;
	r->busy = true;
	if (r->redo == REDO_ACTIVATE)
		nodes_started(ns, node_activate(ns->node, p->hash, p->component->confirm_s,
					  NODE_START_S, nodes_done, ns));
	else
		nodes_started(ns, node_self_test(ns->node, p->hash, p->component->self_test_s,
					  nodes_done, ns));
}

static void on_confirmed(
	struct update *u, struct node_state *ns, size_t part, const struct error *e)
{
	struct part_run *r = run_of(u, part);

	r->busy = false;
	if (e->reason == EF_REASON_OK) {
		part_move(u, part, COMPONENT_CONFIRMED, NULL);
		return;
	}
	bool again = run_retry(u, r);
	if (again && reason_passes(e->reason))
		return;
	/* another image runs there; before the point of no return that ends it */
	if (!again || !committed(u->current) || r->attempts > REDO_MAX)
		give_up(u, part, e);
	else
		r->redo = REDO_STAGE;
}

static void confirm_node(struct update *u, struct node_state *ns, size_t part)
{
	if (!nodes_claim(ns, part, on_confirmed))
		return;
	run_of(u, part)->busy = true;
	nodes_started(ns, node_confirm(ns->node, u->current->parts[part].hash, nodes_done, ns));
}

/* True: this one is through. */
static bool confirm_part(struct update *u, size_t part)
{
	struct part *p = &u->current->parts[part];
	struct node_state *ns = nodes_find(u, p->place);
	struct part_run *r = run_of(u, part);
	struct error e = {0};

	if (p->state != COMPONENT_TRIAL)
		return true;
	if (!ns) {
		error_set(&e, EF_REASON_CONFIG, "node %s is no longer configured", p->place);
		give_up(u, part, &e);
		return false;
	}
	if (!run_ready(u, r))
		return false;
	if (r->redo != REDO_NONE)
		redo_node(u, ns, part);
	else
		confirm_node(u, ns, part);
	return false;
}

void confirm_advance(struct update *u)
{
	struct deployment *d = u->current;
	bool all = true;

	for (size_t i = 0; i < d->n_parts; i++)
		if (!part_is_mcu(&d->parts[i]) && d->parts[i].state == COMPONENT_TRIAL &&
			!confirm_slot(u, i))
			return;
	for (size_t i = 0; i < d->n_parts; i++) {
		/* until something is permanent, one after the other: the first one decides */
		if (part_is_mcu(&d->parts[i]) && !confirm_part(u, i)) {
			if (u->current->state != DEPLOYMENT_CONFIRMING || !committed(d))
				return;
			all = false;
		}
	}
	if (all && nodes_settled(u))
		finish(u);
}
