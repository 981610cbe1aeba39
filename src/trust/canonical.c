/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/canonical.h"
#include "util/cleanup.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 64

struct buffer {
	char *data;
	size_t used, room;
};

static int put(struct buffer *b, const void *data, size_t size)
{
	if (size > b->room - b->used) {
		size_t room;
		if (__builtin_add_overflow(b->used, size, &room) ||
			__builtin_mul_overflow(room, 2u, &room))
			return -ENOMEM;
		char *p = realloc(b->data, room);
		if (!p)
			return -ENOMEM;
		b->data = p;
		b->room = room;
	}
	if (size > 0)
		memcpy(b->data + b->used, data, size);
	b->used += size;
	return 0;
}

static int put_string(struct buffer *b, const char *s, size_t size)
{
	int r = put(b, "\"", 1);

	for (size_t i = 0; r == 0 && i < size;) {
		size_t n = 0;
		while (i + n < size && s[i + n] != '"' && s[i + n] != '\\')
			n++;
		r = put(b, s + i, n);
		i += n;
		if (r == 0 && i < size) {
			r = put(b, "\\", 1);
			if (r == 0)
				r = put(b, s + i++, 1);
		}
	}
	return r ? r : put(b, "\"", 1);
}

static int put_value(struct buffer *b, const json_t *v, unsigned depth);

static int put_array(struct buffer *b, const json_t *v, unsigned depth)
{
	int r = put(b, "[", 1);

	for (size_t i = 0; r == 0 && i < json_array_size(v); i++) {
		if (i > 0)
			r = put(b, ",", 1);
		if (r == 0)
			r = put_value(b, json_array_get(v, i), depth);
	}
	return r ? r : put(b, "]", 1);
}

/* Bytes of UTF-8 sort as the code points they stand for; strcmp compares them as unsigned. */
static int by_key(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int put_object(struct buffer *b, const json_t *v, unsigned depth)
{
	json_t *object = (json_t *)v; /* jansson's iterators take no const, and change nothing */
	size_t n = json_object_size(v), i = 0;
	_cleanup_free_ const char **keys = calloc(n ? n : 1, sizeof(*keys));

	if (!keys)
		return -ENOMEM;
	for (void *it = json_object_iter(object); it && i < n;
		it = json_object_iter_next(object, it))
		keys[i++] = json_object_iter_key(it);
	if (i != n)
		return -EINVAL;
	qsort(keys, n, sizeof(*keys), by_key);

	int r = put(b, "{", 1);
	for (i = 0; r == 0 && i < n; i++) {
		if (i > 0)
			r = put(b, ",", 1);
		if (r == 0)
			r = put_string(b, keys[i], strlen(keys[i]));
		if (r == 0)
			r = put(b, ":", 1);
		if (r == 0)
			r = put_value(b, json_object_get(v, keys[i]), depth);
	}
	return r ? r : put(b, "}", 1);
}

static int put_integer(struct buffer *b, json_int_t i)
{
	char text[32];
	int n = snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, i);

	return put(b, text, (size_t)n);
}

static int put_value(struct buffer *b, const json_t *v, unsigned depth)
{
	if (!v || depth >= DEPTH_MAX)
		return -EINVAL;
	switch (json_typeof(v)) {
	case JSON_OBJECT:
		return put_object(b, v, depth + 1);
	case JSON_ARRAY:
		return put_array(b, v, depth + 1);
	case JSON_STRING:
		return put_string(b, json_string_value(v), json_string_length(v));
	case JSON_INTEGER:
		return put_integer(b, json_integer_value(v));
	case JSON_TRUE:
		return put(b, "true", 4);
	case JSON_FALSE:
		return put(b, "false", 5);
	case JSON_NULL:
		return put(b, "null", 4);
	case JSON_REAL: /* has no one form: never signed */
		break;
	}
	return -EINVAL;
}

int canonical_json(const json_t *value, char **ret, size_t *size)
{
	struct buffer b = {NULL, 0, 0};
	int r = put_value(&b, value, 0);

	if (r < 0) {
		free(b.data);
		return r;
	}
	*ret = b.data;
	*size = b.used;
	return 0;
}
