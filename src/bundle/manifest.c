/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/manifest.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <string.h>

#define MANIFEST_MAX ((size_t)1 << 20)
#define COMPONENTS_MAX 64u
#define DEADLINE_MAX (7u * 24 * 3600) /* seconds */
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const type_words[] = {[COMPONENT_ROOTFS] = "rootfs", [COMPONENT_MCU] = "mcu"};
static const char *const policy_words[] = {[POLICY_REQUIRED] = "required",
	[POLICY_OPTIONAL] = "optional",
	[POLICY_DEFERRED] = "deferred"};
static const char *const kind_words[] = {[KIND_FEATURE] = "feature", [KIND_SECURITY] = "security"};

const char *component_type_word(enum component_type t)
{
	return type_words[t];
}

const char *component_policy_word(enum component_policy p)
{
	return policy_words[p];
}

const char *release_kind_word(enum release_kind k)
{
	return kind_words[k];
}

/* Where in the document: "components/meter", for the message. */
struct at {
	struct error *e;
	const char *what;
};

static enum ef_reason bad(const struct at *at, const char *member, const char *why)
{
	return error_set(at->e, EF_REASON_BAD_FORMAT, "manifest: %s: %s %s", at->what, member, why);
}

static enum ef_reason only(const struct at *at, const json_t *o, const char *const *known)
{
	const char *key = json_unknown_key(o, known);

	return key ? bad(at, key, "is unknown") : EF_REASON_OK;
}

static enum ef_reason get_u32(
	const struct at *at, const json_t *o, const char *key, uint32_t max, uint32_t *ret)
{
	uint64_t v;

	if (!json_get_uint(o, key, &v) || v > max)
		return bad(at, key, "is not a number in range");
	*ret = (uint32_t)v;
	return EF_REASON_OK;
}

static enum ef_reason get_word(const struct at *at, const json_t *o, const char *key,
	const char *const *words, int n, int *ret)
{
	const char *text;

	if (json_get_string(o, key, &text))
		for (*ret = 0; *ret < n; (*ret)++)
			if (strcmp(words[*ret], text) == 0)
				return EF_REASON_OK;
	return bad(at, key, "is not one of the words known");
}

/* 1 to 32 of [a-z0-9-] (S-25) */
static enum ef_reason get_name(const struct at *at, const json_t *o, const char *key, char out[33])
{
	const char *text;

	if (!json_get_string(o, key, &text) || !manifest_name_valid(text))
		return bad(at, key, "is not 1 to 32 of a-z, 0-9 and -");
	strcpy(out, text);
	return EF_REASON_OK;
}

bool manifest_name_valid(const char *text)
{
	size_t n = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n >= 1 && n <= 32 && text[n] == 0;
}

