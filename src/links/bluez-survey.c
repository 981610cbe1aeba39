/* SPDX-License-Identifier: Apache-2.0 */
/* Who is in the air and says that it has the SMP service. */
#include "links/bluez-internal.h"
#include "util/time-util.h"
#include <stdlib.h>
#include <string.h>

static void survey_end(struct bluez *b, const struct error *e)
{
	struct bluez_survey survey = b->survey;

	b->survey = (struct bluez_survey){.done = NULL};
	sd_event_source_disable_unref(survey.timer);
	bluez_discover(b);
	if (survey.done)
		survey.done(survey.ctx, survey.found, survey.n, e);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	const struct error none = {0};

	survey_end(userdata, &none);
	return 0;
}

void survey_seen(struct bluez *b, const char *path, const struct bluez_facts *f)
{
	struct bluez_survey *s = &b->survey;
	char address[18];
	size_t i = 0;

	if (!s->done || !f->smp || !bluez_address(path, address))
		return;
	while (i < s->n && strcmp(s->found[i].address, address) != 0)
		i++;
	if (i == BLUEZ_SURVEY_MAX)
		return;
	if (i == s->n)
		memcpy(s->found[s->n++].address, address, sizeof address);
	if (f->name)
		snprintf(s->found[i].name, sizeof s->found[i].name, "%s", f->name);
}

void survey_listed(struct bluez *b)
{
	struct error e = b->unlisted;

	if (b->survey.done && e.reason)
		survey_end(b, &e);
	else
		bluez_discover(b);
}

void survey_lost(struct bluez *b, const char *why)
{
	struct error e = {0};

	if (!b->survey.done)
		return;
	error_set(&e, EF_REASON_NODE_UNREACHABLE, "%s", why);
	survey_end(b, &e);
}

enum ef_reason bluez_survey(
	struct bluez *b, uint64_t for_us, bluez_surveyed done, void *ctx, struct error *e)
{
	int r;

	if (b->survey.done)
		return error_set(e, EF_REASON_BUSY, "a survey of the air is under way");
	if (bluez_connect(b, e) || bluez_list(b, e))
		return e->reason;
	r = sd_event_add_time_relative(
		b->event, &b->survey.timer, CLOCK_MONOTONIC, for_us, 0, on_timer, b);
	if (r < 0)
		return error_errno(e, r, "BlueZ");
	b->survey.done = done;
	b->survey.ctx = ctx;
	return EF_REASON_OK;
}

void bluez_survey_stop(struct bluez *b)
{
	if (!b->survey.done)
		return;
	sd_event_source_disable_unref(b->survey.timer);
	b->survey = (struct bluez_survey){.done = NULL};
	bluez_discover(b);
}
