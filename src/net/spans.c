/* SPDX-License-Identifier: Apache-2.0 */
#include "net/spans.h"
#include <stdio.h>

bool spans_done(const struct spans *s)
{
	return s->n > 0 && s->at >= s->n;
}

uint64_t spans_next(const struct spans *s)
{
	return s->n == 0 ? s->within : s->ranges[s->at].offset + s->within;
}

void spans_request(const struct spans *s, uint64_t *first, uint64_t *last)
{
	*first = spans_next(s);
	*last = UINT64_MAX;
	if (s->n == 0)
		return;
	uint64_t end = s->ranges[s->at].offset + s->ranges[s->at].size;
	for (size_t i = s->at + 1; i < s->n; i++) {
		const struct ipc_range *r = &s->ranges[i];
		if (r->offset < end || r->offset - end > SPANS_GAP)
			break;
		end = r->offset + r->size;
	}
	*last = end - 1;
}

size_t spans_request_many(
	const struct spans *s, char *text, size_t size, uint64_t *first, uint64_t *last)
{
	size_t n = 0, at = 0;

	*first = *last = spans_next(s);
	for (size_t i = s->at; i < s->n && n < SPANS_PARTS_MAX; i++) {
		const struct ipc_range *r = &s->ranges[i];
		uint64_t from = r->offset + (n ? 0 : s->within), to = r->offset + r->size - 1;
		if (n && from <= *last)
			break; /* not ascending: for the next request */
		int k = snprintf(text + at, size - at, "%s%llu-%llu", n ? "," : "",
			(unsigned long long)from, (unsigned long long)to);
		if (k < 0 || (size_t)k >= size - at) {
			text[at] = '\0';
			break;
		}
		at += (size_t)k;
		*last = to;
		n++;
	}
	return n;
}

bool spans_take(
	const struct spans *s, uint64_t pos, uint64_t size, uint64_t *skip, uint64_t *deliver)
{
	*skip = *deliver = 0;
	if (spans_done(s) || spans_next(s) < pos)
		return false;
	uint64_t before = spans_next(s) - pos;
	if (before >= size) {
		*skip = size;
		return true;
	}
	*skip = before;
	*deliver = size - before;
	if (s->n > 0 && *deliver > s->ranges[s->at].size - s->within)
		*deliver = s->ranges[s->at].size - s->within;
	return true;
}

void spans_advance(struct spans *s, uint64_t delivered)
{
	s->delivered += delivered;
	s->within += delivered;
	if (s->n > 0 && s->within == s->ranges[s->at].size) {
		s->at++;
		s->within = 0;
	}
}
