/* SPDX-License-Identifier: Apache-2.0 */
#include "util/text.h"
#include <stdint.h>
#include <string.h>

enum { UTF8_BROKEN = 0, UTF8_CUT = -1 };

/*
 * Length of the character at s, of at most size bytes, and its code point; UTF8_BROKEN, or UTF8_CUT
 * when the text ends within it.
 */
static int utf8_decode(const unsigned char *s, size_t size, uint32_t *code)
{
	static const unsigned char lengths[16] = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 2, 2, 3, 4};
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	int n = lengths[s[0] >> 4];

	*code = s[0];
	if (n <= 1 || s[0] >= 0xf8)
		return n > 1 ? UTF8_BROKEN : n;
	uint32_t c = s[0] & (0xffu >> (n + 1));
	for (int i = 1; i < n; i++) {
		if ((size_t)i == size)
			return UTF8_CUT;
		if ((s[i] & 0xc0) != 0x80)
			return UTF8_BROKEN;
		c = c << 6 | (s[i] & 0x3fu);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return UTF8_BROKEN;
	*code = c;
	return n;
}

static bool harmless(uint32_t c)
{
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return false;
	if (c == 0x2028 || c == 0x2029 || c == 0x200e || c == 0x200f || c == 0x061c)
		return false;
	return !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

char *text_clean(char *text)
{
	unsigned char *in = (unsigned char *)text, *out = in, *end = in + strlen(text);

	while (in < end) {
		uint32_t c = 0;
		int n = utf8_decode(in, (size_t)(end - in), &c);

		if (n == UTF8_CUT)
			break;
		if (n == UTF8_BROKEN) {
			*out++ = '?';
			in++;
		} else if (harmless(c)) {
			while (n--)
				*out++ = *in++;
		} else {
			*out++ = c == '\n' || c == '\t' || c == '\r' ? ' ' : '?';
			in += n;
		}
	}
	*out = 0;
	return text;
}

bool text_is_clean(const char *text, size_t size)
{
	const unsigned char *in = (const unsigned char *)text, *end = in + size;

	while (in < end) {
		uint32_t c = 0;
		int n = utf8_decode(in, (size_t)(end - in), &c);

		if (n <= 0 || (!harmless(c) && c != '\t' && c != '\r'))
			return false;
		in += n;
	}
	return true;
}
