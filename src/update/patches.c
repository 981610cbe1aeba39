/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patches for nodes: from the image that a node says it runs to the one that it is to run, made
 * here once for all nodes that run the same, kept while there is room, and never more than a
 * shorter way: whatever is in the way of one, the full image is sent, and why is on record.
 */
#include "bundle/objects.h"
#include "update/internal.h"
#include "util/log.h"
#include "wire/le.h"
#include <edgeferry/patch.h>
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <string.h>

#define WORTH_NUMERATOR 3 /* at most so many quarters of the image */
#define WORTH_DENOMINATOR 4
#define TRIES_MAX 2 /* with a patch, when the line fails on the way */
#define KEY_MAX 48
#define MARK_MAX (3 * DIGEST_HEX_MAX)

/* --- what was tried --- */

static void failed_key(const struct node_state *ns, char out[KEY_MAX])
{
	snprintf(out, KEY_MAX, "patch failed %s", ns->config->name);
}

static void saved_key(const struct node_state *ns, char out[KEY_MAX])
{
	snprintf(out, KEY_MAX, "patch saved %s", ns->config->name);
}

/* This way, on this very device. */
static void mark_of(const struct node_state *ns, const uint8_t base[32], const uint8_t image[32],
	char out[MARK_MAX])
{
	char from[DIGEST_HEX_MAX], to[DIGEST_HEX_MAX], id[DIGEST_HEX_MAX];

	snprintf(out, MARK_MAX, "%s %s %s", digest_hex(base, from), digest_hex(image, to),
		hex_encode(ns->identity.id, sizeof(ns->identity.id), id));
}

static bool failed_before(struct update *u, const struct node_state *ns, const uint8_t base[32],
	const uint8_t image[32])
{
	char key[KEY_MAX], mark[MARK_MAX], stored[MARK_MAX];
	struct error e = {0};

	failed_key(ns, key);
	mark_of(ns, base, image, mark);
	return store_get(u->store, key, stored, sizeof(stored), &e) == EF_REASON_OK &&
	       strcmp(stored, mark) == 0;
}

static void remember_failed(
	struct update *u, const struct node_state *ns, const struct patch_share *s)
{
	char key[KEY_MAX], mark[MARK_MAX];
	struct error e = {0};

	failed_key(ns, key);
	mark_of(ns, s->base, s->image, mark);
	if (store_set(u->store, key, mark, &e))
		log_warning("remembering the patch for node %s: %s", ns->config->name, e.detail);
}

/* --- making one --- */

static void unref(struct patch_share *s)
{
	if (!s || --s->users)
		return;
	free(s->data);
	free(s);
}

static void keep(struct patch_share *s)
{
	struct error e = {0};

	if (!objects_spare(s->u, s->size))
		log_info("no room to keep a patch of %zu bytes", s->size);
	else if (object_patch_put(s->u->objects_fd, s->key, s->data, s->size, &e))
		log_warning("%s", e.detail);
}

static void on_made(void *ctx, const struct error *e)
{
	struct patch_share *s = ctx;
	struct error why = *e;

	if (why.reason == EF_REASON_OK)
		worker_take_patch(s->worker, &s->data, &s->size, &why);
	worker_free(TAKE_PTR(s->worker));
	if (why.reason == EF_REASON_OK)
		keep(s);
	else
		error_set(&s->error, EF_REASON_PATCH, "none was made: %s: %s",
			reason_word(why.reason), why.detail);
	update_kick(s->u);
}

static enum ef_reason start_worker(struct patch_share *s, const struct object *old,
	const struct object *image, struct error *e)
{
	const struct worker_callbacks cb = {.ctx = s, .done = on_made};
	_cleanup_free_ uint8_t *from = NULL, *to = NULL;

	if (object_get(s->u->objects_fd, old->sha256, old->size, &from, e) ||
		object_get(s->u->objects_fd, image->sha256, image->size, &to, e))
		return e->reason;
	const struct worker_patch_spec spec = {.old = from,
		.old_size = old->size,
		.new = to,
		.new_size = image->size,
		.models = s->models};
	return worker_patch(&s->worker, s->u->env.event, &spec, &cb, e);
}

/* All that its bytes depend on. */
static bool make_key(struct patch_share *s, const uint8_t old[32])
{
	uint8_t text[2 * DIGEST_SIZE + 5];

	memcpy(text, old, DIGEST_SIZE);
	memcpy(text + DIGEST_SIZE, s->image, DIGEST_SIZE);
	le32_put(text + sizeof(text) - 5, s->models);
	text[sizeof(text) - 1] = EF_PATCH_VERSION;
	return EVP_Digest(text, sizeof(text), s->key, NULL, EVP_sha256(), NULL) == 1;
}

