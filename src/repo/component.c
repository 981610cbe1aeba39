/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/component.h"
#include "bundle/objects.h"
#include "dfu/node.h"
#include "repo/image.h"
#include "repo/verbs.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include "util/json.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

DEFINE_CLEANUP(struct manifest *, manifest_free)

void component_options_table(struct component_options *c, struct option out[COMPONENT_OPTIONS])
{
	const struct option table[COMPONENT_OPTIONS] = {
		{"compatible", OPTION_TEXT, &c->compatible, "V,C",
			"vendor and class it is made for"},
		{"version", OPTION_TEXT, &c->version, "V", "1.2.3 or 1.2.3+4"},
		{"security", OPTION_NUMBER, &c->security, "N", "security version (default: 0)"},
		{"hardware", OPTION_TEXT, &c->hardware, "MIN-MAX",
			"hardware revisions (default: 0-4294967295)"},
		{"policy", OPTION_TEXT, &c->policy, "POLICY",
			"required (default), optional or deferred"},
		{"budget", OPTION_NUMBER, &c->budget, "N",
			"so many of its nodes may fail (default: 0)"},
		{"protocol", OPTION_TEXT, &c->protocol, "MIN-MAX",
			"of the node protocol, the versions it speaks (default: 1)"},
		{"soak", OPTION_NUMBER, &c->soak, "S",
			"seconds between two waves of its nodes (default: 0)"},
		{"requires", OPTION_LIST, &c->requires, "NAME>=V",
			"another component, at least as new"},
		{"self-test", OPTION_NUMBER, &c->self_test, "S",
			"seconds for its self-test (default: 60)"},
		{"confirm", OPTION_NUMBER, &c->confirm, "S",
			"seconds after which it goes back unless confirmed (default: 300)"},
	};

	*c = (struct component_options){
		.policy = "required", .security = UINT64_MAX, .self_test = 60, .confirm = 300};
	memcpy(out, table, sizeof(table));
}

json_t *component_object(const struct object *o)
{
	char hex[DIGEST_HEX_MAX];

	return json_pack(
		"{s:s, s:I}", "sha256", digest_hex(o->sha256, hex), "size", (json_int_t)o->size);
}

/* "2-5" or "3"; NULL: any */
static enum ef_reason range(const char *option, const char *text, json_t **ret, struct error *e)
{
	unsigned long long min = 0, max = UINT32_MAX;
	char end;

	if (text) {
		int n = sscanf(text, "%llu-%llu%c", &min, &max, &end);
		if (n == 1)
			max = min;
		if (n < 1 || n > 2 || (n == 1 && strchr(text, '-')) || min > max ||
			max > UINT32_MAX || text[strspn(text, "0123456789-")])
			return error_set(
				e, EF_REASON_USAGE, "--%s %s: MIN-MAX or one number", option, text);
	}
	*ret = json_pack("{s:I, s:I}", "min", (json_int_t)min, "max", (json_int_t)max);
	return EF_REASON_OK;
}

static enum ef_reason requirements(const struct option_list *list, json_t **ret, struct error *e)
{
	_cleanup_json_ json_t *array = json_array();

	for (size_t i = 0; i < list->n; i++) {
		const char *text = list->items[i], *sign = strstr(text, ">=");
		if (!sign)
			return error_set(e, EF_REASON_USAGE, "--requires %s: NAME>=VERSION", text);
		json_t *name = json_stringn(text, (size_t)(sign - text));
		json_array_append_new(
			array, json_pack("{s:o, s:s}", "component", name, "min", sign + 2));
	}
	*ret = TAKE_PTR(array);
	return EF_REASON_OK;
}

/* A manifest with this component alone: the gateway's parser is the check. */
static enum ef_reason check_alone(const json_t *component, struct error *e)
{
	_cleanup_(manifest_freep) struct manifest *m = NULL;
	_cleanup_json_ json_t *manifest = json_pack("{s:i, s:s, s:s, s:i, s:s, s:[O], s:[O]}",
		"schema", 1, "product", "x", "version", "1.0.0", "sequence", 0, "kind", "feature",
		"components", component, "order", json_object_get(component, "name"));
	_cleanup_free_ char *text = manifest ? json_dumps(manifest, 0) : NULL;

