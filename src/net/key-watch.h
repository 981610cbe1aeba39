/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the core knows of client keys in tokens: edgeferry-net says which it lacks (KEY), and a new
 * process may find it, since only a new one can reach for a token. Each cause is in the journal
 * once.
 */
#include "net/ipc.h"
#include <stdbool.h>

struct key_watch {
	bool missing;	    /* of the process that there is */
	bool pin_refused;   /* until the configuration is read anew: tokens lock themselves */
	struct error fault; /* the last one, of this process or one before; OK: there was none */
	char said[2][256];  /* by this and those before; there may be two keys */
};

/* Another process begins. */
void key_watch_begin(struct key_watch *k);
void key_watch_heard(struct key_watch *k, const struct ipc_message *m);
void key_watch_ready(struct key_watch *k);
/* Whether another process may do better. */
bool key_watch_try_again(const struct key_watch *k);
