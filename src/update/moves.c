/* SPDX-License-Identifier: Apache-2.0 */
/* What is decided is stored first: state, event and report in one transaction. */
#include "update/checks.h"
#include "update/internal.h"
#include "update/report.h"
#include "util/log.h"
#include <string.h>

#define PROGRESS_US 200000
#define STORE_RETRIES 3 /* so that it is tried again after 4 s */

bool part_is_mcu(const struct part *p)
{
	return p->component->type == COMPONENT_MCU;
}

struct part_run *run_of(struct update *u, size_t part)
{
	if (u->run.n_parts != u->current->n_parts) {
		free(u->run.parts);
		u->run.n_parts = 0;
		u->run.parts = calloc(u->current->n_parts, sizeof(*u->run.parts));
		if (!u->run.parts)
			abort(); /* a few hundred bytes: the service manager starts us again */
		u->run.n_parts = u->current->n_parts;
	}
	return &u->run.parts[part];
}

bool run_retry(struct update *u, struct part_run *r)
{
	if (++r->attempts >= RETRIES_MAX)
		return false;
	r->wait_until = now_monotonic_us() + update_backoff(u, r->attempts);
	return true;
}

bool run_ready(struct update *u, struct part_run *r)
{
	if (r->busy)
		return false;
	if (r->wait_until > now_monotonic_us()) {
		update_kick_at(u, r->wait_until);
		return false;
	}
	return true;
}

struct report_of {
	struct update *u;
	const struct deployment *d;
	const struct event *ev;
};

static char *make_report(void *ctx, uint64_t id)
{
	const struct report_of *r = ctx;

	if (r->d)
		return report_deployment(r->u->env.config, r->d, id, update_stamp(r->u));
	return report_event(r->u->env.config, r->ev, id);
}

static void told(struct update *u, const struct event *ev, bool report)
{
	const struct update_observer *o = &u->env.observer;

	if (o->event)
		o->event(o->ctx, ev);
	if (report && o->reported)
		o->reported(o->ctx);
}

static enum ef_reason store_event(struct update *u, struct event *ev, bool report, struct error *e)
{
	struct report_of r = {.u = u, .ev = ev};

	if (store_begin(u->store, e) || store_event_add(u->store, ev, e) ||
		(report && store_report_add(u->store, make_report, &r, e)) ||
		store_commit(u->store, e))
		store_abort(u->store);
	return e->reason;
}

void record_event(struct update *u, struct event *ev, bool report)
{
	struct error e = {0};

	ev->time = update_stamp(u);
	/* what is reported is worth the reserve: a refusal for want of room is on record too */
	if (store_event(u, ev, report, &e) == EF_REASON_NO_SPACE && report &&
		store_use_reserve(u->store)) {
		error_clear(&e);
		store_event(u, ev, report, &e);
	}
	if (e.reason) {
		log_error("event %s: %s", ev->word, e.detail);
		return;
	}
	told(u, ev, report);
}

static struct event deployment_event(struct update *u, const struct deployment *d, const char *from)
{
	struct event ev = {.time = update_stamp(u), .deployment = d->id, .error = d->error};

	snprintf(ev.word, sizeof(ev.word), "%s",
		d->state == DEPLOYMENT_REFUSED ? "refused" : "deployment");
	snprintf(ev.from, sizeof(ev.from), "%s", from);
	snprintf(ev.to, sizeof(ev.to), "%s", deployment_state_word(d->state));
	return ev;
}

static enum ef_reason store_move(struct update *u, const struct deployment *d, struct event *ev,
	enum ef_reason (*more)(struct update *u, struct error *e), struct error *e)
{
	struct report_of r = {.u = u, .d = d};

	if (store_begin(u->store, e) || store_deployment_save(u->store, d, e) ||
		(more && more(u, e)) || store_event_add(u->store, ev, e) ||
		store_report_add(u->store, make_report, &r, e) || store_commit(u->store, e))
		store_abort(u->store);
	return e->reason;
}

