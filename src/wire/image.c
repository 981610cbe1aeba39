/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/le.h"
#include <edgeferry/image.h>
#include <string.h>

#define HEADER_MAX 1024u /* hdr_size */
#define INFO_SIZE 4u	 /* magic and length of a TLV area */
#define TLV_HEAD 4u	 /* type and length of a TLV */
#define SPKI_SIZE 91u	 /* DER SubjectPublicKeyInfo of a P-256 key */
#define SPKI_ED25519 44u /* of an Ed25519 key */
#define SIG_MIN 8u
#define SIG_MAX 72u /* DER signature of P-256 */
#define SIG_ED25519 64u
#define DEPENDENCY_SIZE 12u
#define TLV_RSA2048_PSS 0x20u
#define TLV_VENDOR_BIT 0x80u

/* What a check has seen so far. */
struct walk {
	const struct ef_image_source *src;
	const struct ef_image_policy *policy; /* NULL: structure only */
	const struct ef_image_crypto *crypto;
	struct ef_image_info *info;
	uint32_t at;			      /* next byte to take */
	bool hash;			      /* what is taken goes into the digest */
	bool compare;			      /* computed holds the digest of the image */
	const struct ef_image_middle *middle; /* to go on hashing from */
	bool has_counter, has_header, has_digest, has_signature, valid;
	const struct ef_image_key *key; /* named by the last KEYHASH or PUBKEY, if known */
	uint8_t computed[32];
	uint8_t header[EF_IMAGE_HEADER_SIZE];
	uint8_t buf[128];
};

enum ef_reason ef_image_parse_header(
	const uint8_t buf[EF_IMAGE_HEADER_SIZE], uint32_t limit, struct ef_image_header *ret)
{
	uint32_t around;

	ret->hdr_size = le16_get(buf + 8);
	ret->protected_size = le16_get(buf + 10);
	ret->img_size = le32_get(buf + 12);
	ret->flags = le32_get(buf + 16);
	ret->version.major = buf[20];
	ret->version.minor = buf[21];
	ret->version.revision = le16_get(buf + 22);
	ret->version.build = le32_get(buf + 24);
	around = (uint32_t)ret->hdr_size + ret->protected_size + INFO_SIZE;
	/* A load address, any flag (encrypted, compressed, not bootable …) or padding: not ours. */
	if (le32_get(buf) != EF_IMAGE_MAGIC || le32_get(buf + 4) || ret->flags ||
		le32_get(buf + 28) || ret->hdr_size < EF_IMAGE_HEADER_SIZE ||
		ret->hdr_size > HEADER_MAX ||
		(ret->protected_size && ret->protected_size < INFO_SIZE) || ret->img_size == 0 ||
		around > limit || ret->img_size > limit - around)
		return EF_REASON_BAD_IMAGE;
	return EF_REASON_OK;
}

/*
 * The next size bytes, each read once: what is interpreted is what is hashed (E-04). Callers
 * have checked that they lie below the limit.
 */
static enum ef_reason take(struct walk *w, void *buf, size_t size)
{
	if (w->src->read(w->src->ctx, w->at, buf, size) < 0)
		return EF_REASON_IO;
	if (w->hash)
		w->crypto->sha256_update(w->crypto->ctx, buf, size);
	w->at += (uint32_t)size;
	return EF_REASON_OK;
}

static enum ef_reason pass_over(struct walk *w, uint32_t size)
{
	enum ef_reason r;

	if (!w->hash) {
		w->at += size;
		return EF_REASON_OK;
	}
	while (size) {
		uint32_t n = size < sizeof w->buf ? size : sizeof w->buf;

		r = take(w, w->buf, n);
		if (r)
			return r;
		size -= n;
	}
	return EF_REASON_OK;
}

/* A TLV that stands at most once and has one size only. */
static enum ef_reason take_once(struct walk *w, bool *seen, void *buf, uint32_t size, uint32_t want)
{
	if (*seen || size != want)
		return EF_REASON_BAD_IMAGE;
	*seen = true;
	return take(w, buf, want);
}

static enum ef_reason protected_tlv(struct walk *w, uint16_t type, uint32_t size)
{
	enum ef_reason r;

