/* SPDX-License-Identifier: Apache-2.0 */
#include "update/machine.h"
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct transition table[DEPLOYMENT_STATES][DEPLOYMENT_EVENTS] =
	{
		[DEPLOYMENT_OFFERED] =
			{
				[EVENT_ACCEPTED] = {DEPLOYMENT_FETCHING, ACTION_STAGE},
				[EVENT_REFUSED] = {DEPLOYMENT_REFUSED, ACTION_END},
				[EVENT_FAILED] = {DEPLOYMENT_FAILED, ACTION_END},
				[EVENT_CANCEL] = {DEPLOYMENT_CANCELLED, ACTION_END},
				[EVENT_HELD] = {DEPLOYMENT_REFUSED, ACTION_END},
			},
		[DEPLOYMENT_FETCHING] =
			{
				[EVENT_STAGED] = {DEPLOYMENT_STAGED, ACTION_RELEASE},
				[EVENT_FAILED] = {DEPLOYMENT_FAILED, ACTION_END},
				[EVENT_CANCEL] = {DEPLOYMENT_CANCELLED, ACTION_END},
				[EVENT_HELD] = {DEPLOYMENT_CANCELLED, ACTION_END},
			},
		[DEPLOYMENT_STAGED] =
			{
				[EVENT_ACTIVATE] = {DEPLOYMENT_ACTIVATING, ACTION_ACTIVATE},
				[EVENT_FAILED] = {DEPLOYMENT_FAILED, ACTION_END},
				[EVENT_CANCEL] = {DEPLOYMENT_CANCELLED, ACTION_END},
				[EVENT_HELD] = {DEPLOYMENT_CANCELLED, ACTION_END},
			},
		[DEPLOYMENT_ACTIVATING] =
			{
				[EVENT_ACTIVATED] = {DEPLOYMENT_TRIAL, ACTION_CHECK},
				[EVENT_FAILED] = {DEPLOYMENT_REVERTING, ACTION_REVERT},
				[EVENT_REJECT] = {DEPLOYMENT_REVERTING, ACTION_REVERT},
				[EVENT_HELD] = {DEPLOYMENT_REVERTING, ACTION_REVERT},
			},
		[DEPLOYMENT_TRIAL] =
			{
				[EVENT_PASSED] = {DEPLOYMENT_CONFIRMING, ACTION_CONFIRM},
				[EVENT_CONFIRM] = {DEPLOYMENT_CONFIRMING, ACTION_CONFIRM},
				[EVENT_FAILED] = {DEPLOYMENT_REVERTING, ACTION_REVERT},
				[EVENT_REJECT] = {DEPLOYMENT_REVERTING, ACTION_REVERT},
				[EVENT_HELD] = {DEPLOYMENT_REVERTING, ACTION_REVERT},
			},
		[DEPLOYMENT_CONFIRMING] =
			{
				[EVENT_DONE] = {DEPLOYMENT_CONFIRMED, ACTION_END},
				/* only while nothing is permanent yet (confirm.c) */
				[EVENT_FAILED] = {DEPLOYMENT_REVERTING, ACTION_REVERT},
			},
		[DEPLOYMENT_REVERTING] =
			{
				[EVENT_DONE] = {DEPLOYMENT_REVERTED, ACTION_END},
			},
};

static const char *const state_words[] = {
	[DEPLOYMENT_OFFERED] = "offered",
	[DEPLOYMENT_FETCHING] = "fetching",
	[DEPLOYMENT_STAGED] = "staged",
	[DEPLOYMENT_ACTIVATING] = "activating",
	[DEPLOYMENT_TRIAL] = "trial",
	[DEPLOYMENT_CONFIRMED] = "confirmed",
	[DEPLOYMENT_REVERTED] = "reverted",
	[DEPLOYMENT_REFUSED] = "refused",
	[DEPLOYMENT_FAILED] = "failed",
	[DEPLOYMENT_CANCELLED] = "cancelled",
	[DEPLOYMENT_REVERTING] = "reverting",
	[DEPLOYMENT_CONFIRMING] = "confirming",
};

static const char *const event_words[] = {
	[EVENT_ACCEPTED] = "accepted",
	[EVENT_REFUSED] = "refused",
	[EVENT_STAGED] = "staged",
	[EVENT_ACTIVATE] = "activate",
	[EVENT_ACTIVATED] = "activated",
	[EVENT_PASSED] = "passed",
	[EVENT_CONFIRM] = "confirm",
	[EVENT_DONE] = "done",
	[EVENT_FAILED] = "failed",
	[EVENT_CANCEL] = "cancel",
	[EVENT_REJECT] = "reject",
	[EVENT_HELD] = "held",
};

static const char *const action_words[] = {
	[ACTION_NONE] = "",
	[ACTION_STAGE] = "stage",
	[ACTION_RELEASE] = "release",
	[ACTION_ACTIVATE] = "activate",
	[ACTION_CHECK] = "check",
	[ACTION_CONFIRM] = "confirm",
	[ACTION_REVERT] = "revert",
	[ACTION_END] = "end",
};

