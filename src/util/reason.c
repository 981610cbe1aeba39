/* SPDX-License-Identifier: Apache-2.0 */
#include "util/reason.h"
#include "util/text.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

struct entry {
	enum ef_reason reason;
	const char *word, *text, *hint;
};

static const struct entry entries[] = {
#define ENTRY(name, number, w, t, h) {EF_REASON_##name, w, t, h},
	EF_REASON_LIST(ENTRY)
#undef ENTRY
};

static const struct entry *find(enum ef_reason r)
{
	for (size_t i = 0; i < COUNT(entries); i++)
		if (entries[i].reason == r)
			return &entries[i];
	return find(EF_REASON_INTERNAL);
}

const char *reason_word(enum ef_reason r)
{
	return find(r)->word;
}

const char *reason_text(enum ef_reason r)
{
	return find(r)->text;
}

const char *reason_hint(enum ef_reason r)
{
	return find(r)->hint;
}

bool reason_from_word(const char *word, enum ef_reason *ret)
{
	for (size_t i = 0; word && i < COUNT(entries); i++)
		if (strcmp(entries[i].word, word) == 0) {
			*ret = entries[i].reason;
			return true;
		}
	return false;
}

enum ef_reason reason_from_errno(int negative_errno)
{
	static const struct {
		int number;
		enum ef_reason reason;
	} map[] = {
		{ENOMEM, EF_REASON_NO_MEMORY},
		{ENOSPC, EF_REASON_NO_SPACE},
		{EDQUOT, EF_REASON_NO_SPACE},
		{EBUSY, EF_REASON_BUSY},
		{ECANCELED, EF_REASON_CANCELLED},
		{ETIMEDOUT, EF_REASON_TIMEOUT},
		{ETIME, EF_REASON_TIMEOUT},
		{ENOENT, EF_REASON_NOT_FOUND},
		{EINVAL, EF_REASON_USAGE},
		{EACCES, EF_REASON_DENIED},
		{EPERM, EF_REASON_DENIED},
		{EBADMSG, EF_REASON_BAD_FORMAT},
		{EFBIG, EF_REASON_BAD_SIZE},
		{ENODATA, EF_REASON_BAD_SIZE},
		{ECONNREFUSED, EF_REASON_NET_UNREACHABLE},
		{ENETUNREACH, EF_REASON_NET_UNREACHABLE},
		{EHOSTUNREACH, EF_REASON_NET_UNREACHABLE},
	};

	if (negative_errno >= 0)
		return EF_REASON_OK;
	for (size_t i = 0; i < COUNT(map); i++)
		if (map[i].number == -negative_errno)
			return map[i].reason;
	return EF_REASON_IO;
}

enum ef_reason error_set(struct error *e, enum ef_reason reason, const char *format, ...)
{
	va_list ap;

	if (e->reason != EF_REASON_OK || reason == EF_REASON_OK)
		return e->reason;
	e->reason = reason;
	va_start(ap, format);
	vsnprintf(e->detail, sizeof(e->detail), format, ap);
	va_end(ap);
	text_clean(e->detail);
	return reason;
}

enum ef_reason error_errno(struct error *e, int negative_errno, const char *format, ...)
{
	enum ef_reason reason = reason_from_errno(negative_errno);
	va_list ap;

	if (e->reason != EF_REASON_OK || reason == EF_REASON_OK)
		return e->reason;
	e->reason = reason;
	va_start(ap, format);
	int n = vsnprintf(e->detail, sizeof(e->detail), format, ap);
	va_end(ap);
	if (n >= 0 && (size_t)n < sizeof(e->detail))
		snprintf(e->detail + n, sizeof(e->detail) - (size_t)n, ": %s",
			strerror(-negative_errno));
	text_clean(e->detail);
	return reason;
}

void error_clear(struct error *e)
{
	*e = (struct error){.reason = EF_REASON_OK};
}

void error_format(const struct error *e, char *out, size_t size)
{
	const char *hint = reason_hint(e->reason);

	snprintf(out, size, "%s: %s%s%s%s%s%s", reason_word(e->reason), reason_text(e->reason),
		e->detail[0] ? ": " : "", e->detail, hint[0] ? " (" : "", hint, hint[0] ? ")" : "");
	if (size > 0)
		text_clean(out);
}
