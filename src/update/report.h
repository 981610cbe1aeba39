/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Reports for the cloud: one JSON document an outcome or transition (S-34). Pure. */
#include "update/update.h"

/* Text of the report with this id, malloc'd; NULL when out of memory. */
char *report_deployment(
	const struct config *config, const struct deployment *d, uint64_t id, int64_t now);
/* Of an event that belongs to no deployment. */
char *report_event(const struct config *config, const struct event *ev, uint64_t id);
