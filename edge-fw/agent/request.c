/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/request.h"
#include <string.h>

static bool get_value(struct cbor_reader *r, char type, struct value *v)
{
	uint64_t n;
	bool b;
	const char *s;

	if (v->present)
		return false;
	v->present = true;
	switch (type) {
	case 'u':
		if (!cbor_get_uint(r, &n) || n > UINT32_MAX)
			return false;
		v->number = (uint32_t)n;
		return true;
	case 'f':
		if (!cbor_get_bool(r, &b))
			return false;
		v->number = b;
		return true;
	case 'b':
		return cbor_get_bytes(r, &v->data, &v->size);
	default:
		if (!cbor_get_text(r, &s, &v->size))
			return false;
		v->data = (const uint8_t *)s;
		return true;
	}
}

/* The place of a key in fields, and its type; negative: not one of them. */
static int find_field(const char *fields, const char *key, size_t size, char *type)
{
	for (int i = 0; *fields; i++) {
		size_t n = 0;

		while (fields[n] != ':')
			n++;
		*type = fields[n + 1];
		if (n == size && memcmp(fields, key, size) == 0)
			return i;
		fields += n + 2;
		if (*fields)
			fields++;
	}
	return -1;
}

bool request_parse(const uint8_t *body, size_t size, const char *fields, struct value *v)
{
	struct cbor_reader r;

	memset(v, 0, REQUEST_FIELDS_MAX * sizeof(*v));
	cbor_read_init(&r, body, size);
	if (cbor_peek(&r) != CBOR_MAP || !cbor_enter(&r))
		return false;
	while (cbor_peek(&r) != CBOR_NONE) {
		const char *key;
		size_t key_size;
		char type;
		int i;

		if (cbor_peek(&r) != CBOR_TEXT) {
			if (!cbor_skip(&r) || !cbor_skip(&r))
				return false;
			continue;
		}
		if (!cbor_get_text(&r, &key, &key_size))
			return false;
		i = find_field(fields, key, key_size, &type);
		if (i < 0 ? !cbor_skip(&r) : !get_value(&r, type, &v[i]))
			return false;
	}
	return cbor_leave(&r) && cbor_ok(&r);
}

void put_uint(struct cbor_writer *w, const char *key, uint32_t n)
{
	cbor_put_text(w, key);
	cbor_put_uint(w, n);
}

void put_uints(struct cbor_writer *w, const char *keys, const uint32_t *n)
{
	while (*keys) {
		size_t size = 0;

		while (keys[size] && keys[size] != ' ')
			size++;
		cbor_put_text_of(w, keys, size);
		cbor_put_uint(w, *n++);
		keys += size + (keys[size] == ' ');
	}
}

void put_version(struct cbor_writer *w, const char *key, const struct ef_version *version)
{
	char text[EF_VERSION_TEXT_MAX];

	ef_version_format(version, text);
	put_text(w, key, text);
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
