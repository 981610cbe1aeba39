/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of nodes, made and replaced for whoever asks, between the questions that are put anyway. */
#include "update/internal.h"
#include <string.h>

static void key_over(void *ctx, const struct error *e)
{
	struct node_state *ns = ctx;
	struct node_key_job job = ns->key;
	struct event ev = {.word = "node", .error = *e};

	ns->key = (struct node_key_job){0};
	snprintf(ev.place, sizeof(ev.place), "%s", ns->config->name);
	snprintf(ev.to, sizeof(ev.to), "%s", job.first ? "provision" : "rotate-key");
	record_event(ns->u, &ev, false);
	nodes_release(ns);
	job.done(job.ctx, e);
}

bool node_key_start(struct node_state *ns)
{
	struct error e = {0};
	int r;

	if (!ns->key.done)
		return false;
	ns->busy = true;
	ns->part = NO_PART;
	r = ns->key.first ? node_provision(ns->node, key_over, ns)
			  : node_rotate_key(ns->node, key_over, ns);
	if (r < 0) {
		error_errno(&e, r, "node %s", ns->config->name);
		key_over(ns, &e);
	}
	return true;
}

void node_key_forget(struct node_state *ns)
{
	struct node_key_job job = ns->key;
	struct error e = {0};

	if (!job.done)
		return;
	ns->key = (struct node_key_job){0};
	error_set(&e, EF_REASON_CANCELLED, "the daemon ends");
	job.done(job.ctx, &e);
}

enum ef_reason update_node_key(struct update *u, const char *name, bool first, update_key_done done,
	void *ctx, struct error *e)
{
	struct node_state *ns = nodes_find(u, name);

	if (!ns)
		return error_set(e, EF_REASON_NOT_FOUND, "node %s", name);
	if (ns->key.done || (ns->busy && ns->part != NO_PART))
		return error_set(
			e, EF_REASON_BUSY, "node %s: something else is being done to it", name);
	if (node_key_admit(ns->node, first, e))
		return e->reason;
	ns->key = (struct node_key_job){.first = first, .done = done, .ctx = ctx};
	if (ns->busy)
		node_cancel(ns->node); /* it is only being asked; nodes.c goes on with this */
	else
		node_key_start(ns);
	return EF_REASON_OK;
}
