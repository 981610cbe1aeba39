/* SPDX-License-Identifier: Apache-2.0 */
/*
 * OFFERED: everything is looked at before anything is touched. Release chosen and verified,
 * manifest against this gateway, room, images of nodes and chunk indexes fetched and looked into,
 * nodes asked who they are; then the plan. A refusal on the way has written nothing but objects and
 * records.
 */
#include "update/internal.h"
#include "update/waves.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define NET_TRIES 2
#define PATIENCE_US (10 * USEC_PER_SEC)

/* edgeferry-net tries again by itself; once more is for when it was edgeferry-net that ended. */
static bool enough(enum ef_reason r, unsigned attempts)
{
	bool net = r == EF_REASON_NET_UNREACHABLE || r == EF_REASON_NET_HTTP ||
		   r == EF_REASON_NET_SLOW || r == EF_REASON_NET_TLS;

	return attempts >= (net ? NET_TRIES : RETRIES_MAX);
}

/* What will pass is tried again, the rest is an answer. */
void acquire_failed(struct update *u, const struct error *e)
{
	struct run *r = &u->run;

	r->busy = false;
	if (!reason_passes(e->reason)) {
		deployment_move(u, EVENT_REFUSED, e, NULL);
		return;
	}
	bundle_lost(u, e);
	if (enough(e->reason, ++r->attempts)) {
		deployment_move(u, EVENT_FAILED, e, NULL);
		return;
	}
	r->wait_until = now_monotonic_us() + update_backoff(u, r->attempts);
	update_kick_at(u, r->wait_until);
}

static bool take_release(struct update *u, struct known_release *k)
{
	struct deployment *d = u->current;
	struct error e = {0};

	strcpy(d->release, k->version);
	d->sequence = k->sequence;
	memcpy(d->manifest_sha256, k->manifest_sha256, 32);
	if (!k->manifest) {
		if (k->error.reason == EF_REASON_OK)
			error_set(&k->error, EF_REASON_NOT_FOUND, "manifest of %s", k->version);
		acquire_failed(u, &k->error);
		return false;
	}
	manifest_free(d->manifest);
	free(u->run.manifest);
	d->manifest = TAKE_PTR(k->manifest);
	u->run.manifest = TAKE_PTR(k->bytes);
	u->run.manifest_size = k->size;
	if (!d->dry && store_deployment_save(u->store, d, &e)) {
		acquire_failed(u, &e);
		return false;
	}
	return true;
}

/* Nothing is wrong with it, but it must not be now. */
static void acquire_held(struct update *u, const struct error *e)
{
	u->run.busy = false;
	deployment_move(u, EVENT_HELD, e, NULL);
}

/* Named: that one. Otherwise the newest that is let go, or that is installed already. */
static struct look_release *chosen(struct update *u)
{
	const struct deployment *d = u->current;
	struct look *l = &u->look;

	for (size_t i = 0; i < l->n; i++) {
		const struct known_release *k = &l->list[i].known;
		struct error why = {0};
		if (d->wanted[0] ? strcmp(d->wanted, k->version) == 0
				 : d->origin != ORIGIN_SOURCE ||
					   strcmp(k->version, u->release) == 0 ||
					   !statement_judge(u, k->version, k->sequence, &why))
			return &l->list[i];
	}
	return NULL;
}

static void nothing_chosen(struct update *u)
{
	struct deployment *d = u->current;
	struct look *l = &u->look;
	struct error why = {0};

	if (d->wanted[0] == 0 && l->n > 0) {
		const struct known_release *newest = &l->list[0].known;
		strcpy(d->release, newest->version);
		statement_judge(u, newest->version, newest->sequence, &why);
		acquire_held(u, &why);
		return;
	}
	error_set(&why, EF_REASON_NOT_FOUND, "release %s is not offered",
		d->wanted[0] ? d->wanted : "of this product");
	acquire_failed(u, &why);
}