	switch (type) {
	case EF_TLV_SEC_CNT:
		r = take_once(w, &w->has_counter, w->buf, size, 4);
		if (!r)
			w->info->security_counter = le32_get(w->buf);
		return r;
	case EF_TLV_UUID_VID:
		return take_once(w, &w->info->has_vendor, w->info->vendor, size, 16);
	case EF_TLV_UUID_CID:
		return take_once(w, &w->info->has_class, w->info->class_id, size, 16);
	case EF_TLV_HEADER:
		r = take_once(w, &w->has_header, w->buf, size, EF_IMAGE_HEADER_SIZE);
		if (!r && memcmp(w->buf, w->header, EF_IMAGE_HEADER_SIZE) != 0)
			return EF_REASON_BAD_IMAGE;
		return r;
	case EF_TLV_DEPENDENCY:
		if (size != DEPENDENCY_SIZE)
			return EF_REASON_BAD_IMAGE;
		return pass_over(w, size);
	case EF_TLV_BOOT_RECORD:
		return pass_over(w, size);
	default:
		if (type & TLV_VENDOR_BIT)
			return pass_over(w, size);
		return EF_REASON_BAD_IMAGE;
	}
}

static enum ef_reason take_key(struct walk *w, uint16_t type, uint32_t size)
{
	const struct ef_image_crypto *c = w->crypto;
	enum ef_reason r;

	if (type == EF_TLV_PUBKEY ? size != SPKI_SIZE && size != SPKI_ED25519 : size != 32)
		return pass_over(w, size); /* of another algorithm: unknown */
	r = take(w, w->buf, size);
	if (r || !w->policy)
		return r;
	if (type == EF_TLV_PUBKEY) {
		c->sha256_init(c->ctx);
		c->sha256_update(c->ctx, w->buf, size);
		c->sha256_final(c->ctx, w->buf);
	}
	for (size_t i = 0; i < w->policy->n_keys; i++)
		if (memcmp(w->policy->keys[i].hash, w->buf, 32) == 0)
			w->key = &w->policy->keys[i];
	return EF_REASON_OK;
}

/* Whether the key makes signatures of this type, and this checker knows them. */
static bool makes(const struct walk *w, const struct ef_image_key *key, uint16_t type)
{
	switch (type) {
	case EF_TLV_ECDSA_SIG:
		return key->point[0] == EF_KEY_P256;
	case EF_TLV_ED25519:
		return key->point[0] == EF_KEY_ED25519 && w->crypto->ed25519_verify;
	default:
		return false;
	}
}

static bool signature_holds(const struct walk *w, const struct ef_image_key *key, uint32_t size)
{
	const struct ef_image_crypto *c = w->crypto;
	const uint8_t *digest = w->info->digest;

	if (key->point[0] == EF_KEY_ED25519)
		return size == SIG_ED25519 &&
		       c->ed25519_verify(c->ctx, key->point + 1, digest, w->buf) == 1;
	return size >= SIG_MIN && c->p256_verify(c->ctx, key->point, digest, w->buf, size) == 1;
}

/*
 * Under a known key a signature must hold; under an unknown one it says nothing. One valid
 * signature is enough, and no more than that is computed: an MCU takes its time for each.
 */
static enum ef_reason take_signature(struct walk *w, uint16_t type, uint32_t size)
{
	const struct ef_image_key *key = w->key;
	enum ef_reason r;

	w->has_signature = true;
	w->key = NULL; /* each signature needs its own key in front of it */
	if (!key || w->valid || !makes(w, key, type))
		return pass_over(w, size);
	if (!w->has_digest)
		return EF_REASON_BAD_IMAGE;
	if (size > SIG_MAX)
		return EF_REASON_IMAGE_SIGNATURE;
	r = take(w, w->buf, size);
	if (r)
		return r;
	if (!signature_holds(w, key, size))
		return EF_REASON_IMAGE_SIGNATURE;
	w->valid = true;
	return EF_REASON_OK;
}

/* No signature covers this area: nothing but digest, keys and signatures has a meaning in it. */
static enum ef_reason unprotected_tlv(struct walk *w, uint16_t type, uint32_t size)
{
	enum ef_reason r;

	switch (type) {
	case EF_TLV_SHA256:
		r = take_once(w, &w->has_digest, w->info->digest, size, 32);
		if (!r && w->compare && memcmp(w->info->digest, w->computed, 32) != 0)
			return EF_REASON_IMAGE_DIGEST;
		return r;
	case EF_TLV_KEYHASH:
	case EF_TLV_PUBKEY:
		w->key = NULL;
		return take_key(w, type, size);
	default:
		if (type < TLV_RSA2048_PSS || type > EF_TLV_ED25519)
			return EF_REASON_BAD_IMAGE;
		return take_signature(w, type, size);
	}
}

typedef enum ef_reason (*tlv_handler)(struct walk *w, uint16_t type, uint32_t size);

/* One TLV area, walked to its exact end. */
static enum ef_reason take_area(struct walk *w, uint16_t magic, uint16_t want, tlv_handler handler)
{
	uint32_t left, size;
	uint16_t type;
	enum ef_reason r;

