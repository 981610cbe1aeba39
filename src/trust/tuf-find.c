/* SPDX-License-Identifier: Apache-2.0 */
/* Section 5.6.7: the pre-order walk of delegations, and lists of what a role signs for. */
#include "trust/canonical.h"
#include "trust/key.h"
#include "trust/tuf-delegation.h"
#include "trust/tuf-internal.h"
#include "trust/tuf-target.h"
#include "util/cleanup.h"
#include "util/json.h"
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

void tuf_walk_reset(struct tuf *t)
{
	free(t->walk.path);
	free(t->walk.stack);
	tuf_doc_free(&t->walk.stored);
	memset(&t->walk, 0, sizeof(t->walk));
}

void tuf_roles_free(struct tuf *t)
{
	while (t->roles) {
		struct tuf_role *r = t->roles;
		t->roles = r->next;
		tuf_doc_free(&r->doc);
		free(r);
	}
}

/* A role is what its delegation makes it: reached on another way it is looked at anew. */
static struct tuf_role *role_get(const struct tuf *t, const struct tuf_step *s)
{
	struct tuf_role *r = t->roles;

	while (r && (r->parent != s->parent || r->delegation.role != s->delegation.role ||
			    r->delegation.bin != s->delegation.bin))
		r = r->next;
	return r;
}

/* Takes over doc, also when it fails. */
static enum ef_reason role_add(struct tuf *t, const struct tuf_step *s, struct tuf_doc *doc,
	struct tuf_role **ret, struct error *e)
{
	struct tuf_role *r = calloc(1, sizeof(*r)), **end = &t->roles;

	if (!r) {
		tuf_doc_free(doc);
		return error_set(e, EF_REASON_NO_MEMORY, "delegated role");
	}
	r->parent = s->parent;
	r->delegation = s->delegation;
	tuf_role_name(&r->delegation, r->name);
	r->doc = *doc;
	*doc = (struct tuf_doc){.envelope = NULL};
	while (*end)
		end = &(*end)->next;
	*end = r;
	*ret = r;
	return EF_REASON_OK;
}

/* A role on the way to itself: the delegations go round in a circle. On another way it is another
 * question, which other keys may answer. */
static bool is_circle(const struct tuf_step *s)
{
	char name[TUF_ROLE_NAME_SIZE];

	tuf_role_name(&s->delegation, name);
	for (const struct tuf_role *r = s->parent; r; r = r->parent)
		if (strcmp(r->name, name) == 0)
			return true;
	return false;
}

/* Puts the delegations of a role for the path on the stack, the first one on top. */
static enum ef_reason push(struct tuf *t, const struct tuf_role *role, struct error *e)
{
	struct tuf_walk *w = &t->walk;
	const json_t *list = tuf_delegations(tuf_role_doc(t, role));
	const json_t *bins = tuf_bins(tuf_role_doc(t, role));
	size_t n = 0, all = json_array_size(list);
	_cleanup_free_ struct tuf_delegation *chosen = calloc(all + 1, sizeof(*chosen));

	if (!chosen)
		return error_set(e, EF_REASON_NO_MEMORY, "search");
	for (size_t i = 0; i < all; i++) {
		struct tuf_delegation d = {.role = json_array_get(list, i)};
		if (!tuf_delegation_allows(&d, w->path, w->hash))
			continue;
		chosen[n++] = d;
		if (json_is_true(json_object_get(d.role, "terminating"))) {
			w->n_stack = 0; /* nobody after this one is asked */
			break;
		}
	}
	if (bins) /* never terminating */
		chosen[n++] = tuf_bin_for(bins, w->hash);
	if (n == 0)
		return EF_REASON_OK;
	struct tuf_step *p = realloc(w->stack, (w->n_stack + n) * sizeof(*p));
	if (!p)
		return error_set(e, EF_REASON_NO_MEMORY, "search");
	w->stack = p;
	while (n-- > 0)
		w->stack[w->n_stack++] = (struct tuf_step){role, chosen[n]};
	return EF_REASON_OK;
}

/* A role is at hand: does it name the target, or who else might? */
static enum ef_reason visit(struct tuf *t, const struct tuf_role *role, struct error *e)
{
	struct tuf_walk *w = &t->walk;

