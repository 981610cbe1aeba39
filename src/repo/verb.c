/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/verbs.h"
#include "util/time-util.h"
#include <stdio.h>
#include <stdlib.h>

bool verb_begin(
	struct invocation *i, const struct option *options, enum ef_reason *ret, struct error *e)
{
	const struct verb *v = i->verb;
	char usage[256], text[1024];

	*ret = options_parse(i->n, i->args, options, &i->common, &i->words, e);
	if (!*ret && i->common.help) {
		snprintf(usage, sizeof(usage), "%s%s%s", v->name, v->usage[0] ? " " : "", v->usage);
		snprintf(text, sizeof(text), "%c%s.%s%s", v->summary[0] & ~0x20, v->summary + 1,
			v->text ? "\n" : "", v->text ? v->text : "");
		options_help(usage, text, options);
		return false;
	}
	if (!*ret && (i->words.n < v->min || i->words.n > v->max))
		*ret = error_set(e, EF_REASON_USAGE, "edgeferry-repo %s %s", v->name, v->usage);
	return *ret == EF_REASON_OK;
}

enum ef_reason verb_now(const struct invocation *i, int64_t *ret, struct error *e)
{
	const char *text = i->common.now ? i->common.now : getenv("SOURCE_DATE_EPOCH");
	uint64_t seconds;

	if (!text || !*text) {
		*ret = now_real_s();
		return EF_REASON_OK;
	}
	if (time_parse_utc(text, ret))
		return EF_REASON_OK;
	enum ef_reason r = option_number(
		text, i->common.now ? "--now" : "SOURCE_DATE_EPOCH", 253402300799, &seconds, e);
	*ret = r ? 0 : (int64_t)seconds;
	return r;
}

enum ef_reason verb_workspace(const struct invocation *i, struct workspace *w, struct error *e)
{
	w->quiet = i->common.quiet;
	w->json = i->common.json;
	w->allow_test_keys = i->common.allow_test_keys;
	enum ef_reason r = verb_now(i, &w->now, e);
	return r ? r : workspace_open(w, i->common.workspace ? i->common.workspace : ".", e);
}