/* Remembered, so that the same release is not tried at every look. */
static bool worth_remembering(const struct deployment *d)
{
	static const uint8_t none[32];

	/* a release that was halted may go on one day: the statement says so then */
	if (memcmp(d->manifest_sha256, none, sizeof(none)) == 0 ||
		d->error.reason == EF_REASON_HALTED)
		return false;
	if (d->state == DEPLOYMENT_REVERTED)
		return true;
	/* a bad file with a good release in it says nothing about the release */
	if ((d->state != DEPLOYMENT_REFUSED && d->state != DEPLOYMENT_FAILED) ||
		d->origin == ORIGIN_BUNDLE)
		return false;
	/* what is put right here, not by another release, is worth another try */
	return !reason_passes(d->error.reason) && d->error.reason != EF_REASON_ALREADY_INSTALLED &&
	       d->error.reason != EF_REASON_NO_SPACE && d->error.reason != EF_REASON_PATCH &&
	       d->error.reason != EF_REASON_NODE_MISMATCH &&
	       d->error.reason != EF_REASON_NODE_BATTERY &&
	       d->error.reason != EF_REASON_STATE_UNREADABLE;
}

static void remember(struct update *u)
{
	const struct deployment *d = u->current;
	struct error e = {0};

	if (d->state == DEPLOYMENT_CONFIRMED)
		store_refused_remove(u->store, d->manifest_sha256, &e);
	else if (worth_remembering(d))
		store_refused_put(u->store, d->manifest_sha256, &d->error, update_stamp(u), &e);
	if (e.reason)
		log_warning("remembering the outcome of release %s: %s", d->release, e.detail);
}

void run_reset(struct update *u)
{
	struct run *r = &u->run;

	nodes_orphan(u);
	remote_cancel(u);
	if (u->look.for_deployment)
		look_clear(u);
	if (u->look.phase == LOOK_IDLE)
		reader_cancel(u);
	for (size_t i = 0; i < r->n_parts; i++) {
		worker_free(r->parts[i].worker);
		fetch_drop(r->parts[i].fetch);
		if (r->parts[i].context)
			fetch_free(r->parts[i].context);
	}
	patches_drop(u);
	sd_event_source_disable_unref(r->timer);
	free(r->parts);
	free(r->manifest);
	free(r->images);
	checks_free(r->checks);
	gate_clear(&r->gate);
	free(r->services.failed);
	*r = (struct run){.since_us = now_monotonic_us()};
}

/* A record that cannot be written must not be acted on; later there may be room again (F-03, F-04).
 */
static bool not_stored(struct update *u, const char *what, const struct error *e)
{
	log_error("%s is not stored and not done: %s: %s", what, reason_word(e->reason), e->detail);
	update_kick_at(u, now_monotonic_us() + update_backoff(u, STORE_RETRIES));
	return false;
}

bool deployment_move(struct update *u, enum deployment_event event, const struct error *cause,
	enum ef_reason (*more)(struct update *u, struct error *e))
{
	struct deployment *d = u->current, before = *d;
	struct transition t;
	struct error e = {0};

	if (d->dry)
		return dry_move(u, event, cause);
	if (!machine_next(d->state, event, &t))
		return false;
	d->state = t.next;
	if (cause && cause->reason != EF_REASON_OK && d->error.reason == EF_REASON_OK)
		d->error = *cause;
	if (t.action == ACTION_END)
		d->ended = update_stamp(u);
	struct event ev = deployment_event(u, d, deployment_state_word(before.state));
	/* one outcome, also when the last thing that failed was to say that it is stored (I-8) */
	if (u->in_doubt && store_deployment_is(u->store, d->id, d->state))
		log_info("%s was stored after all", ev.to);
	else if (store_move(u, d, &ev, more, &e) == EF_REASON_NO_SPACE &&
		 store_use_reserve(u->store)) {
		error_clear(&e);
		if (!store_deployment_is(u->store, d->id, d->state))
			store_move(u, d, &ev, more, &e);
	}
	if (e.reason) {
		d->state = before.state;
		d->error = before.error;
		d->ended = before.ended;
		u->in_doubt = true;
		return not_stored(u, ev.to, &e);
	}
	u->in_doubt = false;
	if (t.action == ACTION_END && d->origin == ORIGIN_CATCH_UP)
		desired_ended(u);
	else if (t.action == ACTION_END && event != EVENT_HELD)
		remember(u);
	run_reset(u);
	told(u, &ev, true);
	if (u->env.observer.changed)
		u->env.observer.changed(u->env.observer.ctx, d);
	update_kick(u);
	return true;
}

