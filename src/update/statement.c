/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the publisher lets go: the last rollout statement that was taken from the source
 * (docs/SPEC-repository.md section 5), and what it means here. Kept in state.db as one fact a
 * product, "KEYS UNTIL", a line feed and the statement as signed: "" when the source has none,
 * nothing behind the line feed while none by the keys of today was taken.
 */
#include "update/internal.h"
#include "util/hex.h"
#include <inttypes.h>
#include <string.h>

#define FACT_MAX 64
#define STATEMENT "rollout statement %" PRIu64 /* its counter */
#define HEAD_MAX (DIGEST_HEX_MAX + 32)

static enum ef_reason unreadable(struct error *e, const char *what)
{
	return error_set(e, EF_REASON_STATE_UNREADABLE, "state.db: rollout statement: %s", what);
}

static const char *fact(const struct update *u, char out[FACT_MAX])
{
	snprintf(out, FACT_MAX, "rollout-%s", u->env.config->product);
	return out;
}

enum ef_reason statement_open(struct update *u, struct error *e)
{
	struct statement *s = &u->statement;
	_cleanup_free_ char *value = malloc(HEAD_MAX + ROLLOUT_SIZE_MAX + 1);
	struct error why = {0};
	uint8_t keys[DIGEST_SIZE];
	char name[FACT_MAX];
	int at = 0;

	if (!value)
		return error_set(e, EF_REASON_NO_MEMORY, "rollout statement");
	if (store_get(u->store, fact(u, name), value, HEAD_MAX + ROLLOUT_SIZE_MAX + 1, e) ||
		!value[0])
		return e->reason;
	if (sscanf(value, "%64s %" SCNd64 "%n", s->keys, &s->until, &at) != 2 ||
		!hex_decode(s->keys, keys, sizeof(keys)) || value[at++] != '\n')
		return unreadable(e, "what it begins with");
	if (value[at] && rollout_parse(value + at, strlen(value + at), u->env.config->product,
				 &s->last, &why))
		return unreadable(e, why.detail);
	s->ruled = true;
	s->taken = value[at] != 0;
	return EF_REASON_OK;
}

/* text: of size bytes, from a statement that was parsed, so that it is text. */
static enum ef_reason keep(struct update *u, const char *keys, int64_t until, const void *text,
	size_t size, struct error *e)
{
	_cleanup_free_ char *value = malloc(HEAD_MAX + size + 1);
	char name[FACT_MAX];

	if (!value)
		return error_set(e, EF_REASON_NO_MEMORY, "rollout statement");
	int n = snprintf(value, HEAD_MAX, "%s %" PRId64 "\n", keys, until);
	memcpy(value + n, text, size);
	value[(size_t)n + size] = 0;
	return store_set(u->store, fact(u, name), value, e);
}

enum ef_reason statement_expected(struct update *u, bool *ret, struct error *e)
{
	struct statement *s = &u->statement;
	char hex[DIGEST_HEX_MAX], name[FACT_MAX];
	uint8_t keys[DIGEST_SIZE];

	if (tuf_delegated(u->tuf, STATEMENT_ROLE, ret, keys, e))
		return e->reason;
	if (!*ret && s->ruled && store_set(u->store, fact(u, name), "", e) == EF_REASON_OK)
		*s = (struct statement){.ruled = false};
	if (!*ret || e->reason)
		return e->reason;
	digest_hex(keys, hex);
	if (s->ruled && strcmp(s->keys, hex) == 0)
		return EF_REASON_OK;
	/* by other keys: what the old ones have said counts no longer, their counter neither (S-17)
	 */
	if (keep(u, hex, 0, "", 0, e) == EF_REASON_OK) {
		*s = (struct statement){.ruled = true};
		strcpy(s->keys, hex);
	}
	return e->reason;
}

void statement_refuse(struct update *u, const struct error *e)
{
	u->statement.error = *e;
}

/* The statement ends with the metadata that named it, when that is earlier. */
static int64_t end_of(const struct update *u, const struct rollout *r)
{
	int64_t role = tuf_expires(u->tuf, STATEMENT_ROLE);

	return role != 0 && role < r->expires ? role : r->expires;
}

static enum ef_reason take(struct update *u, const struct tuf_target *target, const void *data,
	size_t size, struct rollout *next, struct error *e)
{
	struct statement *s = &u->statement;
	const char *foreign = tuf_overstep(u->tuf, STATEMENT_ROLE);

	if (foreign)
		return error_set(e, EF_REASON_NOT_SIGNED_FOR,
			"the role " STATEMENT_ROLE " names %s, which is not its to name", foreign);
	if (tuf_target_check(target, data, size, e) ||
		rollout_parse(data, size, u->env.config->product, next, e) ||
		(s->taken && rollout_follows(&s->last, next, e)))
		return e->reason;
	int64_t until = end_of(u, next);
	if ((!s->taken || next->counter != s->last.counter || until != s->until) &&
		keep(u, s->keys, until, data, size, e))
		return e->reason;
	s->last = *next;
	s->until = until;
	s->taken = true;
	error_clear(&s->error);
	return EF_REASON_OK;
}

