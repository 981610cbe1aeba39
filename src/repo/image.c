/* SPDX-License-Identifier: Apache-2.0 */
#include "repo/image.h"
#include "dfu/image-openssl.h"
#include "dfu/node.h"
#include "repo/keys.h"
#include "util/cleanup.h"
#include <string.h>

#define PROTECTED_MAX 128u
#define HEADER_AT 8u /* of the TLV that repeats the header, in the protected area */
#define UNPROTECTED_MAX 256u
#define ERASED 0xff /* what imgtool fills the rest of the header with */

DEFINE_CLEANUP(struct image_openssl *, image_openssl_free)

/* Grows from the front; the caller has made it large enough. */
struct out {
	uint8_t *data;
	size_t size;
};

static void put16(struct out *o, uint16_t v)
{
	o->data[o->size++] = (uint8_t)v;
	o->data[o->size++] = (uint8_t)(v >> 8);
}

static void put32(struct out *o, uint32_t v)
{
	put16(o, (uint16_t)v);
	put16(o, (uint16_t)(v >> 16));
}

static void put(struct out *o, const void *data, size_t size)
{
	memcpy(o->data + o->size, data, size);
	o->size += size;
}

static void put_tlv(struct out *o, uint16_t type, const void *data, size_t size)
{
	put16(o, type);
	put16(o, (uint16_t)size);
	put(o, data, size);
}

static void put_header(struct out *o, const struct image_spec *spec, uint16_t protected_size,
	uint32_t payload_size)
{
	put32(o, EF_IMAGE_MAGIC);
	put32(o, 0); /* load address */
	put16(o, spec->header_size);
	put16(o, protected_size);
	put32(o, payload_size);
	put32(o, 0); /* flags */
	o->data[o->size++] = spec->version.major;
	o->data[o->size++] = spec->version.minor;
	put16(o, spec->version.revision);
	put32(o, spec->version.build);
	put32(o, 0);
	memset(o->data + o->size, ERASED, spec->header_size - o->size);
	o->size = spec->header_size;
}

/* The header's own bytes are put in when there is a header. */
static enum ef_reason put_protected(struct out *o, const struct image_spec *spec, struct error *e)
{
	uint8_t data[PROTECTED_MAX], vendor[16], class_id[16];
	static const uint8_t no_header[EF_IMAGE_HEADER_SIZE];
	struct out tlvs = {data, 0};
	const uint8_t counter[4] = {(uint8_t)spec->security, (uint8_t)(spec->security >> 8),
		(uint8_t)(spec->security >> 16), (uint8_t)(spec->security >> 24)};

	if (spec->repeat_header)
		put_tlv(&tlvs, EF_TLV_HEADER, no_header, sizeof(no_header));
	if (spec->has_security)
		put_tlv(&tlvs, EF_TLV_SEC_CNT, counter, sizeof(counter));
	if (spec->compatible) {
		if (!compatible_uuids(spec->compatible, vendor, class_id))
			return error_set(
				e, EF_REASON_USAGE, "'%s' is not VENDOR,CLASS", spec->compatible);
		put_tlv(&tlvs, EF_TLV_UUID_VID, vendor, sizeof(vendor));
		put_tlv(&tlvs, EF_TLV_UUID_CID, class_id, sizeof(class_id));
	}
	if (tlvs.size > 0) {
		put16(o, EF_IMAGE_TLV_PROT_INFO);
		put16(o, (uint16_t)(tlvs.size + 4));
		put(o, data, tlvs.size);
	}
	return EF_REASON_OK;
}

/* Header, payload and protected TLVs: what is hashed and signed. Room is left for the rest. */
static enum ef_reason build_signed_part(struct out *o, const struct image_spec *spec,
	const void *payload, size_t payload_size, struct error *e)
{
	uint8_t protected[PROTECTED_MAX];
	struct out p = {protected, 0};

	if (payload_size == 0 || payload_size > IMAGE_FILE_MAX)
		return error_set(e, EF_REASON_BAD_SIZE, "payload: 1 byte to 64 MiB are taken");
	if (spec->header_size < EF_IMAGE_HEADER_SIZE || spec->header_size > 1024 ||
		spec->header_size % 4)
		return error_set(e, EF_REASON_USAGE,
			"header size %u: 32 to 1024, a multiple of 4, are taken",
			spec->header_size);
	enum ef_reason r = put_protected(&p, spec, e);
	if (r)
		return r;
	o->size = 0;
	o->data = malloc(spec->header_size + payload_size + p.size + UNPROTECTED_MAX);
	if (!o->data)
		return error_set(e, EF_REASON_NO_MEMORY, "image");
	put_header(o, spec, (uint16_t)p.size, (uint32_t)payload_size);
	if (spec->repeat_header)
		memcpy(protected + HEADER_AT, o->data, EF_IMAGE_HEADER_SIZE);
	put(o, payload, payload_size);
	put(o, protected, p.size);
	return EF_REASON_OK;
}

