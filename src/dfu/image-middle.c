/* SPDX-License-Identifier: Apache-2.0 */
/* SHA256_* are deprecated, and the only way to see a digest's state in the middle. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "dfu/image-middle.h"
#include <openssl/sha.h>
#include <string.h>

size_t image_middle(
	const uint8_t *image, const struct ef_image_info *info, uint8_t ret[IMAGE_MIDDLE_MAX])
{
	size_t size = (size_t)info->header.hdr_size + info->header.img_size;
	size_t whole = size / SHA256_CBLOCK * SHA256_CBLOCK;
	SHA256_CTX c;

	if (SHA256_Init(&c) != 1 || SHA256_Update(&c, image, whole) != 1)
		return 0;
	for (int i = 0; i < 8; i++)
		for (int byte = 0; byte < 4; byte++)
			ret[i * 4 + byte] = (uint8_t)(c.h[i] >> (24 - 8 * byte));
	memcpy(ret + 32, image + whole, size - whole);
	return 32 + size - whole;
}
