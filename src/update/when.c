/* SPDX-License-Identifier: Apache-2.0 */
#include "update/when.h"
#include "util/time-util.h"
#include <time.h>

#define ALL_DAYS 0x7f

static bool day_allowed(const struct config *c, int day)
{
	return c->window_days == 0 || (c->window_days >> day & 1) != 0;
}

bool when_open(const struct config *c, int64_t now)
{
	const struct config_window *w = &c->window;
	time_t t = (time_t)now;
	struct tm tm;

	if (!localtime_r(&t, &tm))
		return false;
	int minute = tm.tm_hour * 60 + tm.tm_min;
	if (w->from == w->to)
		return day_allowed(c, tm.tm_wday);
	if (w->from < w->to)
		return day_allowed(c, tm.tm_wday) && minute >= w->from && minute < w->to;
	/* over midnight: it is the window of the day on which it began */
	if (minute >= w->from)
		return day_allowed(c, tm.tm_wday);
	return minute < w->to && day_allowed(c, (tm.tm_wday + 6) % 7);
}

int64_t when_opens(const struct config *c, int64_t now)
{
	time_t t = (time_t)now;
	struct tm today;

	if (!localtime_r(&t, &today))
		return 0;
	for (int day = 0; day <= 8; day++) {
		struct tm tm = {.tm_year = today.tm_year,
			.tm_mon = today.tm_mon,
			.tm_mday = today.tm_mday + day,
			.tm_hour = c->window.from / 60,
			.tm_min = c->window.from % 60,
			.tm_isdst = -1};
		time_t opens = mktime(&tm);
		/* an hour that there is not, when summer time begins, is somewhere near */
		for (int i = 0; i < 120 && !when_open(c, opens); i++)
			opens += 60;
		while (opens - 60 > t && when_open(c, opens - 60))
			opens -= 60;
		if (opens > t && when_open(c, opens))
			return (int64_t)opens;
	}
	return 0;
}

static enum ef_reason in_window(const struct when *w, int64_t *until, struct error *e)
{
	const struct config_window *x = &w->config->window;

	if (when_open(w->config, w->now))
		return EF_REASON_OK;
	*until = when_opens(w->config, w->now);
	return error_set(e, EF_REASON_HELD, "outside of Window=%02u:%02u-%02u:%02u%s", x->from / 60,
		x->from % 60, x->to / 60, x->to % 60,
		w->config->window_days && w->config->window_days != ALL_DAYS
			? " on the days of WindowDays="
			: "");
}

enum ef_reason when_begin(const struct when *w, int64_t *until, struct error *e)
{
	char text[21];

	*until = 0;
	if (w->paused)
		return error_set(e, EF_REASON_HELD, "paused until 'edgeferry resume'");
	if (w->postponed_until > w->now) {
		*until = w->postponed_until;
		return error_set(e, EF_REASON_HELD, "postponed until %s",
			time_format_utc(w->postponed_until, text));
	}
	return in_window(w, until, e);
}

enum ef_reason when_activate(
	const struct when *w, bool itself, bool let_go, int64_t *until, struct error *e)
{
	*until = 0;
	if (let_go)
		return EF_REASON_OK;
	if (w->config->reboot == REBOOT_REQUEST)
		return error_set(
			e, EF_REASON_HELD, "Reboot=request: waiting for 'edgeferry activate'");
	if (itself && (w->paused || w->postponed_until > w->now))
		return when_begin(w, until, e);
	return w->config->reboot == REBOOT_NOW ? EF_REASON_OK : in_window(w, until, e);
}
