/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/writer.h"
#include "worker/codec.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SLABS 4u	     /* filled, checked, written, and one waiting for any of these */
#define SLAB_FULL (1u << 20) /* bytes after which a slab goes out */
#define SLAB_PIECES 1024u
#define NOWHERE UINT64_MAX
#define SLAB_ROOM (CHUNK_MAX + 2 * TARGET_ALIGN)

struct piece {
	uint32_t size;
	bool checked;
	uint8_t digest[CHUNK_DIGEST_SIZE];
};

/*
 * A stretch of the target on its way there. The byte for offset stands at memory + offset % ALIGN,
 * so that whole blocks of the target are whole blocks of memory. A block in which one slab ends and
 * the next goes on is written once, with the next: from tells where that one really begins.
 */
struct slab {
	uint8_t *memory;
	uint64_t offset, size; /* of its own bytes */
	uint64_t from; /* in the block of offset; what is before that came from the slab before */
	bool zeros;    /* no memory, only zeros */
	bool goes_on;  /* the next slab goes on where this one ends */
	struct piece pieces[SLAB_PIECES];
	size_t n;
};

/*
 * Three hands, each with slabs of its own, in order: the caller fills, one thread checks, one
 * writes. The counts of what each has done never stop growing; a slab's place is its number modulo
 * SLABS.
 */
struct writer {
	struct target *target;
	struct codec codec; /* the checking thread's */
	struct error error; /* of the first failure; from then on nothing is written */
	bool stop;
	pthread_t checking, writing;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint8_t *memory;
	struct slab slabs[SLABS], *filling;
	uint64_t filled, checked, written;
	uint32_t room; /* given out and not put yet */
};

/* Where the byte for a place in the target stands; not before the block of s->offset. */
static uint8_t *place(const struct slab *s, uint64_t offset)
{
	return s->memory + (offset - s->offset / TARGET_ALIGN * TARGET_ALIGN);
}

/* The first byte of the target that the slab behind s has to write, when s goes on there. */
static uint64_t handed_on(const struct slab *s)
{
	uint64_t block = (s->offset + s->size) / TARGET_ALIGN * TARGET_ALIGN;

	return block > s->from ? block : s->from;
}

/* ---- the threads ---- */

static enum ef_reason check_slab(struct writer *w, const struct slab *s, struct error *e)
{
	uint64_t at = s->offset;

	if (s->zeros)
		return EF_REASON_OK;
	for (size_t i = 0; i < s->n; at += s->pieces[i++].size)
		if (!s->pieces[i].checked && !codec_matches(&w->codec, place(s, at),
						     s->pieces[i].size, s->pieces[i].digest))
			return error_set(e, EF_REASON_BAD_DIGEST, "chunk at byte %llu: bytes",
				(unsigned long long)at);
	return EF_REASON_OK;
}

static enum ef_reason write_slab(
	struct writer *w, const struct slab *s, struct slab *next, struct error *e)
{
	uint64_t end = s->offset + s->size, to = end;

	if (s->zeros)
		return target_zero(w->target, s->offset, s->size, e);
	if (s->goes_on) {
		to = handed_on(s);
		memcpy(next->memory + (to - end / TARGET_ALIGN * TARGET_ALIGN), place(s, to),
			end - to);
	}
	return s->from < to ? target_write(w->target, place(s, s->from), to - s->from, s->from, e)
			    : EF_REASON_OK;
}

/* True: slab number n is there, behind those of *before; false: none will come. */
static bool wait_for(struct writer *w, const uint64_t *before, uint64_t n)
{
	while (*before == n && !w->stop)
		pthread_cond_wait(&w->changed, &w->lock);
	return *before > n;
}

/* After the first failure slabs only pass through. */
static void finish(struct writer *w, uint64_t *count, const struct error *e)
{
	if (e->reason && !w->error.reason)
		w->error = *e;
	(*count)++;
	pthread_cond_broadcast(&w->changed);
}

