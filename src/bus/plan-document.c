/* SPDX-License-Identifier: Apache-2.0 */
/* What a deployment would do, as a document (Manager.Plan). */
#include "bus/documents.h"
#include "update/machine.h"
#include <string.h>

static json_t *version_text(const struct ef_version *v)
{
	char buf[EF_VERSION_TEXT_MAX];

	ef_version_format(v, buf);
	return json_string(buf);
}

static json_t *part(const struct part *p)
{
	const struct component *c = p->component;
	bool mcu = c->type == COMPONENT_MCU;
	json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:b, s:s, s:s, s:I, s:I}",
		"name", c->name, "type", component_type_word(c->type), mcu ? "node" : "slot",
		p->place, "version", version_text(&c->version), "from",
		p->from[0] ? json_string(p->from) : json_null(), "action",
		p->state == COMPONENT_SKIPPED ? "skip" : "install", "policy",
		component_policy_word(c->policy), "required", p->required, "reason",
		reason_word(p->error.reason), "detail", p->error.detail, "size",
		(json_int_t)c->image.size + (json_int_t)c->boot.image.size, "wave",
		(json_int_t)p->wave + 1);

	if (o)
		json_object_set_new(o, "protocol",
			json_pack("{s:I, s:I}", "min", (json_int_t)c->protocol_min, "max",
				(json_int_t)c->protocol_max));
	return o;
}

static json_t *gate(const struct plan_gate *g)
{
	return json_pack("{s:s, s:o, s:b, s:s, s:s}", "gate", g->word, "node",
		g->place[0] ? json_string(g->place) : json_null(), "open",
		g->error.reason == EF_REASON_OK, "reason", reason_word(g->error.reason), "detail",
		g->error.detail);
}

static json_t *requires(const struct manifest *m)
{
	json_t *list = json_array();

	for (size_t i = 0; m && i < m->n_components; i++) {
		const struct component *c = &m->components[i];

		for (size_t k = 0; k < c->n_requires; k++)
			json_array_append_new(
				list, json_pack("{s:s, s:s, s:o, s:b}", "name", c->name, "needs",
					      c->requires[k].name, "min",
					      version_text(&c->requires[k].min), "in_release",
					      manifest_component(m, c->requires[k].name) != NULL));
	}
	return list;
}

static const char *outcome(const struct update_plan *p)
{
	const struct deployment *d = p->deployment;
	bool work = false;

	if (d->state != DEPLOYMENT_FETCHING)
		return d->error.reason == EF_REASON_ALREADY_INSTALLED
			       ? "nothing"
			       : deployment_state_word(d->state);
	for (size_t i = 0; i < p->n_gates; i++)
		if (p->gates[i].error.reason)
			return "wait";
	for (size_t i = 0; i < d->n_parts; i++)
		work |= d->parts[i].state != COMPONENT_SKIPPED;
	return work ? "install" : "record";
}

json_t *document_plan(const struct update_plan *p)
{
	const struct deployment *d = p->deployment;
	const struct manifest *m = d->manifest;
	json_t *order = json_array(), *parts = json_array(), *gates = json_array();

	for (size_t i = 0; m && i < m->n_components; i++)
		json_array_append_new(order, json_string(m->components[m->order[i]].name));
	for (size_t i = 0; i < d->n_parts; i++)
		json_array_append_new(parts, part(&d->parts[i]));
	for (size_t i = 0; i < p->n_gates; i++)
		json_array_append_new(gates, gate(&p->gates[i]));
	return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, "
			 "s:{s:I, s:I, s:I, s:I}}",
		"release", d->release, "kind",
		m ? json_string(release_kind_word(m->kind)) : json_null(), "origin",
		deployment_origin_word(d->origin), "outcome", outcome(p), "reason",
		reason_word(d->error.reason), "detail", d->error.detail, "hint",
		reason_hint(d->error.reason), "order", order, "components", parts, "requires",
		requires(m), "gates", gates, "space", "needed", (json_int_t)p->room.need, "free",
		(json_int_t)p->room.free, "kept", (json_int_t)p->room.kept, "quota",
		(json_int_t)p->room.quota);
}
