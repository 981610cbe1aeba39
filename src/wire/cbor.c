/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/cbor.h"
#include <string.h>

enum major {
	MAJOR_UINT,
	MAJOR_NEGATIVE,
	MAJOR_BYTES,
	MAJOR_TEXT,
	MAJOR_ARRAY,
	MAJOR_MAP,
	MAJOR_TAG,
	MAJOR_SIMPLE,
};

#define INFO_INDEFINITE 31u
#define BREAK 0xffu
#define LEFT_INDEFINITE UINT32_MAX

/* Writer */

void cbor_write_init(struct cbor_writer *w, void *buf, size_t size)
{
	w->buf = buf;
	w->size = size;
	w->used = 0;
	w->overflow = false;
}

void cbor_put_raw(struct cbor_writer *w, const void *data, size_t size)
{
	if (w->overflow || size > w->size - w->used) {
		w->overflow = true;
		return;
	}
	if (size)
		memcpy(w->buf + w->used, data, size);
	w->used += size;
}

/* The shortest head: 0, 1, 2, 4 or 8 bytes of argument behind the initial byte. */
static void put_head(struct cbor_writer *w, enum major major, uint64_t v)
{
	uint32_t low = (uint32_t)v, high = (uint32_t)(v >> 32);
	uint8_t head[9];
	unsigned info = low, n = 0;

	/* Additional information 24, 25, 26, 27 announces 1, 2, 4, 8 bytes. */
	if (high || low >= 24) {
		info = high ? 27 : low > UINT16_MAX ? 26 : low > UINT8_MAX ? 25 : 24;
		n = 1u << (info - 24);
	}
	head[0] = (uint8_t)((unsigned)major << 5 | info);
	for (unsigned i = n; i; i--) {
		head[i] = (uint8_t)low;
		low = i == 5 ? high : low >> 8;
	}
	cbor_put_raw(w, head, n + 1);
}

static void put_byte(struct cbor_writer *w, uint8_t b)
{
	cbor_put_raw(w, &b, 1);
}

void cbor_put_uint(struct cbor_writer *w, uint64_t v)
{
	put_head(w, MAJOR_UINT, v);
}

void cbor_put_int(struct cbor_writer *w, int64_t v)
{
	if (v < 0)
		put_head(w, MAJOR_NEGATIVE, ~(uint64_t)v);
	else
		put_head(w, MAJOR_UINT, (uint64_t)v);
}

void cbor_put_bool(struct cbor_writer *w, bool v)
{
	put_byte(w, v ? 0xf5 : 0xf4);
}

void cbor_put_text_of(struct cbor_writer *w, const char *text, size_t size)
{
	put_head(w, MAJOR_TEXT, size);
	cbor_put_raw(w, text, size);
}

void cbor_put_text(struct cbor_writer *w, const char *nul_terminated)
{
	cbor_put_text_of(w, nul_terminated, strlen(nul_terminated));
}

void cbor_put_bytes_head(struct cbor_writer *w, size_t size)
{
	put_head(w, MAJOR_BYTES, size);
}

void cbor_put_bytes(struct cbor_writer *w, const void *data, size_t size)
{
	cbor_put_bytes_head(w, size);
	cbor_put_raw(w, data, size);
}

void cbor_open_map(struct cbor_writer *w)
{
	put_byte(w, MAJOR_MAP << 5 | INFO_INDEFINITE);
}

void cbor_open_array(struct cbor_writer *w)
{
	put_byte(w, MAJOR_ARRAY << 5 | INFO_INDEFINITE);
}

void cbor_close(struct cbor_writer *w)
{
	put_byte(w, BREAK);
}

/* Reader */

void cbor_read_init(struct cbor_reader *r, const void *buf, size_t size)
{
	memset(r, 0, sizeof *r);
	r->buf = buf;
	r->size = size;
}

static bool fail(struct cbor_reader *r)
{
	r->error = true;
	return false;
}

enum cbor_type cbor_peek(struct cbor_reader *r)
{
	_Static_assert(CBOR_UINT == MAJOR_UINT + 1 && CBOR_MAP == MAJOR_MAP + 1, "one order");
	uint32_t left = r->depth ? r->left[r->depth - 1] : LEFT_INDEFINITE;
	uint8_t b;

	if (r->error || left == 0)
		return CBOR_NONE;
	if (r->at == r->size) {
		/* Between top-level items this is the end; inside a container it is torn. */
		r->error = r->depth > 0;
		return CBOR_NONE;
	}
	b = r->buf[r->at];
	if (b == BREAK) {
		r->error = r->depth == 0 || left != LEFT_INDEFINITE;
		return CBOR_NONE;
	}
	if (b == 0xf4 || b == 0xf5)
		return CBOR_BOOL;
	if (b == 0xf6)
		return CBOR_NULL;
	return b >> 5 < MAJOR_TAG ? (enum cbor_type)((b >> 5) + 1) : CBOR_OTHER;
}

static bool is_string(uint8_t major)
{
	return major == MAJOR_BYTES || major == MAJOR_TEXT;
}

struct head {
	uint8_t major;
	bool open;	    /* of indefinite length, as only arrays and maps may be */
	uint32_t low, high; /* the argument's halves */
};

