/* SPDX-License-Identifier: Apache-2.0 */
#include "flash-gateway.h"
#include "dfu/image-middle.h"
#include <string.h>

static bool is_key(const char *key, size_t size, const char *name)
{
	return size == strlen(name) && memcmp(key, name, size) == 0;
}

static void read_error(struct cbor_reader *r, struct reply *ret)
{
	const char *key;
	size_t size;
	uint64_t n;

	if (!cbor_enter(r))
		return;
	while (cbor_get_text(r, &key, &size)) {
		if (is_key(key, size, "rc") && cbor_get_uint(r, &n))
			ret->reason = (enum ef_reason)n;
		else
			cbor_skip(r);
	}
	r->error = false; /* the end of the map stops the loop */
	cbor_leave(r);
}

static void read_answer(struct reply *ret)
{
	struct cbor_reader r;
	const char *key;
	size_t size;
	uint64_t n;

	cbor_read_init(&r, ret->body, ret->size);
	if (!cbor_enter(&r))
		return;
	while (cbor_peek(&r) == CBOR_TEXT && cbor_get_text(&r, &key, &size)) {
		if (is_key(key, size, "rc") && cbor_get_uint(&r, &n)) {
			ret->rc = (uint32_t)n;
		} else if (is_key(key, size, "off") && cbor_get_uint(&r, &n)) {
			ret->has_off = true;
			ret->off = (uint32_t)n;
		} else if (is_key(key, size, "match")) {
			ret->has_match = cbor_get_bool(&r, &ret->match);
		} else if (is_key(key, size, "err")) {
			read_error(&r, ret);
		} else {
			cbor_skip(&r);
		}
	}
}

uint32_t reply_uint(const struct reply *ret, const char *name)
{
	struct cbor_reader r;
	const char *key;
	size_t size;
	uint64_t n;
	bool b;

	cbor_read_init(&r, ret->body, ret->size);
	if (!cbor_enter(&r))
		return UINT32_MAX;
	while (cbor_peek(&r) == CBOR_TEXT && cbor_get_text(&r, &key, &size)) {
		if (!is_key(key, size, name))
			cbor_skip(&r);
		else if (cbor_peek(&r) == CBOR_BOOL)
			return cbor_get_bool(&r, &b) ? b : UINT32_MAX;
		else
			return cbor_get_uint(&r, &n) ? (uint32_t)n : UINT32_MAX;
	}
	return UINT32_MAX;
}

struct reply gateway_ask(
	struct agent *a, uint8_t op, uint16_t group, uint8_t command, const void *body, size_t size)
{
	static uint8_t seq;
	uint8_t message[PORT_MESSAGE_MAX];
	struct ef_smp_header h = {.op = op,
		.version = 1,
		.length = (uint16_t)size,
		.group = group,
		.seq = ++seq,
		.command = command};
	struct reply r = {0};

	if (size > sizeof(message) - EF_SMP_HEADER_SIZE)
		return r;
	ef_smp_header_encode(&h, message);
	memcpy(message + EF_SMP_HEADER_SIZE, body, size);
	port_watchdog_feed(); /* as agent_poll does */
	size = agent_request(a, message, EF_SMP_HEADER_SIZE + size);
	if (size < EF_SMP_HEADER_SIZE || !ef_smp_header_decode(a->response, size, &h) ||
		h.op != op + 1 || h.group != group || h.command != command || h.seq != seq ||
		h.length != size - EF_SMP_HEADER_SIZE)
		return r;
	r.answered = true;
	r.body = a->response + EF_SMP_HEADER_SIZE;
	r.size = h.length;
	read_answer(&r);
	return r;
}

struct reply gateway_read(struct agent *a, uint16_t group, uint8_t command)
{
	return gateway_ask(a, EF_SMP_READ, group, command, "\xa0", 1);
}

struct reply gateway_state(struct agent *a, const uint8_t *hash, bool confirm, uint32_t deadline)
{
	uint8_t buf[128];
	struct cbor_writer w;

	cbor_write_init(&w, buf, sizeof(buf));
	cbor_open_map(&w);
	if (hash) {
		cbor_put_text(&w, "hash");
		cbor_put_bytes(&w, hash, 32);
	}
	cbor_put_text(&w, "confirm");
	cbor_put_bool(&w, confirm);
	if (deadline) {
		cbor_put_text(&w, "deadline");
		cbor_put_uint(&w, deadline);
	}
	cbor_close(&w);
	return gateway_ask(a, EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_STATE, buf, w.used);
}

static struct reply preflight(struct agent *a, const struct test_image *i,
	const struct test_image *of, const struct test_image *patch, const uint8_t *base)
{
	struct ef_image_info info = {.header = {.hdr_size = 0, .img_size = of->tlv_at}};
	uint8_t buf[512], middle[IMAGE_MIDDLE_MAX];
	struct cbor_writer w;

	cbor_write_init(&w, buf, sizeof(buf));
	cbor_open_map(&w);
	cbor_put_text(&w, "mid");
	cbor_put_bytes(&w, middle, image_middle(of->data, &info, middle));
	cbor_put_text(&w, "hdr");
	cbor_put_bytes(&w, i->data, EF_IMAGE_HEADER_SIZE);
	cbor_put_text(&w, "tlv");
	cbor_put_bytes(&w, i->data + i->tlv_at, i->size - i->tlv_at);
	cbor_put_text(&w, "size");
	cbor_put_uint(&w, i->size);
	if (patch) {
		cbor_put_text(&w, "patch");
		cbor_put_uint(&w, patch->size);
		cbor_put_text(&w, "base");
		cbor_put_bytes(&w, base, 32);
	}
	cbor_close(&w);
	return gateway_ask(a, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_PREFLIGHT, buf, w.used);
}

struct reply gateway_preflight(struct agent *a, const struct test_image *i)
{
	return preflight(a, i, i, NULL, NULL);
}

struct reply gateway_preflight_of(
	struct agent *a, const struct test_image *i, const struct test_image *of)
{
	return preflight(a, i, of, NULL, NULL);
}

struct reply gateway_preflight_patch(struct agent *a, const struct test_image *i,
	const struct test_image *patch, const uint8_t base[32])
{
	return preflight(a, i, i, patch, base);
}

struct reply gateway_chunk(struct agent *a, const struct test_image *i, uint32_t off, uint32_t size)
{
	uint8_t buf[PORT_MESSAGE_MAX - EF_SMP_HEADER_SIZE];
	struct cbor_writer w;

	cbor_write_init(&w, buf, sizeof(buf));
	cbor_open_map(&w);
	cbor_put_text(&w, "off");
	cbor_put_uint(&w, off);
	if (off == 0) {
		cbor_put_text(&w, "len");
		cbor_put_uint(&w, i->size);
		cbor_put_text(&w, "sha");
		cbor_put_bytes(&w, i->digest, 32); /* any 32 bytes that name the file */
	}
	cbor_put_text(&w, "data");
	cbor_put_bytes(&w, i->data + off, size);
	cbor_close(&w);
	return gateway_ask(a, EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_UPLOAD, buf, w.used);
}

struct reply gateway_upload(struct agent *a, const struct test_image *i, uint32_t chunk)
{
	struct reply r = {0};

	for (uint32_t off = 0; off < i->size; off = r.off) {
		r = gateway_chunk(a, i, off, i->size - off < chunk ? i->size - off : chunk);
		if (!reply_good(&r) || !r.has_off || r.off <= off)
			break;
	}
	return r;
}
