/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/verify.h"
#include "boot/crypto.h"
#include <string.h>

static int read_slot(void *ctx, uint32_t offset, void *buf, size_t size)
{
	const struct port_area *slot = ctx;
	port_watchdog_feed();
	return port_flash_read(slot->offset + offset, buf, size);
}

static struct ef_image_source slot_source(unsigned slot)
{
	const struct port_area *a = &port_board()->slot[slot];
	return (struct ef_image_source){
		.ctx = (void *)(uintptr_t)a, .limit = a->size, .read = read_slot};
}

static struct ef_image_policy demands(uint32_t floor, const struct factory *f)
{
	static const uint8_t none[16];
	return (struct ef_image_policy){
		.keys = f->keys,
		.n_keys = f->n_keys,
		/* a factory page without vendor and class asks for none */
		.vendor = memcmp(f->vendor, none, 16) ? f->vendor : NULL,
		.class_id = memcmp(f->class_id, none, 16) ? f->class_id : NULL,
		.floor = floor,
	};
}

enum ef_reason verify_image(
	unsigned slot, uint32_t floor, const struct factory *f, struct ef_image_info *ret)
{
	struct ef_image_source src = slot_source(slot);
	struct ef_image_policy policy = demands(floor, f);
	struct crypto c;

	if (f->n_keys == 0)
		return EF_REASON_NO_TRUST;
	crypto_init(&c);
	return ef_image_check(&src, &policy, &c.primitives, ret);
}

enum ef_reason verify_digest(unsigned slot, const uint8_t digest[32], struct ef_image_info *ret)
{
	struct ef_image_source src = slot_source(slot);
	enum ef_reason reason = ef_image_inspect(&src, ret);
	struct crypto c;
	uint8_t buf[256], sum[32];

	if (reason != EF_REASON_OK)
		return reason;
	crypto_init(&c);
	c.primitives.sha256_init(&c);
	uint32_t end = ret->header.hdr_size + ret->header.img_size + ret->header.protected_size;
	for (uint32_t at = 0; at < end;) {
		uint32_t n = end - at < sizeof(buf) ? end - at : (uint32_t)sizeof(buf);
		if (src.read(src.ctx, at, buf, n) < 0)
			return EF_REASON_IO;
		c.primitives.sha256_update(&c, buf, n);
		at += n;
	}
	c.primitives.sha256_final(&c, sum);
	if (memcmp(sum, digest, 32) != 0 || memcmp(ret->digest, digest, 32) != 0)
		return EF_REASON_IMAGE_DIGEST;
	return EF_REASON_OK;
}

static int read_preflight(void *ctx, uint32_t offset, void *buf, size_t size)
{
	const struct preflight *p = ctx;
	uint32_t tlv_at;

	if (offset <= EF_IMAGE_HEADER_SIZE && size <= EF_IMAGE_HEADER_SIZE - offset) {
		memcpy(buf, p->header + offset, size);
		return 0;
	}
	/* header size and payload size, both checked against the limit by the reader */
	tlv_at = (uint32_t)(p->header[8] | p->header[9] << 8) +
		 (p->header[12] | (uint32_t)p->header[13] << 8 | (uint32_t)p->header[14] << 16 |
			 (uint32_t)p->header[15] << 24);
	if (offset < tlv_at || offset - tlv_at > p->tlv_size ||
		size > p->tlv_size - (offset - tlv_at))
		return -1;
	memcpy(buf, p->tlv + (offset - tlv_at), size);
	return 0;
}

enum ef_reason verify_preflight(const struct preflight *p, uint32_t floor, const struct factory *f,
	struct ef_image_info *ret)
{
	struct ef_image_source src = {
		.ctx = (void *)(uintptr_t)p, .limit = p->size, .read = read_preflight};
	struct ef_image_policy policy = demands(floor, f);
	enum ef_reason reason;
	struct crypto c;

	if (f->n_keys == 0)
		return EF_REASON_NO_TRUST;
	if (p->size > port_board()->slot[1].size)
		return EF_REASON_TOO_LARGE;
	crypto_init(&c);
	reason = ef_image_preflight(&src, &policy, &c.primitives, ret);
	return reason == EF_REASON_IO ? EF_REASON_BAD_IMAGE
				      : reason; /* it reads past what was sent */
}
