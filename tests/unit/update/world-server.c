/* SPDX-License-Identifier: Apache-2.0 */
/* The server behind net/client.h, the worker behind worker/client.h. */
#include "bundle/chunks.h"
#include "util/fdio.h"
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
	struct ipc_range range; /* size 0: all of it */
	bool cancelled;
	net_fetch_done done;
	net_fetch_memory_done memory_done;
	void *ctx;
	sd_event_source *turn;
	struct request *next;
};

static struct request *requests;
static uint32_t last_id;
bool world_client_freed;

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
	if (data && r->range.size > 0) {
		ck_assert(!r->done);
		if (r->range.offset > size || r->range.size > size - r->range.offset)
			error_set(&e, EF_REASON_BAD_SIZE, "%s", r->path);
		data += r->range.offset;
		size = r->range.size;
	}
	if (r->done && !e.reason && w->fetch_note)
		snprintf(e.detail, sizeof(e.detail), "%s", w->fetch_note);
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
	the_world->last_range = n_ranges > 0 ? ranges[0] : (struct ipc_range){0};
	return request_new(path, done, NULL, ctx);
}

uint32_t net_fetch_memory(struct net_client *c, const char *path, uint64_t max_size,
	net_fetch_memory_done done, void *ctx)
{
	return request_new(path, NULL, done, ctx);
}

uint32_t net_fetch_part(struct net_client *c, const char *path, const struct ipc_range *range,
	net_fetch_memory_done done, void *ctx)
{
	uint32_t id = request_new(path, NULL, done, ctx);

	requests->range = *range;
	return id;
}

/* net/ipc.h */
bool ipc_is_url(const char *path)
{
	return strncmp(path, "https://", 8) == 0;
}

bool ipc_url_good(const char *url)
{
	return ipc_is_url(url);
}

void net_fetch_cancel(struct net_client *c, uint32_t id)
{
	ck_assert(!world_client_freed);
	for (struct request *r = requests; r; r = r->next)
		if (r->id == id)
			r->cancelled = true;
}

void net_client_free(struct net_client *c)
{
	world_client_freed = true;
	while (requests)
		request_free(requests);
}

/* --- worker --- */

struct worker {
	sd_event *event;
	struct worker_callbacks cb;
	enum slot_id slot;
	uint8_t image[32], pack[32];
	uint64_t pack_size;
	unsigned turns;
	bool got_data;
	enum ef_reason bad_data;
	sd_event_source *turn;
	bool boot;	   /* it is the slot's boot partition */
	uint8_t patch[64]; /* hash of the old image and of the new one */
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
	else if (wk->bad_data)
		error_set(&e, wk->bad_data, "pack");
	else if (w->worker_error)
		error_set(&e, w->worker_error, "slot");
	else
		memcpy(wk->boot ? w->boot_image[wk->slot] : w->slot_image[wk->slot], wk->image, 32);
	wk->cb.done(wk->cb.ctx, &e);
	return 0;
}

static bool is_one(const char *path, const char *a, const char *b)
{
	return (a && strcmp(path, a) == 0) || (b && strcmp(path, b) == 0);
}

enum ef_reason worker_stage(struct worker **ret, sd_event *event,
	const struct worker_stage_spec *spec, const struct worker_callbacks *cb, struct error *e)
{
	struct worker *wk = calloc(1, sizeof(*wk));

	ck_assert_str_ne(spec->target, spec->running);
	wk->event = event;
	wk->cb = *cb;
	wk->slot = is_one(spec->target, the_world->config.slot_a, the_world->config.boot_a)
			   ? SLOT_A
			   : SLOT_B;
	wk->boot = is_one(spec->target, the_world->config.boot_a, the_world->config.boot_b);
	ck_assert_int_ne(wk->slot, world_boot(the_world).running); /* I-1 */
	memcpy(wk->image, spec->image_sha256, 32);
	struct chunk_index *x = NULL;
	ck_assert_int_eq(chunk_index_parse(spec->index, spec->index_size, &x, e), EF_REASON_OK);
	memcpy(wk->pack, x->pack_sha256, 32);
	wk->pack_size = x->pack_size;
	chunk_index_free(x);
	the_world->verity_offset = spec->verity_offset;
	the_world->worker_jobs++;
	the_world->workers++;
	sd_event_add_defer(event, &wk->turn, on_work, wk);
	/* what is fetched for it comes before it is done */
	sd_event_source_set_priority(wk->turn, SD_EVENT_PRIORITY_IDLE);
	*ret = wk;
	return EF_REASON_OK;
}

static int on_patch(sd_event_source *s, void *userdata)
{
	struct worker *wk = userdata;
	struct error e = {0};

	sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	if (wk->turns++ < 3)
		return 0;
	wk->turn = sd_event_source_disable_unref(wk->turn);
	error_set(&e, the_world->patch_error, "patch");
	wk->cb.done(wk->cb.ctx, &e);
	return 0;
}

enum ef_reason worker_patch(struct worker **ret, sd_event *event,
	const struct worker_patch_spec *spec, const struct worker_callbacks *cb, struct error *e)
{
	struct worker *wk = calloc(1, sizeof(*wk));

	wk->event = event;
	wk->cb = *cb;
	memcpy(wk->patch, spec->old + spec->old_size - 32, 32);
	memcpy(wk->patch + 32, spec->new + spec->new_size - 32, 32);
	the_world->patch_jobs++;
	the_world->workers++;
	sd_event_add_defer(event, &wk->turn, on_patch, wk);
	*ret = wk;
	return EF_REASON_OK;
}

enum ef_reason worker_take_patch(
	const struct worker *wk, uint8_t **ret, size_t *size, struct error *e)
{
	*size = the_world->patch_size > 0 ? the_world->patch_size : WORLD_PATCH;
	*ret = calloc(1, *size);
	memcpy(*ret, wk->patch, sizeof(wk->patch));
	return EF_REASON_OK;
}

int worker_data(struct worker *wk, int fd, bool whole_pack, uint64_t offset)
{
	uint8_t digest[32];

	wk->got_data = true;
	if (!whole_pack)
		return 0;
	int r = the_world->medium_gone ? -EIO : fd_sha256(fd, offset, wk->pack_size, digest);
	wk->bad_data = r < 0				   ? EF_REASON_IO
		       : memcmp(digest, wk->pack, 32) != 0 ? EF_REASON_BAD_DIGEST
							   : EF_REASON_OK;
	return 0;
}

void worker_free(struct worker *wk)
{
	if (!wk)
		return;
	the_world->workers--;
	sd_event_source_disable_unref(wk->turn);
	free(wk);
}
