/* SPDX-License-Identifier: Apache-2.0 */
/*
 * FETCHING: slot and nodes take what they are to run next, all at once. Nothing of it runs. A part
 * that was interrupted begins anew and finds what is there already: the worker scans the slot, the
 * node says where it wants to go on.
 */
#include "bundle/objects.h"
#include "update/internal.h"
#include "update/policy.h"
#include "util/hex.h"
#include "util/log.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

static void part_failed(struct update *u, size_t part, const struct error *e)
{
	struct part_run *r = run_of(u, part);
	const struct component *component = u->current->parts[part].component;

	r->busy = false;
	log_info("%s on %s: %s: %s", component->name, u->current->parts[part].place,
		reason_word(e->reason), e->detail);
	bundle_lost(u, e);
	if (reason_passes(e->reason) && run_retry(u, r))
		update_kick_at(u, r->wait_until);
	else if (e->reason == EF_REASON_NODE_UNREACHABLE && component->policy == POLICY_DEFERRED) {
		struct error away = {0};
		error_set(&away, EF_REASON_DEFERRED, "%s", e->detail);
		part_move(u, part, COMPONENT_SKIPPED, &away);
	} else
		part_move(u, part, COMPONENT_FAILED, e);
	update_kick(u);
}

/* --- nodes --- */

static void on_node_staged(
	struct update *u, struct node_state *ns, size_t part, const struct error *e)
{
	struct error note = {0};

	run_of(u, part)->busy = false;
	if (e->reason != EF_REASON_OK) {
		if (!patch_failed(u, ns, part, e))
			part_failed(u, part, e);
		return;
	}
	patch_note(u, part, &note);
	if (part_move(u, part, COMPONENT_STAGED, &note))
		patch_count(u, part);
}

enum ef_reason stage_node(
	struct update *u, struct node_state *ns, size_t part, node_part_done done, struct error *e)
{
	const struct object *o = &u->current->parts[part].component->image;

	if (!nodes_claim(ns, part, done))
		return EF_REASON_OK;
	run_of(u, part)->busy = true;
	if (nodes_image(ns, o, e)) {
		ns->busy = false;
		ns->part = NO_PART;
		run_of(u, part)->busy = false;
		return e->reason;
	}
	nodes_started(ns, node_stage(ns->node, ns->image->data, o->size,
				  patch_get(ns, run_of(u, part)), nodes_progress, nodes_done, ns));
	return EF_REASON_OK;
}

static void start_node(struct update *u, size_t part)
{
	struct node_state *ns = nodes_find(u, u->current->parts[part].place);
	struct error e = {0};

	if (!ns)
		error_set(&e, EF_REASON_CONFIG, "node %s is no longer configured",
			u->current->parts[part].place);
	else if (!ns->busy && gate_transfer(u, part) &&
		 part_move(u, part, COMPONENT_STAGING, NULL) && patch_settle(u, ns, part, &e))
		stage_node(u, ns, part, on_node_staged, &e);
	if (e.reason != EF_REASON_OK)
		part_failed(u, part, &e);
}

/* --- the slot: its boot partition, if there is one, and then itself --- */

static enum ef_reason start_worker(struct update *u, size_t part, struct error *e);

static size_t part_of_worker(struct update *u, const struct part_run *r)
{
	return (size_t)(r - u->run.parts);
}

/* What is written now; *before: bytes of what was before it, *total: of all. */
static struct payload payload_of(
	struct update *u, const struct part_run *r, uint64_t *before, uint64_t *total)
{
	const struct component *c = u->current->parts[part_of_worker(u, r)].component;
	struct payload p[PAYLOADS_MAX];
	size_t n = component_payloads(c, p);

	*before = *total = 0;
	for (size_t i = 0; i < n; i++) {
		*before += i < r->payload ? p[i].image.size : 0;
		*total += p[i].image.size;
	}
	return p[r->payload];
}

static struct object pack_of(struct update *u, const struct part_run *r)
{
	uint64_t before, total;

	return payload_of(u, r, &before, &total).pack;
}

/* True: there was one more, and it is under way or *e says why not. */
static bool next_payload(struct update *u, struct part_run *r, struct error *e)
{
	size_t part = part_of_worker(u, r);
	struct payload p[PAYLOADS_MAX];

	if (r->payload + 1 >= component_payloads(u->current->parts[part].component, p))
		return false;
	r->payload++;
	start_worker(u, part, e);
	return true;
}

static void settle(struct update *u, struct part_run *r)
{
	size_t part = part_of_worker(u, r);
	struct error e = r->worker_error, note = r->fetch_error;

	if (!r->worker_over || r->fetch)
		return;
	/* a stream that ended early is the network's fault, whatever the worker made of it */
	if (e.reason != EF_REASON_OK && r->fetch_error.reason != EF_REASON_OK &&
		r->fetch_error.reason != EF_REASON_CANCELLED)
		e = r->fetch_error;
	worker_free(TAKE_PTR(r->worker));
	r->worker_over = false;
	if (e.reason == EF_REASON_OK && next_payload(u, r, &e) && e.reason == EF_REASON_OK)
		return;
	r->busy = false;
	if (e.reason != EF_REASON_OK)
		part_failed(u, part, &e);
	else
		part_move(u, part, COMPONENT_STAGED,
			note.reason == EF_REASON_OK && note.detail[0] ? &note : NULL);
	update_kick(u);
}

