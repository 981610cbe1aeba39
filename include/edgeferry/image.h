/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Firmware image in MCUboot's format, as imgtool 2.4 makes it (docs/SPEC-dfu.md,
 * "Image"). One checker for gateway, publisher and bootloader: it reads through a
 * callback, computes through a table of primitives, allocates nothing, needs about
 * 512 bytes of stack. Freestanding.
 */
#include <edgeferry/status.h>
#include <edgeferry/version.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EF_IMAGE_MAGIC 0x96f3b83du
#define EF_IMAGE_HEADER_SIZE 32u /* of the struct; hdr_size says where the payload starts */
#define EF_IMAGE_TLV_INFO 0x6907u
#define EF_IMAGE_TLV_PROT_INFO 0x6908u

enum ef_image_tlv {
	EF_TLV_KEYHASH = 0x01,
	EF_TLV_PUBKEY = 0x02,
	EF_TLV_SHA256 = 0x10,
	EF_TLV_ECDSA_SIG = 0x22,
	EF_TLV_ED25519 = 0x24,
	EF_TLV_DEPENDENCY = 0x40,
	EF_TLV_SEC_CNT = 0x50,
	EF_TLV_BOOT_RECORD = 0x60,
	EF_TLV_UUID_VID = 0x74,
	EF_TLV_UUID_CID = 0x75,
	EF_TLV_HEADER = 0xefa0, /* ours, in the protected area: the 32 bytes of the header again */
};

struct ef_image_header {
	uint16_t hdr_size, protected_size; /* bytes; protected_size counts its info header, or 0 */
	uint32_t img_size, flags;	   /* payload bytes; flags as in MCUboot */
	struct ef_version version;
};

/* What an image says of itself. Meaningful only as far as the check that filled it went. */
struct ef_image_info {
	struct ef_image_header header;
	uint32_t total_size;	   /* header + payload + both TLV areas */
	uint32_t security_counter; /* 0 without the TLV */
	bool has_vendor, has_class;
	uint8_t vendor[16], class_id[16];
	uint8_t digest[32]; /* the SHA-256 TLV; names the image everywhere ("hash" in SMP) */
};

/* A public key that may sign images. Its first byte says of which kind it is. */
struct ef_image_key {
	uint8_t hash[32];  /* SHA-256 of the DER SubjectPublicKeyInfo */
	uint8_t point[65]; /* 04 | X | Y of P-256; ed | the 32 bytes of Ed25519 | zeros */
};
#define EF_KEY_P256 0x04u
#define EF_KEY_ED25519 0xedu

/* Primitives, supplied by OpenSSL on the host and by BearSSL on an MCU. ctx is passed through. */
struct ef_image_crypto {
	void *ctx;
	void (*sha256_init)(void *ctx);
	void (*sha256_update)(void *ctx, const void *data, size_t size);
	void (*sha256_final)(void *ctx, uint8_t digest[32]);
	/* Exactly 1 when sig (ASN.1 DER) over digest is valid under point; anything else is not. */
	int (*p256_verify)(void *ctx, const uint8_t point[65], const uint8_t digest[32],
		const uint8_t *sig, size_t sig_size);
	/* The same for Ed25519; NULL: signatures of that kind count as made by an unknown key. */
	int (*ed25519_verify)(
		void *ctx, const uint8_t key[32], const uint8_t digest[32], const uint8_t sig[64]);
	/* In place of init: goes on from the state after hashed bytes, a multiple of 64. NULL where
	 * no preflight is asked for with a middle. */
	void (*sha256_resume)(void *ctx, const uint8_t state[32], uint32_t hashed);
};

/* Where the image is read from: bytes [offset, offset + size) of at most limit bytes. */
struct ef_image_source {
	void *ctx;
	uint32_t limit; /* size of the file, or of the slot */
	/* 0, or negative when the bytes cannot be read. */
	int (*read)(void *ctx, uint32_t offset, void *buf, size_t size);
};

/* What the reader demands. NULL/0 fields demand nothing. */
struct ef_image_policy {
	const struct ef_image_key *keys; /* at least one */
	size_t n_keys;
	const uint8_t *vendor, *class_id; /* 16 bytes each: the TLV must be there and equal */
	uint32_t floor;			  /* security counter must be >= floor */
};

/* Reads the 32-byte header. BAD_IMAGE for a wrong magic, version, flag or size (E-01, S-07). */
enum ef_reason ef_image_parse_header(
	const uint8_t buf[EF_IMAGE_HEADER_SIZE], uint32_t limit, struct ef_image_header *ret);

/*
 * Where the digest of an image stands in front of its protected TLVs: SHA-256's state (eight words,
 * big-endian) after as many whole blocks of 64 bytes as header and payload fill, and the bytes
 * after those.
 */
struct ef_image_middle {
	const uint8_t *state; /* 32 bytes */
	const uint8_t *tail;
	size_t tail_size; /* less than 64 */
};

/*
 * Header and TLVs only, before any payload is there: structure, key, signature over the
 * digest that the SHA-256 TLV names, vendor, class, floor, size. The payload itself is
 * not looked at. src need only answer for [0, 32) and the TLV areas.
 * With a middle (else NULL) the digest is computed from there on, so the protected TLVs are those
 * that were signed: to find a middle that leads from other ones to the same digest is as hard as to
 * find a preimage of the compression function. The header is so only where an EF_TLV_HEADER repeats
 * it.
 */
enum ef_reason ef_image_preflight(const struct ef_image_source *src,
	const struct ef_image_policy *policy, const struct ef_image_crypto *crypto,
	const struct ef_image_middle *middle, struct ef_image_info *ret);

/*
 * The same, and the payload: SHA-256 over header, payload and protected TLVs equals the TLV.
 * OK only when everything holds. Unknown TLV types in the protected area with bit 7 of the
 * low byte clear, encrypted or compressed payloads, and attribute TLVs (security counter,
 * UUIDs, dependency) outside the protected area are refused as BAD_IMAGE (L-06).
 * policy NULL: structure and digest alone, for one who knows which digest to expect.
 */
enum ef_reason ef_image_check(const struct ef_image_source *src,
	const struct ef_image_policy *policy, const struct ef_image_crypto *crypto,
	struct ef_image_info *ret);

/* Structure only, no keys: what an unverified image claims. For inspection and display. */
enum ef_reason ef_image_inspect(const struct ef_image_source *src, struct ef_image_info *ret);