static const char *const part_words[] = {
	[COMPONENT_PENDING] = "pending",
	[COMPONENT_FETCHING] = "fetching",
	[COMPONENT_STAGING] = "staging",
	[COMPONENT_STAGED] = "staged",
	[COMPONENT_ACTIVATING] = "activating",
	[COMPONENT_TRIAL] = "trial",
	[COMPONENT_CONFIRMED] = "confirmed",
	[COMPONENT_REVERTED] = "reverted",
	[COMPONENT_FAILED] = "failed",
	[COMPONENT_SKIPPED] = "skipped",
};

static const char *const origin_words[] = {
	[ORIGIN_SOURCE] = "source",
	[ORIGIN_BUNDLE] = "bundle",
	[ORIGIN_ROLLBACK] = "rollback",
	[ORIGIN_CATCH_UP] = "catch-up",
};

#define BIT(s) (1u << (s))

/* Staging may begin anew from any state before STAGED, and after a revert met in confirming. */
static const unsigned part_follows[] = {
	[COMPONENT_PENDING] = BIT(COMPONENT_FETCHING) | BIT(COMPONENT_STAGING) |
			      BIT(COMPONENT_STAGED) | BIT(COMPONENT_SKIPPED) |
			      BIT(COMPONENT_FAILED),
	[COMPONENT_FETCHING] = BIT(COMPONENT_STAGING) | BIT(COMPONENT_STAGED) |
			       BIT(COMPONENT_FAILED) | BIT(COMPONENT_SKIPPED),
	[COMPONENT_STAGING] = BIT(COMPONENT_FETCHING) | BIT(COMPONENT_STAGED) |
			      BIT(COMPONENT_FAILED) | BIT(COMPONENT_SKIPPED),
	[COMPONENT_STAGED] =
		BIT(COMPONENT_ACTIVATING) | BIT(COMPONENT_FAILED) | BIT(COMPONENT_REVERTED),
	[COMPONENT_ACTIVATING] =
		BIT(COMPONENT_TRIAL) | BIT(COMPONENT_FAILED) | BIT(COMPONENT_REVERTED),
	[COMPONENT_TRIAL] =
		BIT(COMPONENT_CONFIRMED) | BIT(COMPONENT_FAILED) | BIT(COMPONENT_REVERTED),
	/* one that went back by itself is recorded as such by the revert that follows */
	[COMPONENT_FAILED] = BIT(COMPONENT_REVERTED),
	[COMPONENT_CONFIRMED] = 0,
	[COMPONENT_REVERTED] = 0,
	[COMPONENT_SKIPPED] = 0,
};

static bool word_find(const char *const *words, size_t n, const char *word, int *ret)
{
	for (size_t i = 0; word && i < n; i++)
		if (strcmp(words[i], word) == 0) {
			*ret = (int)i;
			return true;
		}
	return false;
}

const char *deployment_state_word(enum deployment_state s)
{
	return state_words[s];
}

const char *component_state_word(enum component_state s)
{
	return part_words[s];
}

const char *deployment_event_word(enum deployment_event ev)
{
	return event_words[ev];
}

const char *deployment_action_word(enum deployment_action a)
{
	return action_words[a];
}

const char *deployment_origin_word(enum deployment_origin o)
{
	return origin_words[o];
}

bool deployment_state_from_word(const char *word, enum deployment_state *ret)
{
	int i;

	if (!word_find(state_words, COUNT(state_words), word, &i))
		return false;
	*ret = (enum deployment_state)i;
	return true;
}

bool component_state_from_word(const char *word, enum component_state *ret)
{
	int i;

	if (!word_find(part_words, COUNT(part_words), word, &i))
		return false;
	*ret = (enum component_state)i;
	return true;
}

bool deployment_origin_from_word(const char *word, enum deployment_origin *ret)
{
	int i;

	if (!word_find(origin_words, COUNT(origin_words), word, &i))
		return false;
	*ret = (enum deployment_origin)i;
	return true;
}

/* Over: no event leads on. */
bool deployment_over(enum deployment_state s)
{
	for (size_t ev = 0; ev < DEPLOYMENT_EVENTS; ev++)
		if (table[s][ev].action != ACTION_NONE)
			return false;
	return true;
}

bool machine_next(enum deployment_state s, enum deployment_event ev, struct transition *ret)
{
	if (table[s][ev].action == ACTION_NONE)
		return false;
	*ret = table[s][ev];
	return true;
}

bool part_may_become(enum component_state from, enum component_state to)
{
	return from == to || (part_follows[from] & BIT(to)) != 0;
}

void machine_print(FILE *out)
{
	fprintf(out, "| state | event | next state | action |\n|---|---|---|---|\n");
	for (size_t s = 0; s < DEPLOYMENT_STATES; s++)
		for (size_t ev = 0; ev < DEPLOYMENT_EVENTS; ev++)
			if (table[s][ev].action != ACTION_NONE)
				fprintf(out, "| %s | %s | %s | %s |\n", state_words[s],
					event_words[ev], state_words[table[s][ev].next],
					action_words[table[s][ev].action]);
}
