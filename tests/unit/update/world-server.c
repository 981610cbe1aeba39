/* SPDX-License-Identifier: Apache-2.0 */
/* The server behind net/client.h, the metadata behind trust/tuf.h, the worker behind
 * worker/client.h. */
#include "util/atomic-file.h"
#include "world.h"
#include <check.h>
#include <errno.h>
#include <string.h>

/* --- net --- */

struct net_client {
	int unused;
};

struct request {
	uint32_t id;
	char path[160];
	bool cancelled;
	net_fetch_done done;
	net_fetch_memory_done memory_done;
	void *ctx;
	sd_event_source *turn;
	struct request *next;
};

static struct request *requests;
static uint32_t last_id;
static bool client_freed;

static void request_free(struct request *r)
{
	for (struct request **p = &requests; *p; p = &(*p)->next)
		if (*p == r) {
			*p = r->next;
			break;
		}
	sd_event_source_disable_unref(r->turn);
	free(r);
}

static int on_turn(sd_event_source *s, void *userdata)
{
	struct request *r = userdata;
	struct world *w = the_world;
	struct error e = {0};
	const uint8_t *data = NULL;
	size_t size = 0;

	if (r->cancelled)
		error_set(&e, EF_REASON_CANCELLED, "%s", r->path);
	else if (w->server_down)
		error_set(&e, EF_REASON_NET_UNREACHABLE, "%s", r->path);
	else if (r->done && w->fetch_errors > 0 && w->fetch_errors-- > 0)
		error_set(&e, EF_REASON_NET_SLOW, "%s", r->path);
	else {
		for (size_t i = 0; i < w->n_files; i++)
			if (strcmp(w->files[i].path, r->path) == 0) {
				data = w->files[i].data;
				size = w->files[i].size;
			}
		if (!data)
			error_set(&e, EF_REASON_NOT_FOUND, "%s", r->path);
	}
	if (r->memory_done)
		r->memory_done(r->ctx, data, size, &e);
	else
		r->done(r->ctx, size, &e);
	request_free(r);
	return 0;
}

static uint32_t request_new(
	const char *path, net_fetch_done done, net_fetch_memory_done memory, void *ctx)
{
	struct request *r = calloc(1, sizeof(*r));

	*r = (struct request){
		.id = ++last_id, .done = done, .memory_done = memory, .ctx = ctx, .next = requests};
	snprintf(r->path, sizeof(r->path), "%s", path);
	requests = r;
	ck_assert_int_ge(sd_event_add_defer(the_world->event, &r->turn, on_turn, r), 0);
	return r->id;
}

uint32_t net_fetch(struct net_client *c, const char *path, uint64_t max_size,
	const struct ipc_range *ranges, size_t n_ranges, int fd, net_fetch_done done, void *ctx)
{
	return request_new(path, done, NULL, ctx);
}

uint32_t net_fetch_memory(struct net_client *c, const char *path, uint64_t max_size,
	net_fetch_memory_done done, void *ctx)
{
	return request_new(path, NULL, done, ctx);
}

void net_fetch_cancel(struct net_client *c, uint32_t id)
{
	ck_assert(!client_freed);
	for (struct request *r = requests; r; r = r->next)
		if (r->id == id)
			r->cancelled = true;
}

void net_client_free(struct net_client *c)
{
	client_freed = true;
	while (requests)
		request_free(requests);
}

/* --- trust --- */

struct tuf {
	char wanted[512];
	struct tuf_store store;
};

static struct tuf the_tuf;

static int dir_save(void *ctx, const char *name, const void *data, size_t size)
{
	return atomic_file_write_at(((struct tuf_store_dir *)ctx)->dir_fd, name, data, size, 0600);
}

static int dir_remove(void *ctx, const char *name)
{
	return unlinkat(((struct tuf_store_dir *)ctx)->dir_fd, name, 0) < 0 ? -errno : 0;
}

struct tuf_store tuf_store_dir_ops(struct tuf_store_dir *d)
{
	return (struct tuf_store){.ctx = d, .save = dir_save, .remove = dir_remove};
}

enum ef_reason tuf_open(const struct tuf_store *store, struct tuf **ret, struct error *e)
{
	client_freed = false; /* another life of the engine begins */
	the_tuf.store = *store;
	*ret = &the_tuf;
	return EF_REASON_OK;
}

void tuf_close(struct tuf *t)
{
}

enum ef_reason tuf_bootstrap(
	const struct tuf_store *store, const void *root, size_t size, struct error *e)
{
	return EF_REASON_OK;
}

enum ef_reason tuf_refresh(struct tuf *t, enum tuf_mode mode, int64_t now, struct error *e)
{
	t->wanted[0] = 0;
	if (mode == TUF_ONLINE && the_world->server_down)
		return error_set(e, EF_REASON_NET_UNREACHABLE, "timestamp.json");
	/* what a real one leaves behind, after a change of keys */
	t->store.save(t->store.ctx, "timestamp.json", "1", 1);
	t->store.remove(t->store.ctx, "timestamp.json");
	t->store.save(t->store.ctx, "timestamp.json", "2", 1);
	t->store.save(t->store.ctx, "snapshot.json", "2", 1);
	return the_world->trust_error ? error_set(e, the_world->trust_error, "releases.json")
				      : EF_REASON_OK;
}

