/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the system bus tells: the daemon, and BlueZ. Every call waits for 10 s at most. */
#include "doctor/doctor.h"

/* Fills d->status, or d->daemon_error. */
void bus_status(struct doctor *d);

/* How many adapters BlueZ has, and how many are on. CONFIG: none; another reason: BlueZ is not
 * there. */
enum ef_reason bus_adapters(
	const struct doctor *d, unsigned *adapters, unsigned *powered, struct error *e);
