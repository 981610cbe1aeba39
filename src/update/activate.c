/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ACTIVATING: component after component in the manifest's order; the nodes of one component in
 * waves (waves.h), each with a soak behind it, all of them on trial until the last one is up, so
 * that all can be taken back. A gateway slot means a restart: the boot loader is told, that
 * is stored, and then it happens.
 */
#include "update/internal.h"
#include "update/policy.h"
#include "update/waves.h"
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

static unsigned last_wave(const struct deployment *d, const struct component *c)
{
	unsigned last = 0;

	for (size_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].component == c && d->parts[i].wave > last)
			last = d->parts[i].wave;
	return last;
}

/* How long it may stay on trial: as the release says once the waves after its own are up. */
static uint32_t trial_s(const struct deployment *d, const struct part *p)
{
	const struct component *c = p->component;
	uint64_t left = last_wave(d, c) - p->wave;
	uint64_t s = c->confirm_s + left * ((uint64_t)c->soak_s + c->self_test_s + NODE_START_S);

	return s < UINT32_MAX ? (uint32_t)s : UINT32_MAX;
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
	nodes_started(ns, node_activate(ns->node, p->hash, trial_s(u->current, p), NODE_START_S,
				  nodes_done, ns));
}

void ask_reboot(struct update *u)
{
	const char *parameter;
	struct error e = {0};

	if (boot_rebooting(u->boot, &parameter, &e)) {
		log_error("reboot: %s", e.detail);
		update_kick_at(u, now_monotonic_us() + update_backoff(u, BOOT_RETRIES));
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
	const struct verity *verity = &p->component->verity;
	if (boot_set_verity(u->boot, slot, verity->root, verity->offset, &e) ||
		boot_try_next(u->boot, slot, &e)) {
		part_failed(u, part, &e);
		return;
	}
	if (part_step(u, part))
		ask_reboot(u);
}

/* --- waves --- */

/* What says something about the image, not about the line to it. */
static bool image_failure(const struct part *p)
{
	return p->state == COMPONENT_FAILED && p->step > 0 && !reason_passes(p->error.reason) &&
	       p->error.reason != EF_REASON_NODE_LOST;
}

/* Members of a component, or of them those that failed and are meant to count. */
static size_t count_of(const struct deployment *d, const struct component *c, bool failures)
{
	size_t n = 0;

	for (size_t i = 0; i < d->n_parts; i++) {
		const struct part *p = &d->parts[i];
		if (p->component == c && p->state != COMPONENT_SKIPPED)
			n += !failures ||
			     (image_failure(p) && (p->required || c->policy == POLICY_OPTIONAL));
	}
	return n;
}

/* More failed than a wave may have: the rest is left alone; whether all goes back the policy
 * says. */
static bool wave_stopped(struct update *u, const struct component *c, unsigned wave)
{
	struct deployment *d = u->current;
	size_t n = count_of(d, c, false), failed = count_of(d, c, true);
	struct error e = {0};
	bool any = false;

	if (last_wave(d, c) == 0 || failed < waves_limit(n, wave))
		return false;
	error_set(&e, EF_REASON_NODE_REVERTED, "%zu of %zu nodes failed with %s by wave %u", failed,
		n, c->name, wave + 1);
	for (size_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].component == c && d->parts[i].state == COMPONENT_STAGED)
			any |= part_move(u, i, COMPONENT_FAILED, &e);
	if (c->policy != POLICY_OPTIONAL)
		return deployment_move(u, EVENT_FAILED, &e, NULL);
	if (any)
		update_kick(u);
	return any;
}

/* Those that are up answer, and run what they were given: true when all of them said so since then.
 */
static bool wave_holds(struct update *u, const struct component *c, uint64_t since_us, bool late)
{
	struct deployment *d = u->current;
	bool all = true;

	for (size_t i = 0; i < d->n_parts; i++) {
		struct part *p = &d->parts[i];
		struct node_state *ns = nodes_find(u, p->place);
		struct error e = {0};

		if (p->component != c || p->state != COMPONENT_TRIAL || !ns)
			continue;
		bool fresh = nodes_fresh(ns, since_us);
		if (fresh && ns->present && nodes_runs(ns, p->hash) && ns->identity.self_test != 2)
			continue;
		if (fresh && ns->present)
			error_set(&e, EF_REASON_NODE_REVERTED, "node %s: %s", p->place,
				ns->identity.reverted ? reason_text(ns->identity.reverted)
						      : "it runs something else");
		else if (late)
			error_set(
				&e, EF_REASON_NODE_LOST, "node %s: %s", p->place, ns->last.detail);
		all = false;
		if (e.reason && part_move(u, i, COMPONENT_FAILED, &e))
			update_kick(u);
	}
	return all;
}

/* A wave is up: true when its soak is over and the next one may open. */
static bool soaked(struct update *u, const struct component *c, unsigned next)
{
	struct run *r = &u->run;
	uint64_t now = now_monotonic_us();

	if (r->soak_since_us == 0) {
		r->soak_since_us = now;
		nodes_poll(u);
	}
	uint64_t end = r->soak_since_us + c->soak_s * USEC_PER_SEC;
	uint64_t late = end + NODE_START_S * USEC_PER_SEC;
	if (now >= end && !r->soak_over) {
		r->soak_over = true;
		nodes_poll(u);
	}
	bool holds = wave_holds(u, c, now < end ? r->soak_since_us : end, now >= late);
	if (wave_stopped(u, c, next - 1))
		return false;
	if (now < end || !holds) {
		update_kick_at(u, now < end ? end : late);
		return false;
	}
	if (!gate_wave(u, c, next))
		return false;
	r->soak_since_us = 0;
	r->soak_over = false;
	return true;
}

/* The first that has something to do. */
static unsigned wave_of(const struct deployment *d, const struct component *c)
{
	unsigned wave = last_wave(d, c) + 1;

	for (size_t i = 0; i < d->n_parts; i++) {
		const struct part *p = &d->parts[i];
		if (p->component == c && p->wave < wave &&
			(p->state == COMPONENT_STAGED || p->state == COMPONENT_ACTIVATING))
			wave = p->wave;
	}
	return wave;
}

/* None of it was begun yet; a core that was ended in the middle of a wave goes on with it. */
static bool wave_untouched(const struct deployment *d, const struct component *c, unsigned wave)
{
	for (size_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].component == c && d->parts[i].wave == wave && d->parts[i].step > 0)
			return false;
	return true;
}

/* Of one component: true when it is through, and the next one may begin. */
static bool activate_component(struct update *u, const struct component *c)
{
	struct deployment *d = u->current;
	unsigned wave = wave_of(d, c);
	bool through = true;

	if (wave > last_wave(d, c))
		return !u->rebooting && !wave_stopped(u, c, last_wave(d, c));
	if (wave > 0 && wave_untouched(d, c, wave) && !soaked(u, c, wave))
		return false;
	for (size_t i = 0; i < d->n_parts && !u->rebooting; i++) {
		struct part *p = &d->parts[i];
		if (p->component != c || p->wave != wave ||
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
	return through && !u->rebooting && wave == last_wave(d, c);
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
