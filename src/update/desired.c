/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The release of the running slot says what every node should run. A node that was away, a spare
 * part and, when the boot loader fell back, nodes that are ahead are the same case: they are
 * compared with it whenever they answer, and brought to it by a deployment of its own, which is
 * stored, gated and tried like any other. What did not do on a node is tried on it a few times
 * only, by itself.
 */
#include "update/internal.h"
#include "util/log.h"
#include <stdlib.h>
#include <string.h>

#define KEY_MAX 64
#define MARK_MAX 160
#define TRIES_MAX                                                                       \
	3 /* of one image on one device (E-11); a power cut in its trial costs one, too \
	   */
#define HELD_US (60 * USEC_PER_SEC) /* then the hour is looked at again */
#define SHIFT_MAX 12		    /* of the wait after what may pass: up to an hour and a bit */

void desired_forget(struct update *u)
{
	u->desired.of = deployment_free(u->desired.of);
	u->desired.known = false;
}

static void load(struct update *u)
{
	struct error e = {0};

	if (u->desired.known)
		return;
	u->desired.known = true;
	if (store_deployment_of(u->store, u->release, &u->desired.of, NULL, NULL, &e))
		log_warning("what nodes should run: %s", e.detail);
}

/* A part that has what the node should run; NULL when the release has nothing for it. */
static const struct part *wanted(const struct update *u, const struct node_state *ns)
{
	const struct deployment *d = u->desired.of;

	for (size_t i = 0; d && i < d->n_parts; i++)
		if (plan_takes(d->parts[i].component, ns->config))
			return &d->parts[i];
	return NULL;
}

/* What was tried: the image that it should run, on this very device. */
static void mark_of(const struct node_state *ns, const struct part *p, char out[MARK_MAX])
{
	char want[DIGEST_HEX_MAX], id[DIGEST_HEX_MAX];

	snprintf(out, MARK_MAX, "%s %s ", digest_hex(p->hash, want),
		hex_encode(ns->identity.id, sizeof(ns->identity.id), id));
}

static void key_of(const struct node_state *ns, char out[KEY_MAX])
{
	snprintf(out, KEY_MAX, "catch-up %s", ns->config->name);
}

/* How often that was tried and did not do. */
static unsigned tries(struct update *u, const struct node_state *ns, const struct part *p)
{
	char key[KEY_MAX], mark[MARK_MAX], stored[MARK_MAX + 16];
	struct error e = {0};

	key_of(ns, key);
	mark_of(ns, p, mark);
	if (store_get(u->store, key, stored, sizeof(stored), &e))
		return TRIES_MAX;
	size_t n = strlen(mark);
	return strncmp(stored, mark, n) == 0 ? (unsigned)strtoul(stored + n, NULL, 10) : 0;
}

/* It is there, is what its file says, and runs something else, for good. */
static const struct part *behind(const struct update *u, const struct node_state *ns)
{
	static const uint8_t none[32];
	const struct node_identity *id = &ns->identity;
	const struct node_slot *running = plan_running(id);
	const struct part *p = wanted(u, ns);

	if (!p || !ns->present || ns->last.reason || !running || id->trial ||
		memcmp(running->hash, none, 32) == 0 || memcmp(running->hash, p->hash, 32) == 0)
		return NULL;
	return p;
}

const struct component *update_node_behind(const struct update *u, size_t node)
{
	const struct part *p = u->current ? NULL : behind(u, &u->nodes[node]);

	return p ? p->component : NULL;
}

static bool anything_to_do(struct update *u)
{
	for (size_t i = 0; i < u->n_nodes; i++) {
		const struct part *p = behind(u, &u->nodes[i]);
		if (p && tries(u, &u->nodes[i], p) < TRIES_MAX)
			return true;
	}
	return false;
}

/* All of them were asked: they are brought up together. */
static bool all_asked(const struct update *u)
{
	for (size_t i = 0; i < u->n_nodes; i++)
		if (u->nodes[i].asked_us == 0)
			return false;
	return nodes_settled(u);
}

