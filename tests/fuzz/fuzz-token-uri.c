/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as the address of a key: refused, or of the characters that an address has; and no PIN
 * of it is shown (S-31). */
#include "util/token-uri.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size), shown[256];

	if (!text)
		return 0;
	token_uri_shown(text, shown);
	if (strcasestr(shown, "pin-value"))
		abort();
	if (!token_uri_fault(text)) {
		const char *source = token_uri_pin_source(text);
		char *secret = token_uri_with_pin(text, text);
		if (strpbrk(text, " \"<>\\^`{|}") || !token_uri_is(text))
			abort();
		if (source && *source != '/' && strncmp(source, "credential:", 11) != 0)
			abort();
		if (!secret || strcmp(token_uri_shown(secret, shown), secret) == 0)
			abort();
		free(secret);
	}
	free(text);
	return 0;
}