	if (!w->path)
		return EF_REASON_OK;
	w->target = json_object_get(tuf_targets(tuf_role_doc(t, role)), w->path);
	return w->target ? EF_REASON_OK : push(t, role, e);
}

/* The role as the store has it, when that is current; else it is what w->stored is for. */
static enum ef_reason role_stored(
	struct tuf *t, const struct tuf_step *s, struct tuf_role **ret, struct error *e)
{
	struct tuf_doc *stored = &t->walk.stored;
	char name[TUF_ROLE_NAME_SIZE];

	tuf_role_name(&s->delegation, name);
	tuf_doc_free(stored);
	if (tuf_stored_role(t, s, stored, e) != EF_REASON_OK)
		return e->reason;
	if (tuf_targets_current(t, name, stored))
		return role_add(t, s, stored, ret, e);
	return EF_REASON_OK;
}

/* Goes on until the target is found, nobody is left to ask, or a file has to be fetched. */
static enum ef_reason walk_on(struct tuf *t, struct error *e)
{
	struct tuf_walk *w = &t->walk;
	char name[TUF_ROLE_NAME_SIZE];

	while (!w->target && w->n_stack > 0 && w->n_visited < ROLES_MAX) {
		struct tuf_step s = w->stack[--w->n_stack];
		if (is_circle(&s))
			continue;
		w->n_visited++;
		struct tuf_role *role = role_get(t, &s);
		if (!role && role_stored(t, &s, &role, e) != EF_REASON_OK)
			return e->reason;
		if (!role) {
			w->wanted = s;
			tuf_role_name(&s.delegation, name);
			return tuf_want_targets(t, WANT_ROLE, name, e);
		}
		if (visit(t, role, e) != EF_REASON_OK)
			return e->reason;
	}
	if (w->path && !w->target)
		return error_set(e, EF_REASON_NOT_SIGNED_FOR, "%s", w->path);
	return tuf_done(t);
}

enum ef_reason tuf_feed_role(struct tuf *t, const void *data, size_t size, struct error *e)
{
	struct tuf_walk *w = &t->walk;
	struct tuf_step s = w->wanted;
	struct tuf_role *role;
	struct tuf_doc new;

	if (tuf_take_targets(t, data, size, &s, &w->stored, &new, e) != EF_REASON_OK ||
		role_add(t, &s, &new, &role, e) != EF_REASON_OK ||
		visit(t, role, e) != EF_REASON_OK)
		return e->reason;
	return walk_on(t, e);
}

static enum ef_reason begin(struct tuf *t, struct error *e)
{
	if (t->state != NOTHING)
		return error_set(e, EF_REASON_BUSY, "trust");
	if (!t->refreshed)
		return error_set(e, EF_REASON_USAGE, "metadata was not refreshed");
	tuf_walk_reset(t);
	error_clear(&t->error);
	return EF_REASON_OK;
}

/* What the operation comes to in its first step is its result, like that of every later step. */
static enum ef_reason begun(struct tuf *t, struct error *e)
{
	if (t->error.reason != EF_REASON_OK)
		t->state = NOTHING;
	if (t->error.reason == EF_REASON_NO_MEMORY)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", t->error.detail);
	return EF_REASON_OK;
}

enum ef_reason tuf_find(struct tuf *t, const char *path, struct error *e)
{
	if (begin(t, e) != EF_REASON_OK)
		return e->reason;
	if (!*path || strlen(path) >= sizeof(((struct tuf_target *)0)->path))
		return error_set(e, EF_REASON_USAGE, "path of a target");
	t->walk.path = strdup(path);
	if (!t->walk.path || !tuf_path_hash(path, t->walk.hash))
		return error_set(e, EF_REASON_NO_MEMORY, "search");
	if (visit(t, NULL, &t->error) == EF_REASON_OK)
		walk_on(t, &t->error);
	return begun(t, e);
}

/* The delegation to a role by name: in targets, or in a role that was loaded. */
static bool delegation_find(const struct tuf *t, const char *name, struct tuf_step *ret)
{
	*ret = (struct tuf_step){NULL, tuf_delegation_to(&t->targets, name)};
	for (const struct tuf_role *role = t->roles; role && !ret->delegation.role;
		role = role->next)
		*ret = (struct tuf_step){role, tuf_delegation_to(&role->doc, name)};
	return ret->delegation.role;
}

