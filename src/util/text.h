/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/*
 * Makes text from outside fit for a terminal, a log line, an event (S-35), in place: line breaks
 * and tabs become blanks; other control characters (C0, DEL, C1), what turns the direction of
 * text, and bytes that are no UTF-8 become '?'. A character cut off at the end is dropped.
 */
char *text_clean(char *text);

/* Whether the size bytes are text that text_clean would leave alone; tab and CR pass too. */
bool text_is_clean(const char *text, size_t size);
