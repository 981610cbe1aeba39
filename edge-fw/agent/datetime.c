/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group 0, date and time: told by a client, counted on from there, lost with a reset. Nothing in
 * the firmware decides by it. "2026-03-01T12:00:00", a fraction and a zone may follow (RFC 3339).
 */
#include "agent/agent.h"

#define TEXT_MAX 40u
#define DAY 86400u

enum { YEAR, MONTH, DAY_OF_MONTH, HOUR, MINUTE, SECOND, PARTS };

/* least and most of the year: what 32 bits of seconds hold */
static const struct {
	char before;
	uint8_t digits;
	uint16_t least, most;
} parts[PARTS] = {{0, 4, 1970, 2105}, {'-', 2, 1, 12}, {'-', 2, 1, 31}, {'T', 2, 0, 23},
	{':', 2, 0, 59}, {':', 2, 0, 59}};

static uint32_t days_in(uint32_t year, uint32_t month)
{
	if (month != 2)
		return 30 + ((month + month / 8) & 1);
	return year % 4 == 0 && (year % 100 || year % 400 == 0) ? 29 : 28;
}

/* Midnight of the first day of a year, counting months from 1970. */
static uint32_t next_month(uint32_t part[PARTS])
{
	uint32_t days = days_in(part[YEAR], part[MONTH]);

	if (part[MONTH]++ == 12) {
		part[MONTH] = 1;
		part[YEAR]++;
	}
	return days;
}

struct cursor {
	const uint8_t *at, *end;
};

static bool take_char(struct cursor *c, char want)
{
	if (c->at == c->end || *c->at != (uint8_t)want)
		return false;
	c->at++;
	return true;
}

static bool take_digit(struct cursor *c, uint32_t *n)
{
	if (c->at == c->end || *c->at < '0' || *c->at > '9')
		return false;
	*n = *n * 10 + (uint32_t)(*c->at++ - '0');
	return true;
}

static bool take_part(struct cursor *c, unsigned number, uint32_t *n)
{
	*n = 0;
	for (unsigned i = 0; i < parts[number].digits; i++)
		if (!take_digit(c, n))
			return false;
	return *n >= parts[number].least && *n <= parts[number].most;
}

/* Seconds east of Greenwich; none and Z are 0. */
static bool take_zone(struct cursor *c, int32_t *offset)
{
	uint32_t hours = 0, minutes = 0;
	bool west = take_char(c, '-');

	if (west || take_char(c, '+')) {
		if (!take_part(c, HOUR, &hours) || !take_char(c, ':') ||
			!take_part(c, MINUTE, &minutes))
			return false;
	} else {
		take_char(c, 'Z');
	}
	*offset = (int32_t)(hours * 3600 + minutes * 60);
	if (west)
		*offset = -*offset;
	return c->at == c->end;
}

static bool parse(const struct value *v, uint32_t *ret)
{
	struct cursor c = {v->data, v->data + v->size};
	uint32_t part[PARTS], at[PARTS] = {parts[YEAR].least, 1}, days, fraction = 0;
	int32_t zone;

	for (unsigned i = 0; i < PARTS; i++)
		if ((i && !take_char(&c, parts[i].before)) || !take_part(&c, i, &part[i]))
			return false;
	if (part[DAY_OF_MONTH] > days_in(part[YEAR], part[MONTH]))
		return false;
	if (take_char(&c, '.')) {
		if (!take_digit(&c, &fraction))
			return false;
		while (take_digit(&c, &fraction))
			;
	}
	if (!take_zone(&c, &zone))
		return false;
	days = part[DAY_OF_MONTH] - 1;
	while (at[YEAR] < part[YEAR] || at[MONTH] < part[MONTH])
		days += next_month(at);
	*ret = days * DAY + part[HOUR] * 3600 + part[MINUTE] * 60 + part[SECOND] - (uint32_t)zone;
	return true;
}

static void add_part(struct text *t, char before, uint32_t n, uint32_t least)
{
	text_add(t, (const char[]){before, '\0'});
	for (; least > n && least > 1; least /= 10)
		text_add(t, "0");
	text_add_uint(t, n);
}

static struct outcome read_datetime(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	uint32_t now = a->epoch + a->uptime, days = now / DAY, part[PARTS] = {parts[YEAR].least, 1};
	char line[TEXT_MAX];
	struct text t;

	(void)v;
	if (!a->epoch)
		return smp_error(EF_SMP_BAD_STATE); /* nobody told */
	while (days >= days_in(part[YEAR], part[MONTH]))
		days -= next_month(part);
	now %= DAY;
	part[DAY_OF_MONTH] = days + 1;
	part[HOUR] = now / 3600;
	part[MINUTE] = now / 60 % 60;
	part[SECOND] = now % 60;
	text_init(&t, line, sizeof(line));
	text_add_uint(&t, part[YEAR]);
	for (unsigned i = MONTH; i < PARTS; i++)
		add_part(&t, parts[i].before, part[i], 10);
	add_part(&t, '.', port_millis() - a->second, 100);
	text_add(&t, "000");
	put_text(w, "datetime", line);
	return DONE;
}

static struct outcome write_datetime(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	uint32_t now;

	(void)w;
	if (v[0].size > TEXT_MAX || !parse(&v[0], &now) || now <= a->uptime)
		return smp_error(EF_SMP_INVALID);
	a->epoch = now - a->uptime;
	return DONE;
}

static const struct command commands[] = {
	{EF_OS_DATETIME, EF_SMP_READ, true, "", read_datetime},
	{EF_OS_DATETIME, EF_SMP_WRITE, false, "datetime:t", write_datetime},
};
const struct command_group datetime_group = COMMAND_GROUP(EF_GROUP_OS, true, commands);
