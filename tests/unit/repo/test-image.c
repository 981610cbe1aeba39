/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/image.h"
#include "repo/keys.h"
#include "unit.h"
#include <openssl/ec.h>
#include <string.h>

static EVP_PKEY *key, *other;
static const uint8_t payload[1000] = {1, 2, 3};

static void setup(void)
{
	key = EVP_EC_gen("P-256");
	other = EVP_EC_gen("P-256");
	ck_assert(key && other);
}

static void teardown(void)
{
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static const struct image_spec spec = {.version = {1, 2, 3, 4},
	.header_size = 64,
	.has_security = true,
	.security = 0x01020304,
	.compatible = "acme.example,meter-v2",
	.repeat_header = true};

static uint8_t *build(const struct image_spec *what, size_t *size)
{
	struct error e = {0};
	uint8_t *image;

	ck_assert_int_eq(
		image_build(what, key, payload, sizeof(payload), &image, size, &e), EF_REASON_OK);
	return image;
}

static enum ef_reason verify(const uint8_t *image, size_t size, EVP_PKEY *with)
{
	struct ef_image_info info;
	struct error e = {0};

	return image_verify(image, size, "image", with, &info, &e);
}

START_TEST(our_checker_takes_it)
{
	struct ef_image_info info;
	struct error e = {0};
	size_t size;
	uint8_t *image = build(&spec, &size);

	ck_assert(image_is_one(image, size));
	ck_assert_int_eq(image_verify(image, size, "image", key, &info, &e), EF_REASON_OK);
	ck_assert_uint_eq(info.total_size, size);
	ck_assert_uint_eq(info.security_counter, 0x01020304);
	ck_assert_uint_eq(info.header.hdr_size, 64);
	ck_assert_uint_eq(info.header.version.build, 4);
	ck_assert(info.has_vendor && info.has_class);
	ck_assert_int_eq(verify(image, size, other), EF_REASON_IMAGE_KEY);
	/* the first protected TLV is the header once more */
	const uint8_t *tlv = image + 64 + sizeof(payload) + 4;
	ck_assert(memcmp(tlv, "\xa0\xef\x20\x00", 4) == 0 && memcmp(tlv + 4, image, 32) == 0);
	free(image);
	/* without anything optional */
	const struct image_spec least = {.header_size = 32};
	image = build(&least, &size);
	ck_assert_int_eq(image_verify(image, size, "image", key, &info, &e), EF_REASON_OK);
	ck_assert_uint_eq(info.header.protected_size, 0);
	ck_assert(!info.has_vendor);
	free(image);
}
END_TEST

START_TEST(every_byte_counts)
{
	size_t size;
	uint8_t *image = build(&spec, &size);

	for (size_t i = 0; i < size; i++) {
		image[i] ^= 0x10;
		ck_assert_int_ne(verify(image, size, key), EF_REASON_OK);
		image[i] ^= 0x10;
	}
	for (size_t n = 0; n < size; n++)
		ck_assert_int_ne(verify(image, n, key), EF_REASON_OK);
	ck_assert_int_eq(verify(image, size, key), EF_REASON_OK);
	free(image);
}
END_TEST

START_TEST(made_of)
{
	struct image_spec changed = spec;
	uint8_t more[sizeof(payload)] = {0};
	size_t size;
	uint8_t *image = build(&spec, &size);

	ck_assert(image_is_made_of(image, size, &spec, key, payload, sizeof(payload)));
	ck_assert(!image_is_made_of(image, size, &spec, other, payload, sizeof(payload)));
	ck_assert(!image_is_made_of(image, size, &spec, key, payload, sizeof(payload) - 1));
	ck_assert(!image_is_made_of(image, size, &spec, key, more, sizeof(more)));
	ck_assert(!image_is_made_of(image, size - 1, &spec, key, payload, sizeof(payload)));
	changed.security++;
	ck_assert(!image_is_made_of(image, size, &changed, key, payload, sizeof(payload)));
	changed = spec;
	changed.header_size = 128;
	ck_assert(!image_is_made_of(image, size, &changed, key, payload, sizeof(payload)));
	changed = spec;
	changed.repeat_header = false;
	ck_assert(!image_is_made_of(image, size, &changed, key, payload, sizeof(payload)));
	changed = spec;
	changed.compatible = NULL;
	ck_assert(!image_is_made_of(image, size, &changed, key, payload, sizeof(payload)));
	image[size - 1] ^= 1;
	ck_assert(!image_is_made_of(image, size, &spec, key, payload, sizeof(payload)));
	free(image);
}
END_TEST

START_TEST(ed25519)
{
	EVP_PKEY *edge = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	struct error e = {0};
	uint8_t *image;
	size_t size;

	ck_assert_int_eq(image_build(&spec, edge, payload, sizeof(payload), &image, &size, &e),
		EF_REASON_OK);
	ck_assert_int_eq(verify(image, size, edge), EF_REASON_OK);
	ck_assert_int_eq(verify(image, size, key), EF_REASON_IMAGE_KEY);
	ck_assert(image_is_made_of(image, size, &spec, edge, payload, sizeof(payload)));
	image[size - 1] ^= 1;
	ck_assert_int_eq(verify(image, size, edge), EF_REASON_IMAGE_SIGNATURE);
	free(image);
	EVP_PKEY_free(edge);
}
END_TEST

START_TEST(refused)
{
	EVP_PKEY *wrong[] = {
		EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048), EVP_EC_gen("P-384")};
	struct image_spec changed = spec;
	struct error e = {0};
	uint8_t *image = NULL;
	size_t size;

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(image_build(&spec, wrong[i], payload, 10, &image, &size, &e),
			EF_REASON_USAGE);
		e = (struct error){0};
		EVP_PKEY_free(wrong[i]);
	}
	ck_assert_int_eq(
		image_build(&spec, key, payload, 0, &image, &size, &e), EF_REASON_BAD_SIZE);
	e = (struct error){0};
	ck_assert_int_eq(image_build(&spec, key, payload, IMAGE_FILE_MAX + 1, &image, &size, &e),
		EF_REASON_BAD_SIZE);
	static const uint16_t headers[] = {0, 31, 33, 1028, 65535};
	for (int i = 0; i < 5; i++) {
		changed.header_size = headers[i];
		e = (struct error){0};
		ck_assert_int_eq(image_build(&changed, key, payload, 10, &image, &size, &e),
			EF_REASON_USAGE);
	}
	ck_assert_ptr_null(image);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("repo/image");
	TCase *t = tcase_create("image");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, our_checker_takes_it);
	tcase_add_test(t, every_byte_counts);
	tcase_add_test(t, made_of);
	tcase_add_test(t, ed25519);
	tcase_add_test(t, refused);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
