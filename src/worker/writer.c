/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/writer.h"
#include "worker/codec.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define CHECKERS 2u
#define CHECKERS_NICER 4
#define SLABS (CHECKERS + 6u)  /* filled, written, checked, and some waiting for any of these */
#define SLAB_FULL (512u << 10) /* plain and packed bytes after which a slab goes out */
#define SLAB_PIECES 512u
#define NOWHERE UINT64_MAX
#define PLAIN_ROOM (CHUNK_MAX + 2 * TARGET_ALIGN)
#define SLAB_ROOM (PLAIN_ROOM + CHUNK_MAX)

struct piece {
	struct chunk chunk; /* pack_size 0: it is not to be unpacked */
	uint32_t packed;    /* where its packed bytes begin */
	bool checked;
};

/*
 * A stretch of the target on its way there. The byte for offset stands at memory + offset % ALIGN,
 * so that whole blocks of the target are whole blocks of memory. A block in which one slab ends and
 * the next goes on is written once, with the next: from tells where that one really begins.
 */
struct slab {
	uint8_t *memory, *packed;
	uint32_t n_packed;
	uint64_t offset, size; /* of its own bytes */
	uint64_t from; /* in the block of offset; what is before that came from the slab before */
	bool zeros;    /* no memory, only zeros */
	bool goes_on;  /* the next slab goes on where this one ends */
	bool checked;
	struct error error; /* what is wrong with the piece behind those that are left */
	struct piece pieces[SLAB_PIECES];
	size_t n;
};

/*
 * Slabs go from hand to hand in order: the caller fills, threads check one each, one thread writes.
 * The counts of what was done never stop growing; a slab's place is its number modulo SLABS.
 */
struct writer {
	struct target *target;
	struct error error; /* of the first failure; from then on nothing is written */
	bool stop;
	pthread_t threads[CHECKERS + 1];
	size_t n_threads;
	pthread_mutex_t lock;
	pthread_cond_t to_check, to_write; /* a slab is there for that */
	pthread_cond_t room_again;
	uint8_t *memory;
	struct slab slabs[SLABS], *filling;
	uint64_t filled, taken, written; /* taken: to be checked */
	uint32_t room;			 /* given out and not put yet */
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

static enum ef_reason check_piece(
	struct codec *c, const struct slab *s, const struct piece *p, struct error *e)
{
	uint8_t *plain = place(s, p->chunk.offset);

	if (p->checked)
		return EF_REASON_OK;
	if (p->chunk.pack_size > 0 && codec_unpack(c, &p->chunk, s->packed + p->packed, plain, e))
		return e->reason;
	if (codec_matches(c, plain, p->chunk.size, p->chunk.digest))
		return EF_REASON_OK;
	return error_set(e, EF_REASON_BAD_DIGEST, "chunk at byte %llu: bytes",
		(unsigned long long)p->chunk.offset);
}

static void cut_off(struct slab *s, uint64_t size)
{
	s->size = size;
	s->goes_on = false;
}

/* What stands before the first piece that is not right is good, and stays. */
static void check_slab(struct codec *c, struct slab *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (check_piece(c, s, &s->pieces[i], &s->error)) {
			cut_off(s, s->pieces[i].chunk.offset - s->offset);
			return;
		}
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

static void *check_all(void *arg)
{
	struct writer *w = arg;
	struct codec codec;
	bool opened = codec_open(&codec) == 0;

	/* Behind reading back, which is the last to end and cannot be shared out. Of this thread
	 * only. */
	setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + CHECKERS_NICER);
	pthread_mutex_lock(&w->lock);
	while (w->taken < w->filled || !w->stop) {
		if (w->taken == w->filled) {
			pthread_cond_wait(&w->to_check, &w->lock);
			continue;
		}
		struct slab *s = &w->slabs[w->taken++ % SLABS];
		pthread_mutex_unlock(&w->lock);
		if (opened) {
			check_slab(&codec, s);
		} else {
			cut_off(s, 0);
			error_errno(&s->error, -ENOMEM, "writer");
		}
		pthread_mutex_lock(&w->lock);
		s->checked = true;
		if (s == &w->slabs[w->written % SLABS])
			pthread_cond_signal(&w->to_write);
	}
	pthread_mutex_unlock(&w->lock);
	codec_close(&codec);
	return NULL;
}

/* After the first failure slabs only pass through. */
static void *write_all(void *arg)
{
	struct writer *w = arg;

	pthread_mutex_lock(&w->lock);
	while (w->written < w->filled || !w->stop) {
		struct slab *s = &w->slabs[w->written % SLABS];
		if (w->written == w->filled || !s->checked) {
			pthread_cond_wait(&w->to_write, &w->lock);
			continue;
		}
		struct error e = w->error;
		pthread_mutex_unlock(&w->lock);
		if (!e.reason && !write_slab(w, s, &w->slabs[(w->written + 1) % SLABS], &e))
			e = s->error;
		pthread_mutex_lock(&w->lock);
		w->written++;
		w->error = e;
		pthread_cond_signal(&w->room_again);
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
		pthread_cond_signal(&w->to_check);
	}
	while (w->filled - w->written == SLABS)
		pthread_cond_wait(&w->room_again, &w->lock);
	if (w->error.reason)
		*e = w->error;
	s = w->filling = &w->slabs[w->filled % SLABS];
	pthread_mutex_unlock(&w->lock);
	s->offset = offset;
	s->from = from;
	s->size = s->n = s->n_packed = 0;
	s->zeros = s->checked = false;
	s->error.reason = EF_REASON_OK;
	return e->reason;
}

/* For a piece of so many plain and packed bytes at offset. */
static enum ef_reason make_room(
	struct writer *w, uint64_t offset, uint32_t size, uint32_t packed, struct error *e)
{
	const struct slab *s = w->filling;

