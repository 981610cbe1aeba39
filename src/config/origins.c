/* SPDX-License-Identifier: Apache-2.0 */
#include "config/origins.h"
#include "config/keys.h"
#include "util/cleanup.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

DEFINE_CLEANUP(struct config *, config_free)

struct said {
	char *node, *section, *key, *value, *from;
};

struct origins {
	struct said *list;
	size_t n;
};

static void origins_clear(struct origins *o)
{
	for (size_t i = 0; i < o->n; i++) {
		free(o->list[i].node);
		free(o->list[i].section);
		free(o->list[i].key);
		free(o->list[i].value);
		free(o->list[i].from);
	}
	free(o->list);
}

enum ef_reason origins_note(
	struct origins *o, const char *node, const struct ini_item *item, struct error *e)
{
	struct said s = {0};

	if (!o || !item->key[0])
		return EF_REASON_OK;
	struct said *larger = reallocarray(o->list, o->n + 1, sizeof(*larger));
	if (!larger)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", item->file);
	o->list = larger;
	s.node = strdup(node ? node : "");
	s.section = strdup(item->section);
	s.key = strdup(item->key);
	s.value = strdup(item->value);
	if (asprintf(&s.from, "%s:%u", item->file, item->line) < 0)
		s.from = NULL;
	o->list[o->n++] = s;
	return s.node && s.section && s.key && s.value && s.from
		       ? EF_REASON_OK
		       : error_set(e, EF_REASON_NO_MEMORY, "%s", item->file);
}

/* What was said last; an empty value has taken it back. NULL: nothing. */
static const struct said *last(
	const struct origins *o, const char *node, const char *section, const char *key)
{
	for (size_t i = o->n; i-- > 0;)
		if (strcmp(o->list[i].node, node ? node : "") == 0 &&
			strcmp(o->list[i].section, section) == 0 &&
			strcmp(o->list[i].key, key) == 0)
			return o->list[i].value[0] ? &o->list[i] : NULL;
	return NULL;
}

/* Id= that no file says. */
static void show_id(struct config_value *v, const struct config *c, char *from, size_t size)
{
	v->value = c->id ? c->id : "";
	v->from = "derived";
	if (c->id_from == ID_DERIVED)
		return;
	snprintf(from, size, "%s/id%s", c->state_dir,
		c->id_from == ID_HIDDEN ? ", which only its owner reads" : "");
	v->from = from;
}

enum ef_reason config_show(const char *root, const char *dir,
	void (*show)(void *ctx, const struct config_value *v), void *ctx, struct error *e)
{
	_cleanup_(config_freep) struct config *c = NULL;
	_cleanup_(origins_clear) struct origins o = {0};
	char from[PATH_MAX + 32];
	const char *value;

	if (config_load_from(root, dir, &o, &c, e))
		return e->reason;
	for (size_t n = 0; n <= c->n_nodes; n++) {
		struct config_value v = {.node = n ? c->nodes[n - 1].name : NULL};

		for (size_t i = 0; config_key(n > 0, i, &v.section, &v.key, &value); i++) {
			const struct said *s = last(&o, v.node, v.section, v.key);

			v.value = s ? s->value : value ? value : "";
			v.from = s ? s->from : "default";
			if (!s && strcmp(v.key, "Id") == 0)
				show_id(&v, c, from, sizeof(from));
			show(ctx, &v);
		}
	}
	return EF_REASON_OK;
}