void statement_take(
	struct update *u, const struct tuf_target *target, const void *data, size_t size)
{
	_cleanup_free_ struct rollout *next = malloc(sizeof(*next));
	struct error e = {0};

	if (!next)
		error_set(&e, EF_REASON_NO_MEMORY, "rollout statement");
	if (e.reason || take(u, target, data, size, next, &e))
		statement_refuse(u, &e);
}

enum ef_reason statement_in_force(const struct update *u, struct error *e)
{
	const struct statement *s = &u->statement;
	char when[21];

	if (s->error.reason)
		return error_set(e, s->error.reason, "%s", s->error.detail);
	if (s->ruled && !s->taken)
		return error_set(e, EF_REASON_NOT_FOUND, "no rollout statement was seen yet");
	if (s->ruled && update_now(u) >= s->until)
		return error_set(e, EF_REASON_EXPIRED, STATEMENT ": since %s", s->last.counter,
			time_format_utc(s->until, when));
	return EF_REASON_OK;
}

/* NULL: it does not name the release, or there is none. */
static const struct rollout_release *named(
	const struct update *u, const char *version, uint64_t sequence)
{
	const struct statement *s = &u->statement;
	const struct rollout_release *x = s->taken ? rollout_find(&s->last, version) : NULL;

	return x && x->sequence == sequence ? x : NULL;
}

bool statement_share(const struct update *u, const char *version, uint64_t sequence,
	unsigned *share, unsigned *place)
{
	const struct rollout_release *x = named(u, version, sequence);

	if (!x || !rollout_place(x->salt, u->env.config->id, place))
		return false;
	*share = x->share;
	return true;
}

enum ef_reason statement_judge(
	const struct update *u, const char *version, uint64_t sequence, struct error *e)
{
	const struct statement *s = &u->statement;
	unsigned share = 0, place = 0;

	if (!s->ruled || statement_in_force(u, e))
		return e->reason;
	switch (rollout_decide(
		&u->statement.last, version, sequence, u->env.config->id, update_now(u))) {
	case ROLLOUT_GO:
		return EF_REASON_OK;
	case ROLLOUT_HALTED:
		return error_set(e, EF_REASON_HALTED, STATEMENT, s->last.counter);
	case ROLLOUT_UNLISTED:
		return error_set(e, EF_REASON_UNLISTED, STATEMENT, s->last.counter);
	case ROLLOUT_LATER:
		statement_share(u, version, sequence, &share, &place);
		return error_set(e, EF_REASON_LATER,
			"%u.%u %% of the gateways may take it, this one is at %u.%u %%", share / 10,
			share % 10, place / 10, place % 10);
	case ROLLOUT_EXPIRED:
		return error_set(e, EF_REASON_EXPIRED, STATEMENT, s->last.counter);
	case ROLLOUT_FAILED:
		break;
	}
	return error_set(e, EF_REASON_NO_MEMORY, "rollout statement");
}

/* --- the deployment under way --- */

enum ef_reason statement_stops(const struct update *u, struct error *e)
{
	const struct deployment *d = u->current;
	struct error why = {0};

	if (d->origin != ORIGIN_SOURCE)
		return EF_REASON_OK;
	switch (statement_judge(u, d->release, d->sequence, &why)) {
	case EF_REASON_OK:
	case EF_REASON_LATER:
	case EF_REASON_UNLISTED:
		return EF_REASON_OK; /* whether it begins by itself was decided before */
	default:
		*e = why;
		return why.reason;
	}
}

bool statement_halts(struct update *u)
{
	const struct deployment *d = u->current;
	const struct rollout_release *x = named(u, d->release, d->sequence);
	struct transition t;
	struct error e = {0};

	if (d->origin != ORIGIN_SOURCE || !x || !x->halted ||
		!machine_next(d->state, EVENT_HELD, &t))
		return false;
	error_set(&e, EF_REASON_HALTED, STATEMENT, u->statement.last.counter);
	deployment_move(u, EVENT_HELD, &e, NULL);
	return true;
}

static void on_asked(struct update *u, const struct error *e)
{
	u->look.for_deployment = false;
	u->run.asked = true;
	u->run.server_ok = u->look.reached;
}

bool statement_asked(struct update *u)
{
	if (u->run.asked || u->look.phase != LOOK_IDLE)
		return u->run.asked; /* a check that is under way kicks when it is over */
	look_start(u, LOOK_FOR_STATEMENT, on_asked);
	u->look.for_deployment = u->look.phase != LOOK_IDLE;
	return false;
}
