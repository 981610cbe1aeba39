/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"
#include "util/text.h"
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#define COLUMNS_MAX 16
#define GAP 2
#define SHRINK_MIN 4

struct cell {
	enum tone tone;
	char *text;
};

struct table {
	const struct column *columns;
	size_t n_columns;
	struct cell *cells;
	size_t n_cells;
	bool failed;
};

struct table *table_new(const struct column *columns, size_t n)
{
	struct table *t = n > 0 && n <= COLUMNS_MAX ? calloc(1, sizeof(*t)) : NULL;

	if (t) {
		t->columns = columns;
		t->n_columns = n;
	}
	return t;
}

void table_free(struct table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	free(t);
}

void table_cell(struct table *t, enum tone tone, const char *text)
{
	if (!t || t->failed)
		return;
	struct cell *larger = reallocarray(t->cells, t->n_cells + 1, sizeof(*larger));
	char *copy = strdup(text ? text : "");
	if (larger)
		t->cells = larger;
	if (!larger || !copy) {
		free(copy);
		t->failed = true;
		return;
	}
	t->cells[t->n_cells++] = (struct cell){tone, text_clean(copy)};
}

void table_cellf(struct table *t, enum tone tone, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text)
		table_cell(t, tone, text);
	else if (t)
		t->failed = true;
}

size_t table_rows(const struct table *t)
{
	return t ? t->n_cells / t->n_columns : 0;
}

/* Width of each column as it would like to be; 0 leaves it out. */
static void natural_widths(const struct table *t, int *width)
{
	for (size_t c = 0; c < t->n_columns; c++) {
		width[c] = 0;
		for (size_t i = c; i < t->n_cells; i += t->n_columns) {
			int w = text_width(t->cells[i].text);
			width[c] = w > width[c] ? w : width[c];
		}
		int title = text_width(t->columns[c].title);
		if (width[c] > 0 && width[c] < title)
			width[c] = title;
	}
}

static int total(const struct table *t, const int *width)
{
	int sum = -GAP;

	for (size_t c = 0; c < t->n_columns; c++)
		sum += width[c] > 0 ? width[c] + GAP : 0;
	return sum;
}

static void fit(const struct table *t, int *width, int limit)
{
	while (limit > 0 && total(t, width) > limit) {
		size_t widest = SIZE_MAX;

		for (size_t c = 0; c < t->n_columns; c++)
			if ((t->columns[c].flags & COLUMN_SHRINK) && width[c] > SHRINK_MIN &&
				(widest == SIZE_MAX || width[c] > width[widest]))
				widest = c;
		if (widest == SIZE_MAX)
			return; /* nothing gives way: the terminal wraps */
		width[widest]--;
	}
}

static bool print_cell(const struct term *term, const struct column *c, enum tone tone,
	const char *text, int width, bool last)
{
	_cleanup_free_ char *cut = text_fit(text, width, term->utf8);

	if (!cut)
		return false;
	bool right = c->flags & COLUMN_RIGHT;
	int pad = width - text_width(cut);
	fprintf(term->file, "%*s%s%s%s", right ? pad : 0, "", term_tone(term, tone), cut,
		term_plain(term, tone));
	if (!last)
		fprintf(term->file, "%*s", (right ? 0 : pad) + GAP, "");
	return true;
}

bool table_print(const struct table *t, const struct term *term)
{
	int width[COLUMNS_MAX];
	size_t last = 0;
	bool ok = t && t->n_columns > 0 && !t->failed;

	if (!ok)
		return false;
	natural_widths(t, width);
	fit(t, width, term->width);
	for (size_t c = 0; c < t->n_columns; c++)
		if (width[c] > 0)
			last = c;
	for (size_t c = 0; c < t->n_columns; c++)
		if (width[c] > 0)
			ok &= print_cell(term, &t->columns[c], TONE_BOLD, t->columns[c].title,
				width[c], c == last);
	fputc('\n', term->file);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t c = i % t->n_columns;
		if (width[c] > 0)
			ok &= print_cell(term, &t->columns[c], t->cells[i].tone, t->cells[i].text,
				width[c], c == last);
		if (c == t->n_columns - 1)
			fputc('\n', term->file);
	}
	return ok;
}
