/* SPDX-License-Identifier: Apache-2.0 */
/* In the application, in place of crypto.c, session-crypto.c, wire/image.c,
 * wire/session-transport.c and the libraries: the bootloader's. */
#include "boot/crypto.h"
#include "boot/rom.h"
#include "port/port.h"
#include "wire/session-crypto.h"

/* A bootloader that this application was not made for: its trial ends here. */
static const struct rom_table *rom(void)
{
	if (rom_table.magic != ROM_MAGIC || rom_table.size < sizeof(rom_table))
		port_reset();
	return &rom_table;
}

void crypto_init(struct crypto *c)
{
	rom()->crypto_init(c);
}

int crypto_p256_verify_raw(
	const uint8_t point[65], const uint8_t digest[32], const uint8_t *sig, size_t sig_size)
{
	return rom()->p256_verify_raw(point, digest, sig, sig_size);
}

bool noise_hash(uint8_t out[32], const void *a, size_t a_size, const void *b, size_t b_size)
{
	return rom()->noise.hash(out, a, a_size, b, b_size);
}

bool noise_hkdf(
	const uint8_t salt[32], const void *input, size_t input_size, uint8_t *out, size_t size)
{
	return rom()->noise.hkdf(salt, input, input_size, out, size);
}

bool noise_public(uint8_t out[32], const uint8_t secret[32])
{
	return rom()->noise.public(out, secret);
}

bool noise_shared(uint8_t out[32], const uint8_t secret[32], const uint8_t public_key[32])
{
	return rom()->noise.shared(out, secret, public_key);
}

bool noise_encrypt(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, uint8_t tag[16])
{
	return rom()->noise.encrypt(key, nonce, ad, ad_size, data, size, tag);
}

bool noise_decrypt(const uint8_t key[32], uint64_t nonce, const void *ad, size_t ad_size,
	uint8_t *data, size_t size, const uint8_t tag[16])
{
	return rom()->noise.decrypt(key, nonce, ad, ad_size, data, size, tag);
}

enum ef_reason ef_image_parse_header(
	const uint8_t buf[EF_IMAGE_HEADER_SIZE], uint32_t limit, struct ef_image_header *ret)
{
	return rom()->image.parse_header(buf, limit, ret);
}

enum ef_reason ef_image_preflight(const struct ef_image_source *src,
	const struct ef_image_policy *policy, const struct ef_image_crypto *crypto,
	const struct ef_image_middle *middle, struct ef_image_info *ret)
{
	return rom()->image.preflight(src, policy, crypto, middle, ret);
}

enum ef_reason ef_image_check(const struct ef_image_source *src,
	const struct ef_image_policy *policy, const struct ef_image_crypto *crypto,
	struct ef_image_info *ret)
{
	return rom()->image.check(src, policy, crypto, ret);
}

size_t ef_session_seal(struct ef_session *s, uint8_t *frame, size_t size)
{
	return rom()->session.seal(s, frame, size);
}

enum ef_session_verdict ef_session_open(struct ef_session *s, uint8_t *frame, size_t size)
{
	return rom()->session.open(s, frame, size);
}
