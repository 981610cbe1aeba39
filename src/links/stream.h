/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What every byte stream link has in common: frames (wire/cobs.h) on a non-blocking descriptor,
 * a bounded queue, one event source. The kinds differ in how the descriptor is opened.
 */
#include "links/link.h"

/* More than any node's message; a longer one is dropped. */
#define STREAM_MESSAGE_MAX 8192u
#define STREAM_QUEUE_MAX (16u * 1024u)

/* Takes over fd in any case. before_close, if any, is called with fd right before it is closed. */
enum ef_reason stream_new(struct link **ret, sd_event *event, int fd, const char *device,
	const struct link_callbacks *cb, void (*before_close)(int fd), struct error *e);
/* For what only the kind knows; the receiver forgets the frame under way. */
int stream_fd(const struct link *l);
void stream_restart(struct link *l);
void stream_set_framing(struct link *l, enum framing framing);
void stream_set_calm(struct link *l, bool calm);
int stream_send(struct link *l, const uint8_t *data, size_t size);
size_t stream_queued(const struct link *l);
void stream_close(struct link *l);
