/* SPDX-License-Identifier: Apache-2.0 */
/* Any calls in any order on any bytes: inside the buffer, errors stick, everything ends. */
#include "wire/cbor.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool one_call(struct cbor_reader *r, unsigned what)
{
	const uint8_t *bytes;
	const char *text;
	uint64_t u;
	int64_t i;
	size_t n;
	bool b;

	switch (what % 8) {
	case 0:
		return cbor_get_uint(r, &u);
	case 1:
		return cbor_get_int(r, &i);
	case 2:
		return cbor_get_bool(r, &b);
	case 3:
		return cbor_get_text(r, &text, &n) && memchr(text, 1, n) != text - 1;
	case 4:
		return cbor_get_bytes(r, &bytes, &n) && memchr(bytes, 1, n) != bytes - 1;
	case 5:
		return cbor_enter(r);
	case 6:
		return cbor_leave(r);
	default:
		return cbor_skip(r);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cbor_reader r;
	size_t calls = size ? data[0] % 32 : 0, steps = 0;

	if (size < 1 + calls)
		return 0;
	cbor_read_init(&r, data + 1 + calls, size - 1 - calls);
	for (size_t k = 0; k < calls; k++) {
		bool failed = r.error;

		if (one_call(&r, data[1 + k]) && failed)
			abort();
		if (r.at > r.size || r.depth > CBOR_DEPTH_MAX)
			abort();
	}
	/* The type that peek tells can be taken. */
	cbor_read_init(&r, data + 1 + calls, size - 1 - calls);
	for (; steps <= 2 * size; steps++) { /* an empty array is entered and left */
		enum cbor_type t = cbor_peek(&r);

		if (t == CBOR_NONE			   ? r.depth == 0 || !cbor_leave(&r)
			: t == CBOR_MAP || t == CBOR_ARRAY ? !cbor_enter(&r)
							   : !cbor_skip(&r))
			break;
	}
	if (steps > 2 * size)
		abort();
	return 0;
}
