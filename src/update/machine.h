/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The state table of a deployment (docs/DESIGN.md shows the same table, written by machine_print):
 * state × event → next state and what is to be done in it. Pure.
 */
#include "update/update.h"
#include <stdio.h>

#define DEPLOYMENT_STATES (DEPLOYMENT_CONFIRMING + 1)

enum deployment_event {
	EVENT_ACCEPTED,	 /* release verified, fits everything here, parts planned */
	EVENT_REFUSED,	 /* it must not be installed here */
	EVENT_STAGED,	 /* every part lies ready */
	EVENT_ACTIVATE,	 /* nothing stands against it */
	EVENT_ACTIVATED, /* every part runs, on trial */
	EVENT_PASSED,	 /* every check passed */
	EVENT_CONFIRM,	 /* by hand */
	EVENT_DONE,	 /* everything permanent, or everything back */
	EVENT_FAILED,	 /* a required part failed, or a check did, or a deadline passed */
	EVENT_CANCEL,	 /* by hand */
	EVENT_REJECT,	 /* by hand */
	EVENT_HELD,	 /* the rollout statement stops it */
};
#define DEPLOYMENT_EVENTS (EVENT_HELD + 1)

enum deployment_action {
	ACTION_NONE,	 /* the event means nothing in this state */
	ACTION_STAGE,	 /* slot and nodes, in parallel */
	ACTION_RELEASE,	 /* look whether it may be activated now */
	ACTION_ACTIVATE, /* in the manifest's order */
	ACTION_CHECK,	 /* nodes, server, scripts */
	ACTION_CONFIRM,	 /* gateway, then nodes, then floors and records */
	ACTION_REVERT,	 /* gateway, then nodes */
	ACTION_END,	 /* nothing more; keep the record */
};

struct transition {
	enum deployment_state next;
	enum deployment_action action;
};

const char *deployment_event_word(enum deployment_event ev);
const char *deployment_action_word(enum deployment_action a);
bool deployment_state_from_word(const char *word, enum deployment_state *ret);
bool component_state_from_word(const char *word, enum component_state *ret);
const char *deployment_origin_word(enum deployment_origin o);
bool deployment_origin_from_word(const char *word, enum deployment_origin *ret);

/* False when the event means nothing in the state: nothing happens then. */
bool machine_next(enum deployment_state s, enum deployment_event ev, struct transition *ret);

/* A part's state: which follow which (a part never goes from a final state to another one). */
bool part_may_become(enum component_state from, enum component_state to);

/* The table in Markdown, one row an arrow. */
void machine_print(FILE *out);
