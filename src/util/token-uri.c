/* SPDX-License-Identifier: Apache-2.0 */
#include "util/token-uri.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SCHEME "pkcs11:"
#define PIN_SOURCE "?pin-source="
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define PLAIN LETTERS DIGITS "-._~"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char *const attributes[] = {
	"token", "serial", "manufacturer", "model", "object", "id", "type"};
#define NAMES_A_KEY ((1u << 4) | (1u << 5))

bool token_uri_is(const char *text)
{
	return strncasecmp(text, SCHEME, strlen(SCHEME)) == 0;
}

/* Characters of RFC 7512 in a value, others as %XX. */
static bool value_good(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '%') {
			if (n - i < 3 || strspn(p + i + 1, DIGITS "abcdefABCDEF") < 2)
				return false;
			i += 2;
		} else if (!strchr(PLAIN ":[]@!$'()*+,=&/", p[i])) {
			return false;
		}
	}
	return n > 0;
}

/* Which attribute begins at p; -1: none that is known. */
static int attribute_at(const char *p, size_t name)
{
	for (size_t i = 0; i < COUNT(attributes); i++)
		if (strlen(attributes[i]) == name && memcmp(attributes[i], p, name) == 0)
			return (int)i;
	return -1;
}

static bool path_good(const char *p, size_t size)
{
	unsigned seen = 0;

	for (const char *end = p + size; p < end;) {
		const char *stop = memchr(p, ';', (size_t)(end - p));
		size_t n = stop ? (size_t)(stop - p) : (size_t)(end - p);
		const char *is = memchr(p, '=', n);
		int which = is ? attribute_at(p, (size_t)(is - p)) : -1;
		if (which < 0 || seen & 1u << which ||
			!value_good(is + 1, n - (size_t)(is + 1 - p)))
			return false;
		seen |= 1u << which;
		if (stop && stop + 1 == end)
			return false;
		p += stop ? n + 1 : n;
	}
	return seen & NAMES_A_KEY;
}

static bool source_good(const char *source)
{
	if (strncmp(source, "file:/", 6) == 0)
		return !source[5 + strspn(source + 5, PLAIN "/")] && !strstr(source, "/..");
	if (strncmp(source, "credential:", 11) != 0)
		return false;
	source += 11;
	return *source && *source != '.' && !source[strspn(source, LETTERS DIGITS "-_.")];
}

const char *token_uri_fault(const char *uri)
{
	const char *path = uri + strlen(SCHEME), *query;

	if (!token_uri_is(uri))
		return "an address that begins with pkcs11:";
	if (strcasestr(uri, "pin-value"))
		return "?pin-source=file:PATH or ?pin-source=credential:NAME: everybody can read "
		       "this file";
	query = path + strcspn(path, "?");
	if (strlen(uri) > 1024 || !path_good(path, (size_t)(query - path)))
		return "pkcs11:token=NAME;object=NAME, of token, serial, manufacturer, model, "
		       "object, id and type";
	if (*query && (strncmp(query, PIN_SOURCE, strlen(PIN_SOURCE)) != 0 ||
			      !source_good(query + strlen(PIN_SOURCE))))
		return "nothing behind the key's name but ?pin-source=file:PATH or "
		       "?pin-source=credential:NAME";
	return NULL;
}

const char *token_uri_pin_source(const char *uri)
{
	const char *source = strstr(uri, PIN_SOURCE);

	if (!source)
		return NULL;
	source += strlen(PIN_SOURCE);
	return strncmp(source, "file:", 5) == 0 ? source + 5 : source;
}

char *token_uri_with_pin(const char *uri, const char *pin)
{
	size_t path = strcspn(uri, "?");
	char *out = malloc(path + sizeof("?pin-value=") + 3 * strlen(pin)), *p = out;

	if (!out)
		return NULL;
	p += sprintf(p, "%.*s?pin-value=", (int)path, uri);
	for (; *pin; pin++)
		p += strchr(PLAIN, *pin) ? sprintf(p, "%c", *pin)
					 : sprintf(p, "%%%02X", (unsigned char)*pin);
	return out;
}

const char *token_uri_shown(const char *uri, char out[256])
{
	const char *pin = strcasestr(uri, "pin-value");
	size_t n = token_uri_is(uri) ? strcspn(uri, "?") : strlen(uri);

	if (pin && (size_t)(pin - uri) < n)
		n = (size_t)(pin - uri);
	snprintf(out, 256, "%.*s", (int)(n < 255 ? n : 255), uri);
	return out;
}
