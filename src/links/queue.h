/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Whole messages that wait for their turn on a wire that carries them one by one (UDP, SPI). */
#include <stddef.h>
#include <stdint.h>

#define LINK_QUEUE_MAX (16u * 1024u) /* bytes, two for each message's length included */

struct link_queue {
	size_t at, used; /* waiting: bytes[at, used) */
	uint8_t bytes[LINK_QUEUE_MAX];
};

size_t link_queue_size(const struct link_queue *q); /* 0: empty */
/* -ENOBUFS when it does not fit, -EMSGSIZE when it is longer than max. */
int link_queue_put(struct link_queue *q, const uint8_t *data, size_t size, size_t max);
/* The first message, which stays; NULL: none waits. */
const uint8_t *link_queue_first(const struct link_queue *q, size_t *size);
void link_queue_drop(struct link_queue *q); /* the first one */
