/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a deployment would do: one that is not stored goes through the same OFFERED as any other
 * (acquire.c), and stops where it would begin to write. Then the gates are asked, as they stand
 * now.
 */
#include "update/checks.h"
#include "update/internal.h"
#include <string.h>

static const char *const steps[] = {"transfer", "activate"};
#define N_STEPS (sizeof(steps) / sizeof(steps[0]))

void dry_begin(struct update *u, struct deployment *d, update_plan_done done, void *ctx)
{
	d->dry = true;
	u->dry = (struct dry){.done = done, .ctx = ctx};
	u->current = d;
	run_reset(u);
	update_kick(u);
}

bool dry_move(struct update *u, enum deployment_event ev, const struct error *cause)
{
	struct deployment *d = u->current;
	struct transition t;

	if (!machine_next(d->state, ev, &t))
		return false;
	d->state = t.next;
	if (cause)
		d->error = *cause;
	run_reset(u);
	update_kick(u);
	return true;
}

/* Taken out first: who is told may begin something else. */
static void end(struct update *u, const struct error *e)
{
	struct deployment *d = TAKE_PTR(u->current);
	struct dry dry = u->dry;
	const struct update_plan p = {
		.deployment = d, .gates = dry.gates, .n_gates = dry.n_gates, .room = dry.room};

	u->dry = (struct dry){.done = NULL};
	run_reset(u);
	bundle_close(TAKE_PTR(u->bundle));
	checks_free(dry.checks);
	dry.done(dry.ctx, e->reason ? NULL : &p, e);
	free(dry.gates);
	deployment_free(d);
}

void dry_cancel(struct update *u, enum ef_reason reason, const char *detail)
{
	struct error e = {0};

	if (!u->current || !u->current->dry)
		return;
	error_set(&e, reason, "%s", detail);
	end(u, &e);
}

static bool add_gate(struct update *u, const char *word, const char *place, const struct error *e)
{
	struct dry *dry = &u->dry;
	struct plan_gate *gates = reallocarray(dry->gates, dry->n_gates + 1, sizeof(*gates));

	if (!gates)
		return false;
	dry->gates = gates;
	gates[dry->n_gates] = (struct plan_gate){.word = word, .error = *e};
	snprintf(gates[dry->n_gates++].place, sizeof(gates->place), "%s", place);
	return true;
}

static bool ask_nodes(struct update *u)
{
	const struct deployment *d = u->current;
	bool all = true;

	for (size_t i = 0; i < d->n_parts; i++) {
		const struct part *p = &d->parts[i];
		const struct node_state *ns = part_is_mcu(p) ? nodes_find(u, p->place) : NULL;
		struct error e = {0};

		if (!ns || p->state == COMPONENT_SKIPPED)
			continue;
		plan_may_touch(ns->config, &ns->identity, gate_minute(u), &e);
		all &= add_gate(u, "node", p->place, &e);
	}
	struct error e = {0};
	int64_t until;
	when_lets_activate(u, &until, &e);
	return add_gate(u, "hour", "", &e) && all;
}

static bool nothing_to_write(const struct deployment *d)
{
	for (size_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].state != COMPONENT_SKIPPED)
			return false;
	return true;
}

static void on_site(void *ctx, const struct error *e)
{
	struct update *u = ctx;

	if (!add_gate(u, steps[u->dry.asked++], "", e))
		u->dry.asked = N_STEPS;
	checks_free(TAKE_PTR(u->dry.checks));
	update_kick(u);
}

static void ask_site(struct update *u)
{
	struct error e = {0};

	if (!u->dry.checks && gate_ask_site(u, steps[u->dry.asked], on_site, &u->dry.checks, &e))
		on_site(u, &e);
}

void dry_advance(struct update *u)
{
	struct deployment *d = u->current;
	struct error e = {0};

	if (d->state == DEPLOYMENT_OFFERED) {
		acquire_advance(u);
		return;
	}
	if (d->state == DEPLOYMENT_FETCHING && !nothing_to_write(d)) {
		if (u->dry.n_gates == 0 && u->dry.asked == 0 && !ask_nodes(u))
			error_set(&e, EF_REASON_NO_MEMORY, "plan");
		else if (u->dry.asked < N_STEPS) {
			ask_site(u);
			return;
		}
	}
	end(u, &e);
}
