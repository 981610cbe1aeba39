/* SPDX-License-Identifier: Apache-2.0 */
#include "links/queue.h"
#include <errno.h>
#include <string.h>

size_t link_queue_size(const struct link_queue *q)
{
	return q->used - q->at;
}

int link_queue_put(struct link_queue *q, const uint8_t *data, size_t size, size_t max)
{
	uint16_t length = (uint16_t)size;

	if (size > max || size > UINT16_MAX)
		return -EMSGSIZE;
	if (sizeof length + size > sizeof q->bytes - link_queue_size(q))
		return -ENOBUFS;
	memmove(q->bytes, q->bytes + q->at, link_queue_size(q));
	q->used -= q->at;
	q->at = 0;
	memcpy(q->bytes + q->used, &length, sizeof length);
	memcpy(q->bytes + q->used + sizeof length, data, size);
	q->used += sizeof length + size;
	return 0;
}

const uint8_t *link_queue_first(const struct link_queue *q, size_t *size)
{
	uint16_t length;

	if (link_queue_size(q) == 0)
		return NULL;
	memcpy(&length, q->bytes + q->at, sizeof length);
	*size = length;
	return q->bytes + q->at + sizeof length;
}

void link_queue_drop(struct link_queue *q)
{
	size_t size;

	if (link_queue_first(q, &size))
		q->at += sizeof(uint16_t) + size;
}
