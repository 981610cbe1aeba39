/* SPDX-License-Identifier: Apache-2.0 */
/* The image checker against images of MCUboot's own tool (S-07, S-23, E-01, E-03, E-04, L-06,
 * L-13). */
#include "dfu/image-openssl.h"
#include "unit.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <string.h>

#define FLIPPED "good-p256-seccnt7-dep-uuid.bin"

struct file {
	uint8_t *data;
	size_t size;
};

static struct image_openssl *openssl;
static const struct ef_image_crypto *crypto;
static struct ef_image_key keys[1];
static const struct ef_image_policy any_device = {.keys = keys, .n_keys = 1};

/* Vendor acme.example, class meter-v2, as the vectors' README says. */
static const uint8_t acme[16] = {0x06, 0x37, 0xe3, 0x01, 0xe0, 0x5d, 0x50, 0x5b, 0x82, 0x67, 0x48,
	0x6f, 0x56, 0x77, 0xde, 0x9b};
static const uint8_t meter_v2[16] = {0xa3, 0x78, 0xd0, 0xe2, 0x78, 0x35, 0x5d, 0xec, 0xb6, 0x49,
	0xdc, 0xfc, 0x07, 0x89, 0x18, 0x56};

static struct file load(const char *name)
{
	struct file f = {0};
	char path[512];

	snprintf(path, sizeof path, "%s/%s", VECTOR_DIR, name);
	ck_assert_int_eq(file_read(path, 1 << 20, &f.data, &f.size), 0);
	return f;
}

static void setup(void)
{
	struct file pem = load("p256.pub.pem");
	struct error e = {0};

	openssl = image_openssl_new();
	ck_assert_ptr_nonnull(openssl);
	crypto = image_openssl_crypto(openssl);
	ck_assert_int_eq(
		image_key_from_pem((char *)pem.data, pem.size, &keys[0], &e), EF_REASON_OK);
	free(pem.data);
}

static void teardown(void)
{
	image_openssl_free(openssl);
}

static enum ef_reason check(const uint8_t *data, size_t size, const struct ef_image_policy *policy,
	struct ef_image_info *info)
{
	struct image_memory m = {data, size};
	struct ef_image_source src;

	image_source_memory(&src, &m);
	return ef_image_check(&src, policy, crypto, info);
}

static enum ef_reason preflight(const uint8_t *data, size_t size,
	const struct ef_image_policy *policy, struct ef_image_info *info)
{
	struct image_memory m = {data, size};
	struct ef_image_source src;

	image_source_memory(&src, &m);
	return ef_image_preflight(&src, policy, crypto, NULL, info);
}