void desired_advance(struct update *u)
{
	struct error e = {0};
	int64_t until;
	uint64_t id;

	if (!u->env.config->catch_up || !u->release[0] || u->look.phase != LOOK_IDLE)
		return;
	if (now_monotonic_us() < u->desired.wait_until) {
		update_kick_at(u, u->desired.wait_until);
		return;
	}
	load(u);
	if (!all_asked(u) || !anything_to_do(u))
		return;
	if (update_may_begin(u, &until, &e)) {
		u->desired.wait_until = now_monotonic_us() + HELD_US;
		update_kick_at(u, u->desired.wait_until);
		return;
	}
	if (update_catch_up(u, &id, &e))
		log_warning("nodes are not brought to release %s: %s", u->release, e.detail);
}

static void mark(struct update *u, const struct node_state *ns, unsigned count)
{
	const struct part *p = wanted(u, ns);
	char key[KEY_MAX], text[MARK_MAX + 16];
	struct error e = {0};

	if (!p)
		return;
	key_of(ns, key);
	mark_of(ns, p, text);
	snprintf(text + strlen(text), 16, "%u", tries(u, ns, p) + count);
	if (store_set(u->store, key, text, &e))
		log_warning("remembering the outcome on node %s: %s", ns->config->name, e.detail);
}

static const struct part *part_of(const struct deployment *d, const char *place)
{
	for (size_t i = 0; i < d->n_parts; i++)
		if (strcmp(d->parts[i].place, place) == 0)
			return &d->parts[i];
	return NULL;
}

void desired_ended(struct update *u)
{
	const struct deployment *d = u->current;
	bool passes = d->state == DEPLOYMENT_CONFIRMED;

	load(u);
	for (size_t i = 0; i < u->n_nodes; i++) {
		struct node_state *ns = &u->nodes[i];
		const struct part *p = part_of(d, ns->config->name);
		enum ef_reason why = p && p->error.reason ? p->error.reason : d->error.reason;
		bool concerned =
			p ? p->state != COMPONENT_CONFIRMED && p->state != COMPONENT_SKIPPED
			  : behind(u, ns) != NULL;

		if (!concerned)
			continue;
		passes = false;
		if (!reason_passes(why) && why != EF_REASON_PATCH)
			mark(u, ns, p ? 1 : TRIES_MAX);
	}
	u->desired.tries = passes ? 0 : u->desired.tries + 1;
	unsigned shift = u->desired.tries < SHIFT_MAX ? u->desired.tries : SHIFT_MAX;
	u->desired.wait_until = passes ? 0 : now_monotonic_us() + (update_backoff(u, 1) << shift);
}

/* --- the gateway fell back (F-30) --- */

static enum ef_reason take_slot(
	struct update *u, enum slot_id running, struct event *ev, struct error *e)
{
	struct installed i = {0};
	bool found = false;

	if (store_installed(u->store, slot_word(running), &i, &found, e))
		return e->reason;
	snprintf(ev->from, sizeof(ev->from), "%s", u->release);
	snprintf(ev->to, sizeof(ev->to), "%s", found ? i.release : "");
	struct deployment *left = NULL;
	if (store_deployment_of(u->store, u->release, &left, NULL, NULL, e) == EF_REASON_OK && left)
		store_refused_put(u->store, left->manifest_sha256, &ev->error, update_stamp(u), e);
	deployment_free(left);
	if (e->reason || store_set(u->store, "slot", slot_word(running), e) ||
		store_set(u->store, "release", ev->to, e))
		return e->reason;
	return store_event_add(u->store, ev, e);
}

enum ef_reason desired_resume(struct update *u, const struct boot_state *boot, struct error *e)
{
	struct event ev = {.word = "fell-back", .time = update_stamp(u)};
	char slot[8];

	if (u->current || boot->on_trial || store_get(u->store, "slot", slot, sizeof(slot), e) ||
		!slot[0] || strcmp(slot, slot_word(boot->running)) == 0)
		return e->reason;
	error_set(&ev.error, EF_REASON_TRIAL_NOT_BOOTED,
		"slot %s of release %s does not run; slot %s does", slot, u->release,
		slot_word(boot->running));
	snprintf(ev.place, sizeof(ev.place), "%s", slot_word(boot->running));
	if (store_begin(u->store, e) || take_slot(u, boot->running, &ev, e) ||
		store_commit(u->store, e)) {
		store_abort(u->store);
		return e->reason;
	}
	log_warning("%s", ev.error.detail);
	snprintf(u->release, sizeof(u->release), "%.24s", ev.to);
	return EF_REASON_OK;
}
