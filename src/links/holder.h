/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Which other process has this character device open, as "picocom (process 4711)", for a person to
 * read: it may have gone by then. False when /proc does not tell, to this user or at all.
 */
bool device_holder(dev_t device, char *text, size_t size);