static void on_look(struct update *u, const struct error *e)
{
	struct deployment *d = u->current;
	struct error why = *e;

	u->look.for_deployment = false;
	u->run.busy = false;
	if (d->origin == ORIGIN_SOURCE)
		look_note(u, e);
	if (why.reason != EF_REASON_OK) {
		acquire_failed(u, &why);
		return;
	}
	struct look_release *r = chosen(u);
	if (!r) {
		nothing_chosen(u);
		return;
	}
	d->server_before = u->server_reachable;
	if (u->bundle && bundle_judge(u, r, &why)) {
		/* the file is at fault, not the release: its digest is not kept */
		strcpy(d->release, r->known.version);
		acquire_failed(u, &why);
		return;
	}
	if (take_release(u, &r->known)) {
		u->run.phase = ACQUIRE_ADMIT;
		update_kick(u);
	}
}

/* The release before, or the one that is installed, from our own records; its objects are kept. */
static void take_stored(struct update *u)
{
	struct known_release k = {0};
	struct deployment *before = NULL;
	struct error e = {0};

	if (u->current->origin == ORIGIN_ROLLBACK)
		store_deployment_before(u->store, u->release, &before, &k.bytes, &k.size, &e);
	else if (store_deployment_of(u->store, u->release, &before, &k.bytes, &k.size, &e) ==
			 EF_REASON_OK &&
		 !before)
		error_set(&e, EF_REASON_NOT_FOUND, "release %s is not on record", u->release);
	if (e.reason) {
		acquire_failed(u, &e);
		return;
	}
	strcpy(k.version, before->release);
	k.sequence = before->sequence;
	u->current->server_before = u->server_reachable;
	memcpy(k.manifest_sha256, before->manifest_sha256, 32);
	k.manifest = TAKE_PTR(before->manifest);
	free(TAKE_PTR(before->parts)); /* they point into the manifest */
	before->n_parts = 0;
	deployment_free(before);
	if (take_release(u, &k)) {
		u->run.phase = ACQUIRE_ADMIT;
		update_kick(u);
	}
	manifest_free(k.manifest);
	free(k.bytes);
}

static void acquire_look(struct update *u)
{
	struct error e = {0};

	if (u->current->origin == ORIGIN_ROLLBACK || u->current->origin == ORIGIN_CATCH_UP) {
		take_stored(u);
		return;
	}
	if (u->look.phase != LOOK_IDLE)
		return; /* a check: it kicks when it is over */
	if (!bundle_reopen(u, &e)) {
		if (e.reason)
			acquire_failed(u, &e);
		return;
	}
	u->run.busy = true;
	look_start(u, u->current->origin == ORIGIN_SOURCE ? LOOK_FOR_RELEASES : LOOK_IN_BUNDLE,
		on_look);
	u->look.for_deployment = u->look.phase != LOOK_IDLE;
}

static void acquire_admit(struct update *u)
{
	struct deployment *d = u->current;
	struct plan_gateway g;
	struct admit_input in;
	struct plan_room room;
	struct error e = {0};

	if (statement_stops(u, &e)) {
		acquire_held(u, &e);
		return;
	}
	bool back = d->origin == ORIGIN_ROLLBACK || d->origin == ORIGIN_CATCH_UP;
	if (admit_prepare(u, &g, &in, back, &e) || plan_admit(d->manifest, &in, &e) ||
		objects_room(u, d->manifest, &room, &e) ||
		(!d->dry && objects_make_room(u, &room, &e))) {
		acquire_failed(u, &e);
		return;
	}
	u->dry.room = room;
	free(u->run.images);
	u->run.images = calloc(d->manifest->n_components + 1, sizeof(*u->run.images));
	if (!u->run.images) {
		error_set(&e, EF_REASON_NO_MEMORY, "images");
		acquire_failed(u, &e);
		return;
	}
	u->run.phase = ACQUIRE_OBJECTS;
	u->run.at = u->run.held = 0;
	update_kick(u);
}

