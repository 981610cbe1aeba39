/* SPDX-License-Identifier: Apache-2.0 */
#include "dfu/node.h"
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* RFC 4122: version 5, SHA-1 over namespace and name. */
static bool uuid5(const uint8_t space[16], const char *name, size_t size, uint8_t ret[16])
{
	uint8_t bytes[16 + 96], digest[EVP_MAX_MD_SIZE];

	if (size > sizeof bytes - 16)
		return false;
	memcpy(bytes, space, 16);
	memcpy(bytes + 16, name, size);
	if (EVP_Digest(bytes, 16 + size, digest, NULL, EVP_sha1(), NULL) != 1)
		return false;
	digest[6] = (uint8_t)((digest[6] & 0x0f) | 0x50);
	digest[8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
	memcpy(ret, digest, 16);
	return true;
}

static bool is_word(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_",
			    text[i]) ||
			text[i] == '\0')
			return false;
	return size > 0;
}

bool compatible_uuids(const char *compatible, uint8_t vendor[16], uint8_t class_id[16])
{
	static const uint8_t dns[16] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4,
		0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
	const char *comma = strchr(compatible, ',');

	if (!comma || !is_word(compatible, (size_t)(comma - compatible)) ||
		!is_word(comma + 1, strlen(comma + 1)))
		return false;
	return uuid5(dns, compatible, (size_t)(comma - compatible), vendor) &&
	       uuid5(vendor, comma + 1, strlen(comma + 1), class_id);
}
