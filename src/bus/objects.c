/* SPDX-License-Identifier: Apache-2.0 */
/* The objects below the Manager: deployments, nodes, slots. */
#include "bus/bus-internal.h"
#include "bus/documents.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <errno.h>
#include <string.h>

#define RECENT_DEPLOYMENTS 20u

static const char *const prefixes[] = {
	[OBJECT_DEPLOYMENT] = BUS_PATH "/deployment",
	[OBJECT_NODE] = BUS_PATH "/node",
	[OBJECT_SLOT] = BUS_PATH "/slot",
};

char *object_path(enum object_kind kind, uint64_t id, const struct config *config)
{
	char *path = NULL;
	int r = -1;

	switch (kind) {
	case OBJECT_DEPLOYMENT:
		r = asprintf(&path, "%s/_%llu", prefixes[kind], (unsigned long long)id);
		break;
	case OBJECT_NODE:
		r = sd_bus_path_encode(prefixes[kind], config->nodes[id].name, &path);
		break;
	case OBJECT_SLOT:
		r = asprintf(&path, "%s/%s", prefixes[kind], slot_word((enum slot_id)id));
		break;
	default:
		break;
	}
	return r < 0 ? NULL : path;
}

static struct document_source source(struct bus *b)
{
	return (struct document_source){.config = b->config, .update = b->update, .broker = ""};
}

/* Deployments: the current one and those in the database. */

struct with_deployment {
	uint64_t id;
	int (*use)(void *ctx, const struct deployment *d);
	void *ctx;
	int result;
};

static int match(void *ctx, const struct deployment *d)
{
	struct with_deployment *w = ctx;

	if (d->id != w->id)
		return 0;
	w->result = w->use(w->ctx, d);
	return 1;
}

/* What use returned, or -ENOENT. */
static int with_deployment(
	struct bus *b, uint64_t id, int (*use)(void *ctx, const struct deployment *d), void *ctx)
{
	struct with_deployment w = {.id = id, .use = use, .ctx = ctx, .result = -ENOENT};
	const struct deployment *d = update_current(b->update);

	if (d && d->id == id)
		return use(ctx, d);
	update_deployments(b->update, RECENT_DEPLOYMENTS, match, &w);
	return w.result;
}

static int describe_use(void *ctx, const struct deployment *d)
{
	return reply_json(ctx, document_deployment(d));
}

static int describe_deployment(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_object *o = userdata;

	return with_deployment(o->bus, o->id, describe_use, m);
}

struct property {
	const char *name;
	sd_bus_message *reply;
};

static int property_use(void *ctx, const struct deployment *d)
{
	struct property *p = ctx;

	if (strcmp(p->name, "Id") == 0)
		return sd_bus_message_append(p->reply, "t", d->id);
	if (strcmp(p->name, "Release") == 0)
		return sd_bus_message_append(p->reply, "s", d->release);
	if (strcmp(p->name, "State") == 0)
		return sd_bus_message_append(p->reply, "s", deployment_state_word(d->state));
	if (strcmp(p->name, "Reason") == 0)
		return sd_bus_message_append(p->reply, "s", reason_word(d->error.reason));
	return sd_bus_message_append(p->reply, "s", d->error.detail);
}

static int get_deployment_property(sd_bus *bus, const char *path, const char *interface,
	const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus_object *o = userdata;
	struct property p = {property, reply};

	return with_deployment(o->bus, o->id, property_use, &p);
}

static int exists_use(void *ctx, const struct deployment *d)
{
	return 1;
}

static int find_deployment(sd_bus *bus, const char *path, const char *interface, void *userdata,
	void **ret, sd_bus_error *error)
{
	struct bus *b = userdata;
	unsigned long long id;
	char *end;

	if (strncmp(path, BUS_PATH "/deployment/_", sizeof BUS_PATH "/deployment/_" - 1) != 0)
		return 0;
	path += sizeof BUS_PATH "/deployment/_" - 1;
	if (*path < '0' || *path > '9')
		return 0;
	id = strtoull(path, &end, 10);
	if (*end || with_deployment(b, id, exists_use, NULL) < 0)
		return 0;
	b->objects[OBJECT_DEPLOYMENT] = (struct bus_object){b, id};
	*ret = &b->objects[OBJECT_DEPLOYMENT];
	return 1;
}

