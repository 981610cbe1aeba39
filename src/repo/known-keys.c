/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/known-keys.h"
#include "repo/keys.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include <string.h>

/* SHA-256 of the SubjectPublicKeyInfo; for P-256, MCUboot's key hash too. */
static const struct {
	const char *whose, *sha256;
} known[] = {
	{"MCUboot's sample root-ec-p256.pem",
		"e30466f6b8470c1f29070b17f1e2d3e94d445e3f608087fdc711e4382bb538b6"},
	{"MCUboot's sample root-ed25519.pem",
		"c1907fa4eac7fae3840a78902b6f0710b037e9968e5c6274a12a28790c7d4e3c"},
	{"MCUboot's sample cypress-test-ec-p256.pem",
		"6d480226638605f9f4cee9790630d5be3374d0deb0a43f19434bf60c9cc47c36"},
	{"edgeferry's test key p256.pem",
		"3b3ccb7c15efc02fcfa4efb1d75c9c66cee1439e39824082ff61f008d2c0d152"},
	{"edgeferry's test key p256-other.pem",
		"24a78a8586d8fe23be970e62818ff832470d9ec92c9991da4f8d569c79031d52"},
	{"edgeferry's test key ed25519.pem",
		"6ee330d0a3af120a5f70678c0ba476be2a8a5c9e0b0b405e3a238600edbadc3b"},
	{"edgeferry's test key enc-p256.pem",
		"a16c85a316fe1de77ca302428fe5c62b064f4e3a179051d7364500cb5bc2f7cb"},
};

#define KNOWN (sizeof(known) / sizeof(known[0]))

static const char *whose(const uint8_t digest[32])
{
	char hex[DIGEST_HEX_MAX];

	digest_hex(digest, hex);
	for (size_t i = 0; i < KNOWN; i++)
		if (strcmp(known[i].sha256, hex) == 0)
			return known[i].whose;
	return NULL;
}

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
	const char *published = whose(digest);
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
	for (size_t i = 0; i < KNOWN && !published; i++)
		if (hex_decode(known[i].sha256, digest, sizeof(digest)) &&
			memmem(image + offset, size - offset, digest, sizeof(digest)))
			published = known[i].whose;
	for (size_t i = 0; i < sizeof(whole) / sizeof(*whole) && !published; i++) {
		const uint8_t *key =
			memmem(image + offset, size - offset, whole[i].begin, whole[i].begin_size);
		if (key && (size_t)(image + size - key) >= whole[i].size &&
			EVP_Digest(key, whole[i].size, digest, NULL, EVP_sha256(), NULL) == 1)
			published = whose(digest);
	}
	return published ? error_set(e, EF_REASON_IMAGE_KEY,
				   "%s is signed by %s: its private half is published", name,
				   published)
			 : EF_REASON_OK;
}
