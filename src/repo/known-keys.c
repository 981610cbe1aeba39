/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/known-keys.h"
#include "repo/keys.h"
#include "trust/published-keys.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include <string.h>

static bool is_allowed(bool allowed)
{
	return allowed && known_keys_may_be_allowed();
}

enum ef_reason known_key_refuse(EVP_PKEY *key, const char *name, bool allowed, struct error *e)
{
	_cleanup_free_ uint8_t *spki = NULL;
	uint8_t digest[32];
	size_t size;
	enum ef_reason r = key_spki(key, &spki, &size, e);

	if (r || is_allowed(allowed))
		return r;
	if (EVP_Digest(spki, size, digest, NULL, EVP_sha256(), NULL) != 1)
		return error_set(e, EF_REASON_INTERNAL, "SHA-256 failed");
	const char *published = published_key_name(digest);
	return published ? error_set(e, EF_REASON_USAGE,
				   "%s is %s: its private half is published, anybody can sign "
				   "with it",
				   name, published)
			 : EF_REASON_OK;
}

enum ef_reason known_key_refuse_image(const uint8_t *image, size_t size, size_t offset,
	const char *name, bool allowed, struct error *e)
{
	/* where the trailer has a whole key in place of its hash: of P-256, of Ed25519 */
	static const struct {
		size_t size, begin_size;
		uint8_t begin[26];
	} whole[] = {
		{91, 26,
			{0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02,
				0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
				0x03, 0x42, 0x00}},
		{44, 12, {0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00}},
	};
	const char *published = NULL;
	uint8_t digest[32];

	if (is_allowed(allowed) || offset > size)
		return EF_REASON_OK;
	for (const struct published_key *k = published_keys; k->whose && !published; k++)
		if (hex_decode(k->sha256, digest, sizeof(digest)) &&
			memmem(image + offset, size - offset, digest, sizeof(digest)))
			published = k->whose;
	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole) && !published; i++) {
		const uint8_t *key =
			memmem(image + offset, size - offset, whole[i].begin, whole[i].begin_size);
		if (key && (size_t)(image + size - key) >= whole[i].size &&
			EVP_Digest(key, whole[i].size, digest, NULL, EVP_sha256(), NULL) == 1)
			published = published_key_name(digest);
	}
	return published ? error_set(e, EF_REASON_IMAGE_KEY,
				   "%s is signed by %s: its private half is published", name,
				   published)
			 : EF_REASON_OK;
}
