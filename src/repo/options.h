/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Command lines: a verb's options are a table of where their values go; --help is made from the
 * same table. "--name VALUE" and "--name=VALUE"; options and arguments in any order; "--" ends
 * options.
 */
#include "util/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum option_kind {
	OPTION_FLAG,   /* bool */
	OPTION_TEXT,   /* const char * */
	OPTION_NUMBER, /* uint64_t, decimal or 0x… */
	OPTION_LIST,   /* struct option_list; may be given again */
};

#define OPTION_LIST_MAX 64u
struct option_list {
	const char *items[OPTION_LIST_MAX];
	size_t n;
};

struct option {
	const char *name; /* without the dashes; NULL ends the table */
	enum option_kind kind;
	void *ret;
	const char *value; /* what stands for the value in the help text */
	const char *help;
};

/* What every verb takes. */
struct common_options {
	const char *workspace, *now;
	bool json, quiet, help, allow_test_keys;
};

#define ARGUMENTS_MAX 32
struct arguments {
	const char *items[ARGUMENTS_MAX];
	int n;
};

/*
 * args: what stands behind the verb. USAGE names the option or argument that is wrong. With --help
 * common->help is set and nothing else is looked at.
 */
enum ef_reason options_parse(int n, char **args, const struct option *options,
	struct common_options *common, struct arguments *ret, struct error *e);

/* usage is the line behind the program's name: "add mcu NAME FILE". */
void options_help(const char *usage, const char *text, const struct option *options);

/* "text" as a number up to max; USAGE naming what it is. */
enum ef_reason option_number(
	const char *text, const char *what, uint64_t max, uint64_t *ret, struct error *e);