	if (!text)
		return error_set(e, EF_REASON_NO_MEMORY, "component");
	struct error why = {0};
	if (manifest_parse(text, strlen(text), &m, &why) != EF_REASON_OK)
		return error_set(e, EF_REASON_USAGE, "%s", why.detail);
	return EF_REASON_OK;
}

/* The component, checked; objects NULL: with others in their place, to check all the rest. */
static enum ef_reason make(const char *name, enum component_type type,
	const struct component_options *c, const json_t *objects, json_t **ret, struct error *e)
{
	_cleanup_json_ json_t *hardware = NULL, *protocol = NULL, *requires = NULL;
	_cleanup_json_ json_t *component = NULL, *others = NULL;
	uint64_t security = c->security == UINT64_MAX ? 0 : c->security;
	const struct object none = {.size = 1};

	if (!manifest_name_valid(name))
		return error_set(e, EF_REASON_USAGE,
			"component '%s': 1 to 32 of a-z, 0-9 and - are taken", name);
	if (!c->compatible || (!c->version && objects))
		return error_set(e, EF_REASON_USAGE, "--%s is needed",
			c->compatible ? "version" : "compatible");
	enum ef_reason r = range("hardware", c->hardware, &hardware, e);
	if (!r && c->protocol)
		r = range("protocol", c->protocol, &protocol, e);
	if (!r)
		r = requirements(&c->requires, &requires, e);
	if (r)
		return r;
	if (security > UINT32_MAX || c->budget > UINT32_MAX || c->soak > UINT32_MAX ||
		c->self_test > UINT32_MAX || c->confirm > UINT32_MAX)
		return error_set(
			e, EF_REASON_USAGE, "component %s: a number is out of range", name);
	component = json_pack("{s:s, s:s, s:s, s:O, s:s, s:I, s:s, s:O, s:I, s:I}", "name", name,
		"type", component_type_word(type), "compatible", c->compatible, "hardware",
		hardware, "version", c->version ? c->version : "0.0.0", "security",
		(json_int_t)security, "policy", c->policy, "requires", requires, "self_test",
		(json_int_t)c->self_test, "confirm", (json_int_t)c->confirm);
	if (component && c->soak > 0)
		json_object_set_new(component, "soak", json_integer((json_int_t)c->soak));
	if (component && c->budget > 0)
		json_object_set_new(component, "budget", json_integer((json_int_t)c->budget));
	if (component && protocol)
		json_object_set(component, "protocol", protocol);
	if (!objects) {
		others = type == COMPONENT_MCU
				 ? json_pack("{s:o}", "image", component_object(&none))
				 : json_pack("{s:o, s:o, s:o}", "image", component_object(&none),
					   "index", component_object(&none), "pack",
					   component_object(&none));
		objects = others;
	}
	if (!component || json_object_update(component, (json_t *)objects) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "component %s", name);
	r = check_alone(component, e);
	if (!r)
		*ret = TAKE_PTR(component);
	return r;
}

enum ef_reason component_try(const char *name, enum component_type type,
	const struct component_options *c, struct error *e)
{
	_cleanup_json_ json_t *component = NULL;

	return make(name, type, c, NULL, &component, e);
}

enum ef_reason component_stage(const struct workspace *w, const char *name,
	enum component_type type, const struct component_options *c, const json_t *objects,
	struct error *e)
{
	_cleanup_json_ json_t *component = NULL;
	char file[64];
	enum ef_reason r = make(name, type, c, objects, &component, e);

	snprintf(file, sizeof(file), "%s.json", name);
	return r ? r : workspace_write_json(w, "staged", file, component, e);
}

static int by_activation(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	/* each begins with a letter for its type: 'm' before 'r' */
	return strcmp(*x, *y);
}

