/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The subset of CBOR (RFC 8949) that SMP uses. No allocation, no recursion.
 * Writer: into a caller's buffer; the first overflow sticks and is read once at the end.
 * Reader: a cursor over a caller's buffer; definite and indefinite maps and arrays, text and
 * byte strings (definite length only), integers, booleans, null; floats and tags are skipped.
 * The first error sticks; every getter is then a no-op that returns false.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cbor_writer {
	uint8_t *buf;
	size_t size, used;
	bool overflow;
};

void cbor_write_init(struct cbor_writer *w, void *buf, size_t size);
void cbor_put_uint(struct cbor_writer *w, uint64_t v);
void cbor_put_int(struct cbor_writer *w, int64_t v);
void cbor_put_bool(struct cbor_writer *w, bool v);
void cbor_put_text(struct cbor_writer *w, const char *nul_terminated);
void cbor_put_text_of(struct cbor_writer *w, const char *text, size_t size);
void cbor_put_bytes(struct cbor_writer *w, const void *data, size_t size);
/* Only the head of a byte string; the caller then appends exactly size bytes itself (cbor_put_raw).
 */
void cbor_put_bytes_head(struct cbor_writer *w, size_t size);
void cbor_put_raw(struct cbor_writer *w, const void *data, size_t size);
void cbor_open_map(struct cbor_writer *w);   /* indefinite length */
void cbor_open_array(struct cbor_writer *w); /* indefinite length */
void cbor_close(struct cbor_writer *w);	     /* either */

enum cbor_type {
	CBOR_NONE, /* end of the container, end of input, or error */
	CBOR_UINT,
	CBOR_NEGATIVE,
	CBOR_BYTES,
	CBOR_TEXT,
	CBOR_ARRAY,
	CBOR_MAP,
	CBOR_BOOL,
	CBOR_NULL,
	CBOR_OTHER, /* float, tag, simple value */
};

#define CBOR_DEPTH_MAX 6

struct cbor_reader {
	const uint8_t *buf;
	size_t size, at;
	bool error;
	uint8_t depth;
	/* items left in each open container; UINT32_MAX = indefinite. A map counts keys and values.
	 */
	uint32_t left[CBOR_DEPTH_MAX];
};

void cbor_read_init(struct cbor_reader *r, const void *buf, size_t size);
/* Type of the next item of the current container without consuming it. */
enum cbor_type cbor_peek(struct cbor_reader *r);
bool cbor_get_uint(struct cbor_reader *r, uint64_t *ret);
bool cbor_get_int(struct cbor_reader *r, int64_t *ret);
bool cbor_get_bool(struct cbor_reader *r, bool *ret);
/* Points into the buffer; text is not NUL-terminated. */
bool cbor_get_text(struct cbor_reader *r, const char **ret, size_t *size);
bool cbor_get_bytes(struct cbor_reader *r, const uint8_t **ret, size_t *size);
bool cbor_enter(struct cbor_reader *r); /* the next item, a map or an array */
bool cbor_leave(struct cbor_reader *r); /* skips what is left of the current container */
bool cbor_skip(struct cbor_reader *r);	/* the next item, whatever it is, with what it holds */
/* True when no error happened. */
static inline bool cbor_ok(const struct cbor_reader *r)
{
	return !r->error;
}
