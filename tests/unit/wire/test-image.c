/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict on an image, TLV by TLV (S-23, E-01, E-03, L-06), with arithmetic in place of
 * cryptography: the table says which TLVs there are, and how many signatures may be computed.
 */
#include "unit.h"
#include <edgeferry/image.h>
#include <string.h>

#define TLVS_MAX 6

enum { P256 = 1, ED25519 = 2 }; /* the keys that are known, by the byte that fills their hash */

static unsigned computed; /* signatures */

static void sum_init(void *ctx)
{
	memset(ctx, 0, 32);
}

static void sum_update(void *ctx, const void *data, size_t size)
{
	uint8_t *sum = ctx;

	for (size_t i = 0; i < size; i++) {
		sum[31] = (uint8_t)(sum[31] + 1);
		sum[sum[31] % 31] ^= (uint8_t)(((const uint8_t *)data)[i] + sum[31]);
	}
}

static void sum_final(void *ctx, uint8_t digest[32])
{
	memcpy(digest, ctx, 32);
}

/* Filled with the key's number: it holds. */
static int p256_verify(void *ctx, const uint8_t point[65], const uint8_t digest[32],
	const uint8_t *sig, size_t size)
{
	computed++;
	return point[0] == EF_KEY_P256 && sig[0] == P256 && sig[size - 1] == P256;
}

static int ed25519_verify(
	void *ctx, const uint8_t key[32], const uint8_t digest[32], const uint8_t sig[64])
{
	computed++;
	return sig[0] == ED25519 && sig[63] == ED25519;
}

static uint8_t sum[32];
static struct ef_image_crypto crypto = {.ctx = sum,
	.sha256_init = sum_init,
	.sha256_update = sum_update,
	.sha256_final = sum_final,
	.p256_verify = p256_verify,
	.ed25519_verify = ed25519_verify};

/* fill: each byte of it; of a digest: 1, it is right */
struct tlv {
	unsigned type, size, fill;
};

static struct {
	uint8_t data[1024];
	uint32_t size;
} image;

static void put16(unsigned v)
{
	image.data[image.size++] = (uint8_t)v;
	image.data[image.size++] = (uint8_t)(v >> 8);
}

static void put_area(unsigned magic, const struct tlv *t)
{
	uint32_t start = image.size;

	put16(magic);
	put16(0);
	for (; t->size; t++) {
		put16(t->type);
		put16(t->size);
		memset(image.data + image.size, (int)t->fill, t->size);
		if (t->type == EF_TLV_SHA256 && t->fill) {
			sum_init(sum);
			sum_update(sum, image.data, start);
			sum_final(sum, image.data + image.size);
		} else if (t->type == EF_TLV_PUBKEY) { /* so that it has a known key's hash */
			memset(image.data + image.size, 0, t->size);
		}
		image.size += t->size;
	}
	image.data[start + 2] = (uint8_t)(image.size - start);
	image.data[start + 3] = (uint8_t)((image.size - start) >> 8);
}

static void make(const struct tlv *protected_area, const struct tlv *area)
{
	static const uint8_t header[40] = {0x3d, 0xb8, 0xf3, 0x96, [8] = 32, [12] = 8, [32] = 5};
	uint32_t size = 4;

	memset(&image, 0, sizeof image);
	memcpy(image.data, header, sizeof header);
	image.size = sizeof header;
	for (const struct tlv *t = protected_area; t->size; t++)
		size += 4 + t->size;
	if (size > 4) {
		image.data[10] = (uint8_t)size; /* which is signed as well */
		put_area(EF_IMAGE_TLV_PROT_INFO, protected_area);
	}
	put_area(EF_IMAGE_TLV_INFO, area);
}

static int read_image(void *ctx, uint32_t offset, void *buf, size_t size)
{
	ck_assert(offset <= image.size && size <= image.size - offset);
	memcpy(buf, image.data + offset, size);
	return 0;
}

static enum ef_reason check(const struct ef_image_policy *demands)
{
	struct ef_image_source src = {.limit = image.size, .read = read_image};
	struct ef_image_policy policy = *demands;
	struct ef_image_key keys[2];
	struct ef_image_info info;

	memset(keys, 0, sizeof keys);
	memset(keys[0].hash, P256, 32);
	keys[0].point[0] = EF_KEY_P256;
	memset(keys[1].hash, ED25519, 32);
	keys[1].point[0] = EF_KEY_ED25519;
	policy.keys = keys;
	policy.n_keys = 2;
	computed = 0;
	return ef_image_check(&src, &policy, &crypto, &info);
}

#define DIGEST                       \
	{                            \
		EF_TLV_SHA256, 32, 1 \
	}
#define KEY(k)                        \
	{                             \
		EF_TLV_KEYHASH, 32, k \
	}
#define SIG_P256(size, fill)                 \
	{                                    \
		EF_TLV_ECDSA_SIG, size, fill \
	}
#define SIG_ED(size, fill)                 \
	{                                  \
		EF_TLV_ED25519, size, fill \
	}

