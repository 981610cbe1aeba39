/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may hold a deployment up before images go to nodes and before anything is activated: the
 * nodes' own power, the hours that their files allow, and the site's interlocks. Nothing
 * fails by it: it is waited for, and the history says for what.
 */
#include "update/checks.h"
#include "update/internal.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INTERLOCK_US (30 * USEC_PER_SEC) /* for all of them */
#define PASSED_US (60 * USEC_PER_SEC)	 /* so long a yes counts */

static void note(struct update *u, size_t part, struct error *held, const struct error *e)
{
	struct event ev = {.word = "component", .deployment = u->current->id, .error = *e};
	bool same = held->reason == e->reason && strcmp(held->detail, e->detail) == 0;

	*held = *e;
	if (same)
		return;
	if (part == NO_PART) {
		snprintf(ev.word, sizeof(ev.word), "deployment");
	} else {
		const struct part *p = &u->current->parts[part];

		snprintf(ev.component, sizeof(ev.component), "%s", p->component->name);
		snprintf(ev.place, sizeof(ev.place), "%s", p->place);
	}
	snprintf(ev.to, sizeof(ev.to), "waiting");
	record_event(u, &ev, false);
}

static uint64_t later(const struct update *u)
{
	return now_monotonic_us() + update_backoff(u, RETRIES_MAX);
}

unsigned gate_minute(const struct update *u)
{
	time_t now = (time_t)u->env.now();
	struct tm tm;

	return localtime_r(&now, &tm) ? (unsigned)(tm.tm_hour * 60 + tm.tm_min) : 0;
}

/* The node itself: may it be written to, or reset, now? */
static bool node_passes(struct update *u, size_t part)
{
	const struct node_state *ns = nodes_find(u, u->current->parts[part].place);
	struct part_run *r = run_of(u, part);
	struct error e = {0};

	if (!ns || !ns->present) /* whoever speaks to it next finds that out */
		return true;
	if (plan_may_touch(ns->config, &ns->identity, gate_minute(u), &e) == EF_REASON_OK)
		return true;
	note(u, part, &r->held, &e);
	r->wait_until = later(u);
	part_progress(u, part, "waiting", 0, 0);
	update_kick_at(u, r->wait_until);
	return false;
}

static void on_interlock(void *ctx, const char *name, const struct error *e)
{
}

static void on_interlocks(void *ctx, const struct error *e)
{
	struct update *u = ctx;
	struct gate *g = &u->run.gate;
	struct error no = {0};

	if (e->reason == EF_REASON_OK) {
		g->passed_us = now_monotonic_us();
		g->held = no;
	} else {
		error_set(&no, EF_REASON_HELD, "interlock: %s", e->detail);
		note(u, NO_PART, &g->held, &no);
		g->wait_until = later(u);
		update_kick_at(u, g->wait_until);
	}
	checks_free(TAKE_PTR(g->checks)); /* e is its own */
	update_kick(u);
}

enum ef_reason gate_ask_site(struct update *u, const char *step,
	void (*done)(void *ctx, const struct error *e), struct checks **ret, struct error *e)
{
	char release[64], what[64];
	const char *const env[] = {release, what, NULL};
	const struct checks_spec spec = {
		.dir = u->env.config->interlock,
		.env = env,
		.deadline_us = now_monotonic_us() + INTERLOCK_US,
		.ctx = u,
		.each = on_interlock, /* the first no is told at the end */
		.done = done,
	};

	snprintf(release, sizeof(release), "EDGEFERRY_RELEASE=%s", u->current->release);
	snprintf(what, sizeof(what), "EDGEFERRY_STEP=%s", step);
	return checks_start(ret, u->env.event, &spec, e);
}

/* The site: its programs are asked, and a yes counts for a while. */
static bool site_passes(struct update *u, const char *step)
{
	struct gate *g = &u->run.gate;
	uint64_t now = now_monotonic_us();
	struct error e = {0};

	if (g->passed_us && now < g->passed_us + PASSED_US)
		return true;
	if (g->checks)
		return false;
	if (now < g->wait_until) {
		update_kick_at(u, g->wait_until);
		return false;
	}
	if (gate_ask_site(u, step, on_interlocks, &g->checks, &e))
		on_interlocks(u, &e);
	return false;
}

bool gate_transfer(struct update *u, size_t part)
{
	return node_passes(u, part) && site_passes(u, "transfer");
}

/* The hour, a pause, a postponement. */
static bool when_passes(struct update *u)
{
	struct gate *g = &u->run.gate;
	struct error e = {0};

	if (when_lets_activate(u, &g->when_until, &e) == EF_REASON_OK) {
		error_clear(&g->when);
		return true;
	}
	note(u, NO_PART, &g->when, &e);
	/* the wall clock may be set meanwhile, so it is not slept through */
	update_kick_at(u, later(u));
	return false;
}

void gate_retry(struct gate *g)
{
	g->wait_until = 0;
}

bool gate_activate(struct update *u)
{
	const struct deployment *d = u->current;
	bool all = true;

	if (!when_passes(u))
		return false;

	for (size_t i = 0; i < d->n_parts; i++)
		if (part_is_mcu(&d->parts[i]) && d->parts[i].state == COMPONENT_STAGED)
			all &= node_passes(u, i);
	return all && site_passes(u, "activate");
}

bool gate_wave(struct update *u, const struct component *c, unsigned wave)
{
	const struct deployment *d = u->current;
	bool all = true;

	for (size_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].component == c && d->parts[i].wave == wave &&
			d->parts[i].state == COMPONENT_STAGED)
			all &= node_passes(u, i);
	return all && site_passes(u, "activate");
}

void gate_clear(struct gate *g)
{
	checks_free(g->checks);
	*g = (struct gate){0};
}
