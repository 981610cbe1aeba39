/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/reader.h"
#include "worker/target.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct block {
	uint8_t *data;
	uint64_t offset;
	ssize_t size; /* that were there, or negative errno */
};

struct reader {
	int fd;
	bool direct, stop;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more, room;
	uint8_t *memory;
	struct block blocks[READER_BLOCKS];
	unsigned first, n;   /* of blocks: those that are full, in order */
	uint64_t next;	     /* where the thread reads when there is room */
	unsigned generation; /* changes with next: what is being read then is not wanted */
	bool ended;	     /* by the last block, as end or error: nothing is read any more */
};

static ssize_t read_block(const struct reader *r, uint8_t *data, uint64_t offset)
{
	size_t have = 0;

	while (have < READER_BLOCK) {
		ssize_t n = pread(r->fd, data + have, READER_BLOCK - have, (off_t)(offset + have));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return have ? (ssize_t)have : -errno;
		have += (size_t)n;
		/* O_DIRECT: less is the end, and no call may begin within a block. */
		if (n == 0 || r->direct)
			break;
	}
	return (ssize_t)have;
}

static void *run(void *arg)
{
	struct reader *r = arg;

	pthread_mutex_lock(&r->lock);
	while (!r->stop) {
		if (r->n == READER_BLOCKS || r->ended) {
			pthread_cond_wait(&r->room, &r->lock);
			continue;
		}
		struct block *b = &r->blocks[(r->first + r->n) % READER_BLOCKS];
		unsigned generation = r->generation;
		uint64_t offset = r->next;
		pthread_mutex_unlock(&r->lock);
		ssize_t size = read_block(r, b->data, offset);
		pthread_mutex_lock(&r->lock);
		if (generation != r->generation)
			continue;
		b->offset = offset;
		b->size = size;
		r->n++;
		r->next = offset + READER_BLOCK;
		r->ended = size != READER_BLOCK;
		pthread_cond_signal(&r->more);
	}
	pthread_mutex_unlock(&r->lock);
	return NULL;
}

int reader_open(struct reader **ret, int fd)
{
	struct reader *r = calloc(1, sizeof(*r));

	if (!r)
		return -ENOMEM;
	*r = (struct reader){.fd = fd, .direct = fcntl(fd, F_GETFL) & O_DIRECT, .ended = true};
	r->memory = aligned_alloc(TARGET_ALIGN, (size_t)READER_BLOCKS * READER_BLOCK);
	for (size_t i = 0; r->memory && i < READER_BLOCKS; i++)
		r->blocks[i].data = r->memory + i * READER_BLOCK;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->more, NULL);
	pthread_cond_init(&r->room, NULL);
	int error = r->memory ? pthread_create(&r->thread, NULL, run, r) : ENOMEM;
	if (error) {
		free(r->memory);
		free(r);
		return -error;
	}
	*ret = r;
	return 0;
}

void reader_close(struct reader *r)
{
	if (!r)
		return;
	pthread_mutex_lock(&r->lock);
	r->stop = true;
	pthread_cond_signal(&r->room);
	pthread_mutex_unlock(&r->lock);
	pthread_join(r->thread, NULL);
	free(r->memory);
	free(r);
}

/* Lets go of what stands before offset; reads from there on when it is none of the next block. */
static void move_to(struct reader *r, uint64_t offset)
{
	while (r->n > 0 && r->blocks[r->first].offset + READER_BLOCK <= offset) {
		r->first = (r->first + 1) % READER_BLOCKS;
		r->n--;
	}
	uint64_t begin = r->n > 0 ? r->blocks[r->first].offset : r->next;
	if (offset < begin || (r->n == 0 && (r->ended || offset >= r->next + READER_BLOCK))) {
		r->n = 0;
		r->next = offset / TARGET_ALIGN * TARGET_ALIGN;
		r->ended = false;
		r->generation++;
	}
	pthread_cond_signal(&r->room);
}

/* The block that holds the byte at offset. It stays until the next call. */
static const struct block *block_at(struct reader *r, uint64_t offset)
{
	pthread_mutex_lock(&r->lock);
	move_to(r, offset);
	while (r->n == 0)
		pthread_cond_wait(&r->more, &r->lock);
	const struct block *b = &r->blocks[r->first];
	pthread_mutex_unlock(&r->lock);
	return b;
}

int reader_peek(struct reader *r, uint64_t offset, const uint8_t **ret, size_t *size)
{
	const struct block *b = block_at(r, offset);

	if (b->size < 0)
		return (int)b->size;
	uint64_t skip = offset - b->offset;
	if (skip >= (uint64_t)b->size)
		return 0;
	*ret = b->data + skip;
	*size = (size_t)b->size - (size_t)skip;
	return 1;
}

ssize_t reader_read(struct reader *r, void *buf, size_t size, uint64_t offset)
{
	const uint8_t *data;
	size_t done = 0, n;

	while (done < size) {
		int found = reader_peek(r, offset + done, &data, &n);
		if (found <= 0)
			return found < 0 ? found : (ssize_t)done;
		n = n < size - done ? n : size - done;
		memcpy((char *)buf + done, data, n);
		done += n;
	}
	return (ssize_t)done;
}
