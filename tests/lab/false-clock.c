/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LD_PRELOAD: the wall clock of a machine without a battery. It starts at 1970, and nobody has set
 * it, until the file $FALSE_CLOCK is gone. CLOCK_MONOTONIC goes on as it is.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static int is_set(void)
{
	const char *file = getenv("FALSE_CLOCK");

	return !file || access(file, F_OK) < 0;
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
	if ((clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) && !is_set())
		clock = CLOCK_BOOTTIME; /* as if it counted from 1970 */
	return (int)syscall(SYS_clock_gettime, clock, ret);
}

time_t time(time_t *ret)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	if (ret)
		*ret = t.tv_sec;
	return t.tv_sec;
}

int gettimeofday(struct timeval *restrict ret, void *restrict zone)
{
	struct timespec t;

	(void)zone;
	clock_gettime(CLOCK_REALTIME, &t);
	*ret = (struct timeval){t.tv_sec, t.tv_nsec / 1000};
	return 0;
}

int adjtimex(struct timex *t)
{
	*t = (struct timex){.maxerror = is_set() ? 1000 : 16000000};
	return is_set() ? TIME_OK : TIME_ERROR;
}