bool manifest_compatible_valid(const char *text)
{
	size_t vendor = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789.-");

	if (vendor == 0 || text[vendor] != ',' || strlen(text) > 95)
		return false;
	const char *class = text + vendor + 1;
	size_t n =
		strspn(class, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-");
	return n > 0 && class[n] == 0;
}

static enum ef_reason get_version(
	const struct at *at, const json_t *o, const char *key, struct ef_version *ret)
{
	const char *text;
	char back[EF_VERSION_TEXT_MAX];

	if (!json_get_string(o, key, &text) || !ef_version_parse(text, ret))
		return bad(at, key, "is not a version");
	/* One version, one text: "1.2.3+0" would be a second name of 1.2.3. */
	ef_version_format(ret, back);
	if (strcmp(back, text) != 0)
		return bad(at, key, "is not in its shortest form");
	return EF_REASON_OK;
}

static enum ef_reason get_object(
	const struct at *at, const json_t *o, const char *key, uint64_t max, struct object *ret)
{
	static const char *const known[] = {"sha256", "size", NULL};
	const json_t *v = json_get_object(o, key);

	if (!v)
		return bad(at, key, "is not an object");
	enum ef_reason r = only(at, v, known);
	if (r)
		return r;
	if (!json_get_digest(v, "sha256", ret->sha256))
		return bad(at, key, "has no sha256 of 64 lower-case hex digits");
	if (!json_get_uint(v, "size", &ret->size) || ret->size > max)
		return bad(at, key, "has no size in range");
	return EF_REASON_OK;
}

/* Its own image has to have room for it. */
static enum ef_reason get_verity(const struct at *at, const json_t *o, struct component *c)
{
	static const char *const known[] = {"offset", "root", NULL};
	const json_t *v = json_get_object(o, "verity");
	enum ef_reason r;

	if (!json_object_get(o, "verity"))
		return EF_REASON_OK;
	if (!v)
		return bad(at, "verity", "is not an object");
	r = only(at, v, known);
	if (r)
		return r;
	if (!json_get_digest(v, "root", c->verity.root))
		return bad(at, "verity", "has no root of 64 lower-case hex digits");
	if (!json_get_uint(v, "offset", &c->verity.offset) ||
		!verity_fits(c->verity.offset, c->image.size))
		return bad(at, "verity", "has no offset at which the image has room for a tree");
	return EF_REASON_OK;
}

static enum ef_reason get_image(
	const struct at *at, const json_t *o, uint64_t max, struct object *ret)
{
	enum ef_reason r = get_object(at, o, "image", max, ret);

	return r || ret->size > 0 ? r : bad(at, "image", "is empty");
}

static enum ef_reason get_payload(const struct at *at, const json_t *o, struct payload *ret)
{
	const uint64_t index_max = 96 + UINT64_C(40) * 4194304;
	enum ef_reason r = get_image(at, o, INT64_MAX, &ret->image);

	if (!r)
		r = get_object(at, o, "index", index_max, &ret->index);
	return r ? r : get_object(at, o, "pack", INT64_MAX, &ret->pack);
}

static enum ef_reason get_boot(const struct at *at, const json_t *o, struct component *c)
{
	static const char *const known[] = {"image", "index", "pack", NULL};
	const struct at inner = {at->e, "boot"};
	const json_t *v = json_get_object(o, "boot");

	if (!json_object_get(o, "boot"))
		return EF_REASON_OK;
	if (!v)
		return bad(at, "boot", "is not an object");
	enum ef_reason r = only(&inner, v, known);
	return r ? r : get_payload(&inner, v, &c->boot);
}

static enum ef_reason get_objects(const struct at *at, const json_t *o, struct component *c)
{
	struct payload own;
	enum ef_reason r;

	if (c->type == COMPONENT_MCU)
		return get_image(at, o, UINT32_MAX, &c->image);
	r = get_payload(at, o, &own);
	if (r)
		return r;
	c->image = own.image;
	c->index = own.index;
	c->pack = own.pack;
	r = get_verity(at, o, c);
	return r ? r : get_boot(at, o, c);
}

static enum ef_reason get_range(
	const struct at *at, const json_t *o, const char *key, uint32_t *min, uint32_t *max)
{
	static const char *const known[] = {"min", "max", NULL};
	const json_t *v = json_get_object(o, key);
	enum ef_reason r;

	if (!v)
		return bad(at, key, "is not an object");
	r = only(at, v, known);
	if (!r)
		r = get_u32(at, v, "min", UINT32_MAX, min);
	if (!r)
		r = get_u32(at, v, "max", UINT32_MAX, max);
	if (!r && *min > *max)
		r = bad(at, key, "ends before it begins");
	return r;
}

/* Nodes count from 1. */
static enum ef_reason get_protocol(const struct at *at, const json_t *o, struct component *c)
{
	enum ef_reason r;

	c->protocol_min = c->protocol_max = 1;
	if (!json_object_get(o, "protocol"))
		return EF_REASON_OK;
	r = get_range(at, o, "protocol", &c->protocol_min, &c->protocol_max);
	if (!r && c->protocol_min == 0)
		r = bad(at, "protocol", "begins at 0");
	return r;
}

static enum ef_reason get_requires(const struct at *at, const json_t *o, struct component *c)
{
	static const char *const known[] = {"component", "min", NULL};
	const json_t *list = json_get_array(o, "requires"), *v;
	size_t i;
	enum ef_reason r;

	if (!list || json_array_size(list) > COUNT(c->requires))
		return bad(at, "requires", "is not a list of at most 8");
	json_array_foreach (list, i, v) {
		if (!json_is_object(v))
			return bad(at, "requires", "has an entry that is no object");
		r = only(at, v, known);
		if (!r)
			r = get_name(at, v, "component", c->requires[i].name);
		if (!r)
			r = get_version(at, v, "min", &c->requires[i].min);
		if (r)
			return r;
		if (strcmp(c->requires[i].name, c->name) == 0)
			return bad(at, "requires", "names the component itself");
		for (size_t k = 0; k < i; k++)
			if (strcmp(c->requires[k].name, c->requires[i].name) == 0)
				return bad(at, "requires", "names a component twice");
		c->n_requires = i + 1;
	}
	return EF_REASON_OK;
}

static enum ef_reason get_deadlines(const struct at *at, const json_t *o, struct component *c)
{
	enum ef_reason r = get_u32(at, o, "self_test", DEADLINE_MAX, &c->self_test_s);

	if (!r)
		r = get_u32(at, o, "confirm", DEADLINE_MAX, &c->confirm_s);
	if (!r && (c->self_test_s == 0 || c->confirm_s == 0))
		r = bad(at, "self_test or confirm", "is zero");
	return r;
}

static enum ef_reason get_component(
	struct error *e, const json_t *o, size_t number, struct component *c)
{
	static const char *const known_rootfs[] = {"name", "type", "compatible", "hardware",
		"version", "security", "policy", "protocol", "image", "index", "pack", "verity",
		"boot", "requires", "self_test", "confirm", NULL};
	static const char *const known_mcu[] = {"name", "type", "compatible", "hardware", "version",
		"security", "policy", "budget", "soak", "protocol", "image", "requires",
		"self_test", "confirm", NULL};
	char what[64];
	struct at at = {e, what};
	const char *compatible;
	int type, policy;
	enum ef_reason r;

	snprintf(what, sizeof(what), "component %zu", number);
	if (!json_is_object(o))
		return bad(&at, "it", "is no object");
	r = get_name(&at, o, "name", c->name);
	if (r)
		return r;
	snprintf(what, sizeof(what), "component %s", c->name);
	r = get_word(&at, o, "type", type_words, COUNT(type_words), &type);
	if (r)
		return r;
	c->type = (enum component_type)type;
	r = only(&at, o, c->type == COMPONENT_ROOTFS ? known_rootfs : known_mcu);
	if (r)
		return r;
	if (!json_get_string(o, "compatible", &compatible) ||
		!manifest_compatible_valid(compatible))
		return bad(&at, "compatible", "is not VENDOR,CLASS");
	strcpy(c->compatible, compatible);
	r = get_range(&at, o, "hardware", &c->hardware_min, &c->hardware_max);
	if (!r)
		r = get_protocol(&at, o, c);
	if (!r)
		r = get_version(&at, o, "version", &c->version);
	if (!r)
		r = get_u32(&at, o, "security", UINT32_MAX, &c->security);
	if (!r)
		r = get_word(&at, o, "policy", policy_words, COUNT(policy_words), &policy);
	if (r)
		return r;
	c->policy = (enum component_policy)policy;
	if (c->type == COMPONENT_ROOTFS && c->policy == POLICY_DEFERRED)
		return bad(&at, "policy", "is for nodes: a gateway is always there");
	if (json_object_get(o, "budget"))
		r = get_u32(&at, o, "budget", UINT32_MAX, &c->budget);
	if (!r && json_object_get(o, "soak"))
		r = get_u32(&at, o, "soak", DEADLINE_MAX, &c->soak_s);
	if (r)
		return r;
	r = get_objects(&at, o, c);
	if (!r)
		r = get_requires(&at, o, c);
	if (!r)
		r = get_deadlines(&at, o, c);
	return r;
}

/* What a gateway may have to add up stays below 2^63 (S-07). */
static enum ef_reason check_sizes(const struct at *at, const struct manifest *m)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < m->n_components; i++) {
		const struct component *c = &m->components[i];
		const struct object *const all[] = {&c->image, &c->index, &c->pack, &c->boot.image,
			&c->boot.index, &c->boot.pack};
		for (size_t k = 0; k < COUNT(all); k++)
			if (__builtin_add_overflow(sum, all[k]->size, &sum) || sum > INT64_MAX)
				return bad(at, "components", "are too large together");
	}
	return EF_REASON_OK;
}

