/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Log lines: to the journal as structured entries when standard error is connected to it
 * ($JOURNAL_STREAM), else to standard error with a "<N>" priority prefix when it is a pipe
 * handled by systemd and plain "program: text" otherwise. Control characters are replaced (S-35).
 */
#include <syslog.h>

/* name appears before each line on a terminal; max: LOG_INFO, LOG_DEBUG, … */
void log_open(const char *name, int max_level);
void log_at(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warning(...) log_at(LOG_WARNING, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERR, __VA_ARGS__)

/*
 * One event an operator acts on: message_id is 32 hex digits with an entry in the catalog;
 * fields are "KEY=value" strings up to a NULL. The MESSAGE is text.
 */
void log_event(int level, const char *message_id, const char *text, const char *const *fields);
