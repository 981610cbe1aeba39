/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images made by MCUboot's own tool: the bootloader's check (BearSSL, out of a slot) and the same
 * checker over OpenSSL (out of a file) come to the same verdict for every file.
 */
#include "boot/verify.h"
#include "flash-image.h"
#include "flash-sim.h"
#include "unit.h"
#include <dirent.h>
#include <string.h>

#define SLOT (256u * 1024u)

struct host_crypto {
	EVP_MD_CTX *sha;
	EVP_PKEY *key;
};

static void host_init(void *ctx)
{
	ck_assert_int_eq(
		EVP_DigestInit_ex(((struct host_crypto *)ctx)->sha, EVP_sha256(), NULL), 1);
}

static void host_update(void *ctx, const void *data, size_t size)
{
	ck_assert_int_eq(EVP_DigestUpdate(((struct host_crypto *)ctx)->sha, data, size), 1);
}

static void host_final(void *ctx, uint8_t digest[32])
{
	ck_assert_int_eq(EVP_DigestFinal_ex(((struct host_crypto *)ctx)->sha, digest, NULL), 1);
}

static int host_verify(void *ctx, const uint8_t point[65], const uint8_t digest[32],
	const uint8_t *sig, size_t sig_size)
{
	(void)point; /* there is one key in these tests */
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(((struct host_crypto *)ctx)->key, NULL);
	int good =
		EVP_PKEY_verify_init(c) == 1 && EVP_PKEY_verify(c, sig, sig_size, digest, 32) == 1;

	EVP_PKEY_CTX_free(c);
	return good;
}

struct file {
	const uint8_t *data;
	size_t size;
};

static int read_file(void *ctx, uint32_t offset, void *buf, size_t size)
{
	const struct file *f = ctx;

	if (offset > f->size || size > f->size - offset)
		return -1;
	memcpy(buf, f->data + offset, size);
	return 0;
}

/* acme.example and its class meter-v2 (RFC 4122 version 5, see the vectors' README) */
static const uint8_t acme[16] = {0x06, 0x37, 0xe3, 0x01, 0xe0, 0x5d, 0x50, 0x5b, 0x82, 0x67, 0x48,
	0x6f, 0x56, 0x77, 0xde, 0x9b},
		     meter_v2[16] = {0xa3, 0x78, 0xd0, 0xe2, 0x78, 0x35, 0x5d, 0xec, 0xb6, 0x49,
			     0xdc, 0xfc, 0x07, 0x89, 0x18, 0x56};

static struct factory demands;
static uint32_t floor_;

static enum ef_reason check_on_node(const uint8_t *data, size_t size)
{
	struct ef_image_info info;

	memset(sim.flash, 0xff, SLOT);
	memcpy(sim.flash, data, size);
	return verify_image(&sim.board.slot[0], floor_, &demands, &info);
}

static enum ef_reason check_on_host(EVP_PKEY *key, const uint8_t *data, size_t size)
{
	struct host_crypto host = {.sha = EVP_MD_CTX_new(), .key = key};
	struct file f = {data, size};
	const struct ef_image_crypto primitives = {
		.ctx = &host,
		.sha256_init = host_init,
		.sha256_update = host_update,
		.sha256_final = host_final,
		.p256_verify = host_verify,
	};
	static const uint8_t none[16];
	const struct ef_image_policy policy = {
		.keys = demands.keys,
		.n_keys = 1,
		.vendor = memcmp(demands.vendor, none, 16) ? demands.vendor : NULL,
		.class_id = memcmp(demands.class_id, none, 16) ? demands.class_id : NULL,
		.floor = floor_,
	};
	const struct ef_image_source src = {&f, (uint32_t)size, read_file};
	struct ef_image_info info;

	enum ef_reason reason = ef_image_check(&src, &policy, &primitives, &info);

	EVP_MD_CTX_free(host.sha);
	return reason;
}

static size_t load(const char *name, uint8_t *buf)
{
	char path[512];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", VECTORS, name);
	f = fopen(path, "re");
	ck_assert_msg(f != NULL, "%s is missing", path);
	n = fread(buf, 1, SLOT, f);
	ck_assert(getc(f) == EOF);
	fclose(f);
	return n;
}

