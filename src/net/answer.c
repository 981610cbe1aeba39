/* SPDX-License-Identifier: Apache-2.0 */
#include "net/answer.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Decimal digits only, below 2^63; moves *p behind them. */
static bool number(const char **p, uint64_t *ret)
{
	const char *start = *p;

	for (*ret = 0; isdigit((unsigned char)**p); (*p)++) {
		uint64_t digit = (uint64_t)(**p - '0');
		if (*ret > (INT64_MAX - digit) / 10)
			return false;
		*ret = *ret * 10 + digit;
	}
	return *p != start;
}

bool answer_parse_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *total)
{
	if (strncasecmp(text, "bytes ", 6) != 0)
		return false;
	text += 6;
	while (*text == ' ')
		text++;
	if (!number(&text, first) || *text++ != '-' || !number(&text, last) || *text++ != '/')
		return false;
	if (strcmp(text, "*") == 0)
		*total = ANSWER_UNKNOWN;
	else if (!number(&text, total) || *text)
		return false;
	return *first <= *last && (*total == ANSWER_UNKNOWN || *last < *total);
}

static bool printable(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

/* A weak tag does not promise the same bytes: no use for going on (RFC 9110, 13.1.5). */
static enum ef_reason take_tag(struct answer *a, const char *value, struct error *e)
{
	size_t n = strlen(value);

	if (value[0] == '"' && n >= 2 && n < sizeof(a->entity.tag) && value[n - 1] == '"' &&
		printable(value))
		memcpy(a->entity.tag, value, n + 1);
	return EF_REASON_OK;
}

static enum ef_reason take_date(struct answer *a, const char *value, struct error *e)
{
	if (strlen(value) < sizeof(a->entity.date) && printable(value))
		strcpy(a->entity.date, value);
	return EF_REASON_OK;
}

static enum ef_reason take_range(struct answer *a, const char *value, struct error *e)
{
	if (a->status != 206) /* a 416 has one of another form */
		return EF_REASON_OK;
	if (a->has_range || !answer_parse_range(value, &a->first, &a->last, &a->total))
		return error_set(e, EF_REASON_NET_HTTP, "Content-Range \"%s\"", value);
	a->has_range = true;
	return EF_REASON_OK;
}

static enum ef_reason take_length(struct answer *a, const char *value, struct error *e)
{
	uint64_t n;

	if (!number(&value, &n) || *value)
		return error_set(e, EF_REASON_NET_HTTP, "Content-Length makes no sense");
	if (a->status == 200)
		a->total = n;
	return EF_REASON_OK;
}

static enum ef_reason take_type(struct answer *a, const char *value, struct error *e)
{
	a->multipart = strncasecmp(value, "multipart/", 10) == 0;
	a->has_parts = a->multipart && parts_open(&a->parts, value);
	return EF_REASON_OK;
}

static enum ef_reason take_encoding(struct answer *a, const char *value, struct error *e)
{
	if (strcasecmp(value, "identity") != 0)
		return error_set(
			e, EF_REASON_NET_HTTP, "Content-Encoding \"%s\", not asked for", value);
	return EF_REASON_OK;
}

static const struct {
	const char *name;
	enum ef_reason (*take)(struct answer *a, const char *value, struct error *e);
} fields[] = {
	{"etag", take_tag},
	{"last-modified", take_date},
	{"content-range", take_range},
	{"content-length", take_length},
	{"content-type", take_type},
	{"content-encoding", take_encoding},
};

static void new_response(struct answer *a, const char *line)
{
	size_t counted = a->header_bytes;
	int status;

	if (sscanf(line, "%*s %3d", &status) != 1)
		status = 0;
	*a = (struct answer){.header_bytes = counted, .status = status, .total = ANSWER_UNKNOWN};
}

enum ef_reason answer_header(struct answer *a, const char *line, size_t size, struct error *e)
{
	char text[512];

	a->header_bytes += size;
	if (a->header_bytes > ANSWER_HEADERS_MAX)
		return error_set(
			e, EF_REASON_NET_HTTP, "more than %u bytes of headers", ANSWER_HEADERS_MAX);
	while (size > 0 && isspace((unsigned char)line[size - 1]))
		size--;
	if (size >= sizeof(text)) /* none of ours is that long */
		return EF_REASON_OK;
	memcpy(text, line, size);
	text[size] = '\0';
	if (strncmp(text, "HTTP/", 5) == 0) {
		new_response(a, text);
		return EF_REASON_OK;
	}
	char *value = strchr(text, ':');
	if (!value)
		return EF_REASON_OK;
	*value++ = '\0';
	while (*value == ' ' || *value == '\t')
		value++;
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (strcasecmp(text, fields[i].name) == 0)
			return fields[i].take(a, value, e);
	return EF_REASON_OK;
}

bool entity_known(const struct entity *a)
{
	return a->tag[0] || a->date[0];
}

bool entity_same(const struct entity *a, const struct entity *b)
{
	if (a->tag[0] || b->tag[0])
		return strcmp(a->tag, b->tag) == 0;
	return strcmp(a->date, b->date) == 0;
}

const char *entity_validator(const struct entity *a)
{
	return a->tag[0] ? a->tag : a->date;
}

enum ef_reason answer_refusal(long status)
{
	return status == 403 || status == 404 || status == 410 ? EF_REASON_NOT_FOUND
							       : EF_REASON_NET_HTTP;
}

bool answer_transient(long status)
{
	static const long list[] = {408, 425, 429, 500, 502, 503, 504};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		if (list[i] == status)
			return true;
	return false;
}