static void on_pack(void *ctx, uint64_t bytes, const struct error *e)
{
	struct fetch *f = ctx;
	struct update *u = f->u;
	bool dropped = f->dropped;
	size_t part = f->part;

	struct part_run *r = dropped ? NULL : run_of(u, part);
	if (r && r->fetch == f)
		r->fetch = NULL;
	fetch_free(f);
	if (!r)
		return;
	/* also a note of one that went well */
	if (e->reason != EF_REASON_OK || (e->detail[0] && r->fetch_error.reason == EF_REASON_OK))
		r->fetch_error = *e;
	settle(u, r);
}

/* Where the pack lies: a file of its own, or a member of a bundle on some server. */
static int place_of_pack(
	struct update *u, const struct object *pack, char *path, size_t size, uint64_t *offset)
{
	char hex[DIGEST_HEX_MAX];

	*offset = 0;
	snprintf(path, size, "objects/%s", digest_hex(pack->sha256, hex));
	if (!u->bundle)
		return 0;
	const struct bundle_member *m = bundle_find(u->bundle, path);
	if (!m || m->size != pack->size)
		return -ENOENT;
	*offset = m->offset;
	snprintf(path, size, "%s", u->current->bundle);
	return 0;
}

static struct ipc_range *moved(const struct ipc_range *ranges, size_t n, uint64_t by)
{
	struct ipc_range *list = calloc(n + 1, sizeof(*list));

	/* a sum that wraps is refused where ranges are sent */
	for (size_t i = 0; list && i < n; i++)
		list[i] = (struct ipc_range){ranges[i].offset + by, ranges[i].size};
	return list;
}

static int fetch_ranges(
	struct update *u, struct part_run *r, const struct ipc_range *ranges, size_t n)
{
	const struct object pack = pack_of(u, r);
	char path[sizeof(u->current->bundle)];
	uint64_t offset;
	int p[2];

	if (!u->env.net)
		return -ENETUNREACH;
	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	_cleanup_close_ int from = p[0], to = p[1];
	fcntl(to, F_SETPIPE_SZ, 1 << 20); /* as much as we are let */
	int res = place_of_pack(u, &pack, path, sizeof(path), &offset);
	_cleanup_free_ struct ipc_range *list = moved(ranges, n, offset);
	struct fetch *f = list && res == 0 ? fetch_new(u, part_of_worker(u, r)) : NULL;
	if (!f)
		return res < 0 ? res : -ENOMEM;
	f->id = net_fetch(u->env.net, path, pack.size, list, n, to, on_pack, f);
	if (f->id == 0) {
		fetch_free(f);
		return -ENETUNREACH;
	}
	r->fetch = f;
	return worker_data(r->worker, from, false, 0);
}

static int from_bundle(struct update *u, struct part_run *r)
{
	const struct object pack = pack_of(u, r);
	char name[16 + DIGEST_HEX_MAX], hex[DIGEST_HEX_MAX];

	snprintf(name, sizeof(name), "objects/%s", digest_hex(pack.sha256, hex));
	const struct bundle_member *m = bundle_find(u->bundle, name);
	if (!m || m->size != pack.size)
		return -ENOENT;
	return worker_data(r->worker, bundle_fd(u->bundle), true, m->offset);
}

static void on_need(void *ctx, const struct ipc_range *ranges, size_t n)
{
	struct fetch *f = ctx;
	struct update *u = f->u;
	struct part_run *r = run_of(u, f->part);

	int res = u->bundle && !bundle_is_remote(u->bundle) ? from_bundle(u, r)
							    : fetch_ranges(u, r, ranges, n);
	if (res >= 0)
		return;
	error_clear(&r->fetch_error);
	error_errno(&r->fetch_error, res, "%s",
		u->bundle && !bundle_is_remote(u->bundle) ? "the bundle lacks the pack"
							  : "fetching the pack");
	/* the worker is waiting for bytes: an end of file makes it end by itself */
	_cleanup_close_ int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	worker_data(r->worker, nothing, false, 0);
}

static void on_worker_progress(void *ctx, const struct job_progress *p)
{
	static const char *const words[] = {[JOB_SCANNING] = "scanning",
		[JOB_WRITING] = "writing",
		[JOB_READING_BACK] = "reading-back"};
	struct fetch *f = ctx;
	uint64_t before, total;

	payload_of(f->u, run_of(f->u, f->part), &before, &total);
	part_progress(f->u, f->part, p->phase <= JOB_READING_BACK ? words[p->phase] : "",
		before + p->done, total);
}