	if (INFO_SIZE > w->src->limit - w->at)
		return EF_REASON_BAD_IMAGE;
	left = w->src->limit - w->at;
	r = take(w, w->buf, INFO_SIZE);
	if (r)
		return r;
	size = le16_get(w->buf + 2);
	if (le16_get(w->buf) != magic || size < INFO_SIZE || size > left || (want && size != want))
		return EF_REASON_BAD_IMAGE;
	for (left = size - INFO_SIZE; left; left -= size) {
		if (left < TLV_HEAD)
			return EF_REASON_BAD_IMAGE;
		r = take(w, w->buf, TLV_HEAD);
		if (r)
			return r;
		left -= TLV_HEAD;
		type = le16_get(w->buf);
		size = le16_get(w->buf + 2);
		if (size > left)
			return EF_REASON_BAD_IMAGE;
		r = handler(w, type, size);
		if (r)
			return r;
	}
	return EF_REASON_OK;
}

static enum ef_reason judge(const struct walk *w)
{
	const struct ef_image_policy *p = w->policy;
	const struct ef_image_info *info = w->info;

	if (!w->has_digest)
		return EF_REASON_BAD_IMAGE;
	if (!p)
		return EF_REASON_OK;
	if (!w->has_signature)
		return EF_REASON_IMAGE_UNSIGNED;
	if (!w->valid)
		return EF_REASON_IMAGE_KEY;
	if (p->vendor && (!info->has_vendor || memcmp(p->vendor, info->vendor, 16) != 0))
		return EF_REASON_NOT_COMPATIBLE;
	if (p->class_id && (!info->has_class || memcmp(p->class_id, info->class_id, 16) != 0))
		return EF_REASON_NOT_COMPATIBLE;
	if (info->security_counter < p->floor)
		return EF_REASON_FLOOR;
	return EF_REASON_OK;
}

/* Takes the digest up where the payload ends. */
static enum ef_reason go_on(struct walk *w)
{
	const struct ef_image_middle *m = w->middle;

	if (m->tail_size != w->at % 64)
		return EF_REASON_BAD_IMAGE;
	w->crypto->sha256_resume(w->crypto->ctx, m->state, w->at - (uint32_t)m->tail_size);
	w->crypto->sha256_update(w->crypto->ctx, m->tail, m->tail_size);
	w->hash = true;
	return EF_REASON_OK;
}

static enum ef_reason walk_image(struct walk *w)
{
	const struct ef_image_crypto *c = w->crypto;
	struct ef_image_header *h = &w->info->header;
	enum ef_reason r;

	if (w->src->limit < EF_IMAGE_HEADER_SIZE)
		return EF_REASON_BAD_IMAGE;
	if (w->hash)
		c->sha256_init(c->ctx);
	r = take(w, w->header, EF_IMAGE_HEADER_SIZE);
	if (!r)
		r = ef_image_parse_header(w->header, w->src->limit, h);
	if (!r)
		r = pass_over(w, h->hdr_size - EF_IMAGE_HEADER_SIZE + h->img_size);
	if (!r && w->middle)
		r = go_on(w);
	if (!r && h->protected_size)
		r = take_area(w, EF_IMAGE_TLV_PROT_INFO, h->protected_size, protected_tlv);
	if (r)
		return r;
	if (w->hash) {
		c->sha256_final(c->ctx, w->computed);
		w->hash = false;
		w->compare = true;
	}
	r = take_area(w, EF_IMAGE_TLV_INFO, 0, unprotected_tlv);
	if (r)
		return r;
	w->info->total_size = w->at;
	return judge(w);
}

static enum ef_reason run(const struct ef_image_source *src, const struct ef_image_policy *policy,
	const struct ef_image_crypto *crypto, bool payload, const struct ef_image_middle *middle,
	struct ef_image_info *ret)
{
	struct walk w;

	memset(&w, 0, sizeof w);
	memset(ret, 0, sizeof *ret);
	w.src = src;
	w.policy = policy;
	w.crypto = crypto;
	w.info = ret;
	w.hash = payload;
	w.middle = middle;
	return walk_image(&w);
}

enum ef_reason ef_image_preflight(const struct ef_image_source *src,
	const struct ef_image_policy *policy, const struct ef_image_crypto *crypto,
	const struct ef_image_middle *middle, struct ef_image_info *ret)
{
	return run(src, policy, crypto, false, middle, ret);
}

enum ef_reason ef_image_check(const struct ef_image_source *src,
	const struct ef_image_policy *policy, const struct ef_image_crypto *crypto,
	struct ef_image_info *ret)
{
	return run(src, policy, crypto, true, NULL, ret);
}

enum ef_reason ef_image_inspect(const struct ef_image_source *src, struct ef_image_info *ret)
{
	return run(src, NULL, NULL, false, NULL, ret);
}
