/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What happened, as an entry of the journal: systemd/edgeferry.catalog explains each MESSAGE_ID. */
#include "update/update.h"

#define JOURNAL_FIELDS_MAX 10

struct journal_entry {
	const char *id; /* MESSAGE_ID */
	int level;	/* LOG_INFO … */
	char text[700];
	char buffer[JOURNAL_FIELDS_MAX][300]; /* "EDGEFERRY_…=value" */
	const char *fields[JOURNAL_FIELDS_MAX +
			   1]; /* into buffer, up to a NULL; empty ones are left out */
};

/* release: of the deployment that it is about, or "". */
void journal_make(const struct event *ev, const char *release, struct journal_entry *ret);
void journal_event(const struct event *ev, const char *release);
