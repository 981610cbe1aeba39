/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/readback.h"
#include "util/fdio.h"
#include "worker/codec.h"
#include "worker/reader.h"
#include "worker/stage-internal.h" /* stage_all_zero */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SAMPLES 256u	   /* at most, one in each cell of the image */
#define SAMPLE (64u << 10) /* bytes: whole blocks of any medium */
#define LOOK_NS 100000000L /* how often finish looks */

struct sample {
	uint64_t offset;
	uint8_t digest[EVP_MAX_MD_SIZE];
};

struct readback {
	struct target *target;
	uint64_t image_size;
	uint8_t sha256[32];
	struct codec codec; /* the running digest */
	struct sample samples[SAMPLES];
	uint64_t cell; /* bytes, a multiple of SAMPLE */
	size_t n;      /* samples taken */
	uint64_t next; /* where to take the next */
	bool sampling; /* something will be written yet */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under the lock */
	uint64_t allowed, at; /* to be read; read */
	bool last;	      /* nothing is written any more */
	bool stop, over;
	struct error error;
};

static bool stopped(struct readback *b)
{
	pthread_mutex_lock(&b->lock);
	bool stop = b->stop;
	pthread_mutex_unlock(&b->lock);
	return stop;
}

/* Somewhere in the cell that begins at or behind offset. */
static void choose_next(struct readback *b, uint64_t offset)
{
	uint64_t cell = (offset + b->cell - 1) / b->cell;

	b->next = cell * b->cell +
		  (uint64_t)arc4random_uniform((uint32_t)(b->cell / SAMPLE)) * SAMPLE;
}

static bool digest_of(const struct readback *b, const void *data, uint8_t digest[EVP_MAX_MD_SIZE])
{
	return EVP_Digest(data, SAMPLE, digest, NULL, b->codec.sha256, NULL) == 1;
}

static bool take_samples(struct readback *b, const uint8_t *data, size_t n)
{
	while (b->next + SAMPLE <= b->at + n) {
		struct sample *x = &b->samples[b->n++];
		x->offset = b->next;
		if (!digest_of(b, data + (b->next - b->at), x->digest))
			return false;
		choose_next(b, b->next + 1);
	}
	return true;
}

/* A block of image and tail. */
static enum ef_reason read_block(struct readback *b, struct reader *reader, struct error *e)
{
	uint64_t left = b->at < b->image_size ? b->image_size - b->at : 0;
	const uint8_t *data;
	size_t n;
	int r = reader_peek(reader, b->at, &data, &n);

	if (r <= 0)
		return error_set(e, EF_REASON_SLOT_READ_BACK, "%s at byte %llu: error %d",
			b->target->path, (unsigned long long)b->at, r < 0 ? -r : ENODATA);
	size_t image = left < n ? (size_t)left : n;
	if (EVP_DigestUpdate(b->codec.md, data, image) != 1 ||
		(b->sampling && !take_samples(b, data, n)))
		return error_set(e, EF_REASON_INTERNAL, "SHA-256");
	if (!stage_all_zero(data + image, n - image))
		return error_set(e, EF_REASON_SLOT_READ_BACK, "%s: something is behind the image",
			b->target->path);
	uint64_t at = b->at + n;
	if (at > b->image_size)
		at = target_skip_hole(b->target, at);
	pthread_mutex_lock(&b->lock);
	b->at = at;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	return EF_REASON_OK;
}

/* With a reader of its own: what one has read ahead of end may be written yet. */
static enum ef_reason read_to(struct readback *b, uint64_t end, struct error *e)
{
	struct reader *reader;
	int r = reader_open(&reader, target_past_cache(b->target));

	if (r < 0)
		return error_errno(e, r, "reader");
	while (b->at < end && !stopped(b) && !read_block(b, reader, e))
		;
	reader_close(reader);
	return e->reason;
}

struct look {
	struct readback *back;
	struct error error;
};

/* What the medium lost since it was read, or gave to what was written later. */
static void *look_again(void *arg)
{
	uint8_t data[SAMPLE] __attribute__((aligned(TARGET_ALIGN))), digest[EVP_MAX_MD_SIZE];
	struct look *look = arg;
	struct readback *b = look->back;
	int fd = target_past_cache(b->target);

	for (size_t i = 0; i < b->n && !stopped(b); i++) {
		const struct sample *x = &b->samples[i];
		int r = fd_pread_full(fd, data, SAMPLE, x->offset);
		if (r < 0 || !digest_of(b, data, digest) ||
			memcmp(digest, x->digest, CHUNK_DIGEST_SIZE) != 0) {
			error_set(&look->error, EF_REASON_SLOT_READ_BACK,
				"%s at byte %llu: not what it was before the last write",
				b->target->path, (unsigned long long)x->offset);
			break;
		}
	}
	return NULL;
}

