/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What an HTTP server says about its answer, as far as we act on it. Hostile input, bounded. */
#include "net/parts.h"
#include "util/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ANSWER_HEADERS_MAX 65536u /* bytes of all headers of a request, redirects included */
#define ANSWER_UNKNOWN UINT64_MAX

/* Which state of a file it was: a strong entity tag, or else the date. "" both: nothing to tie to.
 */
struct entity {
	char tag[128]; /* with its quotes */
	char date[40];
};

struct answer {
	size_t header_bytes; /* over all responses of one request */
	long status;
	struct entity entity;
	bool has_range;
	uint64_t first, last; /* of Content-Range, inclusive */
	uint64_t total;	      /* of the file: Content-Range's, or Content-Length of a 200 */
	bool multipart;	      /* several ranges in one body */
	struct parts parts;   /* multipart: its boundary, if it has one that may be */
	bool has_parts;
};

/* One header line as it came, CRLF included or not. A status line starts a new response. */
enum ef_reason answer_header(struct answer *a, const char *line, size_t size, struct error *e);

/* "bytes 0-99/1234" or "…/ *"; false when it makes no sense. */
bool answer_parse_range(const char *text, uint64_t *first, uint64_t *last, uint64_t *total);

bool entity_known(const struct entity *a);
bool entity_same(const struct entity *a, const struct entity *b);
/* What If-Range: takes. */
const char *entity_validator(const struct entity *a);

/* Meaning of a status other than 200 and 206. */
enum ef_reason answer_refusal(long status);
bool answer_transient(long status);