static bool sha256(const void *data, size_t size, uint8_t out[32])
{
	return EVP_Digest(data, size, out, NULL, EVP_sha256(), NULL) == 1;
}

/* Over the digest: ECDSA makes it of the bytes by itself. */
static enum ef_reason sign(EVP_PKEY *key, const struct out *o, const uint8_t digest[32],
	enum ef_image_tlv *type, uint8_t **sig, size_t *size, struct error *e)
{
	bool ed25519 = EVP_PKEY_is_a(key, "ED25519") == 1;

	*type = ed25519 ? EF_TLV_ED25519 : EF_TLV_ECDSA_SIG;
	return ed25519 ? key_sign_raw(key, digest, 32, sig, size, e)
		       : key_sign_p256(key, o->data, o->size, sig, size, e);
}

static enum ef_reason put_unprotected(struct out *o, EVP_PKEY *key, struct error *e)
{
	_cleanup_free_ uint8_t *spki = NULL, *sig = NULL;
	uint8_t digest[32], key_hash[32], data[UNPROTECTED_MAX];
	size_t spki_size, sig_size;
	struct out tlvs = {data, 0};
	enum ef_image_tlv type;

	enum ef_reason r = key_spki(key, &spki, &spki_size, e);
	if (r)
		return r;
	if (!sha256(o->data, o->size, digest) || !sha256(spki, spki_size, key_hash))
		return error_set(e, EF_REASON_INTERNAL, "image: SHA-256 failed");
	r = sign(key, o, digest, &type, &sig, &sig_size, e);
	if (r)
		return r;
	if (sig_size > 80)
		return error_set(
			e, EF_REASON_INTERNAL, "image: a signature of %zu bytes", sig_size);
	put_tlv(&tlvs, EF_TLV_SHA256, digest, sizeof(digest));
	put_tlv(&tlvs, EF_TLV_KEYHASH, key_hash, sizeof(key_hash));
	put_tlv(&tlvs, (uint16_t)type, sig, sig_size);
	put16(o, EF_IMAGE_TLV_INFO);
	put16(o, (uint16_t)(tlvs.size + 4));
	put(o, data, tlvs.size);
	return EF_REASON_OK;
}

enum ef_reason image_build(const struct image_spec *spec, EVP_PKEY *key, const void *payload,
	size_t payload_size, uint8_t **ret, size_t *size, struct error *e)
{
	struct out o = {NULL, 0};
	enum ef_reason r = build_signed_part(&o, spec, payload, payload_size, e);

	if (!r)
		r = put_unprotected(&o, key, e);
	if (r) {
		free(o.data);
		return r;
	}
	*ret = o.data;
	*size = o.size;
	return EF_REASON_OK;
}

bool image_is_one(const void *data, size_t size)
{
	static const uint8_t magic[4] = {0x3d, 0xb8, 0xf3, 0x96};

	return size >= sizeof(magic) && memcmp(data, magic, sizeof(magic)) == 0;
}

enum ef_reason image_look(
	const void *data, size_t size, const char *name, struct ef_image_info *ret, struct error *e)
{
	const struct image_memory memory = {data, size};
	struct ef_image_source source;

	image_source_memory(&source, &memory);
	enum ef_reason r = ef_image_inspect(&source, ret);
	return r ? error_set(e, r, "%s", name) : r;
}

enum ef_reason image_verify(const void *data, size_t size, const char *name, EVP_PKEY *key,
	struct ef_image_info *ret, struct error *e)
{
	_cleanup_(image_openssl_freep) struct image_openssl *o = image_openssl_new();
	_cleanup_free_ char *pem = key_public_pem(key);
	const struct image_memory memory = {data, size};
	struct ef_image_source source;
	struct ef_image_key edge;
	const struct ef_image_policy policy = {.keys = &edge, .n_keys = 1};

	if (!o || !pem)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	enum ef_reason r = image_key_from_pem(pem, strlen(pem), &edge, e);
	if (r)
		return r;
	image_source_memory(&source, &memory);
	r = ef_image_check(&source, &policy, image_openssl_crypto(o), ret);
	return r ? error_set(e, r, "%s", name) : r;
}

bool image_is_made_of(const void *image, size_t image_size, const struct image_spec *spec,
	EVP_PKEY *key, const void *payload, size_t payload_size)
{
	struct out o = {NULL, 0};
	struct ef_image_info info;
	struct error none = {0};
	bool same = false;

	if (image_verify(image, image_size, "image", key, &info, &none) == EF_REASON_OK &&
		build_signed_part(&o, spec, payload, payload_size, &none) == EF_REASON_OK)
		same = image_size > o.size && info.total_size == image_size &&
		       memcmp(image, o.data, o.size) == 0;
	free(o.data);
	return same;
}
