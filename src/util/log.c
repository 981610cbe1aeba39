/* SPDX-License-Identifier: Apache-2.0 */
#include "util/log.h"
#include "util/cleanup.h"
#include "util/text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

enum log_target { TARGET_PLAIN, TARGET_PREFIX, TARGET_JOURNAL };

/* The one global: a logger handed through every call would say nothing more. */
static struct {
	const char *name;
	int max_level;
	enum log_target target;
} the_log = {.name = "edgeferry", .max_level = LOG_INFO};

static enum log_target find_target(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	struct stat st;
	char own[64];

	if (fstat(STDERR_FILENO, &st) < 0)
		return TARGET_PLAIN;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	if (stream && strcmp(stream, own) == 0)
		return TARGET_JOURNAL;
	/* A child of a service has the journal's socket but not its environment. */
	if (S_ISSOCK(st.st_mode) || (S_ISFIFO(st.st_mode) && getenv("INVOCATION_ID")))
		return TARGET_PREFIX;
	return TARGET_PLAIN;
}

void log_open(const char *name, int max_level)
{
	the_log.name = name;
	the_log.max_level = max_level;
	the_log.target = find_target();
}

/* "KEY=value" of any length; false when there is no memory. */
static bool field(struct iovec *v, const char *key, const char *value)
{
	char *text;
	int n = asprintf(&text, "%s%s", key, value);

	if (n < 0)
		return false;
	*v = (struct iovec){.iov_base = text, .iov_len = (size_t)n};
	return true;
}

static int to_journal(int level, const char *id, const char *text, const char *const *fields)
{
	enum { MAX = 32 };
	struct iovec v[MAX];
	char priority[4];
	int n = 0, r = -ENOMEM;

	snprintf(priority, sizeof(priority), "%d", level & LOG_PRIMASK);
	bool ok = field(&v[n], "MESSAGE=", text) && ++n && field(&v[n], "PRIORITY=", priority) &&
		  ++n && field(&v[n], "SYSLOG_IDENTIFIER=", the_log.name) && ++n;
	if (ok && id)
		ok = field(&v[n], "MESSAGE_ID=", id) && ++n;
	for (; ok && fields && *fields && n < MAX; fields++) {
		ok = field(&v[n], "", *fields);
		if (ok)
			text_clean(v[n].iov_base), v[n].iov_len = strlen(v[n].iov_base), n++;
	}
	if (ok)
		r = sd_journal_sendv(v, n);
	while (n > 0)
		free(v[--n].iov_base);
	return r;
}

static void emit(int level, const char *id, char *text, const char *const *fields)
{
	int saved = errno;

	text_clean(text);
	if (the_log.target == TARGET_JOURNAL && to_journal(level, id, text, fields) >= 0)
		;
	else if (the_log.target == TARGET_PLAIN)
		fprintf(stderr, "%s: %s\n", the_log.name, text);
	else
		fprintf(stderr, "<%d>%s\n", level & LOG_PRIMASK, text);
	errno = saved;
}

void log_at(int level, const char *format, ...)
{
	char text[2048];
	va_list ap;

	if ((level & LOG_PRIMASK) > the_log.max_level)
		return;
	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	emit(level, NULL, text, NULL);
}

void log_event(int level, const char *message_id, const char *text, const char *const *fields)
{
	_cleanup_free_ char *copy = NULL;

	if ((level & LOG_PRIMASK) > the_log.max_level)
		return;
	copy = strdup(text);
	if (copy)
		emit(level, message_id, copy, fields);
}