const struct tuf_role *tuf_role_find(const struct tuf *t, const char *name)
{
	struct tuf_step s;

	return delegation_find(t, name, &s) ? role_get(t, &s) : NULL;
}

enum ef_reason tuf_load_role(struct tuf *t, const char *role, struct error *e)
{
	struct tuf_step s;

	if (begin(t, e) != EF_REASON_OK)
		return e->reason;
	if (!delegation_find(t, role, &s))
		return error_set(e, EF_REASON_NOT_FOUND, "nobody delegates to %s", role);
	t->walk.stack = malloc(sizeof(s));
	if (!t->walk.stack)
		return error_set(e, EF_REASON_NO_MEMORY, "search");
	t->walk.stack[t->walk.n_stack++] = s;
	walk_on(t, &t->error);
	return begun(t, e);
}

enum ef_reason tuf_found(const struct tuf *t, struct tuf_target *ret, struct error *e)
{
	if (tuf_result(t, e) != EF_REASON_OK)
		return e->reason;
	if (!t->walk.target)
		return error_set(e, EF_REASON_USAGE, "no target was searched for");
	return tuf_target_fill(ret, t->walk.path, t->walk.target, tuf_root_consistent(&t->root), e);
}

static bool allowed(const struct tuf_role *role, const char *path)
{
	char hash[DIGEST_HEX_MAX];

	if (!tuf_path_hash(path, hash))
		return false;
	for (; role; role = role->parent)
		if (!tuf_delegation_allows(&role->delegation, path, hash))
			return false;
	return true;
}

int tuf_list(const struct tuf *t, const char *role,
	int (*cb)(void *ctx, const struct tuf_target *target), void *ctx)
{
	const struct tuf_role *r = NULL;
	struct tuf_target target;
	const char *path;
	json_t *entry;

	if (!t->refreshed)
		return -ENOENT;
	if (strcmp(role, "targets") != 0 && !(r = tuf_role_find(t, role)))
		return -ENOENT;
	json_object_foreach ((json_t *)tuf_targets(tuf_role_doc(t, r)), path, entry) {
		struct error ignored = {.reason = EF_REASON_OK};
		if (!allowed(r, path) ||
			tuf_target_fill(&target, path, entry, tuf_root_consistent(&t->root),
				&ignored) != EF_REASON_OK)
			continue;
		int n = cb(ctx, &target);
		if (n != 0)
			return n;
	}
	return 0;
}

const char *tuf_overstep(const struct tuf *t, const char *role)
{
	const struct tuf_role *r = t->refreshed ? tuf_role_find(t, role) : NULL;
	const char *path;
	json_t *entry;

	if (!r)
		return NULL;
	json_object_foreach ((json_t *)tuf_targets(&r->doc), path, entry)
		if (!allowed(r, path))
			return path;
	return NULL;
}

enum ef_reason tuf_delegated(
	const struct tuf *t, const char *role, bool *ret, uint8_t keys[32], struct error *e)
{
	struct tuf_delegation delegation = tuf_delegation_to(&t->targets, role);
	const json_t *id;
	_cleanup_json_ json_t *set = json_object();
	_cleanup_free_ char *text = NULL;
	struct tuf_meta meta;
	size_t i, size;

	*ret = false;
	if (!t->refreshed || t->mode != TUF_ONLINE)
		return error_set(e, EF_REASON_USAGE, "metadata was not refreshed");
	if (!delegation.role || !tuf_meta_of(&t->snapshot, role, &meta))
		return EF_REASON_OK;
	/* an object, because its canonical form is sorted */
	json_array_foreach (json_object_get(delegation.role, "keyids"), i, id) {
		const json_t *key =
			json_object_get(tuf_delegation_keys(&t->targets), json_string_value(id));
		char own[65] = "";
		if (!key)
			continue;
		tuf_key_id(key, own);
		if (!own[0] || json_object_set_new(set, own, json_true()) < 0)
			return error_set(e, EF_REASON_NO_MEMORY, "%s", role);
	}
	if (!set || canonical_json(set, &text, &size) < 0 ||
		EVP_Digest(text, size, keys, NULL, EVP_sha256(), NULL) != 1)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", role);
	*ret = true;
	return EF_REASON_OK;
}
