/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/rom.h"
#include "boot/session-crypto.h"
#include "wire/session-crypto.h"

_Static_assert(sizeof(void *) != 4 || sizeof(struct crypto) == 144,
	"the application brings the memory for it: another size is another ROM_MAGIC");
_Static_assert(
	sizeof(void *) != 4 ||
		(sizeof(struct ef_image_header) == 20 && sizeof(struct ef_image_info) == 96 &&
			sizeof(struct ef_image_source) == 12 &&
			sizeof(struct ef_image_policy) == 20 &&
			sizeof(struct ef_image_middle) == 12 && sizeof(struct ef_session) == 76),
	"so for what the others work on");

_Static_assert(sizeof(void *) != 4 || sizeof(struct rom_table) <= 64, "ROM_TABLE_SIZE of image.ld");

/* Functions that are called with another program's RAM behind them: they have no data of their own.
 */
__attribute__((section(".rom_table"), used)) const struct rom_table rom_table = {
	.magic = ROM_MAGIC,
	.size = sizeof(struct rom_table),
	.crypto_init = crypto_init,
	.noise = {crypto_hash, crypto_hkdf, noise_public, noise_shared, crypto_encrypt,
		noise_decrypt},
	.p256_verify_raw = crypto_p256_verify_raw,
	.image = {ef_image_parse_header, ef_image_preflight, ef_image_check},
	.session = {ef_session_seal, ef_session_open},
};