static uint64_t argument(const struct head *h)
{
	return (uint64_t)h->high << 32 | h->low;
}

/* Consumes the head of the next item. The bytes of a string are known to be there. */
static bool take_head(struct cbor_reader *r, struct head *h)
{
	uint8_t info, n;

	if (cbor_peek(r) == CBOR_NONE)
		return fail(r);
	h->major = r->buf[r->at] >> 5;
	info = r->buf[r->at++] & 31;
	h->open = info == INFO_INDEFINITE;
	h->low = info;
	h->high = 0;
	if (h->open) {
		if (h->major != MAJOR_ARRAY && h->major != MAJOR_MAP)
			return fail(r);
	} else if (info >= 24) {
		if (info > 27)
			return fail(r);
		n = (uint8_t)(1u << (info - 24));
		if (n > r->size - r->at)
			return fail(r);
		h->low = 0;
		while (n--) {
			h->high = h->high << 8 | h->low >> 24;
			h->low = h->low << 8 | r->buf[r->at++];
		}
	}
	if (is_string(h->major) && (h->high || h->low > r->size - r->at))
		return fail(r);
	/* A tag belongs to the item behind it and is not one itself. */
	if (r->depth && r->left[r->depth - 1] != LEFT_INDEFINITE && h->major != MAJOR_TAG)
		r->left[r->depth - 1]--;
	return true;
}

static bool push(struct cbor_reader *r, const struct head *h)
{
	uint32_t items = h->low;

	/* Each item takes a byte at least, so the count fits and is never LEFT_INDEFINITE. */
	if (r->depth == CBOR_DEPTH_MAX ||
		(!h->open && (h->high || items > r->size - r->at || items >> 30)))
		return fail(r);
	if (h->major == MAJOR_MAP)
		items *= 2;
	r->left[r->depth++] = h->open ? LEFT_INDEFINITE : items;
	return true;
}

/* One step of skipping: over a scalar or a string, into a container, or out of one at its end. */
static bool step(struct cbor_reader *r)
{
	struct head h;

	if (r->depth && cbor_peek(r) == CBOR_NONE && !r->error) {
		if (r->left[--r->depth] == LEFT_INDEFINITE)
			r->at++;
		return true;
	}
	do {
		if (!take_head(r, &h))
			return false;
	} while (h.major == MAJOR_TAG);
	if (h.major == MAJOR_ARRAY || h.major == MAJOR_MAP)
		return push(r, &h);
	if (is_string(h.major))
		r->at += h.low;
	return true;
}

/* Steps until no more than depth containers are open. */
static bool unwind(struct cbor_reader *r, uint8_t depth)
{
	while (r->depth > depth)
		if (!step(r))
			return false;
	return true;
}

static bool get_head(struct cbor_reader *r, enum cbor_type type, struct head *h)
{
	if (cbor_peek(r) != type)
		return fail(r);
	return take_head(r, h);
}

bool cbor_get_uint(struct cbor_reader *r, uint64_t *ret)
{
	struct head h;

	if (!get_head(r, CBOR_UINT, &h))
		return false;
	*ret = argument(&h);
	return true;
}

bool cbor_get_int(struct cbor_reader *r, int64_t *ret)
{
	enum cbor_type type = cbor_peek(r);
	struct head h;

	if (type != CBOR_NEGATIVE)
		type = CBOR_UINT;
	if (!get_head(r, type, &h))
		return false;
	if (argument(&h) > INT64_MAX)
		return fail(r);
	*ret = type == CBOR_NEGATIVE ? -1 - (int64_t)argument(&h) : (int64_t)argument(&h);
	return true;
}

bool cbor_get_bool(struct cbor_reader *r, bool *ret)
{
	struct head h;

	if (!get_head(r, CBOR_BOOL, &h))
		return false;
	*ret = h.low == 21;
	return true;
}

static bool get_string(
	struct cbor_reader *r, enum cbor_type type, const uint8_t **ret, size_t *size)
{
	struct head h;

	if (!get_head(r, type, &h))
		return false;
	*ret = r->buf + r->at;
	*size = h.low;
	r->at += *size;
	return true;
}

bool cbor_get_text(struct cbor_reader *r, const char **ret, size_t *size)
{
	const uint8_t *p;

	if (!get_string(r, CBOR_TEXT, &p, size))
		return false;
	*ret = (const char *)p;
	return true;
}

bool cbor_get_bytes(struct cbor_reader *r, const uint8_t **ret, size_t *size)
{
	return get_string(r, CBOR_BYTES, ret, size);
}

bool cbor_enter(struct cbor_reader *r)
{
	enum cbor_type type = cbor_peek(r);
	struct head h;

	if (type != CBOR_MAP && type != CBOR_ARRAY)
		return fail(r);
	return take_head(r, &h) && push(r, &h);
}

bool cbor_leave(struct cbor_reader *r)
{
	if (r->error || r->depth == 0)
		return fail(r);
	return unwind(r, (uint8_t)(r->depth - 1));
}

bool cbor_skip(struct cbor_reader *r)
{
	uint8_t depth = r->depth;

	if (cbor_peek(r) == CBOR_NONE)
		return fail(r);
	return step(r) && unwind(r, depth);
}