static void make(struct patch_share *s, const struct object *image)
{
	char hex[DIGEST_HEX_MAX];
	struct object old;
	struct error e = {0};

	if (!image_find(s->u, s->base, &old)) {
		error_set(&s->error, EF_REASON_PATCH, "the image that it runs, %.16s…, is not here",
			digest_hex(s->base, hex));
		return;
	}
	if (!make_key(s, old.sha256))
		error_set(&e, EF_REASON_INTERNAL, "digest");
	else if (object_patch_get(s->u->objects_fd, s->key, image->size, &s->data, &s->size, &e)) {
		if (e.reason != EF_REASON_NOT_FOUND)
			log_warning("%s: %s", reason_word(e.reason), e.detail);
		error_clear(&e);
		start_worker(s, &old, image, &e);
	}
	if (e.reason)
		error_set(&s->error, EF_REASON_PATCH, "none is made: %s: %s", reason_word(e.reason),
			e.detail);
}

/* NULL: not now; one is made at a time. */
static struct patch_share *share_of(
	struct update *u, const struct node_state *ns, const struct object *image)
{
	const uint8_t *base = plan_running(&ns->identity)->hash;
	uint32_t models = ns->identity.patch_models;
	bool making = false;

	for (struct patch_share *s = u->run.patches; s; s = s->next) {
		if (memcmp(s->base, base, 32) == 0 && memcmp(s->image, image->sha256, 32) == 0 &&
			s->models == models)
			return s;
		making |= s->worker != NULL;
	}
	struct patch_share *s = making ? NULL : calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	*s = (struct patch_share){.u = u, .next = u->run.patches, .users = 1, .models = models};
	memcpy(s->base, base, 32);
	memcpy(s->image, image->sha256, 32);
	u->run.patches = s;
	make(s, image);
	return s;
}

void patches_drop(struct update *u)
{
	for (struct patch_share *s = TAKE_PTR(u->run.patches), *next; s; s = next) {
		next = s->next;
		worker_free(TAKE_PTR(s->worker));
		unref(s);
	}
}

/* --- which nodes get one --- */

/* One broadcast of the image reaches all nodes of a line; a patch goes to each of them. */
static size_t reached_at_once(const struct update *u, const struct node_state *ns, size_t part)
{
	const struct deployment *d = u->current;
	size_t n = 0;

	for (size_t i = 0; ns->spread && ns->identity.spread && i < u->n_nodes; i++)
		for (size_t k = 0; u->nodes[i].spread == ns->spread && k < d->n_parts; k++)
			n += u->nodes[i].identity.spread &&
			     d->parts[k].component == d->parts[part].component &&
			     strcmp(d->parts[k].place, u->nodes[i].config->name) == 0;
	return n > 0 ? n : 1;
}

static enum ef_reason judge_node(
	struct update *u, const struct node_state *ns, const struct object *image, struct error *e)
{
	static const uint8_t none[32];
	const struct node_identity *id = &ns->identity;
	const struct node_slot *running = plan_running(id);

	if (u->current->transfer == TRANSFER_FULL)
		return error_set(e, EF_REASON_PATCH, "the full image was asked for");
	if (ns->config->no_patch)
		return error_set(e, EF_REASON_PATCH, "Patch=no in its file");
	if (id->patch_models == 0)
		return error_set(e, EF_REASON_PATCH, "it takes none");
	if (!running || memcmp(running->hash, none, 32) == 0)
		return error_set(e, EF_REASON_PATCH, "it does not say what it runs");
	if (node_patch_room(id, (uint32_t)image->size) == 0)
		return error_set(e, EF_REASON_PATCH, "it has no room for one beside the image");
	/* whoever asks for a patch has one tried once more */
	if (u->current->transfer != TRANSFER_PATCH &&
		failed_before(u, ns, running->hash, image->sha256))
		return error_set(
			e, EF_REASON_PATCH, "one from and to the same failed on it before");
	return EF_REASON_OK;
}

static enum ef_reason judge_patch(struct update *u, const struct node_state *ns, size_t part,
	const struct patch_share *s, struct error *e)
{
	uint64_t size = u->current->parts[part].component->image.size;
	uint32_t room = node_patch_room(&ns->identity, (uint32_t)size);
	size_t n = reached_at_once(u, ns, part);

	if (s->error.reason)
		*e = s->error;
	else if (s->size > room)
		error_set(e, EF_REASON_PATCH, "it has room for %" PRIu32 " bytes of %zu", room,
			s->size);
	else if (u->current->transfer == TRANSFER_PATCH)
		return EF_REASON_OK;
	else if (s->size > size / WORTH_DENOMINATOR * WORTH_NUMERATOR)
		error_set(e, EF_REASON_PATCH, "it would save too little: %zu of %" PRIu64 " bytes",
			s->size, size);
	else if (s->size >= size / n)
		error_set(e, EF_REASON_PATCH, "the image is broadcast to %zu nodes at once", n);
	return e->reason;
}

