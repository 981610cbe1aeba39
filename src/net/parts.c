/* SPDX-License-Identifier: Apache-2.0 */
#include "net/parts.h"
#include "net/answer.h"
#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool boundary_char(char c)
{
	return c && (isalnum((unsigned char)c) || strchr("'()+_,-./:=? ", c));
}

bool parts_open(struct parts *p, const char *type)
{
	static const char name[] = "multipart/byteranges";
	const char *value;
	size_t n = 0;

	*p = (struct parts){0};
	if (strncasecmp(type, name, sizeof(name) - 1) != 0)
		return false;
	value = strchr(type, ';');
	while (value && (*value == ';' || *value == ' '))
		value++;
	if (!value || strncasecmp(value, "boundary=", 9) != 0)
		return false;
	value += 9;
	bool quoted = *value == '"';
	for (value += quoted; boundary_char(*value) && (quoted || *value != ' '); value++) {
		if (n == PARTS_BOUNDARY_MAX)
			return false;
		p->boundary[n++] = *value;
	}
	if (quoted && *value++ != '"')
		return false;
	return n > 0 && *value == '\0' && p->boundary[n - 1] != ' ';
}

/* "--boundary" or "--boundary--" */
static enum parts_found take_boundary(struct parts *p)
{
	size_t n = strlen(p->boundary);

	if (strncmp(p->line, "--", 2) != 0 || strncmp(p->line + 2, p->boundary, n) != 0)
		return PARTS_BAD;
	if (strcmp(p->line + 2 + n, "--") == 0) {
		p->over = true;
		return PARTS_END;
	}
	p->in_headers = true;
	p->has_range = false;
	p->header_bytes = 0;
	return p->line[2 + n] == '\0' ? PARTS_MORE : PARTS_BAD;
}

static enum parts_found take_header(struct parts *p)
{
	static const char name[] = "content-range:";
	const char *value = p->line + sizeof(name) - 1;

	if (p->line[0] == '\0') {
		p->in_headers = false;
		return p->has_range ? PARTS_PART : PARTS_BAD;
	}
	if (strncasecmp(p->line, name, sizeof(name) - 1) != 0)
		return strchr(p->line, ':') ? PARTS_MORE : PARTS_BAD;
	while (*value == ' ')
		value++;
	if (p->has_range || !answer_parse_range(value, &p->first, &p->last, &p->total))
		return PARTS_BAD;
	p->has_range = true;
	return PARTS_MORE;
}

/* A whole line, without its end. Before a boundary one empty line may stand: the end of the bytes.
 */
static enum parts_found take_line(struct parts *p)
{
	if (p->line_size == 0 || p->line[p->line_size - 1] != '\r')
		return PARTS_BAD;
	p->line[p->line_size - 1] = '\0';
	if (strlen(p->line) != p->line_size - 1)
		return PARTS_BAD;
	p->header_bytes += p->line_size + 1;
	p->line_size = 0;
	if (p->header_bytes > PARTS_HEADER_MAX)
		return PARTS_BAD;
	if (p->in_headers)
		return take_header(p);
	return p->line[0] ? take_boundary(p) : PARTS_MORE;
}

enum parts_found parts_take(struct parts *p, const uint8_t *data, size_t size, size_t *used)
{
	enum parts_found found = PARTS_MORE;

	for (*used = 0; *used < size && found == PARTS_MORE;) {
		char c = (char)data[(*used)++];
		if (p->over) /* what stands behind the last boundary is nobody's */
			continue;
		if (c == '\n') {
			found = take_line(p);
			continue;
		}
		if (p->line_size + 1 >= sizeof(p->line))
			return PARTS_BAD;
		p->line[p->line_size++] = c;
	}
	return found;
}
