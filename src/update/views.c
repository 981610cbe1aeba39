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

const struct deployment *update_current(const struct update *u)
{
	return u->current && !deployment_over(u->current->state) ? u->current : NULL;
}

const char *update_state_word(const struct update *u)
{
	const struct deployment *d = update_current(u);

	if (d)
		return deployment_state_word(d->state);
	return update_stale(u) ? "stale" : "idle";
}

const char *update_release(const struct update *u)
{
	return u->release;
}

const struct known_release *update_known(const struct update *u, size_t *n)
{
	*n = u->n_known;
	return u->known;
}

const struct node_identity *update_node(
	const struct update *u, size_t node, bool *present, int64_t *last_seen, struct error *last)
{
	const struct node_state *ns = &u->nodes[node];

	*present = ns->present;
	*last_seen = ns->last_seen;
	*last = ns->last;
	return &ns->identity;
}

bool update_boot_state(const struct update *u, struct boot_state *ret)
{
	struct error e = {0};

	return u->boot && boot_state(u->boot, ret, &e) == EF_REASON_OK;
}

bool update_slot_release(const struct update *u, enum slot_id s, char release[EF_VERSION_TEXT_MAX],
	uint8_t image[32])
{
	struct installed i;
	struct error e = {0};
	bool found = false;

	if (store_installed(u->store, slot_word(s), &i, &found, &e) || !found)
		return false;
	strcpy(release, i.release);
	memcpy(image, i.image, 32);
	return true;
}

const struct tuf *update_trust(const struct update *u)
{
	return u->tuf;
}

int64_t update_last_check(const struct update *u, struct error *e)
{
	*e = u->check_error;
	return u->last_check;
}