/* One valid signature by a known key is enough, and no more than that is computed. */
static const struct {
	const char *what;
	struct tlv area[TLVS_MAX];
	enum ef_reason want;
	unsigned computed;
} signatures[] = {
	{"P-256", {DIGEST, KEY(P256), SIG_P256(70, P256)}, EF_REASON_OK, 1},
	{"Ed25519", {DIGEST, KEY(ED25519), SIG_ED(64, ED25519)}, EF_REASON_OK, 1},
	{"none", {DIGEST}, EF_REASON_IMAGE_UNSIGNED, 0},
	{"a key alone", {DIGEST, KEY(P256)}, EF_REASON_IMAGE_UNSIGNED, 0},
	{"a foreign key", {DIGEST, KEY(9), SIG_P256(70, P256)}, EF_REASON_IMAGE_KEY, 0},
	{"no key in front", {DIGEST, SIG_P256(70, P256)}, EF_REASON_IMAGE_KEY, 0},
	{"a wrong one", {DIGEST, KEY(P256), SIG_P256(70, 3)}, EF_REASON_IMAGE_SIGNATURE, 1},
	{"two right ones",
		{DIGEST, KEY(P256), SIG_P256(70, P256), KEY(ED25519), SIG_ED(64, ED25519)},
		EF_REASON_OK, 1},
	{"a wrong one behind", {DIGEST, KEY(P256), SIG_P256(70, P256), KEY(ED25519), SIG_ED(64, 3)},
		EF_REASON_OK, 1},
	{"a wrong one before",
		{DIGEST, KEY(P256), SIG_P256(70, 3), KEY(ED25519), SIG_ED(64, ED25519)},
		EF_REASON_IMAGE_SIGNATURE, 1},
	{"a foreign one before", {DIGEST, KEY(9), SIG_P256(70, 3), KEY(P256), SIG_P256(70, P256)},
		EF_REASON_OK, 1},
	{"one key, two of its signatures", {DIGEST, KEY(P256), SIG_P256(70, P256), SIG_P256(70, 3)},
		EF_REASON_OK, 1},
	{"before the digest", {KEY(P256), SIG_P256(70, P256), DIGEST}, EF_REASON_BAD_IMAGE, 0},
	{"no digest", {KEY(9), SIG_P256(70, P256)}, EF_REASON_BAD_IMAGE, 0},
	{"the wrong digest", {{EF_TLV_SHA256, 32, 0}, KEY(P256), SIG_P256(70, P256)},
		EF_REASON_IMAGE_DIGEST, 0},
	{"of the other kind", {DIGEST, KEY(ED25519), SIG_P256(70, P256)}, EF_REASON_IMAGE_KEY, 0},
	{"of the other kind, too", {DIGEST, KEY(P256), SIG_ED(64, ED25519)}, EF_REASON_IMAGE_KEY,
		0},
	{"of a kind that nobody makes", {DIGEST, KEY(P256), {0x23, 70, P256}}, EF_REASON_IMAGE_KEY,
		0},
	{"as short as may be", {DIGEST, KEY(P256), SIG_P256(8, P256)}, EF_REASON_OK, 1},
	{"too short", {DIGEST, KEY(P256), SIG_P256(7, P256)}, EF_REASON_IMAGE_SIGNATURE, 0},
	{"as long as may be", {DIGEST, KEY(P256), SIG_P256(72, P256)}, EF_REASON_OK, 1},
	{"too long", {DIGEST, KEY(P256), SIG_P256(73, P256)}, EF_REASON_IMAGE_SIGNATURE, 0},
	{"Ed25519, too short", {DIGEST, KEY(ED25519), SIG_ED(63, ED25519)},
		EF_REASON_IMAGE_SIGNATURE, 0},
	{"Ed25519, too long", {DIGEST, KEY(ED25519), SIG_ED(65, ED25519)},
		EF_REASON_IMAGE_SIGNATURE, 0},
	{"a hash of another size", {DIGEST, {EF_TLV_KEYHASH, 48, P256}, SIG_P256(70, P256)},
		EF_REASON_IMAGE_KEY, 0},
	{"a foreign P-256 key whole", {DIGEST, {EF_TLV_PUBKEY, 91, 9}, SIG_P256(70, P256)},
		EF_REASON_IMAGE_KEY, 0},
	{"a foreign Ed25519 key whole", {DIGEST, {EF_TLV_PUBKEY, 44, 9}, SIG_ED(64, ED25519)},
		EF_REASON_IMAGE_KEY, 0},
	{"a key of another size whole", {DIGEST, {EF_TLV_PUBKEY, 120, 9}, SIG_P256(70, P256)},
		EF_REASON_IMAGE_KEY, 0},
	{"a foreign key takes the known one's place",
		{DIGEST, KEY(P256), {EF_TLV_PUBKEY, 44, 9}, SIG_P256(70, P256)},
		EF_REASON_IMAGE_KEY, 0},
};

START_TEST(what_counts_as_signed) /* E-01, E-03 */
{
	static const struct tlv nothing[1];
	static const struct ef_image_policy any = {.floor = 0};

	make(nothing, signatures[_i].area);
	enum ef_reason got = check(&any);
	ck_assert_msg(got == signatures[_i].want, "%s: %d", signatures[_i].what, got);
	ck_assert_msg(computed == signatures[_i].computed, "%s: %u computed", signatures[_i].what,
		computed);
}
END_TEST

