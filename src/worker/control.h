/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The worker's line to the core: its messages, and the two ways to be told to stop (SIGTERM, EOF).
 */
#include "util/reason.h"
#include "worker/job-io.h"

struct control {
	int socket;
	int signals; /* signalfd for SIGTERM, SIGINT; both are blocked */
	uint64_t next_progress_us;
	struct job_progress last; /* what was told last */
};

int control_open(struct control *c, int socket);
void control_close(struct control *c);

/* 0: go on; -ECANCELED: stop now. Does not wait. */
int control_check(const struct control *c);
/* Waits for fd to have data or end, and tells the core that it does. -ECANCELED as above. */
int control_wait(struct control *c, int fd);
/* Like fd_read_full, but ends at once when told to stop; -ENODATA when the stream ends before. */
int control_read_full(struct control *c, int fd, void *buf, size_t size);
/* The next message, waiting for it. -ECANCELED also when the core has gone. */
int control_receive(struct control *c, struct job_message *m);

/* At most 5 a second; left out when the core does not keep up. */
void control_progress(struct control *c, const struct job_progress *p);
int control_done(struct control *c, const struct error *e);
