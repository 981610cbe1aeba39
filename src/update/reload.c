/* SPDX-License-Identifier: Apache-2.0 */
#include "update/internal.h"

bool update_nodes_idle(const struct update *u)
{
	if (u->discover || (u->current && (u->current->dry || !deployment_over(u->current->state))))
		return false;
	for (size_t i = 0; i < u->n_nodes; i++)
		if (u->nodes[i].key.done || u->nodes[i].part != NO_PART)
			return false;
	return true;
}

enum ef_reason update_nodes_take(struct update *u, const struct config *next, struct error *e)
{
	if (!update_nodes_idle(u))
		return error_set(e, EF_REASON_BUSY, "something is being done to nodes");
	return nodes_reopen(u, next, e);
}

void update_reconfigured(struct update *u, struct net_client *net, struct update_services services)
{
	u->env.net = net;
	u->env.services = services;
	gate_retry(&u->run.gate); /* hours and batteries may be other ones */
	update_kick(u);
}

void update_note_reload(struct update *u, const struct error *e)
{
	struct event ev = {.word = "reload", .error = *e};

	snprintf(ev.to, sizeof(ev.to), "%s", e->reason ? "kept" : "taken");
	record_event(u, &ev, false);
}
