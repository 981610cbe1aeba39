/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/text.h"

void text_init(struct text *t, char *buf, size_t size)
{
	*t = (struct text){.buf = buf, .size = size};
	buf[0] = '\0';
}

void text_add(struct text *t, const char *s)
{
	for (; *s && t->used + 1 < t->size; s++)
		t->buf[t->used++] = (char)(*s >= ' ' && *s <= '~' ? *s : '?'); /* S-35 */
	t->buf[t->used] = '\0';
}

void text_add_uint(struct text *t, uint32_t n)
{
	char digits[11];
	char *p = digits + sizeof(digits) - 1;

	*p = '\0';
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	text_add(t, p);
}

void text_add_version(struct text *t, const struct ef_version *v)
{
	char s[EF_VERSION_TEXT_MAX];

	ef_version_format(v, s);
	text_add(t, s);
}

void text_add_hex(struct text *t, uint8_t byte)
{
	static const char digits[] = "0123456789abcdef";

	text_add(t, (const char[]){digits[byte >> 4], digits[byte & 15], '\0'});
}
