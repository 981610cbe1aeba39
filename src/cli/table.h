/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A table: columns as wide as their texts, fitted to the terminal by cutting the texts of columns
 * that may shrink, the widest first. Columns that are empty in all rows are left out.
 */
#include "cli/term.h"
#include "util/cleanup.h"
#include <stddef.h>

enum {
	COLUMN_RIGHT = 1,  /* aligned to the right */
	COLUMN_SHRINK = 2, /* may be cut to fit */
};

struct column {
	const char *title;
	unsigned flags;
};

struct table;

struct table *table_new(const struct column *columns, size_t n);
void table_free(struct table *t);
DEFINE_CLEANUP(struct table *, table_free)
#define _cleanup_table_ _cleanup_(table_freep)

/* The next cell, row by row; the text is cleaned (S-35). NULL and "" are an empty cell. */
void table_cell(struct table *t, enum tone tone, const char *text);
void table_cellf(struct table *t, enum tone tone, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

size_t table_rows(const struct table *t);
/* false when memory ran out on the way. */
bool table_print(const struct table *t, const struct term *term);
