/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Fetches: bytes of files of the source into pipes, a few at a time. Each goes on where it broke
 * off, only from the same state of the file, and never waits for its reader inside a call (F-08 to
 * F-12).
 */
#include "net/ipc.h"
#include "net/settings.h"
#include <systemd/sd-event.h>

#define FETCH_RUNNING_MAX 4u
#define FETCH_QUEUE_MAX 256u

/* Detail of a fetch of ranges that went well and cost more than it had to. */
#define FETCH_WHOLE_NOTE "the server has no byte ranges: the whole file was fetched"

struct fetches;

/* The fetch's descriptor is closed already. */
typedef void (*fetch_over)(
	void *ctx, uint32_t id, const struct error *e, long http_status, uint64_t bytes);

int fetches_new(struct fetches **ret, sd_event *event, const struct net_settings *settings,
	fetch_over over, void *ctx);
void fetches_free(struct fetches *fs); /* ends all, silently */

/* Takes fd in any case. A refusal comes through the callback too, before this returns. */
void fetches_start(struct fetches *fs, uint32_t id, const struct ipc_fetch *request,
	const struct ipc_range *ranges, const char *path, int fd);
void fetches_cancel(struct fetches *fs, uint32_t id);
