/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/verify.h"
#include "boot/crypto.h"
#include "wire/le.h"
#include <string.h>

static int read_slot(void *ctx, uint32_t offset, void *buf, size_t size)
{
	const struct port_area *where = ctx;
	port_watchdog_feed();
	return port_flash_read(where->offset + offset, buf, size);
}

static enum ef_reason check(const struct port_area *where, const struct ef_image_policy *policy,
	struct ef_image_info *ret)
{
	struct ef_image_source src = {
		.ctx = (void *)(uintptr_t)where, .limit = where->size, .read = read_slot};
	struct crypto c;

	crypto_init(&c);
	return ef_image_check(&src, policy, &c.primitives, ret);
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
		/* here as well, so that what skips it once does not skip it at the last look */
		.floor = floor > f->floor ? floor : f->floor,
	};
}

enum ef_reason verify_image(const struct port_area *where, uint32_t floor, const struct factory *f,
	struct ef_image_info *ret)
{
	struct ef_image_policy policy = demands(floor, f);

	if (f->n_keys == 0)
		return EF_REASON_NO_TRUST;
	return check(where, &policy, ret);
}

enum ef_reason verify_digest(
	const struct port_area *where, const uint8_t digest[32], struct ef_image_info *ret)
{
	enum ef_reason reason = check(where, NULL, ret);

	if (reason == EF_REASON_OK && memcmp(ret->digest, digest, 32) != 0)
		reason = EF_REASON_IMAGE_DIGEST;
	return reason;
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
	tlv_at = le16_get(p->header + 8) + le32_get(p->header + 12);
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
	if (p->size > port_board()->slot[0].size)
		return EF_REASON_TOO_LARGE;
	crypto_init(&c);
	reason = ef_image_preflight(&src, &policy, &c.primitives, &p->middle, ret);
	return reason == EF_REASON_IO ? EF_REASON_BAD_IMAGE
				      : reason; /* it reads past what was sent */
}
