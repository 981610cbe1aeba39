/* SPDX-License-Identifier: Apache-2.0 */
#include "bus/documents.h"
#include "update/machine.h"
#include "util/hex.h"
#include "util/time-util.h"
#include <string.h>

static json_t *text(const char *s)
{
	return json_string(s ? s : "");
}

static json_t *text_or_null(const char *s)
{
	return s && *s ? json_string(s) : json_null();
}

static json_t *stamp(int64_t seconds)
{
	char buf[21];

	return seconds > 0 ? json_string(time_format_utc(seconds, buf)) : json_null();
}

static json_t *version_text(const struct ef_version *v)
{
	char buf[EF_VERSION_TEXT_MAX];

	ef_version_format(v, buf);
	return json_string(buf);
}

static const struct node_slot *active_slot(const struct node_identity *n, bool active)
{
	for (int i = 0; i < 2; i++)
		if (n->slots[i].present && n->slots[i].active == active)
			return &n->slots[i];
	return NULL;
}

json_t *document_node(const struct document_source *s, size_t node)
{
	const struct config_node *c = &s->config->nodes[node];
	bool present = false;
	int64_t last_seen = 0;
	struct error last = {0};
	const struct node_identity *id = update_node(s->update, node, &present, &last_seen, &last);
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:b, s:o, s:s, s:s}", "name", c->name,
		"compatible", c->compatible ? c->compatible : "", "link", c->link, "device",
		c->device, "present", present, "last_seen", stamp(last_seen), "reason",
		reason_word(last.reason), "detail", last.detail);
	char hex[DIGEST_HEX_MAX];
	struct bluez_sight sight;

	if (o && update_node_sight(s->update, node, &sight)) {
		json_object_set_new(o, "address", text_or_null(sight.address));
		json_object_set_new(
			o, "signal", sight.signal ? json_integer(sight.signal) : json_null());
	}
	if (!o || !id || last_seen == 0)
		return o;
	const struct node_slot *running = active_slot(id, true), *other = active_slot(id, false);

	json_object_set_new(o, "board", text(id->board));
	json_object_set_new(o, "hardware", json_integer(id->hardware));
	json_object_set_new(o, "id", json_string(hex_encode(id->id, sizeof id->id, hex)));
	json_object_set_new(o, "boot_version", text(id->boot_version));
	json_object_set_new(o, "bootloader", json_boolean(id->bootloader));
	json_object_set_new(o, "running", running ? version_text(&running->version) : json_null());
	json_object_set_new(o, "running_hash",
		running ? json_string(digest_hex(running->hash, hex)) : json_null());
	json_object_set_new(o, "other", other ? version_text(&other->version) : json_null());
	const struct component *behind = update_node_behind(s->update, node);
	json_object_set_new(o, "wanted", behind ? version_text(&behind->version) : json_null());
	json_object_set_new(o, "trial", json_boolean(id->trial));
	json_object_set_new(o, "floor", json_integer(id->floor));
	json_object_set_new(o, "attempts", json_integer(id->attempts));
	json_object_set_new(o, "reverted", text(reason_word(id->reverted)));
	json_object_set_new(
		o, "saved", json_integer((json_int_t)update_node_saved(s->update, node)));
	json_object_set_new(o, "info", text(id->info));
	return o;
}

json_t *document_nodes(const struct document_source *s)
{
	json_t *a = json_array();

	for (size_t i = 0; i < s->config->n_nodes; i++)
		json_array_append_new(a, document_node(s, i));
	return a;
}

json_t *document_slot(const struct document_source *s, enum slot_id slot)
{
	struct boot_state state;
	const char *path = slot == SLOT_A ? s->config->slot_a : s->config->slot_b;
	char release[EF_VERSION_TEXT_MAX] = "", hex[DIGEST_HEX_MAX];
	uint8_t image[DIGEST_SIZE];
	bool known = update_slot_release(s->update, slot, release, image);
	json_t *o = json_pack("{s:s, s:o, s:o, s:o}", "slot", slot_word(slot), "path",
		text_or_null(path), "release", text_or_null(release), "image",
		known ? json_string(digest_hex(image, hex)) : json_null());

	if (!o || !update_boot_state(s->update, &state))
		return o;
	json_object_set_new(o, "running", json_boolean(state.running == slot));
	json_object_set_new(o, "primary", json_boolean(state.primary == slot));
	json_object_set_new(o, "trial",
		json_boolean(state.trial == slot || (state.on_trial && state.running == slot)));
	json_object_set_new(o, "mark", text(state.mark[slot] == SLOT_GOOD ? "good" : "bad"));
	return o;
}

