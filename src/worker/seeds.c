/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/seeds.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t key_of(const uint8_t digest[CHUNK_DIGEST_SIZE])
{
	uint32_t key;

	memcpy(&key, digest, sizeof(key));
	return key;
}

int seeds_add(
	struct seeds *s, const uint8_t digest[CHUNK_DIGEST_SIZE], uint64_t offset, uint32_t size)
{
	if (s->n == SEEDS_MAX || offset >> 43)
		return 0;
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 1024;
		struct seed *larger = realloc(s->list, room * sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		s->list = larger;
		s->room = room;
	}
	s->list[s->n++] = (struct seed){.key = key_of(digest),
		.size = size & 0x1fffff,
		.offset_high = (uint32_t)(offset >> 32) & 0x7ff,
		.offset_low = (uint32_t)offset};
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct seed *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->size > y->size) - (x->size < y->size);
}

void seeds_sort(struct seeds *s)
{
	if (s->n > 1)
		qsort(s->list, s->n, sizeof(*s->list), compare);
}

bool seeds_find(const struct seeds *s, const struct chunk *c, uint64_t *offset)
{
	const struct seed like = {.key = key_of(c->digest), .size = c->size & 0x1fffff};
	const struct seed *x = s->n ? bsearch(&like, s->list, s->n, sizeof(like), compare) : NULL;

	if (x)
		*offset = (uint64_t)x->offset_high << 32 | x->offset_low;
	return x;
}

void seeds_free(struct seeds *s)
{
	free(s->list);
	*s = (struct seeds){0};
}
