/* SPDX-License-Identifier: Apache-2.0 */
#include "util/json.h"
#include "util/hex.h"
#include <string.h>

/*
 * Bounds depth and number of values before jansson sees the text, so that neither its recursion
 * nor its memory is in the sender's hands. Counts tokens only; whether they make sense is
 * jansson's part.
 */
static const char *over_bounds(const char *p, size_t size, unsigned *line)
{
	const char *end = p + size;
	unsigned depth = 0, values = 1;
	bool in_string = false;

	for (*line = 1; p < end; p++) {
		if (*p == 0)
			return "NUL byte";
		if (*p == '\n')
			(*line)++;
		if (in_string) {
			if (*p == '\\' && p + 1 < end)
				p++;
			else if (*p == '"')
				in_string = false;
			continue;
		}
		if (*p == '"')
			in_string = true;
		else if (*p == '{' || *p == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return "nested too deeply";
			values++;
		} else if ((*p == '}' || *p == ']') && depth > 0)
			depth--;
		else if (*p == ',')
			values++;
		if (values > JSON_NODES_MAX)
			return "too many values";
	}
	return NULL;
}

/*
 * jansson's lexer loses a character when the buffer of a token cannot grow, and goes on: out of
 * memory, "12" may read as "1". So it is noticed here that an allocation failed.
 */
static _Thread_local bool starved;

static void *noticed_malloc(size_t size)
{
	void *p = malloc(size);

	starved |= !p;
	return p;
}

json_t *json_read(const void *data, size_t size, const char *name, struct error *e)
{
	json_error_t je;
	unsigned line;

	const char *wrong = size > 0 ? over_bounds(data, size, &line) : NULL;
	if (wrong) {
		error_set(e, EF_REASON_BAD_FORMAT, "%s:%u: %s", name, line, wrong);
		return NULL;
	}
	json_set_alloc_funcs(noticed_malloc, free);
	starved = false;
	json_t *v = json_loadb(size > 0 ? data : "", size, JSON_REJECT_DUPLICATES, &je);
	if (starved) {
		json_decref(v);
		error_set(e, EF_REASON_NO_MEMORY, "%s", name);
		return NULL;
	}
	if (!v)
		error_set(e, EF_REASON_BAD_FORMAT, "%s:%d: %s", name, je.line < 0 ? 1 : je.line,
			je.text);
	return v;
}

bool json_get_string(const json_t *o, const char *key, const char **ret)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_string(v))
		return false;
	*ret = json_string_value(v);
	return true;
}

bool json_get_uint(const json_t *o, const char *key, uint64_t *ret)
{
	const json_t *v = json_object_get(o, key);

	if (!json_is_integer(v) || json_integer_value(v) < 0)
		return false;
	*ret = (uint64_t)json_integer_value(v);
	return true;
}

bool json_get_digest(const json_t *o, const char *key, uint8_t ret[32])
{
	const char *text;

	return json_get_string(o, key, &text) && hex_decode(text, ret, DIGEST_SIZE);
}

json_t *json_get_object(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	return json_is_object(v) ? v : NULL;
}

json_t *json_get_array(const json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	return json_is_array(v) ? v : NULL;
}

const char *json_unknown_key(const json_t *o, const char *const *known)
{
	/* jansson's iterators take no const, and change nothing */
	json_t *object = (json_t *)o;

	for (void *it = json_object_iter(object); it; it = json_object_iter_next(object, it)) {
		const char *key = json_object_iter_key(it);
		const char *const *k = known;
		while (*k && strcmp(*k, key) != 0)
			k++;
		if (!*k)
			return key;
	}
	return NULL;
}