static EVP_PKEY *start(void)
{
	EVP_PKEY *key = test_key_read(VECTORS "/p256.pub.pem");

	ck_assert(key != NULL);
	sim_init(4096, 1, SLOT / 4096 / 4, true);
	sim.board.slot[0] = (struct port_area){0, SLOT};
	sim.size = SLOT;
	memset(&demands, 0, sizeof(demands));
	demands.n_keys = 1;
	test_key_public(key, &demands.keys[0]);
	floor_ = 0;
	return key;
}

/* Signed by the key, of a kind that this project supports. */
static const char *const supported[] = {"good-p256.bin", "good-p256-odd-hdr32.bin",
	"good-p256-seccnt7-dep-uuid.bin", "good-p256-seccnt3-uuid.bin", "good-p256-fullkey.bin",
	"good-p256-padded-confirmed.bin",
	/* signed by the key as well: refused by its class only, below */
	"foreign-class-p256.bin"};

static bool is_supported(const char *name)
{
	for (size_t i = 0; i < sizeof(supported) / sizeof(*supported); i++)
		if (strcmp(supported[i], name) == 0)
			return true;
	return false;
}

START_TEST(every_file)
{
	static uint8_t data[SLOT];
	EVP_PKEY *key = start();
	DIR *d = opendir(VECTORS);
	unsigned good = 0, bad = 0;
	struct dirent *e;

	ck_assert(d != NULL);
	while ((e = readdir(d))) {
		size_t n = strlen(e->d_name);
		if (n < 4 || strcmp(e->d_name + n - 4, ".bin") != 0)
			continue;
		n = load(e->d_name, data);
		enum ef_reason node = check_on_node(data, n), host = check_on_host(key, data, n);
		ck_assert_msg((node == EF_REASON_OK) == is_supported(e->d_name), "%s: %d",
			e->d_name, node);
		ck_assert_msg((host == EF_REASON_OK) == is_supported(e->d_name),
			"%s on the host: %d", e->d_name, host);
		good += node == EF_REASON_OK;
		bad += node != EF_REASON_OK;
	}
	closedir(d);
	EVP_PKEY_free(key);
	ck_assert_uint_eq(good, sizeof(supported) / sizeof(*supported));
	ck_assert_uint_ge(bad, 15);
}
END_TEST

START_TEST(class_and_floor) /* S-23, S-12 */
{
	static uint8_t data[SLOT];
	static const struct {
		const char *name;
		uint32_t floor;
		enum ef_reason want;
	} rows[] = {
		{"good-p256-seccnt7-dep-uuid.bin", 7, EF_REASON_OK},
		{"good-p256-seccnt7-dep-uuid.bin", 8, EF_REASON_FLOOR},
		{"good-p256-seccnt3-uuid.bin", 3, EF_REASON_OK},
		{"good-p256-seccnt3-uuid.bin", 4, EF_REASON_FLOOR},
		{"foreign-class-p256.bin", 0, EF_REASON_NOT_COMPATIBLE},
		{"good-p256.bin", 0, EF_REASON_NOT_COMPATIBLE},
		{"wrong-key-p256.bin", 0, EF_REASON_IMAGE_KEY},
		{"unsigned-digest-only.bin", 0, EF_REASON_IMAGE_UNSIGNED},
		{"bad-signature-bit.bin", 0, EF_REASON_IMAGE_SIGNATURE},
		{"bad-payload-bit.bin", 0, EF_REASON_IMAGE_DIGEST},
		{"bad-keyhash.bin", 0, EF_REASON_IMAGE_KEY},
		{"bad-magic.bin", 0, EF_REASON_BAD_IMAGE},
	};
	EVP_PKEY *key = start();

	memcpy(demands.vendor, acme, 16);
	memcpy(demands.class_id, meter_v2, 16);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t n = load(rows[i].name, data);
		floor_ = rows[i].floor;
		ck_assert_msg(check_on_node(data, n) == rows[i].want, "%s: %d", rows[i].name,
			check_on_node(data, n));
		ck_assert_msg(check_on_host(key, data, n) == rows[i].want, "%s on the host",
			rows[i].name);
	}
	EVP_PKEY_free(key);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("edge-fw/vectors");
	TCase *c = tcase_create("vectors");

	suite_add_tcase(s, c);
	tcase_set_timeout(c, 60);
	tcase_add_test(c, every_file);
	tcase_add_test(c, class_and_floor);
	return s;
}

UNIT_MAIN(suite())
