/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/seeds.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t key_of(const uint8_t digest[CHUNK_DIGEST_SIZE])
{
	uint64_t key;

	memcpy(&key, digest, sizeof(key));
	return key;
}

int seeds_add(
	struct seeds *s, const uint8_t digest[CHUNK_DIGEST_SIZE], uint64_t offset, uint32_t size)
{
	if (s->n == SEEDS_MAX)
		return 0;
	if (s->n == s->room) {
		size_t room = s->room ? s->room * 2 : 1024;
		struct seed *larger = realloc(s->list, room * sizeof(*larger));
		if (!larger)
			return -ENOMEM;
		s->list = larger;
		s->room = room;
	}
	s->list[s->n++] = (struct seed){key_of(digest), offset, size};
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

const struct seed *seeds_find(const struct seeds *s, const struct chunk *c)
{
	const struct seed like = {.key = key_of(c->digest), .size = c->size};

	return s->n ? bsearch(&like, s->list, s->n, sizeof(like), compare) : NULL;
}

void seeds_free(struct seeds *s)
{
	free(s->list);
	*s = (struct seeds){0};
}
