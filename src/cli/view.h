/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A deployment as it goes on: on a terminal a block of lines with bars that is drawn over itself,
 * elsewhere a line for each change and one every few seconds in between.
 */
#include "cli/progress.h"
#include "cli/term.h"
#include <jansson.h>

#define VIEW_LINE_US 5000000u /* plain lines of one component's progress are this far apart */

struct view_part {
	char *name; /* "rootfs on B" */
	char component[64], state[24], phase[24], versions[80];
	uint64_t done, total;
	struct rate rate;
	uint64_t printed_us;
	bool changed;
};

struct view {
	const struct term *term;
	bool silent; /* nothing is printed: someone else writes */
	char *title; /* "deployment 3: release 2.0.0" */
	char state[24];
	struct view_part *parts;
	size_t n_parts;
	int drawn; /* lines of the block that stand on the terminal */
};

/* "release 2.0.0"; while the release is not known, what was asked for. A new string; NULL: no
 * memory. */
char *release_phrase(const json_t *deployment);

void view_init(struct view *v, const struct term *term);
/* Forgets the deployment; what was drawn stays. */
void view_clear(struct view *v);

/* Takes over a deployment's document, as of now, and prints what changed where there is no block.
 */
void view_update(struct view *v, const json_t *deployment, uint64_t now_us);
/* One progress signal; false when it does not tell which part it means: ask for the document. */
bool view_progress(struct view *v, const char *component, const char *phase, uint64_t done,
	uint64_t total, uint64_t now_us);

/* The block anew, where there is one; view_erase takes it off to let other lines through. */
void view_draw(struct view *v, uint64_t now_us);
void view_erase(struct view *v);
