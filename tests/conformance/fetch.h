/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Files over HTTP, one at a time, for the conformance client. */
#include "util/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fetch;

struct fetch *fetch_new(void); /* NULL when out of memory */
void fetch_free(struct fetch *f);

/* base/name (quoted already), at most max bytes. NOT_FOUND for 403 and 404. New buffer in *ret. */
enum ef_reason fetch_get(struct fetch *f, const char *base, const char *name, uint64_t max,
	uint8_t **ret, size_t *size, struct error *e);

/* Percent-encodes all but [A-Za-z0-9_.~-] and the bytes of safe; false when out is too small. */
bool fetch_quote(const char *text, const char *safe, char *out, size_t size);