/* The node is to be sent the full image, and why; false: it must not. */
static bool fall_back(struct update *u, size_t part, const struct error *why, struct error *e)
{
	const struct part *p = &u->current->parts[part];
	struct part_run *r = run_of(u, part);
	struct event ev = {.word = "patch", .deployment = u->current->id, .error = *why};

	r->patch = NULL;
	if (u->current->transfer == TRANSFER_PATCH) {
		*e = *why;
		return false;
	}
	snprintf(ev.component, sizeof(ev.component), "%s", p->component->name);
	snprintf(ev.place, sizeof(ev.place), "%s", p->place);
	snprintf(ev.to, sizeof(ev.to), "full");
	r->no_patch = true;
	record_event(u, &ev, false);
	return true;
}

static bool holds_already(const struct node_state *ns, const struct part *p)
{
	for (int i = 0; i < 2; i++)
		if (ns->identity.slots[i].present &&
			memcmp(ns->identity.slots[i].hash, p->hash, 32) == 0)
			return true;
	return false;
}

bool patch_settle(struct update *u, struct node_state *ns, size_t part, struct error *e)
{
	const struct object *image = &u->current->parts[part].component->image;
	struct part_run *r = run_of(u, part);
	struct error why = {0};

	if (ns->asked_us == 0)
		return false; /* it is being asked who it is */
	if (r->no_patch || ns->last_seen == 0)
		return true;
	if (holds_already(ns, &u->current->parts[part])) {
		r->patch = NULL;
		return true;
	}
	/* once: whatever a node says of itself next, it costs no second one */
	if (!r->patch && judge_node(u, ns, image, &why))
		return fall_back(u, part, &why, e);
	if (!r->patch)
		r->patch = share_of(u, ns, image);
	if (!r->patch)
		update_kick_at(u, now_monotonic_us() + USEC_PER_SEC);
	if (!r->patch || r->patch->worker) {
		part_progress(u, part, "patching", 0, image->size);
		return false;
	}
	return judge_patch(u, ns, part, r->patch, &why) == EF_REASON_OK ||
	       fall_back(u, part, &why, e);
}

/* --- on the way --- */

const struct node_patch *patch_get(struct node_state *ns, struct part_run *r)
{
	struct patch_share *s = r->patch;

	if (!s)
		return NULL;
	s->users++;
	ns->patch = s;
	ns->sent = (struct node_patch){.data = s->data, .size = s->size};
	memcpy(ns->sent.base, s->base, sizeof(s->base));
	return &ns->sent;
}

void patch_put(struct node_state *ns)
{
	unref(TAKE_PTR(ns->patch));
}

bool patch_failed(struct update *u, struct node_state *ns, size_t part, const struct error *e)
{
	struct part *p = &u->current->parts[part];
	struct part_run *r = run_of(u, part);
	struct error why = {0}, ignored = {0};
	bool begun = p->done > 0;

	if (!r->patch)
		return false;
	p->done = 0;
	if (e->reason == EF_REASON_PATCH)
		remember_failed(u, ns, r->patch);
	else if (reason_passes(e->reason) && (!begun || ++r->patch_tries < TRIES_MAX))
		return false; /* it is the line's, more likely than not */
	error_set(&why, EF_REASON_PATCH, "%s: %s", reason_word(e->reason), e->detail);
	return fall_back(u, part, e->reason == EF_REASON_PATCH ? e : &why, &ignored);
}

void patch_note(struct update *u, size_t part, struct error *note)
{
	const struct patch_share *s = run_of(u, part)->patch;

	if (s)
		snprintf(note->detail, sizeof(note->detail), "by a patch of %zu bytes for %" PRIu64,
			s->size, u->current->parts[part].component->image.size);
}

uint64_t update_node_saved(struct update *u, size_t node)
{
	char key[KEY_MAX], text[24];
	struct error e = {0};

	saved_key(&u->nodes[node], key);
	return store_get(u->store, key, text, sizeof(text), &e) ? 0 : strtoull(text, NULL, 10);
}

void patch_count(struct update *u, size_t part)
{
	const struct part *p = &u->current->parts[part];
	const struct patch_share *s = run_of(u, part)->patch;
	const struct node_state *ns = nodes_find(u, p->place);
	char key[KEY_MAX], text[24];
	struct error e = {0};

	if (!s || !ns || s->size >= p->component->image.size)
		return;
	saved_key(ns, key);
	snprintf(text, sizeof(text), "%" PRIu64,
		update_node_saved(u, ns->index) + p->component->image.size - s->size);
	if (store_set(u->store, key, text, &e))
		log_warning("counting what patches save: %s", e.detail);
}
