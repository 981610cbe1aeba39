/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle that lies on a web server: its headers and metadata are read piece by piece, then it is
 * the deployment's bundle like one in a file, of which objects are fetched by ranges.
 */
#include "update/internal.h"

static bool ask(struct update *u, struct error *e);

static void on_piece(void *ctx, const uint8_t *data, size_t size, const struct error *e)
{
	struct fetch *f = ctx;
	struct update *u = f->u;
	struct remote *r = &u->remote;
	bool dropped = f->dropped;

	if (r->fetch == f)
		r->fetch = NULL;
	fetch_free(f);
	if (dropped)
		return;
	r->error = *e;
	if (e->reason == EF_REASON_OK)
		bundle_remote_feed(r->scan, data, size, &r->error);
	if (r->error.reason == EF_REASON_OK && ask(u, &r->error))
		return;
	if (r->error.reason == EF_REASON_OK)
		u->bundle = TAKE_PTR(r->scan);
	else
		bundle_close(TAKE_PTR(r->scan));
	update_kick(u);
}

/* False: nothing more is needed, or it cannot be asked for. */
static bool ask(struct update *u, struct error *e)
{
	struct remote *r = &u->remote;
	struct ipc_range range;
	size_t size;

	if (!bundle_remote_next(r->scan, &range.offset, &size))
		return false;
	range.size = size;
	r->fetch = fetch_new(u, NO_PART);
	if (!r->fetch) {
		error_set(e, EF_REASON_NO_MEMORY, "bundle");
		return false;
	}
	r->fetch->id = net_fetch_part(u->env.net, u->current->bundle, &range, on_piece, r->fetch);
	if (r->fetch->id == 0) {
		fetch_free(TAKE_PTR(r->fetch));
		error_set(e, EF_REASON_NET_UNREACHABLE, "edgeferry-net takes no request");
		return false;
	}
	return true;
}

bool remote_reopen(struct update *u, struct error *e)
{
	struct remote *r = &u->remote;

	if (r->fetch)
		return false; /* it comes */
	if (r->error.reason) {
		*e = r->error;
		error_clear(&r->error);
		return false;
	}
	if (!u->env.net) {
		error_set(e, EF_REASON_NOT_FOUND, "no source is configured");
		return false;
	}
	if (bundle_remote_open(u->current->bundle, &r->scan, e) == EF_REASON_OK && !ask(u, e))
		bundle_close(TAKE_PTR(r->scan));
	return false;
}

void remote_cancel(struct update *u)
{
	fetch_drop(u->remote.fetch);
	bundle_close(u->remote.scan);
	u->remote = (struct remote){.fetch = NULL};
}
