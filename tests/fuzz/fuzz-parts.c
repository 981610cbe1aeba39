/* SPDX-License-Identifier: Apache-2.0 */
#include "net/parts.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What came of it must not depend on the portions in which the bytes came. */
struct outcome {
	enum parts_found last;
	size_t parts;
	uint64_t sum;
};

static struct outcome run(struct parts p, const uint8_t *data, size_t size, size_t portion)
{
	struct outcome o = {PARTS_MORE, 0, 0};
	uint64_t left = 0;

	for (size_t at = 0; at < size;) {
		size_t n = size - at < portion ? size - at : portion, used;
		if (left > 0) { /* bytes of a part */
			used = n < left ? n : (size_t)left;
			left -= used;
			at += used;
			continue;
		}
		o.last = parts_take(&p, data + at, n, &used);
		if (used > n || (used < n && o.last == PARTS_MORE))
			abort();
		at += used;
		if (o.last == PARTS_BAD)
			break;
		if (o.last == PARTS_PART) {
			if (p.first > p.last)
				abort();
			left = p.last - p.first + 1;
			o.parts++;
			o.sum += p.first ^ p.total;
		}
	}
	return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, '\n', size);
	struct parts p;
	char type[256];

	if (!end || (size_t)(end - data) >= sizeof(type))
		return 0;
	memcpy(type, data, (size_t)(end - data));
	type[end - data] = '\0';
	if (!parts_open(&p, type))
		return 0;
	size_t n = size - (size_t)(end + 1 - data);
	struct outcome one = run(p, end + 1, n, 1), all = run(p, end + 1, n, n ? n : 1);
	if (one.parts != all.parts || one.sum != all.sum ||
		(one.last == PARTS_BAD) != (all.last == PARTS_BAD))
		abort();
	return 0;
}
