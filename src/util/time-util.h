/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MSEC 1000ULL

uint64_t now_monotonic_us(void); /* for every time-out (S-20) */
int64_t now_real_s(void);	 /* seconds since 1970 by the wall clock; may be nonsense (S-19) */
/* Whether the kernel's clock is disciplined by a time source, as timedatectl says: 1, 0, or -EPERM
 * where such questions are filtered. */
int clock_is_synchronised(void);

/* "2026-11-21T08:00:00Z" to seconds since 1970 and back; exact form only. out holds 21 bytes. */
bool time_parse_utc(const char *text, int64_t *ret);
char *time_format_utc(int64_t seconds, char out[21]);

/* systemd's time spans: "5min 20s", "1h", "90" (seconds). In microseconds. */
bool timespan_parse(const char *text, uint64_t *ret_us);
