/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"
#include "cli/progress.h"
#include "util/reason.h"
#include "util/time-util.h"
#include <string.h>
#include <time.h>

const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

int64_t number_of(const json_t *o, const char *key)
{
	return json_integer_value(json_object_get(o, key));
}

bool bool_of(const json_t *o, const char *key)
{
	return json_is_true(json_object_get(o, key));
}

static const struct {
	const char *state;
	enum tone tone;
	bool over;
} states[] = {
	{"confirmed", TONE_GOOD, true},
	{"installed", TONE_GOOD, false},
	{"held", TONE_WARN, false},
	{"available", TONE_BOLD, false},
	{"good", TONE_GOOD, false},
	{"connected", TONE_GOOD, false},
	{"disconnected", TONE_WARN, false},
	{"trial", TONE_WARN, false},
	{"activating", TONE_WARN, false},
	{"confirming", TONE_WARN, false},
	{"reverting", TONE_WARN, false},
	{"reverted", TONE_BAD, true},
	{"refused", TONE_BAD, true},
	{"failed", TONE_BAD, true},
	{"cancelled", TONE_DIM, true},
	{"bad", TONE_BAD, false},
	{"absent", TONE_BAD, false},
	{"older", TONE_DIM, false},
	{"skipped", TONE_DIM, false},
	{"idle", TONE_DIM, false},
	{"stale", TONE_WARN, false},
};

enum tone state_tone(const char *state)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(states[i].state, state) == 0)
			return states[i].tone;
	return TONE_PLAIN;
}

bool state_over(const char *state)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(states[i].state, state) == 0)
			return states[i].over;
	return false;
}

char *stamp_format(const char *utc, char out[STAMP_MAX])
{
	int64_t s;
	struct tm tm;

	if (!time_parse_utc(utc, &s)) {
		snprintf(out, STAMP_MAX, "%s", utc);
		return out;
	}
	time_t t = s;
	if (!localtime_r(&t, &tm) || strftime(out, STAMP_MAX, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		snprintf(out, STAMP_MAX, "%s", utc);
	return out;
}

char *ago_format(const char *utc, char out[STAMP_MAX])
{
	int64_t s, now = now_real_s();
	char span[FIGURE_MAX];

	if (!*utc) {
		snprintf(out, STAMP_MAX, "never");
		return out;
	}
	if (!time_parse_utc(utc, &s) || s > now || now - s > 86400)
		return stamp_format(utc, out);
	snprintf(out, STAMP_MAX, "%s ago", duration_format((uint64_t)(now - s), span));
	return out;
}

char *took_format(const char *from, const char *to, char out[STAMP_MAX])
{
	int64_t a, b;

	out[0] = 0;
	if (time_parse_utc(from, &a) && time_parse_utc(to, &b) && b >= a)
		duration_format((uint64_t)(b - a), out);
	return out;
}

char *reason_sentence(const char *word, const char *detail)
{
	enum ef_reason r;
	char *out;

	if (!*word || strcmp(word, "ok") == 0)
		return strdup(detail);
	const char *what = reason_from_word(word, &r) ? reason_text(r) : word;
	return asprintf(&out, "%s%s%s", what, *detail ? ": " : "", detail) < 0 ? NULL : out;
}

const char *reason_word_hint(const char *word)
{
	enum ef_reason r;

	return reason_from_word(word, &r) ? reason_hint(r) : "";
}

char *part_name(const json_t *component)
{
	const char *name = text_of(component, "name"), *place = text_of(component, "node");
	char *out;

	if (!*place)
		place = text_of(component, "slot");
	if (!*place || strcmp(place, name) == 0)
		return strdup(name);
	return asprintf(&out, "%s on %s", name, place) < 0 ? NULL : out;
}
