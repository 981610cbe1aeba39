/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/published-keys.h"
#include "util/hex.h"
#include <string.h>

const struct published_key published_keys[] = {
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
	{NULL, NULL},
};

const char *published_key_name(const uint8_t sha256[32])
{
	char hex[DIGEST_HEX_MAX];

	digest_hex(sha256, hex);
	for (const struct published_key *k = published_keys; k->whose; k++)
		if (strcmp(k->sha256, hex) == 0)
			return k->whose;
	return NULL;
}
