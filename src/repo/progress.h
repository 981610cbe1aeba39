/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One line on a terminal that counts bytes; nothing anywhere else. */
#include "repo/workspace.h"

struct progress {
	const char *label;
	uint64_t done, total;
	uint64_t next_us; /* not drawn again before */
	bool on, drawn;
};

void progress_begin(
	struct progress *p, const struct workspace *w, const char *label, uint64_t total);
void progress_add(struct progress *p, uint64_t bytes);
void progress_end(struct progress *p);
