/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F-24: what fails among the services of this machine in a new slot, and did not in the old one, is
 * blamed on the release; what failed before is not.
 */
#include "update/internal.h"
#include <stdlib.h>
#include <string.h>

#define BEFORE "services-before" /* units that had failed, one a line */
#define NAMES_MAX 16384
#define ASK_AGAIN_US USEC_PER_SEC

static void on_told(void *ctx, bool known, bool starting, const char *failed)
{
	struct update *u = ctx;
	struct services_told *s = &u->run.services;

	u->asking_services = false;
	free(s->failed);
	s->failed = strdup(failed);
	s->known = known && s->failed;
	s->starting = s->known && starting;
	if (!s->failed)
		s->wait_until = now_monotonic_us() + ASK_AGAIN_US;
	update_kick(u);
}

/* Whether the deployment is about a slot of a machine that has services. */
static bool concerned(const struct update *u)
{
	const struct deployment *d = u->current;

	for (size_t i = 0; u->env.services.ask && i < d->n_parts; i++)
		if (!part_is_mcu(&d->parts[i]) && (d->parts[i].state == COMPONENT_STAGED ||
							  d->parts[i].state == COMPONENT_TRIAL))
			return true;
	return false;
}

bool services_asked(struct update *u)
{
	struct services_told *s = &u->run.services;

	if (!concerned(u) || s->failed)
		return true;
	if (u->asking_services)
		return false;
	if (s->wait_until > now_monotonic_us()) {
		update_kick_at(u, s->wait_until);
		return false;
	}
	u->asking_services = true;
	u->env.services.ask(u->env.services.ctx, on_told, u);
	return false;
}

enum ef_reason services_note(struct update *u, struct error *e)
{
	const struct services_told *s = &u->run.services;
	char names[NAMES_MAX];

	snprintf(names, sizeof(names), "%s", s->known ? s->failed : "");
	return store_set(u->store, BEFORE, names, e);
}

static bool has_line(const char *text, const char *line, size_t n)
{
	for (const char *at = text; *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (strcspn(at, "\n") == n && strncmp(at, line, n) == 0)
			return true;
	return false;
}

/* The first that has failed and had not before. */
static bool new_failure(struct update *u, struct error *e)
{
	char before[NAMES_MAX];
	struct error none = {0};

	if (store_get(u->store, BEFORE, before, sizeof(before), &none))
		return false;
	for (const char *at = u->run.services.failed; *at;) {
		size_t n = strcspn(at, "\n");
		if (!has_line(before, at, n)) {
			error_set(e, EF_REASON_CHECK_FAILED, "%.*s failed in the new slot", (int)n,
				at);
			return true;
		}
		at += n + (at[n] == '\n');
	}
	return false;
}

enum services_result services_look(struct update *u, uint64_t until_us, struct error *e)
{
	struct services_told *s = &u->run.services;

	if (s->good)
		return SERVICES_GOOD;
	if (!services_asked(u))
		return SERVICES_WAIT;
	if (s->known && s->failed && new_failure(u, e))
		return SERVICES_FAILED;
	if (s->starting && now_monotonic_us() < until_us) {
		s->wait_until = now_monotonic_us() + ASK_AGAIN_US;
		free(s->failed);
		s->failed = NULL;
		s->starting = false;
		update_kick_at(u, s->wait_until);
		return SERVICES_WAIT;
	}
	s->good = true;
	return SERVICES_GOOD;
}