/* Every file of the folder: what check says, and what can be known without the payload. */
static const struct {
	const char *name;
	enum ef_reason check, preflight;
} vectors[] = {
	{"good-p256.bin", EF_REASON_OK, EF_REASON_OK},
	{"good-p256-odd-hdr32.bin", EF_REASON_OK, EF_REASON_OK},
	{"good-p256-seccnt7-dep-uuid.bin", EF_REASON_OK, EF_REASON_OK},
	{"good-p256-seccnt3-uuid.bin", EF_REASON_OK, EF_REASON_OK},
	{"foreign-class-p256.bin", EF_REASON_OK, EF_REASON_OK}, /* refused by policy, below */
	{"good-p256-fullkey.bin", EF_REASON_OK, EF_REASON_OK},
	{"good-p256-padded-confirmed.bin", EF_REASON_OK, EF_REASON_OK},
	{"good-p256-encrypted-ec256.bin", EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
	{"good-ed25519-seccnt7.bin", EF_REASON_IMAGE_KEY, EF_REASON_IMAGE_KEY},
	{"good-ed25519-pure.bin", EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
	{"wrong-key-p256.bin", EF_REASON_IMAGE_KEY, EF_REASON_IMAGE_KEY},
	{"unsigned-digest-only.bin", EF_REASON_IMAGE_UNSIGNED, EF_REASON_IMAGE_UNSIGNED},
	{"bad-digest.bin", EF_REASON_IMAGE_DIGEST, EF_REASON_IMAGE_SIGNATURE},
	{"bad-empty.bin", EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
	{"bad-hdr-size.bin", EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
	{"bad-header-version.bin", EF_REASON_IMAGE_DIGEST, EF_REASON_OK},
	{"bad-img-size-overflow.bin", EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
	{"bad-keyhash.bin", EF_REASON_IMAGE_KEY, EF_REASON_IMAGE_KEY},
	{"bad-magic.bin", EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
	{"bad-payload-bit.bin", EF_REASON_IMAGE_DIGEST, EF_REASON_OK},
	{"bad-signature-bit.bin", EF_REASON_IMAGE_SIGNATURE, EF_REASON_IMAGE_SIGNATURE},
	{"bad-tlv-length.bin", EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
	{"bad-truncated-payload.bin", EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
	{"bad-truncated-tlv.bin", EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
};

START_TEST(vectors_of_mcuboot)
{
	struct file f = load(vectors[_i].name);
	struct ef_image_info info, early;

	ck_assert_msg(check(f.data, f.size, &any_device, &info) == vectors[_i].check, "%s: %s",
		vectors[_i].name, reason_word(check(f.data, f.size, &any_device, &info)));
	ck_assert_msg(preflight(f.data, f.size, &any_device, &early) == vectors[_i].preflight,
		"%s: %s", vectors[_i].name,
		reason_word(preflight(f.data, f.size, &any_device, &early)));
	if (vectors[_i].check == EF_REASON_OK)
		ck_assert_mem_eq(&info, &early, sizeof info);
	free(f.data);
}
END_TEST

START_TEST(what_it_says_of_itself)
{
	struct file f = load(FLIPPED);
	struct image_memory m = {f.data, f.size};
	struct ef_image_source src;
	struct ef_image_info info, unverified;

	ck_assert_int_eq(check(f.data, f.size, &any_device, &info), EF_REASON_OK);
	ck_assert_uint_eq(info.header.version.major, 2);
	ck_assert_uint_eq(info.header.version.build, 7);
	ck_assert_uint_eq(info.header.hdr_size, 0x200);
	ck_assert_uint_eq(info.header.img_size, 20480);
	ck_assert_uint_eq(info.total_size, f.size);
	ck_assert_uint_eq(info.security_counter, 7);
	ck_assert(info.has_vendor && info.has_class);
	ck_assert_mem_eq(info.vendor, acme, 16);
	ck_assert_mem_eq(info.class_id, meter_v2, 16);
	image_source_memory(&src, &m);
	ck_assert_int_eq(ef_image_inspect(&src, &unverified), EF_REASON_OK);
	ck_assert_mem_eq(&info, &unverified, sizeof info);
	free(f.data);
}
END_TEST

/* S-23, E-01, S-12: right key, wrong device or too old. */
START_TEST(policy)
{
	struct ef_image_policy p = any_device;
	struct file right = load(FLIPPED), foreign = load("foreign-class-p256.bin"),
		    none = load("good-p256.bin"), old = load("good-p256-seccnt3-uuid.bin");
	struct ef_image_info info;

	p.vendor = acme;
	p.class_id = meter_v2;
	p.floor = 7;
	ck_assert_int_eq(check(right.data, right.size, &p, &info), EF_REASON_OK);
	ck_assert_int_eq(check(foreign.data, foreign.size, &p, &info), EF_REASON_NOT_COMPATIBLE);
	ck_assert_int_eq(
		preflight(foreign.data, foreign.size, &p, &info), EF_REASON_NOT_COMPATIBLE);
	ck_assert_int_eq(check(none.data, none.size, &p, &info), EF_REASON_NOT_COMPATIBLE);
	ck_assert_int_eq(check(old.data, old.size, &p, &info), EF_REASON_FLOOR);
	ck_assert_int_eq(preflight(old.data, old.size, &p, &info), EF_REASON_FLOOR);
	p.floor = 8;
	ck_assert_int_eq(check(right.data, right.size, &p, &info), EF_REASON_FLOOR);
	p = any_device;
	p.floor = 1; /* an image without a counter counts as 0 */
	ck_assert_int_eq(check(none.data, none.size, &p, &info), EF_REASON_FLOOR);
	p = any_device;
	p.n_keys = 0;
	ck_assert_int_eq(check(none.data, none.size, &p, &info), EF_REASON_IMAGE_KEY);
	free(right.data);
	free(foreign.data);
	free(none.data);
	free(old.data);
}
END_TEST

/*
 * E-03: there is no byte that may differ. One bit of every byte, a moving one; in the header and
 * the TLV areas every bit of every byte.
 */
START_TEST(every_flip_is_refused)
{
	struct file f = load(FLIPPED);
	struct ef_image_info info;
	size_t tlv = 0x200 + 20480;

	for (size_t i = 0; i < f.size; i++)
		for (int bit = 0; bit < 8; bit++) {
			if (i >= 32 && i < tlv && bit != (int)(i & 7))
				continue;
			f.data[i] ^= (uint8_t)(1 << bit);
			ck_assert_msg(check(f.data, f.size, &any_device, &info) != EF_REASON_OK,
				"byte %zu bit %d", i, bit);
			f.data[i] ^= (uint8_t)(1 << bit);
		}
	ck_assert_int_eq(check(f.data, f.size, &any_device, &info), EF_REASON_OK);
	free(f.data);
}
END_TEST

START_TEST(every_truncation_is_refused)
{
	struct file f = load(FLIPPED);
	struct ef_image_info info;

	for (size_t size = 0; size < f.size; size++) {
		uint8_t *exact =
			malloc(size ? size : 1); /* so that a sanitizer sees one byte too far */

		memcpy(exact, f.data, size);
		ck_assert_int_eq(check(exact, size, &any_device, &info), EF_REASON_BAD_IMAGE);
		ck_assert_int_eq(preflight(exact, size, &any_device, &info), EF_REASON_BAD_IMAGE);
		free(exact);
	}
	free(f.data);
}
END_TEST

/* Preflight never refuses what check accepts, and refuses for the same reason unless it is the
 * digest. */
START_TEST(preflight_agrees)
{
	struct file f = load("good-p256-odd-hdr32.bin");
	struct ef_image_info a, b;

	for (size_t i = 0; i < f.size; i++) {
		enum ef_reason full, early;

		f.data[i] ^= (uint8_t)(1 << (i & 7));
		full = check(f.data, f.size, &any_device, &a);
		early = preflight(f.data, f.size, &any_device, &b);
		if (full == EF_REASON_OK)
			ck_assert_int_eq(early, EF_REASON_OK);
		if (full != EF_REASON_IMAGE_DIGEST)
			ck_assert_int_eq(early, full);
		f.data[i] ^= (uint8_t)(1 << (i & 7));
	}
	free(f.data);
}
END_TEST

/* Images of our own making: a small builder, signatures left out on purpose. */
struct maker {
	uint8_t data[4096];
	size_t size;
};

static void put16(struct maker *m, unsigned v)
{
	m->data[m->size++] = (uint8_t)v;
	m->data[m->size++] = (uint8_t)(v >> 8);
}

static void put_tlv(struct maker *m, unsigned type, const void *data, size_t size)
{
	put16(m, type);
	put16(m, (unsigned)size);
	memcpy(m->data + m->size, data, size);
	m->size += size;
}

static const uint8_t zeros[128];

static void make(struct maker *m, size_t protected_size)
{
	static const uint8_t header[32] = {0x3d, 0xb8, 0xf3, 0x96, 0, 0, 0, 0, 32, 0, 0, 0, 8};

	memset(m, 0, sizeof *m);
	memcpy(m->data, header, 32);
	m->data[10] = (uint8_t)protected_size;
	m->size = 40;
}

static enum ef_reason inspect(const struct maker *m)
{
	struct image_memory mem = {m->data, m->size};
	struct ef_image_source src;
	struct ef_image_info info;

	image_source_memory(&src, &mem);
	return ef_image_inspect(&src, &info);
}

/* L-06: what nobody signed has no say; S-05: nor has what nobody knows. */
START_TEST(tlvs_in_the_wrong_place)
{
	static const struct {
		unsigned type, size;
		enum ef_reason protected_area, unprotected_area;
	} t[] = {
		{EF_TLV_SEC_CNT, 4, EF_REASON_OK, EF_REASON_BAD_IMAGE},
		{EF_TLV_SEC_CNT, 3, EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
		{EF_TLV_UUID_VID, 16, EF_REASON_OK, EF_REASON_BAD_IMAGE},
		{EF_TLV_UUID_CID, 16, EF_REASON_OK, EF_REASON_BAD_IMAGE},
		{EF_TLV_UUID_CID, 17, EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
		{EF_TLV_DEPENDENCY, 12, EF_REASON_OK, EF_REASON_BAD_IMAGE},
		{EF_TLV_DEPENDENCY, 11, EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
		{EF_TLV_BOOT_RECORD, 40, EF_REASON_OK, EF_REASON_BAD_IMAGE},
		{0x11a0, 9, EF_REASON_OK, EF_REASON_BAD_IMAGE},
		{0x70, 4, EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
		{0x1134, 4, EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
		{EF_TLV_KEYHASH, 32, EF_REASON_BAD_IMAGE, EF_REASON_OK},
		{EF_TLV_SHA256, 32, EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE}, /* twice */
		{0x12, 64, EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
		{0x25, 1, EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
		{0x32, 113, EF_REASON_BAD_IMAGE, EF_REASON_BAD_IMAGE},
		{EF_TLV_ECDSA_SIG, 70, EF_REASON_BAD_IMAGE, EF_REASON_OK},
		{EF_TLV_ED25519, 64, EF_REASON_BAD_IMAGE, EF_REASON_OK},
		{0xffff, 4, EF_REASON_OK, EF_REASON_BAD_IMAGE},
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct maker m;

		make(&m, 8 + t[i].size);
		put16(&m, EF_IMAGE_TLV_PROT_INFO);
		put16(&m, 8 + t[i].size);
		put_tlv(&m, t[i].type, zeros, t[i].size);
		put16(&m, EF_IMAGE_TLV_INFO);
		put16(&m, 4 + 36);
		put_tlv(&m, EF_TLV_SHA256, zeros, 32);
		ck_assert_msg(inspect(&m) == t[i].protected_area, "protected %#x", t[i].type);

		make(&m, 0);
		put16(&m, EF_IMAGE_TLV_INFO);
		put16(&m, 4 + 36 + 4 + t[i].size);
		put_tlv(&m, EF_TLV_SHA256, zeros, 32);
		put_tlv(&m, t[i].type, zeros, t[i].size);
		ck_assert_msg(inspect(&m) == t[i].unprotected_area, "unprotected %#x", t[i].type);
	}
}
END_TEST

START_TEST(no_digest_no_image)
{
	struct maker m;

	make(&m, 0);
	put16(&m, EF_IMAGE_TLV_INFO);
	put16(&m, 4);
	ck_assert_int_eq(inspect(&m), EF_REASON_BAD_IMAGE);
	make(&m, 0);
	put16(&m, EF_IMAGE_TLV_INFO);
	put16(&m, 3);
	ck_assert_int_eq(inspect(&m), EF_REASON_BAD_IMAGE);
}
END_TEST

/* S-07: sizes that wrap, at every field that is a size. */
START_TEST(sizes_around_the_edges)
{
	static const uint32_t sizes[] = {0, 0x7fffffff, 0x80000000, 0xfffffe00, 0xffffffd8,
		0xffffffdc, 0xffffffe0, 0xfffffffc, 0xffffffff, 9};
	struct ef_image_header h;
	struct maker m;

	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
		for (int with_tlv = 0; with_tlv < 2; with_tlv++) {
			make(&m, with_tlv ? 4 : 0);
			for (int b = 0; b < 4; b++)
				m.data[12 + b] = (uint8_t)(sizes[i] >> (8 * b));
			ck_assert_int_eq(
				ef_image_parse_header(m.data, 44, &h), EF_REASON_BAD_IMAGE);
		}
	make(&m, 0);
	ck_assert_int_eq(ef_image_parse_header(m.data, 44, &h), EF_REASON_OK);
	ck_assert_int_eq(ef_image_parse_header(m.data, 43, &h), EF_REASON_BAD_IMAGE);
	ck_assert_int_eq(ef_image_parse_header(m.data, 0, &h), EF_REASON_BAD_IMAGE);
	for (unsigned n = 1; n < 4; n++) {
		make(&m, n);
		ck_assert_int_eq(ef_image_parse_header(m.data, 400, &h), EF_REASON_BAD_IMAGE);
	}
}
END_TEST

/* A second signature under an unknown key in front of the good one is skipped, alone it is refused.
 */
START_TEST(several_signatures)
{
	struct file f = load("good-p256.bin");
	size_t area = 0x200 + 20480, mark = area + 4 + 36;
	uint8_t *data = malloc(f.size + 200);
	struct maker extra = {.size = 0};
	struct ef_image_info info;
	size_t size;

	put_tlv(&extra, EF_TLV_KEYHASH, zeros, 32);
	put_tlv(&extra, EF_TLV_ECDSA_SIG, zeros, 71);
	memcpy(data, f.data, mark);
	memcpy(data + mark, extra.data, extra.size);
	memcpy(data + mark + extra.size, f.data + mark, f.size - mark);
	size = f.size + extra.size;
	data[area + 2] = (uint8_t)(size - area);
	data[area + 3] = (uint8_t)((size - area) >> 8);
	ck_assert_int_eq(check(data, size, &any_device, &info), EF_REASON_OK);
	/* Only the foreign one left. */
	size = mark + extra.size;
	data[area + 2] = (uint8_t)(size - area);
	data[area + 3] = 0;
	ck_assert_int_eq(check(data, size, &any_device, &info), EF_REASON_IMAGE_KEY);
	/* A signature without a key in front of it belongs to nobody. */
	memcpy(data, f.data, mark);
	memcpy(data + mark, f.data + mark + 36, f.size - mark - 36);
	size = f.size - 36;
	data[area + 2] = (uint8_t)(size - area);
	ck_assert_int_eq(check(data, size, &any_device, &info), EF_REASON_IMAGE_KEY);
	/* The known key named, the foreign signature put behind it. */
	memcpy(data, f.data, mark + 36);
	memcpy(data + mark + 36, extra.data + 36, extra.size - 36);
	size = mark + extra.size;
	data[area + 2] = (uint8_t)(size - area);
	ck_assert_int_eq(check(data, size, &any_device, &info), EF_REASON_IMAGE_SIGNATURE);
	free(data);
	free(f.data);
}
END_TEST

/* E-04: flash that answers differently on the second read never has one. */
struct once {
	struct image_memory mem;
	uint8_t *seen;
};

static int read_once(void *ctx, uint32_t offset, void *buf, size_t size)
{
	struct once *o = ctx;

	for (size_t i = 0; i < size; i++)
		ck_assert_msg(!o->seen[offset + i]++, "byte %zu is read twice", offset + i);
	memcpy(buf, o->mem.data + offset, size);
	return 0;
}

START_TEST(every_byte_is_read_once)
{
	struct file f = load(FLIPPED);
	struct once o = {{f.data, f.size}, calloc(1, f.size)};
	struct ef_image_source src = {&o, (uint32_t)f.size, read_once};
	struct ef_image_info info;

	ck_assert_int_eq(ef_image_check(&src, &any_device, crypto, &info), EF_REASON_OK);
	for (size_t i = 0; i < f.size; i++)
		ck_assert_uint_eq(o.seen[i], 1);
	free(o.seen);
	free(f.data);
}
END_TEST

/* F-05: whichever read fails, the image is not accepted. */
struct failing {
	struct image_memory mem;
	int left;
};

static int read_until(void *ctx, uint32_t offset, void *buf, size_t size)
{
	struct failing *o = ctx;

	if (o->left-- == 0)
		return -5;
	memcpy(buf, o->mem.data + offset, size);
	return 0;
}

START_TEST(every_failing_read)
{
	struct file f = load("good-p256-seccnt3-uuid.bin");
	enum ef_reason r = EF_REASON_IO;
	int n;

	for (n = 0; r != EF_REASON_OK; n++) {
		struct failing o = {{f.data, f.size}, n};
		struct ef_image_source src = {&o, (uint32_t)f.size, read_until};
		struct ef_image_info info;

		r = ef_image_check(&src, &any_device, crypto, &info);
		ck_assert(r == EF_REASON_IO || r == EF_REASON_OK);
	}
	ck_assert_int_gt(n, 100);
	free(f.data);
}
END_TEST

/* S-03, L-14: a verifier that answers anything but 1 has refused. */
static int answer;

static int scripted_verify(
	void *ctx, const uint8_t *point, const uint8_t *digest, const uint8_t *sig, size_t size)
{
	return answer;
}

START_TEST(only_one_is_valid)
{
	struct file f = load("good-p256.bin");
	struct image_memory m = {f.data, f.size};
	struct ef_image_crypto c = *crypto;
	struct ef_image_source src;
	struct ef_image_info info;
	static const int answers[] = {0, -1, -2, 2, 256, INT32_MIN, INT32_MAX};

	c.p256_verify = scripted_verify;
	image_source_memory(&src, &m);
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
		answer = answers[i];
		ck_assert_int_eq(
			ef_image_check(&src, &any_device, &c, &info), EF_REASON_IMAGE_SIGNATURE);
	}
	free(f.data);
}
END_TEST

START_TEST(keys_from_pem)
{
	static const struct {
		const char *name;
		enum ef_reason reason;
	} t[] = {{"p256.pub.pem", EF_REASON_OK}, {"p256-other.pub.pem", EF_REASON_OK},
		{"ed25519.pub.pem", EF_REASON_OK}, {"p256.pem", EF_REASON_BAD_FORMAT},
		{"README.md", EF_REASON_BAD_FORMAT}, {"bad-empty.bin", EF_REASON_BAD_FORMAT}};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct file f = load(t[i].name);
		struct ef_image_key k;
		struct error e = {0};

		ck_assert_msg(image_key_from_pem((char *)f.data, f.size, &k, &e) == t[i].reason,
			"%s", t[i].name);
		free(f.data);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("image");
	TCase *c = tcase_create("image");

	tcase_set_timeout(c, 120);
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_loop_test(c, vectors_of_mcuboot, 0, sizeof vectors / sizeof *vectors);
	tcase_add_test(c, what_it_says_of_itself);
	tcase_add_test(c, policy);
	tcase_add_test(c, every_flip_is_refused);
	tcase_add_test(c, every_truncation_is_refused);
	tcase_add_test(c, preflight_agrees);
	tcase_add_test(c, tlvs_in_the_wrong_place);
	tcase_add_test(c, no_digest_no_image);
	tcase_add_test(c, sizes_around_the_edges);
	tcase_add_test(c, several_signatures);
	tcase_add_test(c, every_byte_is_read_once);
	tcase_add_test(c, every_failing_read);
	tcase_add_test(c, only_one_is_valid);
	tcase_add_test(c, keys_from_pem);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
