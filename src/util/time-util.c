/* SPDX-License-Identifier: Apache-2.0 */
#include "util/time-util.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#define MAXERROR_US 16000000 /* the kernel's bound for a clock that nobody disciplines */

uint64_t now_monotonic_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * USEC_PER_SEC + (uint64_t)t.tv_nsec / 1000;
}

int64_t now_real_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return t.tv_sec;
}

int clock_is_synchronised(void)
{
	struct timex t = {.modes = 0};

	return adjtimex(&t) < 0 ? -errno : t.maxerror < MAXERROR_US;
}

char *time_format_utc(int64_t seconds, char out[21])
{
	const int64_t first = -62167219200, last = 253402300799; /* years 0000 and 9999 */
	time_t t = seconds < first ? first : seconds > last ? last : seconds;
	struct tm tm;

	gmtime_r(&t, &tm);
	/* The modulos change nothing; they show the compiler that it fits. */
	snprintf(out, 21, "%04u-%02u-%02uT%02u:%02u:%02uZ", (unsigned)(tm.tm_year + 1900) % 10000u,
		(unsigned)(tm.tm_mon + 1) % 100u, (unsigned)tm.tm_mday % 100u,
		(unsigned)tm.tm_hour % 100u, (unsigned)tm.tm_min % 100u,
		(unsigned)tm.tm_sec % 100u);
	return out;
}

static int digits(const char *p, int n)
{
	int v = 0;

	while (n--)
		v = v * 10 + (*p++ - '0');
	return v;
}

bool time_parse_utc(const char *text, int64_t *ret)
{
	static const char shape[] = "dddd-dd-ddTdd:dd:ddZ";
	char back[21];

	if (!text || strnlen(text, sizeof(shape)) != sizeof(shape) - 1)
		return false;
	for (size_t i = 0; shape[i]; i++)
		if (shape[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != shape[i])
			return false;
	struct tm tm = {
		.tm_year = digits(text, 4) - 1900,
		.tm_mon = digits(text + 5, 2) - 1,
		.tm_mday = digits(text + 8, 2),
		.tm_hour = digits(text + 11, 2),
		.tm_min = digits(text + 14, 2),
		.tm_sec = digits(text + 17, 2),
	};
	int64_t t = timegm(&tm);
	/* timegm takes the 31st of February for the 3rd of March: only what comes back equal
	 * exists. */
	if (strcmp(time_format_utc(t, back), text) != 0)
		return false;
	*ret = t;
	return true;
}

#define SPACE " \t"

static uint64_t unit_us(const char *word, size_t n)
{
	static const struct {
		const char *word;
		uint64_t us;
	} units[] = {
		{"", USEC_PER_SEC},
		{"us", 1},
		{"usec", 1},
		{"ms", 1000},
		{"msec", 1000},
		{"s", USEC_PER_SEC},
		{"sec", USEC_PER_SEC},
		{"second", USEC_PER_SEC},
		{"seconds", USEC_PER_SEC},
		{"m", 60 * USEC_PER_SEC},
		{"min", 60 * USEC_PER_SEC},
		{"minute", 60 * USEC_PER_SEC},
		{"minutes", 60 * USEC_PER_SEC},
		{"h", 3600 * USEC_PER_SEC},
		{"hr", 3600 * USEC_PER_SEC},
		{"hour", 3600 * USEC_PER_SEC},
		{"hours", 3600 * USEC_PER_SEC},
		{"d", 86400 * USEC_PER_SEC},
		{"day", 86400 * USEC_PER_SEC},
		{"days", 86400 * USEC_PER_SEC},
		{"w", 604800 * USEC_PER_SEC},
		{"week", 604800 * USEC_PER_SEC},
		{"weeks", 604800 * USEC_PER_SEC},
	};

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strlen(units[i].word) == n && memcmp(units[i].word, word, n) == 0)
			return units[i].us;
	return 0;
}

/* One "12.5 min" at *p; moves *p behind it and adds to *sum. */
static bool span_item(const char **p, uint64_t *sum)
{
	uint64_t whole = 0, us, fraction = 0, scale = 1, part;
	size_t n = strspn(*p, "0123456789");

	if (n == 0)
		return false;
	for (; n > 0; n--)
		if (__builtin_mul_overflow(whole, 10u, &whole) ||
			__builtin_add_overflow(whole, (uint64_t)(*(*p)++ - '0'), &whole))
			return false;
	if (**p == '.') {
		n = strspn(++*p, "0123456789");
		if (n == 0 || n > 6)
			return false;
		for (; n > 0; n--, scale *= 10)
			fraction = fraction * 10 + (uint64_t)(*(*p)++ - '0');
	}
	*p += strspn(*p, SPACE);
	n = strcspn(*p, SPACE "0123456789.");
	us = unit_us(*p, n);
	*p += n;
	return us != 0 && !__builtin_mul_overflow(whole, us, &part) &&
	       !__builtin_add_overflow(*sum, part, sum) &&
	       !__builtin_add_overflow(*sum, fraction * us / scale, sum);
}

bool timespan_parse(const char *text, uint64_t *ret_us)
{
	uint64_t sum = 0;

	text += strspn(text, SPACE);
	if (strcmp(text, "infinity") == 0) {
		*ret_us = UINT64_MAX;
		return true;
	}
	do {
		if (!span_item(&text, &sum))
			return false;
		text += strspn(text, SPACE);
	} while (*text);
	*ret_us = sum;
	return true;
}