	if (follows(s, offset) && s->n < SLAB_PIECES &&
		s->size + size + s->n_packed + packed <= SLAB_FULL)
		return EF_REASON_OK;
	return next_slab(w, offset, e);
}

static void add_piece(struct slab *s, const struct piece *p)
{
	s->pieces[s->n++] = *p;
	s->size += p->chunk.size;
	s->n_packed += p->chunk.pack_size;
}

uint8_t *writer_room(struct writer *w, uint64_t offset, uint32_t size, struct error *e)
{
	if (make_room(w, offset, size, 0, e))
		return NULL;
	w->room = size;
	return place(w->filling, offset);
}

void writer_put(struct writer *w, const uint8_t *digest)
{
	struct slab *s = w->filling;
	struct piece p = {.checked = !digest};

	p.chunk.offset = s->offset + s->size;
	p.chunk.size = w->room;
	if (digest)
		memcpy(p.chunk.digest, digest, sizeof(p.chunk.digest));
	add_piece(s, &p);
}

enum ef_reason writer_unpack(
	struct writer *w, const struct chunk *c, const void *packed, struct error *e)
{
	if (make_room(w, c->offset, c->size, c->pack_size, e))
		return e->reason;
	struct slab *s = w->filling;
	struct piece p = {.chunk = *c, .packed = s->n_packed};
	memcpy(s->packed + s->n_packed, packed, c->pack_size);
	add_piece(s, &p);
	return EF_REASON_OK;
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
		pthread_cond_wait(&w->room_again, &w->lock);
	if (w->error.reason)
		*e = w->error;
	pthread_mutex_unlock(&w->lock);
	return e->reason;
}

uint64_t writer_mark(const struct writer *w)
{
	return w->filled + (w->filling->size > 0);
}

bool writer_is_past(struct writer *w, uint64_t mark)
{
	pthread_mutex_lock(&w->lock);
	bool past = w->written >= mark && !w->error.reason;
	pthread_mutex_unlock(&w->lock);
	return past;
}

static void stop(struct writer *w)
{
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->to_check);
	pthread_cond_signal(&w->to_write);
	pthread_mutex_unlock(&w->lock);
	while (w->n_threads > 0)
		pthread_join(w->threads[--w->n_threads], NULL);
	free(w->memory);
	free(w);
}

static int start(struct writer *w)
{
	int r = 0;

	while (r == 0 && w->n_threads <= CHECKERS) {
		r = pthread_create(&w->threads[w->n_threads], NULL,
			w->n_threads < CHECKERS ? check_all : write_all, w);
		w->n_threads += r == 0;
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
	for (size_t i = 0; w->memory && i < SLABS; i++) {
		w->slabs[i].memory = w->memory + i * SLAB_ROOM;
		w->slabs[i].packed = w->slabs[i].memory + PLAIN_ROOM;
	}
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->to_check, NULL);
	pthread_cond_init(&w->to_write, NULL);
	pthread_cond_init(&w->room_again, NULL);
	int r = w->memory ? start(w) : ENOMEM;
	if (r) {
		stop(w);
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
}
