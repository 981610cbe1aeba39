/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One user a device at a time (F-21), and who it is. */
#include "util/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Which other process has this character device open, as "picocom (process 4711)", for a person to
 * read: it may have gone by then. False when /proc does not tell, to this user or at all.
 */
bool device_holder(dev_t device, char *text, size_t size);

/* BUSY, with who has it and what to do. */
enum ef_reason device_in_use(dev_t device, const char *path, struct error *e);
/* flock, which is gone with fd. BUSY when another process has it. */
enum ef_reason device_lock(int fd, const char *path, struct error *e);
