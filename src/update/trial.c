/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TRIAL: everything new runs and nothing is permanent. Nodes first, then the server, then the
 * services of this machine and the site's own checks; what was not reachable before is not blamed
 * on the release (F-24). The deadline counts by the monotonic clock from the moment this process
 * looked; a core that ends again and again in a trial does not prolong it for ever.
 */
#include "update/checks.h"
#include "update/internal.h"
#include "update/policy.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define SERVER_RETRY_US (2 * USEC_PER_SEC)
#define CHECKS_GRACE_US (5 * USEC_PER_SEC)

static void fail(struct update *u, enum ef_reason reason, const char *detail)
{
	struct error e = {0};

	error_set(&e, reason, "%s", detail);
	deployment_move(u, EVENT_FAILED, &e, NULL);
}

/* True: still on trial. False: it has ended. */
static bool slot_holds(struct update *u)
{
	struct deployment *d = u->current;
	struct boot_state boot;
	struct error e = {0};

	for (size_t i = 0; i < d->n_parts; i++) {
		const struct part *p = &d->parts[i];
		if (part_is_mcu(p) || p->state != COMPONENT_TRIAL)
			continue;
		if (update_boot(u, &boot, &e) == EF_REASON_OK &&
			boot.running != slot_from_word(p->place))
			error_set(&e, EF_REASON_TRIAL_NOT_BOOTED,
				"slot %s ended on trial; slot %s runs", p->place,
				slot_word(boot.running));
		if (e.reason) {
			deployment_move(u, EVENT_FAILED, &e, NULL);
			return false;
		}
	}
	return true;
}

static bool begin(struct update *u)
{
	struct deployment *d = u->current;
	struct error e = {0};

	if (!slot_holds(u))
		return false;
	if (d->trials >= TRIALS_MAX) {
		fail(u, EF_REASON_NOT_CONFIRMED, "the core ended again and again while on trial");
		return false;
	}
	d->trials++;
	if (store_deployment_save(u->store, d, &e)) {
		d->trials--;
		update_kick_at(u, now_monotonic_us() + update_backoff(u, 3));
		return false;
	}
	u->run.begun = true;
	u->run.since_us = now_monotonic_us();
	nodes_poll(u);
	return true;
}

enum look_result { WAIT, GOOD, OVER };

/* A node of this deployment: it must go on running what it was given. */
static enum look_result look_at_part(struct update *u, size_t part, char *missing, size_t size)
{
	struct part *p = &u->current->parts[part];
	struct node_state *ns = nodes_find(u, p->place);
	struct error e = {0};

	if (!ns || !nodes_fresh(ns, u->run.since_us) || !ns->present) {
		if (!p->required)
			return GOOD;
		snprintf(missing, size, "node %s: %s", p->place,
			ns ? ns->last.detail : "not configured");
		return WAIT;
	}
	if (nodes_runs(ns, p->hash) && ns->identity.self_test != 2)
		return GOOD;
	if (nodes_runs(ns, p->hash))
		error_set(&e, EF_REASON_SELF_TEST, "node %s", p->place);
	else
		error_set(&e, EF_REASON_NODE_REVERTED, "node %s: %s", p->place,
			ns->identity.reverted ? reason_text(ns->identity.reverted)
					      : "it runs something else");
	if (!part_move(u, part, COMPONENT_FAILED, &e))
		return WAIT;
	if (!policy_broken(u->current))
		return GOOD;
	deployment_move(u, EVENT_FAILED, &e, NULL);
	return OVER;
}

/* It failed, which the policy lets pass. */
static bool given_up(const struct deployment *d, const char *name)
{
	for (size_t i = 0; i < d->n_parts; i++)
		if (strcmp(d->parts[i].place, name) == 0)
			return d->parts[i].state == COMPONENT_FAILED;
	return false;
}

static bool silent(struct update *u, const struct part *p)
{
	const struct node_state *ns = part_is_mcu(p) ? nodes_find(u, p->place) : NULL;

	return ns && p->state == COMPONENT_TRIAL &&
	       !(ns->present && nodes_fresh(ns, u->run.since_us));
}

/* Those that do not answer have failed, when that is within what may fail. True: it was. */
static bool go_on_without(struct update *u)
{
	struct deployment *d = u->current, without = *d;
	_cleanup_free_ struct part *parts = calloc(d->n_parts + 1, sizeof(*parts));
	bool any = false;

	if (!parts)
		return false;
	memcpy(parts, d->parts, d->n_parts * sizeof(*parts));
	without.parts = parts;
	for (size_t i = 0; i < d->n_parts; i++)
		if (silent(u, &d->parts[i]))
			parts[i].state = COMPONENT_FAILED;
	if (policy_broken(&without))
		return false;
	for (size_t i = 0; i < d->n_parts; i++) {
		struct error e = {0};
		if (!silent(u, &d->parts[i]))
			continue;
		error_set(&e, EF_REASON_NODE_LOST, "node %s: %s", d->parts[i].place,
			nodes_find(u, d->parts[i].place)->last.detail);
		any |= part_move(u, i, COMPONENT_FAILED, &e);
	}
	return any;
}

static enum look_result look_at_nodes(struct update *u, char *missing, size_t size)
{
	struct deployment *d = u->current;
	enum look_result all = GOOD;

