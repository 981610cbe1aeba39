/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACTIVATING: component after component in the manifest's order; the nodes of one component at
 * once. A gateway slot means a restart: the boot loader is told, that is stored, and then it
 * happens.
 */
#include "update/internal.h"
#include "update/policy.h"
#include "util/log.h"
#include <string.h>

#define NODE_START_S 120 /* swap and start of an image may take this long */
#define NODE_STEPS_MAX 3 /* begins of one activation, over restarts of the core (E-11) */
#define SLOT_STEPS_MAX 2

static void part_failed(struct update *u, size_t part, const struct error *e)
{
	run_of(u, part)->busy = false;
	part_move(u, part, COMPONENT_FAILED, e);
	update_kick(u);
}

/*
 * A node that answers from its old image gives its own reason for that; what happened to the
 * deployment is that a node went back.
 */
static void explain(struct node_state *ns, bool tested, struct error *e)
{
	static const enum ef_reason own[] = {EF_REASON_NOT_CONFIRMED, EF_REASON_SELF_TEST,
		EF_REASON_BAD_IMAGE, EF_REASON_IMAGE_UNSIGNED, EF_REASON_IMAGE_KEY,
		EF_REASON_IMAGE_SIGNATURE, EF_REASON_IMAGE_DIGEST};
	struct error why = {0};

	if (tested && e->reason == EF_REASON_SELF_TEST)
		return;
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (own[i] == e->reason) {
			error_set(&why, EF_REASON_NODE_REVERTED, "node %s: %s", ns->config->name,
				reason_text(e->reason));
			*e = why;
			return;
		}
}

static void on_tested(struct update *u, struct node_state *ns, size_t part, const struct error *e)
{
	struct error why = *e;

	run_of(u, part)->busy = false;
	if (why.reason == EF_REASON_OK) {
		part_move(u, part, COMPONENT_TRIAL, NULL);
		return;
	}
	explain(ns, true, &why);
	part_failed(u, part, &why);
}

static void start_self_test(struct update *u, struct node_state *ns, size_t part)
{
	const struct part *p = &u->current->parts[part];

	if (!nodes_claim(ns, part, on_tested))
		return;
	run_of(u, part)->busy = true;
	nodes_started(
		ns, node_self_test(ns->node, p->hash, p->component->self_test_s, nodes_done, ns));
}

static void on_activated(
	struct update *u, struct node_state *ns, size_t part, const struct error *e)
{
	struct error why = *e;

	run_of(u, part)->busy = false;
	if (why.reason != EF_REASON_OK) {
		explain(ns, false, &why);
		part_failed(u, part, &why);
		return;
	}
	start_self_test(u, ns, part);
}

static void start_node(struct update *u, size_t part)
{
	struct part *p = &u->current->parts[part];
	struct node_state *ns = nodes_find(u, p->place);
	struct error e = {0};

	if (!ns) {
		error_set(&e, EF_REASON_CONFIG, "node %s is no longer configured", p->place);
		part_failed(u, part, &e);
		return;
	}
	if (ns->busy)
		return;
	if (p->step > 0) {
		/* begun before the core ended: what it runs now says how far it came */
		if (!nodes_fresh(ns, u->run.since_us))
			return;
		if (ns->present && nodes_runs(ns, p->hash)) {
			start_self_test(u, ns, part);
			return;
		}
	}
	if (p->step >= NODE_STEPS_MAX) {
		error_set(&e, EF_REASON_NODE_REVERTED, "node %s was started %u times%s%s", p->place,
			p->step, ns->identity.reverted ? ": " : "",
			ns->identity.reverted ? reason_text(ns->identity.reverted) : "");
		part_failed(u, part, &e);
		return;
	}
	if (!part_step(u, part) || !part_move(u, part, COMPONENT_ACTIVATING, NULL) ||
		!nodes_claim(ns, part, on_activated))
		return;
	run_of(u, part)->busy = true;
	nodes_started(ns, node_activate(ns->node, p->hash, p->component->confirm_s, NODE_START_S,
				  nodes_done, ns));
}

void ask_reboot(struct update *u)
{
	const char *parameter;
	struct error e = {0};

	if (boot_rebooting(u->boot, &parameter, &e)) {
		log_error("reboot: %s", e.detail);
		update_kick_at(u, now_monotonic_us() + RETRY_MAX_US);
		return;
	}
	u->rebooting = true;
	u->reboot_asked_us = now_monotonic_us();
	update_kick_at(u, u->reboot_asked_us + REBOOT_WAIT_US);
	if (u->env.observer.rebooting)
		u->env.observer.rebooting(u->env.observer.ctx, parameter);
}

/* The boot loader is asked first, always: it alone knows what happened. */
static void start_slot(struct update *u, size_t part)
{
	struct part *p = &u->current->parts[part];
	enum slot_id slot = slot_from_word(p->place);
	struct boot_state boot;
	struct error e = {0};

	if (update_boot(u, &boot, &e)) {
		part_failed(u, part, &e);
		return;
	}
	if (boot.running == slot) {
		part_move(u, part, COMPONENT_TRIAL, NULL);
		return;
	}
	if (p->step > 0 && boot.trial == slot) {
		ask_reboot(u); /* told, but the restart did not come yet */
		return;
	}
	if (p->step >= SLOT_STEPS_MAX) {
		error_set(&e, EF_REASON_TRIAL_NOT_BOOTED, "slot %s was started; slot %s runs",
			p->place, slot_word(boot.running));
		part_failed(u, part, &e);
		return;
	}
	/* Step 1: will tell the boot loader. Step 2: told it. A cut between the two tells it once
	 * more. */
	if (p->step == 0 &&
		(!part_move(u, part, COMPONENT_ACTIVATING, NULL) || !part_step(u, part)))
		return;
	if (boot_try_next(u->boot, slot, &e)) {
		part_failed(u, part, &e);
		return;
	}
	if (part_step(u, part))
		ask_reboot(u);
}

/* Of one component: true when it is through, and the next one may begin. */
static bool activate_component(struct update *u, const struct component *c)
{
	struct deployment *d = u->current;
	bool through = true;

	for (size_t i = 0; i < d->n_parts && !u->rebooting; i++) {
		struct part *p = &d->parts[i];
		if (p->component != c ||
			(p->state != COMPONENT_STAGED && p->state != COMPONENT_ACTIVATING))
			continue;
		if (run_of(u, i)->busy) {
			through = false;
			continue;
		}
		if (part_is_mcu(p))
			start_node(u, i);
		else
			start_slot(u, i);
		through = through && (p->state == COMPONENT_TRIAL || p->state == COMPONENT_FAILED);
	}
	return through && !u->rebooting;
}

static bool anything_busy(struct update *u)
{
	for (size_t i = 0; i < u->current->n_parts; i++)
		if (run_of(u, i)->busy)
			return true;
	return false;
}

void activate_advance(struct update *u)
{
	struct deployment *d = u->current;

	if (!u->run.begun) {
		u->run.begun = true;
		u->run.since_us = now_monotonic_us();
		nodes_poll(u);
	}
	const struct part *broken = policy_broken(d);
	if (broken) {
		if (!anything_busy(u))
			deployment_move(u, EVENT_FAILED, &broken->error, NULL);
		return;
	}
	for (size_t i = 0; i < d->manifest->n_components; i++)
		if (!activate_component(u, &d->manifest->components[d->manifest->order[i]]))
			return;
	/* a failure on the way comes back here */
	if (policy_broken(d)) {
		update_kick(u);
		return;
	}
	deployment_move(u, EVENT_ACTIVATED, NULL, NULL);
}
