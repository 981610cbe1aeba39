/* SPDX-License-Identifier: Apache-2.0 */
/* Pause and postponement as the operator has asked for them; and why nothing happens now. */
#include "update/internal.h"
#include "update/policy.h"
#include "util/log.h"
#include <inttypes.h>
#include <string.h>

#define KEY "when" /* in state.db: "PAUSED UNTIL SINCE" */

static enum ef_reason keep(struct update *u, const struct when_state *s, struct error *e)
{
	char text[80];

	snprintf(text, sizeof(text), "%d %" PRId64 " %" PRId64, s->paused, s->postponed_until,
		s->postponed_since);
	return store_set(u->store, KEY, text, e);
}

enum ef_reason when_load(struct update *u, struct error *e)
{
	struct when_state *s = &u->when;
	char text[80];
	int paused = 0;

	if (store_get(u->store, KEY, text, sizeof(text), e) || !text[0])
		return e->reason;
	if (sscanf(text, "%d %" SCNd64 " %" SCNd64, &paused, &s->postponed_until,
		    &s->postponed_since) != 3)
		return error_set(e, EF_REASON_STATE_UNREADABLE, "state.db: postponement");
	s->paused = paused != 0;
	return EF_REASON_OK;
}

static struct when when_of(const struct update *u)
{
	return (struct when){.config = u->env.config,
		.now = u->env.now(),
		.paused = u->when.paused,
		.postponed_until = u->when.postponed_until};
}

/* Stored and on record, or nothing of it. */
static enum ef_reason change(struct update *u, const struct when_state *to, const char *word,
	int64_t until, struct error *e)
{
	struct event ev = {.word = "policy"};
	char text[21];

	if (keep(u, to, e))
		return e->reason;
	u->when = *to;
	snprintf(ev.to, sizeof(ev.to), "%s", word);
	snprintf(ev.error.detail, sizeof(ev.error.detail), "%s%sby %s",
		until ? time_format_utc(until, text) : "", until ? ", " : "", update_asker(u));
	record_event(u, &ev, true);
	update_kick(u);
	return EF_REASON_OK;
}

enum ef_reason update_pause(struct update *u, struct error *e)
{
	struct when_state to = u->when;

	to.paused = true;
	return change(u, &to, "paused", 0, e);
}

enum ef_reason update_unpause(struct update *u, struct error *e)
{
	struct when_state to = u->when;

	to.paused = false;
	to.postponed_until = 0; /* since when stays: the cap is for all of it */
	enum ef_reason r = change(u, &to, "resumed", 0, e);
	if (r == EF_REASON_OK && u->env.observer.resumed)
		u->env.observer.resumed(u->env.observer.ctx);
	return r;
}

enum ef_reason update_postpone(struct update *u, int64_t seconds, int64_t *until, struct error *e)
{
	struct when_state to = u->when;
	int64_t now = u->env.now();
	char text[21];

	if (seconds <= 0)
		return error_set(e, EF_REASON_USAGE, "for how long?");
	/* a clock that was wrong then is no reason to refuse now */
	if (to.postponed_since == 0 || to.postponed_since > now)
		to.postponed_since = now;
	int64_t cap = to.postponed_since + (int64_t)(u->env.config->postpone_max / USEC_PER_SEC);
	if (seconds > cap - now)
		return error_set(e, EF_REASON_HELD,
			"it was postponed before, and PostponeMax= ends at %s",
			time_format_utc(cap, text));
	to.postponed_until = *until = now + seconds;
	return change(u, &to, "postponed", *until, e);
}

enum ef_reason when_settle(struct update *u, struct error *e)
{
	struct when_state none = {.paused = u->when.paused};

	return u->when.postponed_since ? keep(u, &none, e) : EF_REASON_OK;
}

void when_settled(struct update *u)
{
	u->when = (struct when_state){.paused = u->when.paused};
}

enum ef_reason update_may_begin(const struct update *u, int64_t *until, struct error *e)
{
	const struct when w = when_of(u);

	return when_begin(&w, until, e);
}

enum ef_reason when_lets_activate(const struct update *u, int64_t *until, struct error *e)
{
	const struct deployment *d = u->current;
	const struct when w = when_of(u);

	*until = 0;
	/* whoever goes back does not want to wait for the night */
	if (d->origin == ORIGIN_ROLLBACK)
		return EF_REASON_OK;
	return when_activate(&w, d->itself, d->let_go, until, e);
}

enum ef_reason update_activate(struct update *u, struct error *e)
{
	struct deployment *d = u->current;

	if (!update_current(u))
		return error_set(e, EF_REASON_NOT_FOUND, "no deployment is under way");
	if (d->state != DEPLOYMENT_OFFERED && d->state != DEPLOYMENT_FETCHING &&
		d->state != DEPLOYMENT_STAGED)
		return error_set(e, EF_REASON_BUSY, "deployment %llu is %s already",
			(unsigned long long)d->id, deployment_state_word(d->state));
	d->let_go = true;
	if (deployment_asked_save(u, d, e)) {
		d->let_go = false;
		return e->reason;
	}
	gate_retry(&u->run.gate);
	update_kick(u);
	return EF_REASON_OK;
}

/* --- why nothing happens now --- */

static enum ef_reason waits_under_way(struct update *u, int64_t *until, struct error *e)
{
	const struct deployment *d = u->current;
	const struct gate *g = &u->run.gate;

	if (d->state == DEPLOYMENT_STAGED && g->when.reason) {
		*until = g->when_until;
		*e = g->when;
	} else if (g->held.reason) {
		*e = g->held;
	}
	for (size_t i = 0; !e->reason && i < d->n_parts && i < u->run.n_parts; i++)
		if (u->run.parts[i].held.reason && u->run.parts[i].wait_until > now_monotonic_us())
			*e = u->run.parts[i].held;
	return e->reason;
}

enum ef_reason update_waiting(struct update *u, int64_t *until, struct error *e)
{
	const struct known_release *refused, *newest;

	*until = 0;
	if (update_current(u))
		return waits_under_way(u, until, e);
	newest = look_candidate(u->known, u->n_known, &refused);
	if (!newest || newest->installed)
		return update_may_begin(u, until, e);
	if (!policy_automatic(u->env.config->automatic, newest))
		return error_set(e, EF_REASON_HELD,
			"release %s is there, and Automatic= leaves it to 'edgeferry install'",
			newest->version);
	return update_may_begin(u, until, e);
}