	for (size_t i = 0; i < d->n_parts; i++) {
		if (!part_is_mcu(&d->parts[i]) || d->parts[i].state != COMPONENT_TRIAL)
			continue;
		enum look_result r = look_at_part(u, i, missing, size);
		if (r == OVER)
			return OVER;
		if (r == WAIT)
			all = WAIT;
	}
	for (const char *at = d->nodes_before; *at;) {
		char name[33];
		size_t n = strcspn(at, "\n");
		snprintf(name, sizeof(name), "%.*s", (int)n, at);
		at += n + (at[n] == '\n');
		struct node_state *ns = nodes_find(u, name);
		if (ns && !given_up(d, name) &&
			(!nodes_fresh(ns, u->run.since_us) || !ns->present)) {
			snprintf(missing, size, "node %s: %s", name, ns->last.detail);
			all = WAIT;
		}
	}
	return all;
}

/* Whether it can be reached, and whether it has halted the release meanwhile: one question. */
static void ask_server(struct update *u)
{
	struct run *r = &u->run;

	if (r->wait_until <= now_monotonic_us() && statement_asked(u)) {
		r->asked = false; /* it did not answer */
		r->wait_until = now_monotonic_us() + SERVER_RETRY_US;
	}
	if (r->wait_until > now_monotonic_us())
		update_kick_at(u, r->wait_until);
}

static void on_check(void *ctx, const char *name, const struct error *e)
{
	struct update *u = ctx;
	struct event ev = {.word = "check", .deployment = u->current->id, .error = *e};

	snprintf(ev.component, sizeof(ev.component), "%s", name);
	snprintf(ev.to, sizeof(ev.to), "%s", e->reason == EF_REASON_OK ? "passed" : "failed");
	record_event(u, &ev, false);
}

static void on_checks(void *ctx, const struct error *e)
{
	struct update *u = ctx;
	struct error copy = *e;

	if (copy.reason != EF_REASON_OK) {
		deployment_move(u, EVENT_FAILED, &copy, NULL);
		return;
	}
	u->run.checks_ok = true;
	update_kick(u);
}

static void start_checks(struct update *u)
{
	const struct deployment *d = u->current;
	char release[64], slot[64] = "EDGEFERRY_SLOT=none", path[PATH_MAX + 32] = "";
	struct boot_state boot;
	struct error e = {0}, none = {0};

	snprintf(release, sizeof(release), "EDGEFERRY_RELEASE=%s", d->release);
	if (u->boot && update_boot(u, &boot, &none) == EF_REASON_OK) {
		snprintf(slot, sizeof(slot), "EDGEFERRY_SLOT=%s", slot_word(boot.running));
		snprintf(path, sizeof(path), "EDGEFERRY_SLOT_PATH=%s",
			update_slot_path(u, boot.running));
	}
	const char *const env[] = {release, slot, path[0] ? path : NULL, NULL};
	const struct checks_spec spec = {
		.dir = u->env.config->checks_dir,
		.env = env,
		.deadline_us = u->run.since_us + u->env.config->check_us,
		.ctx = u,
		.each = on_check,
		.done = on_checks,
	};
	if (checks_start(&u->run.checks, u->env.event, &spec, &e))
		deployment_move(u, EVENT_FAILED, &e, NULL);
}

/* Nodes and server are there: now the machine itself, and then what the site wants to know. */
static void go_on_with_checks(struct update *u, uint64_t half)
{
	struct error e = {0};
	enum services_result services = services_look(u, half, &e);

	if (services == SERVICES_FAILED) {
		on_check(u, "services", &e);
		deployment_move(u, EVENT_FAILED, &e, NULL);
	} else if (services == SERVICES_GOOD) {
		start_checks(u);
	}
}

void trial_advance(struct update *u)
{
	struct deployment *d = u->current;
	char missing[320] = "";

	if (!u->run.begun && !begin(u))
		return;
	uint64_t deadline = u->run.since_us + u->env.config->check_us;
	enum look_result nodes = look_at_nodes(u, missing, sizeof(missing));
	if (nodes == OVER)
		return;
	bool server = u->run.server_ok || !d->server_before;
	if (!server)
		ask_server(u);
	if (nodes == GOOD && server && u->run.checks_ok) {
		deployment_move(u, EVENT_PASSED, NULL, NULL);
		return;
	}
	if (u->run.checks && !u->run.checks_ok)
		deadline += CHECKS_GRACE_US; /* they have the same one, and say which it was */
	if (now_monotonic_us() >= deadline) {
		if (nodes != GOOD)
			fail(u, EF_REASON_NODE_LOST, missing);
		else if (!server)
			fail(u, EF_REASON_SERVER_LOST,
				u->env.config->url ? u->env.config->url : "");
		else
			fail(u, EF_REASON_NOT_CONFIRMED, "the checks did not end in time");
		return;
	}
	update_kick_at(u, deadline);
	/* so that there is time left for the checks */
	uint64_t half = u->run.since_us + u->env.config->check_us / 2;
	if (nodes != GOOD && now_monotonic_us() < half)
		update_kick_at(u, half);
	else if (nodes != GOOD && go_on_without(u))
		update_kick(u);
	if (nodes == GOOD && server && !u->run.checks)
		go_on_with_checks(u, half);
}