static enum ef_reason collect(
	const struct workspace *w, DIR *dir, char **words, size_t max, size_t *n, struct error *e)
{
	struct dirent *d;

	while ((d = readdir(dir))) {
		char path[NAME_MAX + 16], *dot = strrchr(d->d_name, '.');
		_cleanup_json_ json_t *component = NULL;
		const char *type;
		if (d->d_name[0] == '.' || !dot || strcmp(dot, ".json") != 0)
			continue;
		snprintf(path, sizeof(path), "staged/%s", d->d_name);
		enum ef_reason r = workspace_read_json(w, path, &component, e);
		if (r)
			return r;
		if (*n == max || !json_get_string(component, "type", &type) ||
			asprintf(&words[*n], "%c%.*s", type[0], (int)(dot - d->d_name), d->d_name) <
				0)
			return error_set(e, EF_REASON_BAD_FORMAT, "%s/%s", w->path, path);
		(*n)++;
	}
	return EF_REASON_OK;
}

enum ef_reason component_staged(const struct workspace *w, json_t **names, struct error *e)
{
	char *words[64];
	size_t n = 0;
	int fd = workspace_dir(w, "staged");
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		return error_errno(e, fd < 0 ? fd : -ENOMEM, "%s/staged", w->path);
	enum ef_reason r = collect(w, dir, words, 64, &n, e);
	closedir(dir);
	qsort(words, n, sizeof(words[0]), by_activation);
	*names = json_array();
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(*names, json_string(words[i] + 1));
		free(words[i]);
	}
	return r;
}

static enum ef_reason check_image(const struct component *c, const void *data, struct error *e)
{
	struct ef_image_info info;
	uint8_t vendor[16], class_id[16];
	enum ef_reason r = image_look(data, c->image.size, c->name, &info, e);

	if (r)
		return r;
	if (!compatible_uuids(c->compatible, vendor, class_id) || !info.has_vendor ||
		!info.has_class || memcmp(vendor, info.vendor, 16) != 0 ||
		memcmp(class_id, info.class_id, 16) != 0)
		return error_set(e, EF_REASON_NOT_COMPATIBLE, "%s: its image is not made for %s",
			c->name, c->compatible);
	if (ef_version_compare(&c->version, &info.header.version) != 0)
		return error_set(e, EF_REASON_BAD_IMAGE, "%s: its image has another version inside",
			c->name);
	if (c->security != info.security_counter)
		return error_set(e, EF_REASON_FLOOR,
			"%s: its image has security version %u, not %u", c->name,
			info.security_counter, c->security);
	if (info.total_size != c->image.size)
		return error_set(e, EF_REASON_BAD_SIZE, "%s: something behind its image", c->name);
	return EF_REASON_OK;
}

enum ef_reason component_check(
	const struct workspace *w, const struct component *c, struct error *e)
{
	_cleanup_close_ int dir = workspace_dir(w, "objects");
	_cleanup_free_ uint8_t *data = NULL;
	char hex[DIGEST_HEX_MAX];

	if (dir < 0)
		return error_errno(e, dir, "%s/objects", w->path);
	if (c->type == COMPONENT_MCU) {
		enum ef_reason r = object_get(dir, c->image.sha256, c->image.size, &data, e);
		return r ? r : check_image(c, data, e);
	}
	const struct object *o[COMPONENT_OBJECTS_MAX];
	size_t n = component_objects(c, o);
	for (size_t i = 0; i < n; i++)
		if (!object_have(dir, o[i]->sha256, o[i]->size))
			return error_set(e, EF_REASON_NOT_FOUND, "%s: object %s: add it again",
				c->name, digest_hex(o[i]->sha256, hex));
	return EF_REASON_OK;
}

enum ef_reason verb_drop(struct invocation *i, struct error *e)
{
	const struct option options[] = {{0}};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	const char *name;
	char path[64];
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	name = i->words.items[0];
	r = verb_workspace(i, &w, e);
	if (!r && !manifest_name_valid(name))
		r = error_set(e, EF_REASON_USAGE, "'%s' is no component", name);
	if (r)
		return r;
	snprintf(path, sizeof(path), "staged/%s.json", name);
	if (unlinkat(w.fd, path, 0) < 0)
		return error_errno(e, -errno, "staged component %s", name);
	return EF_REASON_OK;
}
