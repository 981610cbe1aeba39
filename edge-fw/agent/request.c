/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/request.h"
#include <string.h>

/* What cannot be read leaves its error in r. */
static bool get_value(struct cbor_reader *r, char type, struct value *v)
{
	uint64_t n = 0;
	bool b = false;
	const char *s = NULL;

	if (v->present)
		return false;
	v->present = true;
	switch (type) {
	case 'u':
		cbor_get_uint(r, &n);
		v->number = (uint32_t)n;
		return n <= UINT32_MAX;
	case 'f':
		cbor_get_bool(r, &b);
		v->number = b;
		return true;
	case 'b':
		cbor_get_bytes(r, &v->data, &v->size);
		return true;
	default:
		cbor_get_text(r, &s, &v->size);
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
	if (cbor_peek(&r) != CBOR_MAP)
		return false;
	cbor_enter(&r);
	while (cbor_peek(&r) != CBOR_NONE) {
		const char *key;
		size_t key_size;
		char type;
		int i = -1;

		if (cbor_peek(&r) != CBOR_TEXT)
			cbor_skip(&r);
		else if (cbor_get_text(&r, &key, &key_size))
			i = find_field(fields, key, key_size, &type);
		if (i < 0)
			cbor_skip(&r);
		else if (!get_value(&r, type, &v[i]))
			return false;
	}
	return cbor_leave(&r); /* false after any error */
}

void put_uint(struct cbor_writer *w, const char *key, uint32_t n)
{
	cbor_put_text(w, key);
	cbor_put_uint(w, n);
}

/* Puts the first of the keys; returns the others. */
static const char *put_first(struct cbor_writer *w, const char *keys)
{
	size_t size = 0;

	while (keys[size] && keys[size] != ' ')
		size++;
	cbor_put_text_of(w, keys, size);
	return keys + size + (keys[size] == ' ');
}

void put_uints(struct cbor_writer *w, const char *keys, const uint32_t *n)
{
	while (*keys) {
		keys = put_first(w, keys);
		cbor_put_uint(w, *n++);
	}
}

void put_bools(struct cbor_writer *w, const char *keys, unsigned bits)
{
	for (; *keys; bits >>= 1) {
		keys = put_first(w, keys);
		cbor_put_bool(w, bits & 1);
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