void acquire_ask_nodes(struct update *u)
{
	u->run.since_us = u->run.heard_us = now_monotonic_us();
	u->run.heard = 0;
	nodes_poll(u);
}

static enum ef_reason plan_store(struct update *u, struct error *e)
{
	return store_deployment_plan(
		u->store, u->current, u->run.manifest, u->run.manifest_size, e);
}

static bool nothing_to_do(const struct deployment *d)
{
	for (size_t i = 0; i < d->n_parts; i++)
		if (d->parts[i].state != COMPONENT_SKIPPED)
			return false;
	return true;
}

/* Names of the nodes that answer now: they must answer after the update too (section 7, checks). */
static char *nodes_present(struct update *u)
{
	size_t size = 1;

	for (size_t i = 0; i < u->n_nodes; i++)
		size += strlen(u->nodes[i].config->name) + 1;
	char *text = calloc(1, size);
	for (size_t i = 0; text && i < u->n_nodes; i++)
		if (u->nodes[i].present) {
			strcat(text, u->nodes[i].config->name);
			strcat(text, "\n");
		}
	return text;
}

static void make_plan(struct update *u, const struct plan_node *nodes)
{
	struct deployment *d = u->current;
	struct plan_gateway g;
	struct admit_input in;
	struct error e = {0};

	if (admit_prepare(u, &g, &in, false, &e)) {
		acquire_failed(u, &e);
		return;
	}
	free(TAKE_PTR(d->parts));
	d->n_parts = 0;
	free(d->nodes_before);
	d->nodes_before = nodes_present(u);
	int r = plan_make(
		d->manifest, u->run.images, &g, nodes, u->n_nodes, &d->parts, &d->n_parts);
	if (r >= 0)
		r = waves_number(d, u->env.config);
	if (r < 0 || !d->nodes_before) {
		error_set(&e, EF_REASON_NO_MEMORY, "plan");
		acquire_failed(u, &e);
		return;
	}
	for (size_t i = 0; d->origin == ORIGIN_CATCH_UP && i < d->n_parts; i++)
		plan_catch_up(&d->parts[i]);
	if (nothing_to_do(d) && strcmp(d->release, u->release) == 0) {
		error_set(&e, EF_REASON_ALREADY_INSTALLED, "release %s", d->release);
		deployment_move(u, EVENT_REFUSED, &e, NULL);
		return;
	}
	deployment_move(u, EVENT_ACCEPTED, NULL, plan_store);
}

static bool needed(
	const struct update *u, const struct component *c, const struct config_node *node)
{
	return u->current->origin != ORIGIN_CATCH_UP && c->policy == POLICY_REQUIRED &&
	       node->required;
}

/* Whom nobody needs is waited for until a while after the last answer of any node. */
static uint64_t patience_ends(struct update *u)
{
	size_t heard = 0;

	for (size_t i = 0; i < u->n_nodes; i++)
		heard += u->nodes[i].present && nodes_fresh(&u->nodes[i], u->run.since_us);
	if (heard > u->run.heard) {
		u->run.heard = heard;
		u->run.heard_us = now_monotonic_us();
	}
	return u->run.heard_us + (u->env.patience_us ? u->env.patience_us : PATIENCE_US);
}

/* It has not answered, nor was it silent the last time: now it goes as one that is away (F-32). */
static void give_up(const struct node_state *ns, struct plan_node *node)
{
	node->present = false;
	error_set(&node->last, EF_REASON_NODE_UNREACHABLE, "%s: takes too long to say who it is",
		ns->config->name);
}

