/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the output can show, and text measured and cut for it. */
#include <stdbool.h>
#include <stdio.h>

enum tone { TONE_PLAIN, TONE_BOLD, TONE_DIM, TONE_GOOD, TONE_WARN, TONE_BAD };

struct term {
	FILE *file;
	bool live; /* a terminal with a cursor to move */
	bool colour;
	bool utf8;
	int width, height; /* cells; 0: no limit */
};

/* Looks at file, $TERM, $NO_COLOR and the locale (the caller has called setlocale). */
void term_init(struct term *t, FILE *file);
/* Asks for the size again, after SIGWINCH. */
void term_resize(struct term *t);

/* Escape sequences to begin and end a tone; "" without colour. */
const char *term_tone(const struct term *t, enum tone tone);
const char *term_plain(const struct term *t, enum tone tone);

/* Cells that text takes; text is clean (util/text.h). */
int text_width(const char *text);
/*
 * Text cut to at most width cells, with an ellipsis at its end when something was left out. New
 * string or NULL.
 */
char *text_fit(const char *text, int width, bool utf8);