static enum ef_reason conclude(struct readback *b, struct error *e)
{
	uint8_t digest[EVP_MAX_MD_SIZE];

	if (EVP_DigestFinal_ex(b->codec.md, digest, NULL) != 1 ||
		memcmp(digest, b->sha256, sizeof(b->sha256)) != 0)
		return error_set(e, EF_REASON_SLOT_READ_BACK, "%s", b->target->path);
	return EF_REASON_OK;
}

/* After the last write: what was not read yet and, beside it, the samples. */
static enum ef_reason read_rest(struct readback *b, uint64_t end, struct error *e)
{
	struct look look = {.back = b};
	pthread_t thread;
	int r = pthread_create(&thread, NULL, look_again, &look);

	if (r)
		return error_errno(e, -r, "read back");
	if (!read_to(b, end, e))
		conclude(b, e);
	pthread_join(thread, NULL);
	if (!e->reason)
		*e = look.error;
	return e->reason;
}

static void *run(void *arg)
{
	struct readback *b = arg;
	struct error e = {0};

	pthread_mutex_lock(&b->lock);
	while (!b->stop && !b->over) {
		uint64_t end = b->allowed;
		bool last = b->last;
		if (b->at >= end && !last) {
			pthread_cond_wait(&b->changed, &b->lock);
			continue;
		}
		pthread_mutex_unlock(&b->lock);
		b->sampling = !last;
		if (last)
			read_rest(b, end, &e);
		else if (!target_sync(b->target, &e))
			read_to(b, end, &e);
		pthread_mutex_lock(&b->lock);
		b->over = last || e.reason;
	}
	b->error = e;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	return NULL;
}

static void free_all(struct readback *b)
{
	codec_close(&b->codec);
	free(b);
}

enum ef_reason readback_open(struct readback **ret, struct target *t, uint64_t image_size,
	const uint8_t sha256[32], struct error *e)
{
	struct readback *b = calloc(1, sizeof(*b));

	if (!b)
		return error_errno(e, -ENOMEM, "read back");
	b->target = t;
	b->image_size = image_size;
	memcpy(b->sha256, sha256, sizeof(b->sha256));
	b->cell = (image_size / SAMPLES / SAMPLE + 1) * SAMPLE;
	choose_next(b, 0);
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->changed, NULL);
	bool good = codec_open(&b->codec) == 0 &&
		    EVP_DigestInit_ex2(b->codec.md, b->codec.sha256, NULL) == 1;
	int r = good ? pthread_create(&b->thread, NULL, run, b) : ENOMEM;
	if (r) {
		free_all(b);
		return error_errno(e, -r, "read back");
	}
	*ret = b;
	return EF_REASON_OK;
}

void readback_close(struct readback *b)
{
	if (!b)
		return;
	pthread_mutex_lock(&b->lock);
	b->stop = true;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	pthread_join(b->thread, NULL);
	free_all(b);
}

void readback_allow(struct readback *b, uint64_t end)
{
	pthread_mutex_lock(&b->lock);
	b->allowed = end / READER_BLOCK * READER_BLOCK;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
}

/* Until it is over or LOOK_NS later. True: it is over; *at: how far it is. */
static bool wait_for(struct readback *b, uint64_t *at)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_NS;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	pthread_mutex_lock(&b->lock);
	if (!b->over)
		pthread_cond_clockwait(&b->changed, &b->lock, CLOCK_MONOTONIC, &until);
	bool over = b->over;
	*at = b->at < b->image_size ? b->at : b->image_size;
	pthread_mutex_unlock(&b->lock);
	return over;
}

enum ef_reason readback_finish(
	struct readback *b, struct control *control, struct job_progress *p, struct error *e)
{
	uint64_t at, before = UINT64_MAX;

	pthread_mutex_lock(&b->lock);
	b->allowed = b->target->size;
	b->last = true;
	pthread_cond_broadcast(&b->changed);
	pthread_mutex_unlock(&b->lock);
	p->phase = JOB_READING_BACK;
	while (!wait_for(b, &at)) {
		int r = control_check(control);
		if (r == -ECANCELED)
			return error_set(e, EF_REASON_CANCELLED, "told to stop");
		if (r < 0)
			return error_errno(e, r, "line to the core");
		/* No word while the medium gives nothing: the core has to notice when it hangs. */
		p->done = at;
		if (at != before)
			control_progress(control, p);
		before = at;
	}
	*e = b->error;
	return e->reason;
}
