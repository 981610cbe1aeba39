/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/time-floor.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/time-util.h"
#include <errno.h>
#include <string.h>

#define STORE_STEP 3600

static int64_t elapsed(const struct time_floor *f, uint64_t mono_us)
{
	return mono_us > f->since_us ? (int64_t)((mono_us - f->since_us) / USEC_PER_SEC) : 0;
}

static enum ef_reason stored_floor(const struct tuf_store *store, int64_t *ret, struct error *e)
{
	static const char *const known[] = {"floor", NULL};
	struct error why = {.reason = EF_REASON_OK};
	_cleanup_free_ uint8_t *data = NULL;
	uint64_t v;
	size_t size;

	*ret = 0;
	int r = store->load(store->ctx, TIME_FLOOR_FILE, &data, &size);
	if (r == -ENOENT)
		return EF_REASON_OK;
	if (r == -ENOMEM)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", TIME_FLOOR_FILE);
	if (r < 0)
		return error_set(
			e, EF_REASON_STATE_UNREADABLE, "%s: %s", TIME_FLOOR_FILE, strerror(-r));
	_cleanup_json_ json_t *o = json_read(data, size, TIME_FLOOR_FILE, &why);
	if (why.reason == EF_REASON_NO_MEMORY)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", TIME_FLOOR_FILE);
	if (json_unknown_key(o, known) || !json_get_uint(o, "floor", &v))
		return error_set(e, EF_REASON_STATE_UNREADABLE, "%s", TIME_FLOOR_FILE);
	*ret = (int64_t)v;
	return EF_REASON_OK;
}

enum ef_reason time_floor_open(struct time_floor *f, const struct tuf_store *store, int64_t built,
	uint64_t mono_us, struct error *e)
{
	int64_t stored;

	if (stored_floor(store, &stored, e) != EF_REASON_OK)
		return e->reason;
	*f = (struct time_floor){
		.floor = stored > built ? stored : built, .since_us = mono_us, .stored = stored};
	return EF_REASON_OK;
}

int64_t time_floor_now(
	const struct time_floor *f, int64_t clock, bool synchronised, uint64_t mono_us)
{
	int64_t least;

	if (__builtin_add_overflow(f->floor, elapsed(f, mono_us), &least))
		least = f->floor;
	return synchronised && clock > least ? clock : least;
}

enum ef_reason time_floor_raise(struct time_floor *f, const struct tuf_store *store, int64_t now,
	uint64_t mono_us, struct error *e)
{
	if (now <= f->floor)
		return EF_REASON_OK;
	if (now - f->stored >= STORE_STEP) {
		_cleanup_json_ json_t *o = json_pack("{s:I}", "floor", (json_int_t)now);
		_cleanup_free_ char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
		if (!text)
			return error_set(e, EF_REASON_NO_MEMORY, "%s", TIME_FLOOR_FILE);
		int r = store->save(store->ctx, TIME_FLOOR_FILE, text, strlen(text));
		if (r < 0)
			return error_errno(e, r, "cannot store %s", TIME_FLOOR_FILE);
		f->stored = now;
	}
	f->floor = now;
	f->since_us = mono_us;
	return EF_REASON_OK;
}
