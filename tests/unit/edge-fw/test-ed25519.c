/* SPDX-License-Identifier: Apache-2.0 */
/* Ed25519 in the image checker: the nodes' library and OpenSSL come to the same verdict (S-03). */
#include "boot/crypto.h"
#include "dfu/image-openssl.h"
#include "unit.h"
#include "util/fdio.h"
#include <openssl/evp.h>
#include <string.h>

#define SIGNED "good-ed25519-seccnt7.bin"
enum { SIG_SIZE = 64 };

static struct crypto node;
static struct image_openssl *host;
static const struct ef_image_crypto *both[2];
static struct ef_image_key keys[2]; /* P-256, Ed25519 */

struct file {
	uint8_t *data;
	size_t size;
};

static struct file load(const char *name)
{
	struct file f = {0};
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", VECTORS, name);
	ck_assert_int_eq(file_read(path, 1 << 20, &f.data, &f.size), 0);
	return f;
}

static void read_key(const char *name, struct ef_image_key *ret)
{
	struct file pem = load(name);
	struct error e = {0};

	ck_assert_int_eq(image_key_from_pem((char *)pem.data, pem.size, ret, &e), EF_REASON_OK);
	free(pem.data);
}

static void setup(void)
{
	crypto_init(&node);
	host = image_openssl_new();
	both[0] = &node.primitives;
	both[1] = image_openssl_crypto(host);
	read_key("p256.pub.pem", &keys[0]);
	read_key("ed25519.pub.pem", &keys[1]);
}

static void teardown(void)
{
	image_openssl_free(host);
}

static enum ef_reason check(const struct ef_image_crypto *c, const struct file *f, size_t n_keys)
{
	const struct ef_image_policy policy = {
		.keys = &keys[2 - n_keys], .n_keys = n_keys, .floor = 7};
	struct image_memory m = {f->data, f->size};
	struct ef_image_source src;
	struct ef_image_info info;

	image_source_memory(&src, &m);
	return ef_image_check(&src, &policy, c, &info);
}

START_TEST(vector)
{
	const struct ef_image_crypto *c = both[_i];
	struct file f = load(SIGNED), pure = load("good-ed25519-pure.bin"),
		    other = load("good-p256-seccnt7-dep-uuid.bin");
	uint8_t *sig = f.data + f.size - SIG_SIZE;

	ck_assert_int_eq(check(c, &f, 1), EF_REASON_OK);
	ck_assert_int_eq(check(c, &f, 2), EF_REASON_OK);
	ck_assert_int_eq(check(c, &other, 2), EF_REASON_OK);
	ck_assert_int_eq(check(c, &other, 1), EF_REASON_IMAGE_KEY);
	ck_assert_int_eq(check(c, &pure, 2), EF_REASON_BAD_IMAGE);
	for (size_t bit = 0; bit < SIG_SIZE * 8; bit += 7) {
		sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
		ck_assert_int_eq(check(c, &f, 2), EF_REASON_IMAGE_SIGNATURE);
		sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	f.data[0x300] ^= 1;
	ck_assert_int_eq(check(c, &f, 2), EF_REASON_IMAGE_DIGEST);
	free(f.data);
	free(pure.data);
	free(other.data);
}
END_TEST

START_TEST(without_it_the_key_is_unknown)
{
	struct ef_image_crypto c = *both[_i];
	struct file f = load(SIGNED);

	c.ed25519_verify = NULL;
	ck_assert_int_eq(check(&c, &f, 2), EF_REASON_IMAGE_KEY);
	free(f.data);
}
END_TEST

/* A key says itself which kind of signature it makes, not the TLV behind it. */
START_TEST(kinds_are_not_mixed)
{
	struct file f = load(SIGNED);
	size_t sig_tlv = f.size - SIG_SIZE - 4;

	f.data[sig_tlv] = EF_TLV_ECDSA_SIG;
	ck_assert_int_eq(check(both[_i], &f, 2), EF_REASON_IMAGE_KEY);
	memcpy(f.data + sig_tlv - 32, keys[0].hash, 32);
	ck_assert_int_eq(check(both[_i], &f, 2), EF_REASON_IMAGE_SIGNATURE);
	f.data[sig_tlv] = EF_TLV_ED25519;
	ck_assert_int_eq(check(both[_i], &f, 2), EF_REASON_IMAGE_KEY);
	free(f.data);
}
END_TEST

/* The same signature with the group's order added to its second half, and other bad encodings. */
START_TEST(only_canonical)
{
	static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6,
		0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
	struct file f = load(SIGNED);
	uint8_t *s = f.data + f.size - 32, kept[32];
	unsigned carry = 0;

	memcpy(kept, s, 32);
	for (int i = 0; i < 32; i++) {
		carry += (unsigned)s[i] + order[i];
		s[i] = (uint8_t)carry;
		carry >>= 8;
	}
	ck_assert_int_eq(check(both[_i], &f, 1), EF_REASON_IMAGE_SIGNATURE);
	memcpy(s, order, 32);
	ck_assert_int_eq(check(both[_i], &f, 1), EF_REASON_IMAGE_SIGNATURE);
	memset(s, 0xff, 32);
	ck_assert_int_eq(check(both[_i], &f, 1), EF_REASON_IMAGE_SIGNATURE);
	memcpy(s, kept, 32);
	ck_assert_int_eq(check(both[_i], &f, 1), EF_REASON_OK);
	free(f.data);
}
END_TEST

START_TEST(fresh_keys)
{
	uint8_t digest[32], raw[32], sig[SIG_SIZE];

	for (int round = 0; round < 20; round++) {
		EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		EVP_MD_CTX *md = EVP_MD_CTX_new();
		size_t size = sizeof(sig), raw_size = sizeof(raw);

		memset(digest, round * 13, sizeof(digest));
		ck_assert_int_eq(EVP_PKEY_get_raw_public_key(key, raw, &raw_size), 1);
		ck_assert_int_eq(EVP_DigestSignInit(md, NULL, NULL, NULL, key), 1);
		ck_assert_int_eq(EVP_DigestSign(md, sig, &size, digest, sizeof(digest)), 1);
		for (int i = 0; i < 2; i++) {
			ck_assert_int_eq(
				both[i]->ed25519_verify(both[i]->ctx, raw, digest, sig), 1);
			digest[round] ^= 1;
			ck_assert_int_ne(
				both[i]->ed25519_verify(both[i]->ctx, raw, digest, sig), 1);
			digest[round] ^= 1;
		}
		EVP_MD_CTX_free(md);
		EVP_PKEY_free(key);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/ed25519");
	TCase *c = tcase_create("ed25519");

	tcase_set_timeout(c, 60);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, vector, 0, 2);
	tcase_add_loop_test(c, without_it_the_key_is_unknown, 0, 2);
	tcase_add_loop_test(c, kinds_are_not_mixed, 0, 2);
	tcase_add_loop_test(c, only_canonical, 0, 2);
	tcase_add_test(c, fresh_keys);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
