/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle that comes in pieces: each request brings a member's end and the header that follows on
 * it; metadata and manifest come along whole and lie in a file in memory, at their offsets.
 */
#include "bundle/bundle-internal.h"
#include "bundle/tar.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define MEMBER_SIZE_MAX (8u << 20)
#define TAKEN_MAX (64u << 20) /* in memory */

DEFINE_CLEANUP(struct bundle *, bundle_close)

static void want(struct bundle *b, uint64_t offset, size_t size)
{
	b->want = offset;
	b->want_size = size;
}

enum ef_reason bundle_remote_open(const char *name, struct bundle **ret, struct error *e)
{
	_cleanup_(bundle_closep) struct bundle *b = calloc(1, sizeof(*b));

	if (!b)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	b->fd = memfd_create("bundle", MFD_CLOEXEC);
	if (b->fd < 0)
		return error_errno(e, -errno, "%s", name);
	b->name = strdup(name);
	if (!b->name)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	b->remote = true;
	b->size = INT64_MAX;
	want(b, 0, TAR_BLOCK);
	*ret = TAKE_PTR(b);
	return EF_REASON_OK;
}

bool bundle_is_remote(const struct bundle *b)
{
	return b->remote;
}

bool bundle_remote_next(const struct bundle *b, uint64_t *offset, size_t *size)
{
	*offset = b->want;
	*size = b->want_size;
	return b->want_size > 0;
}

/* The member that was appended last: what of it is wanted, up to the next header. */
static enum ef_reason want_member(struct bundle *b, struct error *e)
{
	const struct bundle_member *m = &b->members[b->n_members - 1];
	size_t tail = tar_padding(m->size) + TAR_BLOCK;

	if (tail > b->size - m->offset || m->size > b->size - m->offset - tail)
		return bundle_bad(b, m->offset, e, "a member goes beyond the end");
	if (bundle_place(m->name) == 2) {
		want(b, m->offset + m->size, tail);
		return EF_REASON_OK;
	}
	if (m->size > MEMBER_SIZE_MAX || m->size > TAKEN_MAX - b->taken)
		return error_set(e, EF_REASON_BAD_SIZE, "%s: %s has %llu bytes", b->name, m->name,
			(unsigned long long)m->size);
	b->taken += m->size;
	want(b, m->offset, (size_t)m->size + tail);
	return EF_REASON_OK;
}

/* What came before the header: the rest of the member before it, and its padding. */
static enum ef_reason take_rest(struct bundle *b, const uint8_t *data, size_t size, struct error *e)
{
	if (b->n_members == 0 || size == 0)
		return EF_REASON_OK;
	unsigned padding = tar_padding(b->members[b->n_members - 1].size);
	if (!bundle_all_zero(data + size - padding, padding))
		return bundle_bad(b, b->want, e, "padding is not zero");
	if (bundle_place(b->members[b->n_members - 1].name) == 2)
		return EF_REASON_OK;
	int r = fd_pwrite_full(b->fd, data, size, b->want);
	return r < 0 ? error_errno(e, r, "%s", b->name) : EF_REASON_OK;
}

enum ef_reason bundle_remote_feed(struct bundle *b, const void *data, size_t size, struct error *e)
{
	if (size != b->want_size || size == 0)
		return error_set(
			e, EF_REASON_BAD_SIZE, "%s: %zu bytes of %zu", b->name, size, b->want_size);
	/* whatever is wanted ends with one */
	const uint8_t *block = (const uint8_t *)data + size - TAR_BLOCK;
	uint64_t at = b->want + size - TAR_BLOCK;
	if (take_rest(b, data, b->at_end ? 0 : size - TAR_BLOCK, e))
		return e->reason;
	if (b->at_end) {
		want(b, 0, 0);
		if (!bundle_all_zero(block, TAR_BLOCK))
			return bundle_bad(b, at, e, "one zero block only at the end");
		return bundle_sort(b, e);
	}
	if (!bundle_all_zero(block, TAR_BLOCK))
		return bundle_append(b, block, at, e) ? e->reason : want_member(b, e);
	if (b->n_members == 0)
		return bundle_bad(b, 0, e, "empty");
	b->at_end = true;
	want(b, at + TAR_BLOCK, TAR_BLOCK);
	return EF_REASON_OK;
}