static void *check_all(void *arg)
{
	struct writer *w = arg;

	pthread_mutex_lock(&w->lock);
	while (wait_for(w, &w->filled, w->checked)) {
		struct error e = w->error;
		pthread_mutex_unlock(&w->lock);
		if (!e.reason)
			check_slab(w, &w->slabs[w->checked % SLABS], &e);
		pthread_mutex_lock(&w->lock);
		finish(w, &w->checked, &e);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void *write_all(void *arg)
{
	struct writer *w = arg;

	pthread_mutex_lock(&w->lock);
	while (wait_for(w, &w->checked, w->written)) {
		struct error e = w->error;
		pthread_mutex_unlock(&w->lock);
		if (!e.reason)
			write_slab(w, &w->slabs[w->written % SLABS],
				&w->slabs[(w->written + 1) % SLABS], &e);
		pthread_mutex_lock(&w->lock);
		finish(w, &w->written, &e);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* ---- the caller's side ---- */

static bool follows(const struct slab *s, uint64_t offset)
{
	return s->size > 0 && !s->zeros && s->offset + s->size == offset;
}

/* Hands over what was filled, if anything, and begins anew at offset. */
static enum ef_reason next_slab(struct writer *w, uint64_t offset, struct error *e)
{
	struct slab *s = w->filling;
	bool goes_on = follows(s, offset);
	uint64_t from = goes_on ? handed_on(s) : offset;

	pthread_mutex_lock(&w->lock);
	if (s->size > 0) {
		s->goes_on = goes_on;
		w->filled++;
		pthread_cond_broadcast(&w->changed);
	}
	while (w->filled - w->written == SLABS)
		pthread_cond_wait(&w->changed, &w->lock);
	if (w->error.reason)
		*e = w->error;
	s = w->filling = &w->slabs[w->filled % SLABS];
	pthread_mutex_unlock(&w->lock);
	s->offset = offset;
	s->from = from;
	s->size = s->n = 0;
	s->zeros = false;
	return e->reason;
}

uint8_t *writer_room(struct writer *w, uint64_t offset, uint32_t size, struct error *e)
{
	struct slab *s = w->filling;

	if ((!follows(s, offset) || s->size + size > SLAB_FULL || s->n == SLAB_PIECES) &&
		next_slab(w, offset, e))
		return NULL;
	w->room = size;
	return place(w->filling, offset);
}

void writer_put(struct writer *w, const uint8_t *digest)
{
	struct slab *s = w->filling;
	struct piece *p = &s->pieces[s->n++];

	p->size = w->room;
	p->checked = !digest;
	if (digest)
		memcpy(p->digest, digest, sizeof(p->digest));
	s->size += p->size;
}

enum ef_reason writer_zero(struct writer *w, uint64_t offset, uint64_t size, struct error *e)
{
	/* It cannot finish the block of a slab that ends where it begins. */
	if (next_slab(w, NOWHERE, e))
		return e->reason;
	w->filling->offset = offset;
	w->filling->size = size;
	w->filling->zeros = true;
	return EF_REASON_OK;
}

enum ef_reason writer_flush(struct writer *w, struct error *e)
{
	if (next_slab(w, NOWHERE, e))
		return e->reason;
	pthread_mutex_lock(&w->lock);
	while (w->written < w->filled)
		pthread_cond_wait(&w->changed, &w->lock);
	if (w->error.reason)
		*e = w->error;
	pthread_mutex_unlock(&w->lock);
	return e->reason;
}

static void free_all(struct writer *w)
{
	free(w->memory);
	codec_close(&w->codec);
	free(w);
}

static void stop(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->changed);
	pthread_mutex_unlock(&w->lock);
}

static int start(struct writer *w)
{
	int r = pthread_create(&w->checking, NULL, check_all, w);

	if (r)
		return r;
	r = pthread_create(&w->writing, NULL, write_all, w);
	if (r) {
		stop(w);
		pthread_join(w->checking, NULL);
	}
	return r;
}

enum ef_reason writer_open(struct writer **ret, struct target *t, struct error *e)
{
	struct writer *w = calloc(1, sizeof(*w));

	if (!w)
		return error_errno(e, -ENOMEM, "writer");
	w->target = t;
	w->filling = w->slabs;
	w->memory = aligned_alloc(TARGET_ALIGN, (size_t)SLABS * SLAB_ROOM);
	for (size_t i = 0; w->memory && i < SLABS; i++)
		w->slabs[i].memory = w->memory + i * SLAB_ROOM;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->changed, NULL);
	int r = w->memory && codec_open(&w->codec) == 0 ? start(w) : ENOMEM;
	if (r) {
		free_all(w);
		return error_errno(e, -r, "writer");
	}
	*ret = w;
	return EF_REASON_OK;
}

void writer_close(struct writer *w)
{
	struct error e = {0};

	if (!w)
		return;
	writer_flush(w, &e);
	stop(w);
	pthread_join(w->checking, NULL);
	pthread_join(w->writing, NULL);
	free_all(w);
}
