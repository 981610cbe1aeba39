/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/options.h"
#include "repo/known-keys.h"
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMMON = 6, NAME_WIDTH = 26 };

static void common_table(struct common_options *c, struct option out[COMMON + 1])
{
	const struct option table[COMMON + 1] = {
		{"workspace", OPTION_TEXT, &c->workspace, "DIR",
			"the publisher's folder (default: .)"},
		{"now", OPTION_TEXT, &c->now, "TIME",
			"act as of 2026-11-21T08:00:00Z or seconds since 1970 "
			"(default: $SOURCE_DATE_EPOCH, else the clock)"},
		{"json", OPTION_FLAG, &c->json, NULL, "print JSON"},
		{"quiet", OPTION_FLAG, &c->quiet, NULL, "print results and errors only"},
		{"help", OPTION_FLAG, &c->help, NULL, "print this"},
		{"allow-test-keys", OPTION_FLAG, &c->allow_test_keys, NULL,
			"use keys that are published, too; only in builds for development"},
		{0},
	};

	memcpy(out, table, sizeof(table));
	if (!known_keys_may_be_allowed())
		out[COMMON - 1] = (struct option){0};
}

static const struct option *find(const struct option *o, const char *name, size_t size)
{
	for (; o && o->name; o++)
		if (strlen(o->name) == size && memcmp(o->name, name, size) == 0)
			return o;
	return NULL;
}

enum ef_reason option_number(
	const char *text, const char *what, uint64_t max, uint64_t *ret, struct error *e)
{
	char *end = NULL;

	errno = 0;
	unsigned long long v = isdigit((unsigned char)text[0]) ? strtoull(text, &end, 0) : 0;
	if (!end || *end || errno || v > max)
		return error_set(e, EF_REASON_USAGE, "%s: '%s' is not a number up to %llu", what,
			text, (unsigned long long)max);
	*ret = v;
	return EF_REASON_OK;
}

static enum ef_reason store(const struct option *o, const char *value, struct error *e)
{
	struct option_list *list = o->ret;

	switch (o->kind) {
	case OPTION_FLAG:
		*(bool *)o->ret = true;
		break;
	case OPTION_TEXT:
		*(const char **)o->ret = value;
		break;
	case OPTION_NUMBER:
		return option_number(value, o->name, UINT64_MAX, o->ret, e);
	case OPTION_LIST:
		if (list->n == OPTION_LIST_MAX)
			return error_set(e, EF_REASON_USAGE, "--%s given too often", o->name);
		list->items[list->n++] = value;
		break;
	}
	return EF_REASON_OK;
}

/* args[i] is an option; returns through *used how many words it took. */
static enum ef_reason take(int n, char **args, const struct option *own,
	const struct option *common, int *used, struct error *e)
{
	const char *name = args[0] + 2, *equals = strchr(name, '=');
	size_t size = equals ? (size_t)(equals - name) : strlen(name);
	const struct option *o = find(own, name, size);

	if (!o)
		o = find(common, name, size);
	*used = 1;
	if (!o)
		return error_set(e, EF_REASON_USAGE, "no option --%.*s", (int)size, name);
	if (o->kind == OPTION_FLAG)
		return equals ? error_set(e, EF_REASON_USAGE, "--%s takes no value", o->name)
			      : store(o, NULL, e);
	if (equals)
		return store(o, equals + 1, e);
	if (n < 2)
		return error_set(e, EF_REASON_USAGE, "--%s needs %s", o->name, o->value);
	*used = 2;
	return store(o, args[1], e);
}

enum ef_reason options_parse(int n, char **args, const struct option *options,
	struct common_options *common, struct arguments *ret, struct error *e)
{
	struct option table[COMMON + 1];
	bool ended = false;

	common_table(common, table);
	for (int i = 0; i < n; i++)
		if (strcmp(args[i], "--") == 0)
			break;
		else if (strcmp(args[i], "--help") == 0 || strcmp(args[i], "-h") == 0) {
			common->help = true;
			return EF_REASON_OK;
		}
	for (int i = 0, used = 1; i < n; i += used) {
		used = 1;
		if (!ended && strcmp(args[i], "--") == 0) {
			ended = true;
		} else if (!ended && strncmp(args[i], "--", 2) == 0) {
			enum ef_reason r = take(n - i, args + i, options, table, &used, e);
			if (r)
				return r;
		} else {
			if (ret->n == ARGUMENTS_MAX)
				return error_set(e, EF_REASON_USAGE, "too many arguments");
			ret->items[ret->n++] = args[i];
		}
	}
	return EF_REASON_OK;
}

static void print_table(const struct option *o)
{
	for (; o && o->name; o++) {
		char left[64];
		snprintf(left, sizeof(left), "--%s%s%s", o->name, o->value ? " " : "",
			o->value ? o->value : "");
		printf("  %-*s %s\n", NAME_WIDTH, left, o->help);
	}
}

void options_help(const char *usage, const char *text, const struct option *options)
{
	struct common_options none;
	struct option table[COMMON + 1];

	common_table(&none, table);
	printf("Usage: edgeferry-repo %s\n\n%s\n\nOptions:\n", usage, text);
	print_table(options);
	print_table(table);
}