static enum ef_reason get_components(const struct at *at, const json_t *o, struct manifest *m)
{
	const json_t *list = json_get_array(o, "components");
	size_t n = json_array_size(list);

	if (!list || n == 0 || n > COMPONENTS_MAX)
		return bad(at, "components", "is not a list of 1 to 64");
	m->components = calloc(n, sizeof(*m->components));
	if (!m->components)
		return error_set(at->e, EF_REASON_NO_MEMORY, "manifest");
	for (size_t i = 0; i < n; i++) {
		struct component *c = &m->components[i];
		enum ef_reason r = get_component(at->e, json_array_get(list, i), i, c);
		if (r)
			return r;
		if (manifest_component(m, c->name))
			return bad(at, c->name, "is in it twice");
		m->n_components = i + 1;
	}
	return check_sizes(at, m);
}

static enum ef_reason get_order(const struct at *at, const json_t *o, struct manifest *m)
{
	const json_t *list = json_get_array(o, "order");

	if (!list || json_array_size(list) != m->n_components)
		return bad(at, "order", "does not name every component once");
	m->order = calloc(m->n_components, sizeof(*m->order));
	if (!m->order)
		return error_set(at->e, EF_REASON_NO_MEMORY, "manifest");
	for (size_t i = 0; i < m->n_components; i++) {
		const char *name = json_string_value(json_array_get(list, i));
		const struct component *c = name ? manifest_component(m, name) : NULL;
		if (!c)
			return bad(at, "order", "names what is not a component");
		m->order[i] = (size_t)(c - m->components);
		for (size_t k = 0; k < i; k++)
			if (m->order[k] == m->order[i])
				return bad(at, "order", "names a component twice");
	}
	return EF_REASON_OK;
}