static void on_worker_done(void *ctx, const struct error *e)
{
	struct fetch *f = ctx;
	struct update *u = f->u;
	struct part_run *r = run_of(u, f->part);

	r->worker_over = true;
	r->worker_error = *e;
	if (r->fetch)
		net_fetch_cancel(u->env.net, r->fetch->id);
	settle(u, r);
}

/* Before the first byte: the slot is no longer what was on record, and must not be tried. */
static enum ef_reason give_up_slot(struct update *u, enum slot_id slot, struct error *e)
{
	if (store_installed_remove(u->store, slot_word(slot), e))
		return e->reason;
	return boot_mark_bad(u->boot, slot, e);
}

static enum ef_reason start_worker(struct update *u, size_t part, struct error *e)
{
	const struct part *p = &u->current->parts[part];
	const struct component *c = p->component;
	struct part_run *r = run_of(u, part);
	_cleanup_free_ uint8_t *index = NULL;
	enum slot_id slot = slot_from_word(p->place);
	struct boot_state boot;
	uint64_t before, total;
	const struct payload x = payload_of(u, r, &before, &total);
	bool own = x.image.size + before == total; /* the last one: the root file system */
	const char *(*const path)(const struct update *u, enum slot_id s) =
		own ? update_slot_path : update_boot_path;

	if (update_boot(u, &boot, e))
		return e->reason;
	if (slot == boot.running || slot == boot.primary)
		return error_set(e, EF_REASON_SLOT_RUNNING, "slot %s", p->place);
	if (object_get(u->objects_fd, x.index.sha256, x.index.size, &index, e) ||
		give_up_slot(u, slot, e))
		return e->reason;
	struct worker_stage_spec spec = {
		.target = path(u, slot),
		.running = path(u, boot.running),
		.index = index,
		.index_size = x.index.size,
		.image_size = x.image.size,
		.verity_offset = own ? c->verity.offset : 0,
	};
	memcpy(spec.index_sha256, x.index.sha256, 32);
	memcpy(spec.image_sha256, x.image.sha256, 32);
	memcpy(spec.verity_root, c->verity.root, 32);
	/* a context that outlives the run, freed with it: the worker's callbacks end with
	 * worker_free */
	if (!r->context)
		r->context = fetch_new(u, part);
	if (!r->context)
		return error_set(e, EF_REASON_NO_MEMORY, "worker");
	const struct worker_callbacks cb = {
		.ctx = r->context,
		.need = on_need,
		.progress = on_worker_progress,
		.done = on_worker_done,
	};
	error_clear(&r->worker_error);
	error_clear(&r->fetch_error);
	return worker_stage(&r->worker, u->env.event, &spec, &cb, e);
}

static void start_slot(struct update *u, size_t part)
{
	struct error e = {0};

	if (!part_move(u, part, COMPONENT_STAGING, NULL))
		return;
	run_of(u, part)->busy = true;
	run_of(u, part)->payload = 0;
	if (start_worker(u, part, &e))
		part_failed(u, part, &e);
	else if (u->env.observer.slots_changed)
		u->env.observer.slots_changed(u->env.observer.ctx);
}

/* Otherwise it comes, is tried again later, or the deployment has failed. */
static bool bundle_here(struct update *u)
{
	struct run *r = &u->run;
	struct error e = {0};

	if (r->wait_until > now_monotonic_us()) {
		update_kick_at(u, r->wait_until);
		return false;
	}
	if (bundle_reopen(u, &e))
		return true;
	if (e.reason && reason_passes(e.reason) && ++r->attempts < RETRIES_MAX) {
		r->wait_until = now_monotonic_us() + update_backoff(u, r->attempts);
		update_kick_at(u, r->wait_until);
	} else if (e.reason) {
		deployment_move(u, EVENT_FAILED, &e, NULL);
	}
	return false;
}

void stage_advance(struct update *u)
{
	struct deployment *d = u->current;
	bool all = true;

	if (!bundle_here(u))
		return;
	const struct part *broken = policy_broken(d);
	if (broken) {
		deployment_move(u, EVENT_FAILED, &broken->error, NULL);
		return;
	}
	for (size_t i = 0; i < d->n_parts; i++) {
		struct part *p = &d->parts[i];
		if (p->state != COMPONENT_PENDING && p->state != COMPONENT_FETCHING &&
			p->state != COMPONENT_STAGING)
			continue;
		all = false;
		if (!run_ready(u, run_of(u, i)))
			continue;
		if (part_is_mcu(p))
			start_node(u, i);
		else
			start_slot(u, i);
	}
	if (all)
		deployment_move(u, EVENT_STAGED, NULL, NULL);
}

/*
 * STAGED: windows, battery and interlocks have their say. The source is asked once more whether the
 * release still goes; when it cannot be reached its last word counts.
 */
void release_advance(struct update *u)
{
	struct error e = {0};

	if (u->current->origin == ORIGIN_SOURCE && !statement_asked(u))
		return;
	if (statement_stops(u, &e))
		deployment_move(u, EVENT_HELD, &e, NULL);
	else if (gate_activate(u) && services_asked(u))
		deployment_move(u, EVENT_ACTIVATE, NULL, services_note);
}
