/* SPDX-License-Identifier: Apache-2.0 */
#include "util/hex.h"

char *hex_encode(const void *data, size_t size, char *out)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = data;

	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[in[i] >> 4];
		out[2 * i + 1] = digits[in[i] & 15];
	}
	out[2 * size] = 0;
	return out;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

static bool all_digits(const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (nibble(text[i]) < 0) /* the NUL of a short text ends here */
			return false;
	return text[n] == 0;
}

bool hex_decode(const char *text, void *out, size_t size)
{
	uint8_t *to = out;

	/* Looked through first, so that out is untouched when it is wrong. */
	if (!text || size > SIZE_MAX / 2 || !all_digits(text, 2 * size))
		return false;
	for (size_t i = 0; i < size; i++)
		to[i] = (uint8_t)(nibble(text[2 * i]) << 4 | nibble(text[2 * i + 1]));
	return true;
}