static enum ef_reason get_head(const struct at *at, const json_t *o, struct manifest *m)
{
	const char *notes = "";
	uint64_t schema;
	int kind;
	enum ef_reason r;

	r = get_name(at, o, "product", m->product);
	if (!r)
		r = get_version(at, o, "version", &m->parsed_version);
	if (!r)
		r = get_word(at, o, "kind", kind_words, COUNT(kind_words), &kind);
	if (r)
		return r;
	m->kind = (enum release_kind)kind;
	ef_version_format(&m->parsed_version, m->version);
	if (!json_get_uint(o, "schema", &schema) || schema != 1)
		return bad(at, "schema", "is not 1");
	if (!json_get_uint(o, "sequence", &m->sequence))
		return bad(at, "sequence", "is not a number");
	if (json_object_get(o, "notes") && !json_get_string(o, "notes", &notes))
		return bad(at, "notes", "is no text");
	m->notes = strdup(notes);
	return m->notes ? EF_REASON_OK : error_set(at->e, EF_REASON_NO_MEMORY, "manifest");
}

void manifest_free(struct manifest *m)
{
	if (!m)
		return;
	free(m->notes);
	free(m->components);
	free(m->order);
	free(m);
}
DEFINE_CLEANUP(struct manifest *, manifest_free)

size_t component_payloads(const struct component *c, struct payload ret[PAYLOADS_MAX])
{
	size_t n = 0;

	if (c->type == COMPONENT_MCU)
		return 0;
	if (c->boot.image.size > 0)
		ret[n++] = c->boot;
	ret[n++] = (struct payload){c->image, c->index, c->pack};
	return n;
}

size_t component_objects(const struct component *c, const struct object *ret[COMPONENT_OBJECTS_MAX])
{
	size_t n = 0;

	if (c->type == COMPONENT_MCU) {
		ret[n++] = &c->image;
		return n;
	}
	if (c->boot.image.size > 0) {
		ret[n++] = &c->boot.index;
		ret[n++] = &c->boot.pack;
	}
	ret[n++] = &c->index;
	ret[n++] = &c->pack;
	return n;
}

const struct object *component_held(const struct component *c, size_t n)
{
	if (n == 0)
		return c->type == COMPONENT_MCU ? &c->image : &c->index;
	return n == 1 && c->boot.image.size > 0 ? &c->boot.index : NULL;
}

void component_hash(const struct component *c, uint8_t ret[32])
{
	memcpy(ret, c->image.sha256, 32);
	for (size_t i = 0; c->boot.image.size > 0 && i < 32; i++)
		ret[i] ^= c->boot.image.sha256[i];
}

const struct component *manifest_component(const struct manifest *m, const char *name)
{
	for (size_t i = 0; i < m->n_components; i++)
		if (strcmp(m->components[i].name, name) == 0)
			return &m->components[i];
	return NULL;
}

enum ef_reason manifest_parse(const void *data, size_t size, struct manifest **ret, struct error *e)
{
	static const char *const known[] = {"schema", "product", "version", "sequence", "kind",
		"notes", "components", "order", NULL};
	const struct at at = {e, "release"};
	_cleanup_(manifest_freep) struct manifest *m = NULL;
	_cleanup_json_ json_t *o = NULL;
	enum ef_reason r;

	if (size > MANIFEST_MAX)
		return error_set(e, EF_REASON_BAD_SIZE, "manifest: above 1 MiB");
	o = json_read(data, size, "manifest", e);
	if (!o)
		return e->reason;
	if (!json_is_object(o))
		return bad(&at, "it", "is no object");
	m = calloc(1, sizeof(*m));
	if (!m)
		return error_set(e, EF_REASON_NO_MEMORY, "manifest");
	r = only(&at, o, known);
	if (!r)
		r = get_head(&at, o, m);
	if (!r)
		r = get_components(&at, o, m);
	if (!r)
		r = get_order(&at, o, m);
	if (!r)
		*ret = TAKE_PTR(m);
	return r;
}
