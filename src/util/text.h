/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Makes text from outside fit for a terminal, a log line, an event (S-35), in place: line breaks
 * and tabs become blanks; other control characters (C0, DEL, C1), what turns the direction of
 * text, and bytes that are no UTF-8 become '?'. A character cut off at the end is dropped.
 */
char *text_clean(char *text);
