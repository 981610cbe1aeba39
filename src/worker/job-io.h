/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Sending and receiving the messages of worker/job.h, on both ends. */
#include "worker/job.h"
#include <stddef.h>

struct job_message {
	uint32_t type; /* enum job_type */
	size_t size;   /* of the payload */
	int fd;	       /* that came along, or -1; the receiver closes */
	uint8_t payload[IPC_MESSAGE_MAX] __attribute__((aligned(8)));
};

/* 0 or negative errno; fd -1: none. Waits as the socket's mode says. */
int job_send(int socket, enum job_type type, const void *payload, size_t size, int fd);
/* 1: *m filled; 0: the peer closed; -EAGAIN on a non-blocking socket (the core's); -EBADMSG:
 * malformed. */
int job_receive(int socket, struct job_message *m);
