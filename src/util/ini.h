/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * systemd's dialect of INI: [Section], Key=value, comments with # or ; at the start of a line,
 * a backslash at the end of a line joins the next one. At most 64 KiB, no NUL (F-27).
 */
#include "util/reason.h"
#include <stddef.h>

struct ini_item {
	const char *file; /* as given to ini_parse */
	unsigned line;	  /* from 1 */
	/* value: trimmed, may be ""; key "": the line that begins the section */
	const char *section, *key, *value;
};

/* A callback that returns other than OK ends the parse with that reason; it sets e itself. */
typedef enum ef_reason (*ini_callback)(const struct ini_item *item, void *ctx, struct error *e);

/* Syntax errors: CONFIG with "FILE:LINE: what". */
enum ef_reason ini_parse(const char *file, const char *text, size_t size, ini_callback cb,
	void *ctx, struct error *e);