bool tuf_next(struct tuf *t, struct tuf_request *ret)
{
	return false;
}

void tuf_feed(struct tuf *t, const void *data, size_t size)
{
}

void tuf_feed_absent(struct tuf *t)
{
}

void tuf_feed_error(struct tuf *t, const struct error *e)
{
}

enum ef_reason tuf_result(const struct tuf *t, struct error *e)
{
	return EF_REASON_OK;
}

enum ef_reason tuf_load_role(struct tuf *t, const char *role, struct error *e)
{
	return EF_REASON_OK;
}

static struct tuf_target target_of(size_t i)
{
	struct tuf_target t = {.length = the_world->releases[i].size, .has_sha256 = true};

	strcpy(t.path, the_world->releases[i].path);
	memcpy(t.sha256, the_world->releases[i].sha256, 32);
	t.custom = the_world->releases[i].custom;
	return t;
}

int tuf_list(const struct tuf *t, const char *role,
	int (*cb)(void *ctx, const struct tuf_target *target), void *ctx)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < the_world->n_releases; i++) {
		struct tuf_target target = target_of(i);
		r = cb(ctx, &target);
	}
	return r;
}

enum ef_reason tuf_find(struct tuf *t, const char *path, struct error *e)
{
	strcpy(t->wanted, path);
	return EF_REASON_OK;
}

enum ef_reason tuf_found(const struct tuf *t, struct tuf_target *ret, struct error *e)
{
	for (size_t i = 0; i < the_world->n_releases; i++)
		if (strcmp(the_world->releases[i].path, t->wanted) == 0) {
			*ret = target_of(i);
			return EF_REASON_OK;
		}
	return error_set(e, EF_REASON_NOT_SIGNED_FOR, "%s", t->wanted);
}

void tuf_target_file(const struct tuf_target *target, char *out, size_t size)
{
	snprintf(out, size, "%s", target->path);
}

enum ef_reason tuf_target_check(
	const struct tuf_target *target, const void *data, size_t size, struct error *e)
{
	return size == target->length ? EF_REASON_OK : error_set(e, EF_REASON_BAD_SIZE, "manifest");
}

/* --- worker --- */

struct worker {
	sd_event *event;
	struct worker_callbacks cb;
	enum slot_id slot;
	uint8_t image[32];
	unsigned turns;
	bool got_data;
	sd_event_source *turn;
};

static int on_work(sd_event_source *s, void *userdata)
{
	static const struct ipc_range range = {0, 1};
	struct worker *wk = userdata;
	struct world *w = the_world;
	struct job_progress p = {.done = 1, .total = 2, .phase = JOB_WRITING};
	struct error e = {0};

	sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	switch (wk->turns++) {
	case 0:
		memset(w->slot_image[wk->slot], 0xee, 32); /* half written */
		wk->cb.need(wk->cb.ctx, &range, 1);
		return 0;
	case 1:
		wk->cb.progress(wk->cb.ctx, &p);
		return 0;
	case 2:
		return 0;
	default:
		break;
	}
	ck_assert(wk->got_data);
	wk->turn = sd_event_source_disable_unref(wk->turn);
	if (w->worker_deaths > 0 && w->worker_deaths-- > 0)
		error_set(&e, EF_REASON_IO, "worker ended by signal 9");
	else if (w->worker_error)
		error_set(&e, w->worker_error, "slot");
	else
		memcpy(w->slot_image[wk->slot], wk->image, 32);
	wk->cb.done(wk->cb.ctx, &e);
	return 0;
}

enum ef_reason worker_stage(struct worker **ret, sd_event *event,
	const struct worker_stage_spec *spec, const struct worker_callbacks *cb, struct error *e)
{
	struct worker *wk = calloc(1, sizeof(*wk));

	ck_assert_str_ne(spec->target, spec->running);
	wk->event = event;
	wk->cb = *cb;
	wk->slot = strcmp(spec->target, the_world->config.slot_a) == 0 ? SLOT_A : SLOT_B;
	ck_assert_int_ne(wk->slot, world_boot(the_world).running); /* I-1 */
	memcpy(wk->image, spec->image_sha256, 32);
	the_world->worker_jobs++;
	sd_event_add_defer(event, &wk->turn, on_work, wk);
	*ret = wk;
	return EF_REASON_OK;
}

int worker_data(struct worker *wk, int fd, bool whole_pack, uint64_t offset)
{
	wk->got_data = true;
	return 0;
}

void worker_free(struct worker *wk)
{
	if (wk)
		sd_event_source_disable_unref(wk->turn);
	free(wk);
}