static json_t *server(const struct document_source *s)
{
	struct error e = {0};
	int64_t last = update_last_check(s->update, &e);

	return json_pack("{s:o, s:o, s:b, s:s, s:s}", "url", text_or_null(s->config->url),
		"last_check", stamp(last), "stale", update_stale(s->update), "reason",
		reason_word(e.reason), "detail", e.detail);
}

static json_t *client_key(const struct document_source *s)
{
	if (!s->key_fault->reason)
		return json_null();
	return json_pack("{s:s, s:s}", "reason", reason_word(s->key_fault->reason), "detail",
		s->key_fault->detail);
}

static json_t *trust(const struct document_source *s)
{
	const struct tuf *t = update_trust(s->update);

	if (!t)
		return json_null();
	return json_pack("{s:I, s:o}", "root", (json_int_t)tuf_version(t, "root"), "expires",
		stamp(tuf_expires(t, "root")));
}

static json_t *rollout(const struct document_source *s)
{
	uint64_t counter;
	int64_t until;
	struct error e = {0};

	if (!update_statement(s->update, &counter, &until, &e))
		return json_null();
	return json_pack("{s:I, s:o, s:s, s:s}", "counter", (json_int_t)counter, "expires",
		stamp(until), "reason", reason_word(e.reason), "detail", e.detail);
}

static json_t *when(const struct document_source *s)
{
	static const char *const automatic[] = {
		[AUTOMATIC_NO] = "no", [AUTOMATIC_SECURITY] = "security", [AUTOMATIC_ALL] = "all"};
	static const char *const reboot[] = {
		[REBOOT_WINDOW] = "window", [REBOOT_NOW] = "now", [REBOOT_REQUEST] = "request"};
	int64_t postponed, until;
	struct error e = {0};
	bool paused = update_paused(s->update, &postponed);
	json_t *waiting = update_waiting(s->update, &until, &e)
				  ? json_pack("{s:s, s:s, s:o}", "reason", reason_word(e.reason),
					    "detail", e.detail, "until", stamp(until))
				  : json_null();

	return json_pack("{s:s, s:s, s:b, s:o, s:o}", "automatic", automatic[s->config->automatic],
		"reboot", reboot[s->config->reboot], "paused", paused, "postponed",
		stamp(postponed), "waiting", waiting);
}

json_t *document_status(const struct document_source *s)
{
	const struct deployment *d = update_current(s->update);
	json_t *slots = json_array();
	json_t *o = json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:b, s:o, s:s, s:o, s:o, s:o, s:o}",
		"version", EF_VERSION, "product", s->config->product ? s->config->product : "",
		"id", s->config->id ? s->config->id : "", "release", update_release(s->update),
		"state", update_state_word(s->update), "deployment",
		d ? json_integer((json_int_t)d->id) : json_null(), "trial",
		d && d->state == DEPLOYMENT_TRIAL, "server", server(s), "broker", s->broker,
		"slots", slots, "nodes", document_nodes(s), "trust", trust(s), "rollout",
		rollout(s));

	json_object_set_new(o, "client_key", client_key(s));
	json_object_set_new(o, "when", when(s));
	if (s->config->slot_a && s->config->slot_b) {
		json_array_append_new(slots, document_slot(s, SLOT_A));
		json_array_append_new(slots, document_slot(s, SLOT_B));
	}
	return o;
}

