/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/request.h"
#include <string.h>

static bool get_value(struct cbor_reader *r, enum cbor_type type, struct value *v)
{
	uint64_t n;
	bool b;
	const char *s;

	if (v->present || cbor_peek(r) != type)
		return false;
	v->present = true;
	switch (type) {
	case CBOR_UINT:
		if (!cbor_get_uint(r, &n) || n > UINT32_MAX)
			return false;
		v->number = (uint32_t)n;
		return true;
	case CBOR_BOOL:
		if (!cbor_get_bool(r, &b))
			return false;
		v->number = b;
		return true;
	case CBOR_BYTES:
		return cbor_get_bytes(r, &v->data, &v->size);
	case CBOR_TEXT:
		if (!cbor_get_text(r, &s, &v->size))
			return false;
		v->data = (const uint8_t *)s;
		return true;
	default:
		return false;
	}
}

static int find_field(const struct command *c, const char *key, size_t size)
{
	for (int i = 0; i < REQUEST_FIELDS_MAX && c->fields[i].key; i++)
		if (strlen(c->fields[i].key) == size && memcmp(c->fields[i].key, key, size) == 0)
			return i;
	return -1;
}

bool request_parse(const uint8_t *body, size_t size, const struct command *c, struct value *v)
{
	struct cbor_reader r;

	memset(v, 0, REQUEST_FIELDS_MAX * sizeof(*v));
	cbor_read_init(&r, body, size);
	if (cbor_peek(&r) != CBOR_MAP || !cbor_enter(&r))
		return false;
	while (cbor_peek(&r) != CBOR_NONE) {
		const char *key;
		size_t key_size;
		int i;

		if (cbor_peek(&r) != CBOR_TEXT) {
			if (!cbor_skip(&r) || !cbor_skip(&r))
				return false;
			continue;
		}
		if (!cbor_get_text(&r, &key, &key_size))
			return false;
		i = find_field(c, key, key_size);
		if (i < 0 ? !cbor_skip(&r) : !get_value(&r, c->fields[i].type, &v[i]))
			return false;
	}
	return cbor_leave(&r) && cbor_ok(&r);
}

void put_uint(struct cbor_writer *w, const char *key, uint32_t n)
{
	cbor_put_text(w, key);
	cbor_put_uint(w, n);
}

void put_bool(struct cbor_writer *w, const char *key, bool b)
{
	cbor_put_text(w, key);
	cbor_put_bool(w, b);
}

void put_text(struct cbor_writer *w, const char *key, const char *s)
{
	cbor_put_text(w, key);
	cbor_put_text(w, s);
}

void put_bytes(struct cbor_writer *w, const char *key, const void *data, size_t size)
{
	cbor_put_text(w, key);
	cbor_put_bytes(w, data, size);
}

void put_reason(struct cbor_writer *w, enum ef_reason reason)
{
	cbor_put_text(w, "err");
	cbor_open_map(w);
	put_uint(w, "group", EF_GROUP_EDGEFERRY);
	put_uint(w, "rc", reason);
	cbor_close(w);
}