/* False: it has not answered yet, and is waited for. */
static bool admit_node(struct update *u, const struct node_state *ns, struct plan_node *node,
	bool patient, struct error *e)
{
	const struct manifest *m = u->current->manifest;
	bool fresh = nodes_fresh(ns, u->run.since_us), silent = !ns->present && ns->misses > 0;

	/* whoever takes nothing must be understood by the new gateway all the same */
	if (ns->present && plan_admit_protocol(m, node, e))
		return true;
	for (size_t k = 0; k < m->n_components && e->reason == EF_REASON_OK; k++) {
		const struct component *c = &m->components[k];
		if (!plan_takes(c, ns->config))
			continue;
		/* one that nobody needs and that has been silent is not waited for: when it
		 * appears it is brought up */
		if (!fresh && (needed(u, c, ns->config) || (patient && !silent)))
			return false;
		if (!fresh && !silent)
			give_up(ns, node);
		if (node->present)
			plan_admit_node(c, node, e);
		else if (needed(u, c, ns->config))
			error_set(e,
				ns->last.reason == EF_REASON_BUSY ? EF_REASON_BUSY
								  : EF_REASON_NODE_UNREACHABLE,
				"node %s: %s", ns->config->name, ns->last.detail);
	}
	return true;
}

/* Nodes that take something must have answered; a required one that does not is waited for. */
static void acquire_nodes(struct update *u)
{
	_cleanup_free_ struct plan_node *nodes = calloc(u->n_nodes + 1, sizeof(*nodes));
	uint64_t ends = patience_ends(u);
	bool nodes_only = u->current->origin == ORIGIN_CATCH_UP;
	bool patient = nodes_only || now_monotonic_us() < ends;
	struct error e = {0};

	if (!nodes)
		return;
	for (size_t i = 0; i < u->n_nodes; i++) {
		const struct node_state *ns = &u->nodes[i];
		nodes[i] = (struct plan_node){.config = ns->config,
			.present = ns->present,
			.identity = ns->identity,
			.last = ns->last};
		if (!admit_node(u, ns, &nodes[i], patient, &e)) {
			if (patient && !nodes_only)
				update_kick_at(u, ends);
			return;
		}
		if (e.reason && nodes_only) {
			/* each for itself */
			nodes[i].present = false;
			nodes[i].last = e;
			error_clear(&e);
		}
	}
	if (e.reason != EF_REASON_OK) {
		acquire_ask_nodes(u); /* again before the next try */
		acquire_failed(u, &e);
		return;
	}
	make_plan(u, nodes);
}

void acquire_advance(struct update *u)
{
	static void (*const phases[])(struct update * u) = {
		[ACQUIRE_LOOK] = acquire_look,
		[ACQUIRE_ADMIT] = acquire_admit,
		[ACQUIRE_OBJECTS] = acquire_objects,
		[ACQUIRE_IMAGES] = acquire_images,
		[ACQUIRE_NODES] = acquire_nodes,
	};

	if (u->run.busy)
		return;
	if (u->run.wait_until > now_monotonic_us()) {
		update_kick_at(u, u->run.wait_until);
		return;
	}
	phases[u->run.phase](u);
}

/* The file that the caller handed over, by the path it had. Its bytes are verified anyway. */
bool bundle_reopen(struct update *u, struct error *e)
{
	const struct deployment *d = u->current;
	struct stat st;

	if (d->origin != ORIGIN_BUNDLE || u->bundle)
		return true;
	if (ipc_is_url(d->bundle))
		return remote_reopen(u, e);
	_cleanup_close_ int fd = d->bundle[0] ? open(d->bundle, O_PATH | O_CLOEXEC) : -1;
	/* looked at before it is opened: opening a device or a pipe may do things */
	if (fd < 0 || fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))) {
		error_set(e, EF_REASON_NOT_FOUND, "bundle %s is no longer there", d->bundle);
		return false;
	}
	int file = open(d->bundle, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (file < 0) {
		error_errno(e, -errno, "bundle %s", d->bundle);
		return false;
	}
	return bundle_open(file, d->bundle, &u->bundle, e) == EF_REASON_OK;
}

/* A medium that was pulled out: its descriptors are of no use even when it is back. */
void bundle_lost(struct update *u, const struct error *e)
{
	if (u->bundle && e->reason == EF_REASON_IO && u->look.phase == LOOK_IDLE)
		bundle_close(TAKE_PTR(u->bundle));
}
