/* SPDX-License-Identifier: Apache-2.0 */
#include "update/report.h"
#include "update/machine.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/time-util.h"

#define REPORT_PARTS_MAX 150 /* so that a report fits one message to edgeferry-net */

static json_t *head(const struct config *config, uint64_t id, int64_t now)
{
	char time[21];

	return json_pack("{s:I, s:s, s:s, s:s}", "report", (json_int_t)id, "id",
		config->id ? config->id : "", "product", config->product ? config->product : "",
		"time", time_format_utc(now, time));
}

static json_t *parts(const struct deployment *d)
{
	json_t *a = json_array();

	for (size_t i = 0; a && i < d->n_parts && i < REPORT_PARTS_MAX; i++) {
		const struct part *p = &d->parts[i];
		char version[EF_VERSION_TEXT_MAX];

		ef_version_format(&p->component->version, version);
		json_array_append_new(a,
			json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "name", p->component->name,
				"place", p->place, "from", p->from, "version", version, "state",
				component_state_word(p->state), "reason",
				reason_word(p->error.reason), "detail", p->error.detail));
	}
	return a;
}

char *report_deployment(
	const struct config *config, const struct deployment *d, uint64_t id, int64_t now)
{
	_cleanup_json_ json_t *o = head(config, id, now);
	_cleanup_json_ json_t *body = json_pack("{s:I, s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:o}",
		"deployment", (json_int_t)d->id, "release", d->release, "sequence",
		(json_int_t)d->sequence, "before", d->before, "origin",
		deployment_origin_word(d->origin), "state", deployment_state_word(d->state),
		"reason", reason_word(d->error.reason), "detail", d->error.detail, "components",
		parts(d));

	if (!o || !body || json_object_update(o, body) < 0)
		return NULL;
	return json_dumps(o, JSON_COMPACT);
}

char *report_event(const struct config *config, const struct event *ev, uint64_t id)
{
	_cleanup_json_ json_t *o = head(config, id, ev->time);
	_cleanup_json_ json_t *body = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "event",
		ev->word, "component", ev->component, "place", ev->place, "from", ev->from, "to",
		ev->to, "reason", reason_word(ev->error.reason), "detail", ev->error.detail);

	if (!o || !body || json_object_update(o, body) < 0)
		return NULL;
	return json_dumps(o, JSON_COMPACT);
}
