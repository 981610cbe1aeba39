/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Strict reading of JSON on top of jansson: bounded, no duplicate keys, one value and nothing
 * behind it. Nothing here looks at meaning (S-01).
 */
#include "util/cleanup.h"
#include "util/reason.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define JSON_DEPTH_MAX 16
#define JSON_NODES_MAX 200000u

/* jansson brings json_decrefp itself. */
#define _cleanup_json_ _cleanup_(json_decrefp)

/* New reference or NULL with e set (BAD_FORMAT, name and line in the detail). */
json_t *json_read(const void *data, size_t size, const char *name, struct error *e);

/* Typed members of an object; false when absent or of another type. Borrowed references. */
bool json_get_string(const json_t *o, const char *key, const char **ret);
bool json_get_uint(const json_t *o, const char *key, uint64_t *ret);	 /* integer >= 0 */
bool json_get_digest(const json_t *o, const char *key, uint8_t ret[32]); /* 64 lower-case digits */
json_t *json_get_object(const json_t *o, const char *key); /* NULL when absent or no object */
json_t *json_get_array(const json_t *o, const char *key);

/* The first key of o that is not in the NULL-terminated list, or NULL (S-05, unknown fields). */
const char *json_unknown_key(const json_t *o, const char *const *known);
