/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Names to addresses off the event loop: the C library's resolver waits for servers, so it does
 * that in a thread of its own, which shares nothing with us but the request.
 */
#include <netdb.h>
#include <systemd/sd-event.h>

struct resolve;

/* error: of getaddrinfo, 0 fine. The list is the callback's to free. */
typedef void (*resolve_done)(void *ctx, int error, struct addrinfo *list);

int resolve_start(
	struct resolve **ret, sd_event *event, const char *host, resolve_done done, void *ctx);
/* No callback after this. The thread ends by itself. NULL is fine. Not needed after the callback.
 */
void resolve_cancel(struct resolve *r);
