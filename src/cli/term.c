/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/term.h"
#include "util/text.h"
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

void term_resize(struct term *t)
{
	struct winsize w = {0};

	if (!isatty(fileno(t->file)))
		return;
	if (ioctl(fileno(t->file), TIOCGWINSZ, &w) < 0 || w.ws_col == 0) {
		const char *columns = getenv("COLUMNS");
		int n = columns ? atoi(columns) : 0;
		t->width = n > 0 && n < 10000 ? n : 80;
		t->height = 24;
		return;
	}
	t->width = w.ws_col;
	t->height = w.ws_row ? w.ws_row : 24;
}

void term_init(struct term *t, FILE *file)
{
	const char *name = getenv("TERM"), *no_color = getenv("NO_COLOR");

	*t = (struct term){.file = file, .utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0};
	if (!isatty(fileno(file)))
		return;
	t->live = name && *name && strcmp(name, "dumb") != 0;
	t->colour = t->live && !(no_color && *no_color);
	term_resize(t);
}

const char *term_tone(const struct term *t, enum tone tone)
{
	static const char *const codes[] = {
		[TONE_PLAIN] = "",
		[TONE_BOLD] = "\033[1m",
		[TONE_DIM] = "\033[2m",
		[TONE_GOOD] = "\033[32m",
		[TONE_WARN] = "\033[33m",
		[TONE_BAD] = "\033[31m",
	};

	return t->colour ? codes[tone] : "";
}

const char *term_plain(const struct term *t, enum tone tone)
{
	return t->colour && tone != TONE_PLAIN ? "\033[0m" : "";
}

/* The character at s: its bytes, at least 1, and its cells. */
static size_t next_char(const char *s, int *cells)
{
	wchar_t c;
	mbstate_t state = {0};
	size_t n = mbrtowc(&c, s, strlen(s), &state);

	if (n == 0 || n > 16) { /* not of this locale: a byte that shows as one cell, at most */
		*cells = 1;
		return 1;
	}
	int w = wcwidth(c);
	*cells = w < 0 ? 1 : w;
	return n;
}

int text_width(const char *text)
{
	int width = 0, cells;

	for (; *text; width += cells)
		text += next_char(text, &cells);
	return width;
}

char *text_fit(const char *text, int width, bool utf8)
{
	const char *dots = utf8 ? "…" : "..";
	int dots_width = utf8 ? 1 : 2, used = 0, cells;
	size_t n = 0;
	char *out;

	if (width < 0)
		width = 0;
	if (text_width(text) <= width)
		return strdup(text);
	if (width < dots_width)
		dots = "", dots_width = 0;
	while (text[n]) {
		size_t step = next_char(text + n, &cells);
		if (used + cells > width - dots_width)
			break;
		used += cells;
		n += step;
	}
	return asprintf(&out, "%.*s%s", (int)n, text, dots) < 0 ? NULL : out;
}
