/* SPDX-License-Identifier: Apache-2.0 */
/* What others read: as it is, or from the state database. */
#include "update/internal.h"
#include <string.h>

bool update_reading(const struct update *u)
{
	return u->look.phase != LOOK_IDLE || u->reader.done;
}

bool update_statement(const struct update *u, uint64_t *counter, int64_t *until, struct error *e)
{
	*counter = u->statement.taken ? u->statement.last.counter : 0;
	*until = u->statement.taken ? u->statement.until : 0;
	statement_in_force(u, e);
	return u->statement.ruled;
}

int update_deployments(
	struct update *u, unsigned max, int (*cb)(void *ctx, const struct deployment *d), void *ctx)
{
	return store_deployments(u->store, max, cb, ctx);
}

int update_history(
	struct update *u, unsigned max, int (*cb)(void *ctx, const struct event *ev), void *ctx)
{
	return store_events(u->store, max, cb, ctx);
}

int update_outbox(struct update *u, unsigned max,
	int (*cb)(void *ctx, uint64_t id, const char *json), void *ctx)
{
	return store_reports(u->store, max, cb, ctx);
}

enum ef_reason update_outbox_done(struct update *u, uint64_t id, struct error *e)
{
	return store_reports_done(u->store, id, e);
}

bool update_paused(const struct update *u, int64_t *postponed_until)
{
	int64_t until = u->when.postponed_until;

	*postponed_until = until > u->env.now() ? until : 0;
	return u->when.paused;
}
