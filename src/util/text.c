/* SPDX-License-Identifier: Apache-2.0 */
#include "util/text.h"
#include <stdbool.h>
#include <stdint.h>

enum { UTF8_BROKEN = 0, UTF8_CUT = -1 };

/* Length of the character at s and its code point; UTF8_BROKEN, or UTF8_CUT when the text ends in
 * it. */
static int utf8_decode(const unsigned char *s, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	int n = s[0] < 0x80	    ? 1
		: (s[0] >> 5) == 6  ? 2
		: (s[0] >> 4) == 14 ? 3
		: (s[0] >> 3) == 30 ? 4
				    : 0;

	if (n <= 1) {
		*code = s[0];
		return n;
	}
	uint32_t c = s[0] & (0xffu >> (n + 1));
	for (int i = 1; i < n; i++) {
		if (s[i] == 0)
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
	unsigned char *in = (unsigned char *)text, *out = in;

	while (*in) {
		uint32_t c = 0;
		int n = utf8_decode(in, &c);

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
