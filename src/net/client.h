/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The core's end of edgeferry-net: a connection to the socket unit that $EDGEFERRY_NET names,
 * behind which systemd starts the process; without it (by hand, in tests) a child. Starts it again
 * when it ends (back-off 100 ms to 30 s), asks it for bytes and hands it reports. Asynchronous on
 * the caller's event loop. A fetch that was under way when the child ended is over with
 * NET_UNREACHABLE; whoever asked asks again. A child that hangs is noticed by a heartbeat, every 60
 * s, and ended: no operation waits for ever (F-25).
 */
#include "config/config.h"
#include "net/ipc.h"
#include "util/reason.h"
#include <systemd/sd-event.h>

struct net_client;

struct net_client_callbacks {
	void *ctx;
	void (*offer)(void *ctx); /* the broker said: look now */
	void (*broker)(void *ctx, bool connected);
	void (*key)(void *ctx,
		const struct error *fault); /* of a client key in a token; OK: there again */
	void (*ready)(void *ctx); /* the child is up (again): send what waits in the outbox */
};

/* Starts a child; to a socket unit it connects when the loop runs, and again when that does not
 * answer yet. config must outlive the client. */
enum ef_reason net_client_new(struct net_client **ret, sd_event *event, const struct config *config,
	const struct net_client_callbacks *cb, struct error *e);
/* The configuration has changed: another child, which has the new one, takes the place of the one
 * that there is as soon as nothing is being fetched. A report that waits for the broker ends, to be
 * sent again. */
void net_client_renew(struct net_client *c);
void net_client_free(struct net_client *c); /* ends and reaps the child; no callback after it */
/* For tests: another period of the heartbeat, in microseconds, from now on. */
void net_client_heartbeat(struct net_client *c, uint64_t period_us);
pid_t net_client_pid(
	const struct net_client *c); /* of the child; 0: not running just now, or systemd's */

/* Ids are never 0. The done callback comes exactly once, not before the call returned. */
typedef void (*net_fetch_done)(void *ctx, uint64_t bytes, const struct error *e);

/* path: below Url=, or the whole https:// address of a file anywhere. */

/* Into a pipe or file whose descriptor the caller keeps and may close at once after the call. */
uint32_t net_fetch(struct net_client *c, const char *path, uint64_t max_size,
	const struct ipc_range *ranges, size_t n_ranges, int fd, net_fetch_done done, void *ctx);

/* Into memory; data is the callback's to read, freed after it. NOT_FOUND: the server has no such
 * file. */
typedef void (*net_fetch_memory_done)(
	void *ctx, const uint8_t *data, size_t size, const struct error *e);
uint32_t net_fetch_memory(struct net_client *c, const char *path, uint64_t max_size,
	net_fetch_memory_done done, void *ctx);

/* The same of one range of the file, all of it or an error. */
uint32_t net_fetch_part(struct net_client *c, const char *path, const struct ipc_range *range,
	net_fetch_memory_done done, void *ctx);

void net_fetch_cancel(
	struct net_client *c, uint32_t id); /* done comes with CANCELLED; 0 is ignored */

/* One report, JSON text. done OK when the broker has it; NET_UNREACHABLE when it could not be sent
 * now. */
typedef void (*net_report_done)(void *ctx, const struct error *e);
uint32_t net_report(struct net_client *c, const char *json, net_report_done done, void *ctx);