static enum ef_reason store_part(struct update *u, size_t part, struct event *ev, struct error *e)
{
	if (store_begin(u->store, e) || store_part_save(u->store, u->current, part, e) ||
		store_event_add(u->store, ev, e) || store_commit(u->store, e))
		store_abort(u->store);
	return e->reason;
}

bool part_move(struct update *u, size_t part, enum component_state to, const struct error *cause)
{
	struct part *p = &u->current->parts[part], before = *p;
	struct event ev = {
		.time = update_stamp(u), .deployment = u->current->id, .word = "component"};
	struct error e = {0};

	if (p->state == to)
		return true;
	if (!part_may_become(p->state, to)) {
		log_error("component %s on %s cannot go from %s to %s", p->component->name,
			p->place, component_state_word(p->state), component_state_word(to));
		return false;
	}
	snprintf(ev.component, sizeof(ev.component), "%s", p->component->name);
	snprintf(ev.place, sizeof(ev.place), "%s", p->place);
	snprintf(ev.from, sizeof(ev.from), "%s", component_state_word(p->state));
	snprintf(ev.to, sizeof(ev.to), "%s", component_state_word(to));
	p->state = to;
	if (cause)
		p->error = *cause;
	p->phase = "";
	if (cause || p->error.reason) /* a note is said once */
		ev.error = p->error;
	if (store_part(u, part, &ev, &e)) {
		*p = before;
		return not_stored(u, ev.to, &e);
	}
	told(u, &ev, false);
	if (u->env.observer.changed)
		u->env.observer.changed(u->env.observer.ctx, u->current);
	return true;
}

/* Told at most five times a second, but each phase's begin and end. */
void part_progress(struct update *u, size_t part, const char *phase, uint64_t done, uint64_t total)
{
	struct part *p = &u->current->parts[part];
	struct part_run *r = run_of(u, part);
	uint64_t now = now_monotonic_us();
	bool same = strcmp(p->phase, phase) == 0;

	p->phase = phase;
	p->done = done;
	p->total = total;
	if (same && done < total && now < r->told_us + PROGRESS_US)
		return;
	r->told_us = now;
	if (u->env.observer.progress)
		u->env.observer.progress(u->env.observer.ctx, u->current, p);
}

bool part_step(struct update *u, size_t part)
{
	struct part *p = &u->current->parts[part];
	struct error e = {0};

	p->step++;
	if (store_part_save(u->store, u->current, part, &e) == EF_REASON_OK)
		return true;
	p->step--;
	return not_stored(u, "step", &e);
}

enum ef_reason deployment_begin(struct update *u, struct deployment *d, struct error *e)
{
	struct event ev = deployment_event(u, d, "");
	struct report_of r = {.u = u, .d = d};

	if (store_begin(u->store, e))
		return e->reason;
	if (store_deployment_add(u->store, d, e) == EF_REASON_OK) {
		ev.deployment = d->id;
		snprintf(ev.error.detail, sizeof(ev.error.detail), "asked for by %s", d->by);
		if (deployment_asked_save(u, d, e) == EF_REASON_OK &&
			store_event_add(u->store, &ev, e) == EF_REASON_OK &&
			store_report_add(u->store, make_report, &r, e) == EF_REASON_OK)
			store_commit(u->store, e);
	}
	if (e->reason) {
		store_abort(u->store);
		/* as in deployment_move: it may be stored all the same (I-8) */
		if (!store_deployment_is(u->store, d->id, d->state))
			return e->reason;
		error_clear(e);
	}
	store_keep_reserve(u->store); /* for the outcome */
	u->current = d;
	run_reset(u);
	told(u, &ev, true);
	if (u->env.observer.changed)
		u->env.observer.changed(u->env.observer.ctx, d);
	update_kick(u);
	return EF_REASON_OK;
}
