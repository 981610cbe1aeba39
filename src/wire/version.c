/* SPDX-License-Identifier: Apache-2.0 */
#include <edgeferry/version.h>
#include <string.h>

bool ef_version_parse(const char *text, struct ef_version *v)
{
	static const uint32_t limit[4] = {UINT8_MAX, UINT8_MAX, UINT16_MAX, UINT32_MAX};
	uint32_t part[4] = {0};

	for (int i = 0; i < 4; i++) {
		const char *start = text;

		for (; *text >= '0' && *text <= '9'; text++) {
			uint32_t digit = (uint32_t)(*text - '0');

			/* "1.02.3" would not read back as it was written. */
			if (text > start && *start == '0')
				return false;
			if (part[i] > (limit[i] - digit) / 10)
				return false;
			part[i] = part[i] * 10 + digit;
		}
		if (text == start)
			return false;
		if (i == 2 && *text == '\0')
			break;
		if (*text++ != "..+"[i])
			return false;
	}
	v->major = (uint8_t)part[0];
	v->minor = (uint8_t)part[1];
	v->revision = (uint16_t)part[2];
	v->build = part[3];
	return true;
}

size_t ef_version_format(const struct ef_version *v, char out[EF_VERSION_TEXT_MAX])
{
	const uint32_t part[4] = {v->major, v->minor, v->revision, v->build};
	char *end = out + EF_VERSION_TEXT_MAX, *p = end;

	/* from its end, as numbers come with the last digit first */
	*--p = '\0';
	for (int i = v->build ? 3 : 2; i >= 0; i--) {
		uint32_t rest = part[i];

		do {
			*--p = (char)('0' + rest % 10);
			rest /= 10;
		} while (rest);
		if (i)
			*--p = " ..+"[i];
	}
	memmove(out, p, (size_t)(end - p));
	return (size_t)(end - p) - 1;
}

int ef_version_compare(const struct ef_version *a, const struct ef_version *b)
{
	if (a->major != b->major)
		return a->major < b->major ? -1 : 1;
	if (a->minor != b->minor)
		return a->minor < b->minor ? -1 : 1;
	if (a->revision != b->revision)
		return a->revision < b->revision ? -1 : 1;
	return a->build < b->build ? -1 : a->build > b->build;
}
