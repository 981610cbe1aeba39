/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Values of the daemon's documents as they are shown. */
#include "cli/table.h"
#include <jansson.h>
#include <stdint.h>

/* Members of a document; "", 0 or false when absent, null or of another type. */
const char *text_of(const json_t *o, const char *key);
int64_t number_of(const json_t *o, const char *key);
bool bool_of(const json_t *o, const char *key);

/* Good, bad or under way: of a deployment's, component's or release's state. */
enum tone state_tone(const char *state);
bool state_over(const char *state); /* of a deployment */

/* "2026-11-21T08:00:00Z" in local time, "2026-11-21 09:00:00"; another text as it is. */
#define STAMP_MAX 32
char *stamp_format(const char *utc, char out[STAMP_MAX]);
/* How long ago: "3 min 05 s ago", "never" for "", and the time itself after a day. */
char *ago_format(const char *utc, char out[STAMP_MAX]);
/* Between two times: "42 s"; "" when one of them is none. */
char *took_format(const char *from, const char *to, char out[STAMP_MAX]);

/* "what happened: detail" for a reason's word, "" for "ok" and "". New string or NULL. */
char *reason_sentence(const char *word, const char *detail);
const char *reason_word_hint(const char *word);

/* "NAME on PLACE", or NAME where both are the same or there is no place. New string or NULL. */
char *part_name(const json_t *component);