/* Nodes. */

static int find_node(sd_bus *bus, const char *path, const char *interface, void *userdata,
	void **ret, sd_bus_error *error)
{
	struct bus *b = userdata;
	_cleanup_free_ char *name = NULL;

	if (sd_bus_path_decode(path, prefixes[OBJECT_NODE], &name) <= 0)
		return 0;
	for (size_t i = 0; i < b->config->n_nodes; i++)
		if (strcmp(b->config->nodes[i].name, name) == 0) {
			b->objects[OBJECT_NODE] = (struct bus_object){b, i};
			*ret = &b->objects[OBJECT_NODE];
			return 1;
		}
	return 0;
}

static int describe_node(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_object *o = userdata;
	struct document_source s = source(o->bus);

	return reply_json(m, document_node(&s, o->id));
}

static int64_t last_seen(struct bus *b, size_t node)
{
	struct error last = {0};
	int64_t when = 0;
	bool present;

	update_node(b->update, node, &present, &when, &last);
	return when;
}

static int get_node_property(sd_bus *bus, const char *path, const char *interface,
	const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus_object *o = userdata;
	struct document_source s = source(o->bus);
	_cleanup_json_ json_t *d = document_node(&s, o->id);
	const char *running = json_string_value(json_object_get(d, "running"));

	if (strcmp(property, "Name") == 0)
		return sd_bus_message_append(reply, "s", o->bus->config->nodes[o->id].name);
	if (strcmp(property, "Present") == 0)
		return sd_bus_message_append(
			reply, "b", json_is_true(json_object_get(d, "present")));
	if (strcmp(property, "Reason") == 0)
		return sd_bus_message_append(
			reply, "s", json_string_value(json_object_get(d, "reason")));
	if (strcmp(property, "Detail") == 0)
		return sd_bus_message_append(
			reply, "s", json_string_value(json_object_get(d, "detail")));
	if (strcmp(property, "LastSeen") == 0)
		return sd_bus_message_append(reply, "x", last_seen(o->bus, o->id));
	return sd_bus_message_append(reply, "s", running ? running : "");
}

/* Slots. */

static int find_slot(sd_bus *bus, const char *path, const char *interface, void *userdata,
	void **ret, sd_bus_error *error)
{
	struct bus *b = userdata;

	for (int i = SLOT_A; b->config->slot_a && b->config->slot_b && i <= SLOT_B; i++)
		if (strncmp(path, BUS_PATH "/slot/", sizeof BUS_PATH "/slot/" - 1) == 0 &&
			strcmp(path + sizeof BUS_PATH "/slot/" - 1, slot_word(i)) == 0) {
			b->objects[OBJECT_SLOT] = (struct bus_object){b, i};
			*ret = &b->objects[OBJECT_SLOT];
			return 1;
		}
	return 0;
}

static int describe_slot(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct bus_object *o = userdata;
	struct document_source s = source(o->bus);

	return reply_json(m, document_slot(&s, (enum slot_id)o->id));
}

static int get_slot_property(sd_bus *bus, const char *path, const char *interface,
	const char *property, sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct bus_object *o = userdata;
	struct boot_state state;
	bool known = update_boot_state(o->bus->update, &state);
	enum slot_id that = strcmp(property, "Running") == 0 ? state.running : state.primary;

	return sd_bus_message_append(reply, "b", known && that == (enum slot_id)o->id);
}

/* All of a kind, for introspection. */