static json_t *part(const struct part *p)
{
	json_t *o = json_pack("{s:s, s:s, s:o, s:o, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "name",
		p->component->name, "type", component_type_word(p->component->type), "version",
		version_text(&p->component->version), "from", text_or_null(p->from), "state",
		component_state_word(p->state), "reason", reason_word(p->error.reason), "detail",
		p->error.detail, "phase", p->phase ? p->phase : "", "done", (json_int_t)p->done,
		"total", (json_int_t)p->total, "wave", (json_int_t)p->wave + 1);

	if (o)
		json_object_set_new(
			o, p->component->type == COMPONENT_MCU ? "node" : "slot", text(p->place));
	return o;
}

json_t *document_deployment(const struct deployment *d)
{
	json_t *components = json_array();

	for (size_t i = 0; i < d->n_parts; i++)
		json_array_append_new(components, part(&d->parts[i]));
	return json_pack("{s:I, s:s, s:I, s:s, s:s, s:s, s:s, s:o, s:o, s:s, s:s, s:o}", "id",
		(json_int_t)d->id, "release", d->release, "sequence", (json_int_t)d->sequence,
		"state", deployment_state_word(d->state), "reason", reason_word(d->error.reason),
		"detail", d->error.detail, "hint", reason_hint(d->error.reason), "started",
		stamp(d->started), "ended", stamp(d->ended), "origin",
		deployment_origin_word(d->origin), "by", d->by, "components", components);
}

struct listing {
	json_t *list;
	const struct deployment *current;
};

/* What is under way is shown as it is, with its progress, which is stored nowhere. */
static int append_deployment(void *ctx, const struct deployment *d)
{
	const struct listing *l = ctx;
	bool live = l->current && l->current->id == d->id;

	return json_array_append_new(l->list, document_deployment(live ? l->current : d));
}

json_t *document_deployments(const struct document_source *s, unsigned max)
{
	struct listing l = {json_array(), update_current(s->update)};

	update_deployments(s->update, max, append_deployment, &l);
	return l.list;
}

static const char *release_state(const struct known_release *r)
{
	if (r->installed)
		return "installed";
	if (r->error.reason == EF_REASON_OK)
		return "available";
	if (r->held)
		return "held";
	return r->error.reason == EF_REASON_DOWNGRADE ? "older" : "refused";
}

static json_t *place(const struct known_release *r)
{
	return r->placed ? json_pack("{s:I, s:I}", "share", (json_int_t)r->share, "place",
				   (json_int_t)r->place)
			 : json_null();
}

static json_t *release(const struct known_release *r)
{
	json_t *components = json_array();

	for (size_t i = 0; r->manifest && i < r->manifest->n_components; i++) {
		const struct component *c = &r->manifest->components[i];

		json_array_append_new(components,
			json_pack("{s:s, s:s, s:o, s:s}", "name", c->name, "type",
				component_type_word(c->type), "version", version_text(&c->version),
				"compatible", c->compatible));
	}
	return json_pack("{s:s, s:I, s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "version", r->version,
		"sequence", (json_int_t)r->sequence, "kind", release_kind_word(r->kind), "state",
		release_state(r), "reason", reason_word(r->error.reason), "detail", r->error.detail,
		"notes", r->manifest ? r->manifest->notes : "", "rollout", place(r), "components",
		components);
}

json_t *document_releases(const struct document_source *s)
{
	size_t n;
	const struct known_release *known = update_known(s->update, &n);
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, release(&known[i]));
	return a;
}

json_t *document_event(const struct event *ev)
{
	return json_pack("{s:I, s:o, s:s, s:o, s:o, s:o, s:s, s:s, s:s, s:s}", "id",
		(json_int_t)ev->id, "time", stamp(ev->time), "event", ev->word, "deployment",
		ev->deployment ? json_integer((json_int_t)ev->deployment) : json_null(),
		"component", text_or_null(ev->component), "place", text_or_null(ev->place), "from",
		ev->from, "to", ev->to, "reason", reason_word(ev->error.reason), "detail",
		ev->error.detail);
}

static int append_event(void *ctx, const struct event *ev)
{
	return json_array_append_new(ctx, document_event(ev));
}

json_t *document_history(const struct document_source *s, unsigned max)
{
	json_t *a = json_array();

	update_history(s->update, max, append_event, a);
	return a;
}
