/* SPDX-License-Identifier: Apache-2.0 */
#include "update/internal.h"
#include <errno.h>
#include <string.h>

struct fetch *fetch_new(struct update *u, size_t part)
{
	struct fetch *f = calloc(1, sizeof(*f));

	if (!f)
		return NULL;
	*f = (struct fetch){.u = u, .next = u->fetches, .part = part};
	u->fetches = f;
	return f;
}

void fetch_free(struct fetch *f)
{
	struct fetch **p = &f->u->fetches;

	while (*p && *p != f)
		p = &(*p)->next;
	if (*p)
		*p = f->next;
	free(f);
}

void fetch_drop(struct fetch *f)
{
	if (!f || f->dropped)
		return;
	f->dropped = true;
	if (f->u->env.net)
		net_fetch_cancel(f->u->env.net, f->id);
}

static void finish(struct update *u, const uint8_t *data, size_t size, const struct error *e)
{
	read_done done = u->reader.done;

	u->reader.done = NULL;
	if (done)
		done(u, data, size, e);
}

static void on_memory(void *ctx, const uint8_t *data, size_t size, const struct error *e)
{
	struct fetch *f = ctx;
	struct update *u = f->u;
	bool dropped = f->dropped;

	if (u->reader.fetch == f)
		u->reader.fetch = NULL;
	fetch_free(f);
	if (!dropped)
		finish(u, data, size, e);
}

/* Bundle members, and failures to begin, come from the event loop like everything else. */
static int on_deliver(sd_event_source *s, void *userdata)
{
	struct update *u = userdata;
	_cleanup_free_ uint8_t *data = TAKE_PTR(u->reader.data);
	struct error e = u->reader.error;

	u->reader.deliver = sd_event_source_disable_unref(u->reader.deliver);
	finish(u, data, u->reader.size, &e);
	return 0;
}

static void from_net(struct update *u, const char *path, uint64_t max)
{
	struct reader *r = &u->reader;

	if (!u->env.net) {
		error_set(&r->error, EF_REASON_NET_UNREACHABLE, "no source is configured");
		return;
	}
	r->fetch = fetch_new(u, NO_PART);
	if (!r->fetch) {
		error_set(&r->error, EF_REASON_NO_MEMORY, "%s", path);
		return;
	}
	r->fetch->id = net_fetch_memory(u->env.net, path, max, on_memory, r->fetch);
	if (r->fetch->id == 0) {
		fetch_free(r->fetch);
		r->fetch = NULL;
		error_set(&r->error, EF_REASON_NET_UNREACHABLE,
			"%s: edgeferry-net takes no request", path);
	}
}

/* An object of a bundle that lies on a server. */
static void from_remote(struct update *u, const char *path, uint64_t max)
{
	struct reader *r = &u->reader;
	const struct bundle_member *m = bundle_find(u->bundle, path);

	if (!m || m->size == 0 || m->size > max || !u->env.net) {
		error_set(&r->error, m ? EF_REASON_BAD_SIZE : EF_REASON_NOT_FOUND, "%s", path);
		return;
	}
	const struct ipc_range range = {m->offset, m->size};
	r->fetch = fetch_new(u, NO_PART);
	if (r->fetch)
		r->fetch->id =
			net_fetch_part(u->env.net, u->current->bundle, &range, on_memory, r->fetch);
	if (r->fetch && r->fetch->id == 0)
		fetch_free(TAKE_PTR(r->fetch));
	if (!r->fetch)
		error_set(&r->error, EF_REASON_NET_UNREACHABLE,
			"%s: edgeferry-net takes no request", path);
}

void reader_start(struct update *u, bool online, const char *path, uint64_t max, read_done done)
{
	struct reader *r = &u->reader;

	reader_cancel(u);
	error_clear(&r->error);
	r->done = done;
	r->size = 0;
	if (!online && u->bundle && bundle_is_remote(u->bundle) &&
		strncmp(path, "objects/", 8) == 0)
		from_remote(u, path, max);
	else if (!online && u->bundle)
		bundle_read(u->bundle, path, max, &r->data, &r->size, &r->error);
	else
		from_net(u, path, max);
	if (!r->fetch)
		sd_event_add_defer(u->env.event, &r->deliver, on_deliver, u);
}

void reader_cancel(struct update *u)
{
	struct reader *r = &u->reader;

	fetch_drop(r->fetch);
	r->fetch = NULL;
	r->deliver = sd_event_source_disable_unref(r->deliver);
	free(TAKE_PTR(r->data));
	r->done = NULL;
}