static int append_path(char ***list, size_t *n, char *path)
{
	char **larger = path ? realloc(*list, (*n + 2) * sizeof *larger) : NULL;

	if (!larger) {
		free(path);
		return -ENOMEM;
	}
	*list = larger;
	larger[(*n)++] = path;
	larger[*n] = NULL;
	return 0;
}

struct listing {
	struct bus *bus;
	char **list;
	size_t n;
};

static int list_use(void *ctx, const struct deployment *d)
{
	struct listing *l = ctx;

	return append_path(&l->list, &l->n, object_path(OBJECT_DEPLOYMENT, d->id, l->bus->config));
}

static int enumerate(
	sd_bus *bus, const char *prefix, void *userdata, char ***ret, sd_bus_error *error)
{
	struct bus *b = userdata;
	struct listing l = {.bus = b};
	size_t slots = b->config->slot_a && b->config->slot_b ? 2 : 0;

	if (strcmp(prefix, prefixes[OBJECT_DEPLOYMENT]) == 0)
		update_deployments(b->update, RECENT_DEPLOYMENTS, list_use, &l);
	for (size_t i = 0; strcmp(prefix, prefixes[OBJECT_NODE]) == 0 && i < b->config->n_nodes;
		i++)
		append_path(&l.list, &l.n, object_path(OBJECT_NODE, i, b->config));
	for (size_t i = 0; strcmp(prefix, prefixes[OBJECT_SLOT]) == 0 && i < slots; i++)
		append_path(&l.list, &l.n, object_path(OBJECT_SLOT, i, b->config));
	*ret = l.list;
	return 0;
}

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

static const sd_bus_vtable deployment_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Id", "t", get_deployment_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Release", "s", get_deployment_property, 0, CHANGES),
	SD_BUS_PROPERTY("State", "s", get_deployment_property, 0, CHANGES),
	SD_BUS_PROPERTY("Reason", "s", get_deployment_property, 0, CHANGES),
	SD_BUS_PROPERTY("Detail", "s", get_deployment_property, 0, CHANGES),
	SD_BUS_METHOD("Describe", "", "s", describe_deployment, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_SIGNAL("Progress", "sstt", 0),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable node_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Name", "s", get_node_property, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Present", "b", get_node_property, 0, CHANGES),
	SD_BUS_PROPERTY("Running", "s", get_node_property, 0, CHANGES),
	SD_BUS_PROPERTY("Reason", "s", get_node_property, 0, CHANGES),
	SD_BUS_PROPERTY("Detail", "s", get_node_property, 0, CHANGES),
	SD_BUS_PROPERTY("LastSeen", "x", get_node_property, 0, 0),
	SD_BUS_METHOD("Describe", "", "s", describe_node, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static const sd_bus_vtable slot_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Running", "b", get_slot_property, 0, CHANGES),
	SD_BUS_PROPERTY("Primary", "b", get_slot_property, 0, CHANGES),
	SD_BUS_METHOD("Describe", "", "s", describe_slot, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static const struct {
	const char *interface;
	const sd_bus_vtable *vtable;
	sd_bus_object_find_t find;
} kinds[] = {
	[OBJECT_DEPLOYMENT] = {BUS_NAME ".Deployment", deployment_vtable, find_deployment},
	[OBJECT_NODE] = {BUS_NAME ".Node", node_vtable, find_node},
	[OBJECT_SLOT] = {BUS_NAME ".Slot", slot_vtable, find_slot},
};

int objects_export(struct bus *b)
{
	int r = sd_bus_add_object_vtable(
		b->bus, NULL, BUS_PATH, BUS_NAME ".Manager", manager_vtable, b);

	for (int k = 0; r >= 0 && k < OBJECT_KINDS; k++) {
		r = sd_bus_add_fallback_vtable(b->bus, NULL, prefixes[k], kinds[k].interface,
			kinds[k].vtable, kinds[k].find, b);
		if (r >= 0)
			r = sd_bus_add_node_enumerator(b->bus, NULL, prefixes[k], enumerate, b);
	}
	return r;
}