START_TEST(without_ed25519) /* where nobody can check it, it says nothing, and never yes */
{
	static const struct tlv nothing[1];
	static const struct tlv area[] = {DIGEST, KEY(ED25519), SIG_ED(64, ED25519), {0, 0, 0}};
	static const struct ef_image_policy any = {.floor = 0};

	crypto.ed25519_verify = NULL;
	make(nothing, area);
	ck_assert_int_eq(check(&any), EF_REASON_IMAGE_KEY);
	crypto.ed25519_verify = ed25519_verify;
}
END_TEST

#define VENDOR(fill)                      \
	{                                 \
		EF_TLV_UUID_VID, 16, fill \
	}
#define CLASS(fill)                       \
	{                                 \
		EF_TLV_UUID_CID, 16, fill \
	}
#define COUNTER(fill)                   \
	{                               \
		EF_TLV_SEC_CNT, 4, fill \
	}

static const uint8_t seven[16] = {7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};

/* S-23: what is demanded must be there and equal; S-12: a counter that is not there is 0. */
static const struct {
	const char *what;
	struct tlv area[TLVS_MAX];
	struct ef_image_policy demands;
	enum ef_reason want;
} demanded[] = {
	{"nothing", {VENDOR(9)}, {.floor = 0}, EF_REASON_OK},
	{"vendor", {VENDOR(7)}, {.vendor = seven}, EF_REASON_OK},
	{"vendor, another", {VENDOR(9)}, {.vendor = seven}, EF_REASON_NOT_COMPATIBLE},
	{"vendor, none", {CLASS(7)}, {.vendor = seven}, EF_REASON_NOT_COMPATIBLE},
	{"class", {CLASS(7)}, {.class_id = seven}, EF_REASON_OK},
	{"class, another", {CLASS(9)}, {.class_id = seven}, EF_REASON_NOT_COMPATIBLE},
	{"class, none", {VENDOR(7)}, {.class_id = seven}, EF_REASON_NOT_COMPATIBLE},
	{"both", {VENDOR(7), CLASS(7)}, {.vendor = seven, .class_id = seven}, EF_REASON_OK},
	{"both, another class", {VENDOR(7), CLASS(9)}, {.vendor = seven, .class_id = seven},
		EF_REASON_NOT_COMPATIBLE},
	{"floor", {COUNTER(1)}, {.floor = 0x01010101}, EF_REASON_OK},
	{"floor, below", {COUNTER(1)}, {.floor = 0x01010102}, EF_REASON_FLOOR},
	{"floor, none", {VENDOR(7)}, {.floor = 1}, EF_REASON_FLOOR},
};

START_TEST(what_is_demanded)
{
	static const struct tlv area[] = {DIGEST, KEY(P256), SIG_P256(70, P256), {0, 0, 0}};

	make(demanded[_i].area, area);
	enum ef_reason got = check(&demanded[_i].demands);
	ck_assert_msg(got == demanded[_i].want, "%s: %d", demanded[_i].what, got);
}
END_TEST

/* S-07: as little room as there may be behind the payload, byte by byte. */
START_TEST(room_for_the_areas)
{
	static const struct tlv protected_area[] = {COUNTER(1), {0, 0, 0}};
	static const struct tlv area[] = {DIGEST, KEY(P256), SIG_P256(70, P256), {0, 0, 0}};
	static const struct ef_image_policy any = {.floor = 0};

	for (int with = 0; with < 2; with++) {
		make(with ? protected_area : protected_area + 1, area);
		ck_assert_int_eq(check(&any), EF_REASON_OK);
		while (--image.size > 0)
			ck_assert_int_eq(check(&any), EF_REASON_BAD_IMAGE);
	}
}
END_TEST

/* S-07: an area ends with its last TLV; what could not be the head of another one is too much. */
START_TEST(bytes_behind_the_last_one)
{
	static const struct tlv nothing[1];
	static const struct tlv area[] = {DIGEST, KEY(P256), SIG_P256(70, P256), {0, 0, 0}};
	static const struct ef_image_policy any = {.floor = 0};

	for (uint8_t more = 0; more < 4; more++) {
		make(nothing, area);
		image.data[42] = (uint8_t)(image.data[42] + more);
		image.size += more;
		ck_assert_int_eq(check(&any), more ? EF_REASON_BAD_IMAGE : EF_REASON_OK);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("wire/image");
	TCase *t = tcase_create("image");

	suite_add_tcase(s, t);
	tcase_add_loop_test(
		t, what_counts_as_signed, 0, (int)(sizeof signatures / sizeof *signatures));
	tcase_add_test(t, without_ed25519);
	tcase_add_loop_test(t, what_is_demanded, 0, (int)(sizeof demanded / sizeof *demanded));
	tcase_add_test(t, room_for_the_areas);
	tcase_add_test(t, bytes_behind_the_last_one);
	return s;
}

UNIT_MAIN(suite())
