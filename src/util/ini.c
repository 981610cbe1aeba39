/* SPDX-License-Identifier: Apache-2.0 */
#include "util/ini.h"
#include "util/cleanup.h"
#include "util/text.h"
#include <string.h>

#define INI_MAX (64u * 1024u)
#define BLANK " \t\r"

struct parser {
	const char *file;
	char *next;    /* rest of the text; NULL at its end */
	unsigned line; /* of next */
	char *section;
	ini_callback cb;
	void *ctx;
	struct error *e;
};

static char *trim(char *s)
{
	s += strspn(s, BLANK);
	for (size_t n = strlen(s); n > 0 && strchr(BLANK, s[n - 1]); n--)
		s[n - 1] = 0;
	return s;
}

static char *take_line(struct parser *p)
{
	char *line = p->next;
	char *end = strchr(line, '\n');

	if (end)
		*end = 0;
	p->next = end ? end + 1 : NULL;
	p->line++;
	return line;
}

static bool is_comment(const char *line)
{
	line += strspn(line, BLANK);
	return *line == '#' || *line == ';';
}

static bool continues(char *line)
{
	size_t n = strlen(line);

	if (n > 0 && line[n - 1] == '\r')
		n--;
	return n > 0 && line[n - 1] == '\\';
}

/*
 * The next line with its continuations joined by a blank, in place: joining only ever shortens.
 * Comments between the parts are left out, as systemd does.
 */
static char *take_logical_line(struct parser *p)
{
	char *start = take_line(p);

	if (is_comment(start))
		return start;
	while (continues(start)) {
		char *end = strrchr(start, '\\');
		*end++ = ' ';
		*end = 0;
		char *more;
		do {
			if (!p->next)
				return start;
			more = take_line(p);
		} while (is_comment(more));
		memmove(end, more, strlen(more) + 1);
	}
	return start;
}

static enum ef_reason wrong(const struct parser *p, unsigned line, const char *what)
{
	return error_set(p->e, EF_REASON_CONFIG, "%s:%u: %s", p->file, line, what);
}

static bool is_name(const char *s)
{
	return s[0] &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       strlen(s);
}

static enum ef_reason parse_section(struct parser *p, char *s, unsigned line)
{
	size_t n = strlen(s);

	if (s[n - 1] != ']')
		return wrong(p, line, "a section must end with ']'");
	s[n - 1] = 0;
	if (!is_name(s + 1))
		return wrong(p, line, "not a section's name");
	p->section = s + 1;
	const struct ini_item item = {p->file, line, p->section, "", ""};
	return p->cb(&item, p->ctx, p->e);
}

static enum ef_reason parse_line(struct parser *p, char *s, unsigned line)
{
	s = trim(s);
	if (!*s || is_comment(s))
		return EF_REASON_OK;
	if (*s == '[')
		return parse_section(p, s, line);

	char *value = strchr(s, '=');
	if (!value)
		return wrong(p, line, "neither [Section] nor Key=value");
	*value++ = 0;
	char *key = trim(s);
	if (!is_name(key))
		return wrong(p, line, "not a key's name before '='");
	if (!p->section)
		return wrong(p, line, "a key before the first [Section]");
	struct ini_item item = {p->file, line, p->section, key, trim(value)};
	return p->cb(&item, p->ctx, p->e);
}

/* Only text: no NUL, no control character, no broken UTF-8. */
static enum ef_reason check_text(const struct parser *p, const char *text, size_t size)
{
	const char *end = text + size;

	for (unsigned line = 1; text < end; line++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));
		if (!stop)
			stop = end;
		if (memchr(text, 0, (size_t)(stop - text)))
			return wrong(p, line, "NUL byte");
		if (!text_is_clean(text, (size_t)(stop - text)))
			return wrong(p, line, "control character or broken UTF-8");
		text = stop + 1;
	}
	return EF_REASON_OK;
}

enum ef_reason ini_parse(const char *file, const char *text, size_t size, ini_callback cb,
	void *ctx, struct error *e)
{
	struct parser p = {.file = file, .cb = cb, .ctx = ctx, .e = e};

	if (size > INI_MAX)
		return error_set(e, EF_REASON_CONFIG, "%s: larger than 64 KiB", file);
	if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* what editors put in front */
		text += 3;
		size -= 3;
	}
	enum ef_reason r = check_text(&p, text, size);
	if (r != EF_REASON_OK)
		return r;
	_cleanup_free_ char *copy = strndup(size > 0 ? text : "", size);
	if (!copy)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", file);
	p.next = copy;
	while (r == EF_REASON_OK && p.next) {
		unsigned line = p.line + 1;
		r = parse_line(&p, take_logical_line(&p), line);
	}
	return r;
}
