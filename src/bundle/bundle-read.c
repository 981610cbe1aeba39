/* SPDX-License-Identifier: Apache-2.0 */
#include "bundle/bundle-internal.h"
#include "bundle/tar.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MEMBERS_MAX 4096u

_Static_assert(sizeof(((struct bundle_member *)0)->name) == TAR_NAME_MAX, "names fit");

void bundle_close(struct bundle *b)
{
	if (!b)
		return;
	ef_close(b->fd);
	free(b->name);
	free(b->members);
	free(b->sorted);
	free(b);
}
DEFINE_CLEANUP(struct bundle *, bundle_close)

enum ef_reason bundle_bad(
	const struct bundle *b, uint64_t offset, struct error *e, const char *what)
{
	return error_set(e, EF_REASON_BAD_FORMAT, "%s, byte %llu: %s", b->name,
		(unsigned long long)offset, what);
}

static enum ef_reason read_at(
	const struct bundle *b, void *buf, size_t size, uint64_t offset, struct error *e)
{
	if (offset > b->size || size > b->size - offset)
		return bundle_bad(b, b->size, e, "ends too early");
	int r = fd_pread_full(b->fd, buf, size, offset);
	if (r == -ENODATA)
		return bundle_bad(b, offset, e, "ends too early");
	if (r < 0)
		return error_errno(e, r, "%s", b->name);
	return EF_REASON_OK;
}

bool bundle_all_zero(const uint8_t *p, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (p[i])
			return false;
	return true;
}

/* Metadata, then targets, then objects: what checks comes before what is checked. */
unsigned bundle_place(const char *name)
{
	return name[0] == 'm' ? 0 : name[0] == 't' ? 1 : 2;
}

static enum ef_reason append(struct bundle *b, const struct bundle_member *m, struct error *e)
{
	if (b->n_members % 64 == 0) {
		struct bundle_member *larger =
			realloc(b->members, (b->n_members + 64) * sizeof(*larger));
		if (!larger)
			return error_set(e, EF_REASON_NO_MEMORY, "%s", b->name);
		b->members = larger;
	}
	b->members[b->n_members++] = *m;
	return EF_REASON_OK;
}

enum ef_reason bundle_append(
	struct bundle *b, const uint8_t *block, uint64_t offset, struct error *e)
{
	struct bundle_member m;

	if (!tar_header_parse(block, m.name, &m.size))
		return bundle_bad(b, offset, e, "not the header of a member");
	if (b->n_members == MEMBERS_MAX)
		return bundle_bad(b, offset, e, "too many members");
	if (b->n_members > 0 &&
		bundle_place(b->members[b->n_members - 1].name) > bundle_place(m.name))
		return bundle_bad(b, offset, e, "member out of order");
	m.offset = offset + TAR_BLOCK;
	if (m.offset > b->size || m.size > b->size - m.offset)
		return bundle_bad(b, offset, e, "a member goes beyond the end");
	return append(b, &m, e);
}

/* The member whose header is block at *at; moves *at behind it. */
static enum ef_reason take_member(
	struct bundle *b, const uint8_t *block, uint64_t *at, struct error *e)
{
	uint8_t padding[TAR_BLOCK];
	enum ef_reason r = bundle_append(b, block, *at, e);

	if (r)
		return r;
	const struct bundle_member *m = &b->members[b->n_members - 1];
	/* bundle_append has put it there: NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
	uint64_t end = m->offset + m->size;
	unsigned n = tar_padding(m->size);
	r = read_at(b, padding, n, end, e);
	if (r)
		return r;
	if (!bundle_all_zero(padding, n))
		return bundle_bad(b, end, e, "padding is not zero");
	*at = end + n;
	return EF_REASON_OK;
}

static enum ef_reason take_all(struct bundle *b, struct error *e)
{
	uint8_t block[TAR_BLOCK];
	uint64_t at = 0;
	enum ef_reason r;

	for (;;) {
		r = read_at(b, block, sizeof(block), at, e);
		if (r)
			return r;
		if (bundle_all_zero(block, sizeof(block)))
			break;
		r = take_member(b, block, &at, e);
		if (r)
			return r;
	}
	r = read_at(b, block, sizeof(block), at + TAR_BLOCK, e);
	if (r)
		return r;
	if (!bundle_all_zero(block, sizeof(block)))
		return bundle_bad(b, at + TAR_BLOCK, e, "one zero block only at the end");
	if (b->exact && b->size != at + 2 * TAR_BLOCK)
		return bundle_bad(b, at + 2 * TAR_BLOCK, e, "something behind the end");
	if (b->n_members == 0)
		return bundle_bad(b, 0, e, "empty");
	return EF_REASON_OK;
}

static int by_name(const void *a, const void *b)
{
	const struct bundle_member *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

static int name_against(const void *name, const void *member)
{
	const struct bundle_member *const *m = member;

	return strcmp(name, (*m)->name);
}

enum ef_reason bundle_sort(struct bundle *b, struct error *e)
{
	b->sorted = calloc(b->n_members, sizeof(struct bundle_member *));
	if (!b->sorted)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", b->name);
	for (size_t i = 0; i < b->n_members; i++)
		b->sorted[i] = &b->members[i];
	qsort(b->sorted, b->n_members, sizeof(struct bundle_member *), by_name);
	for (size_t i = 1; i < b->n_members; i++)
		if (strcmp(b->sorted[i - 1]->name, b->sorted[i]->name) == 0)
			return error_set(e, EF_REASON_BAD_FORMAT, "%s: %s is in it twice", b->name,
				b->sorted[i]->name);
	return EF_REASON_OK;
}

static enum ef_reason find_size(struct bundle *b, struct error *e)
{
	struct stat st;

	if (fstat(b->fd, &st) < 0)
		return error_errno(e, -errno, "%s", b->name);
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		return error_set(
			e, EF_REASON_BAD_FORMAT, "%s: neither a file nor a block device", b->name);
	off_t end = lseek(b->fd, 0, SEEK_END);
	if (end < 0)
		return error_errno(e, -errno, "%s", b->name);
	b->size = (uint64_t)end;
	/* A bundle written to a bare device has the rest of the device behind it. */
	b->exact = S_ISREG(st.st_mode);
	return EF_REASON_OK;
}

enum ef_reason bundle_open(int fd, const char *name, struct bundle **ret, struct error *e)
{
	_cleanup_close_ int owned = fd;
	_cleanup_(bundle_closep) struct bundle *b = calloc(1, sizeof(*b));
	enum ef_reason r;

	if (!b)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	b->fd = TAKE_FD(owned);
	b->name = strdup(name);
	if (!b->name)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	r = find_size(b, e);
	if (!r)
		r = take_all(b, e);
	if (!r)
		r = bundle_sort(b, e);
	if (!r)
		*ret = TAKE_PTR(b);
	return r;
}

int bundle_fd(const struct bundle *b)
{
	return b->fd;
}

/* N of "N.ROLE.json" when rest is "ROLE.json"; 0 for any other name. */
static uint64_t version_of(const char *file, const char *rest)
{
	size_t n = strspn(file, "0123456789");

	if (n == 0 || n > 19 || file[n] != '.' || strcmp(file + n + 1, rest) != 0)
		return 0;
	return strtoull(file, NULL, 10);
}

static const struct bundle_member *find_newest(const struct bundle *b, const char *name)
{
	static const char metadata[] = "metadata/";
	const size_t n = sizeof(metadata) - 1;
	const struct bundle_member *newest = NULL;
	uint64_t highest = 0;

	if (strncmp(name, metadata, n) != 0)
		return NULL;
	for (size_t i = 0; i < b->n_members && bundle_place(b->members[i].name) == 0; i++) {
		uint64_t version = version_of(b->members[i].name + n, name + n);
		if (version > highest) {
			highest = version;
			newest = &b->members[i];
		}
	}
	return newest;
}

const struct bundle_member *bundle_find(const struct bundle *b, const char *name)
{
	const struct bundle_member **m = bsearch(
		name, b->sorted, b->n_members, sizeof(struct bundle_member *), name_against);

	return m ? *m : find_newest(b, name);
}

const struct bundle_member *bundle_members(const struct bundle *b, size_t *n)
{
	*n = b->n_members;
	return b->members;
}

enum ef_reason bundle_read(const struct bundle *b, const char *name, size_t max, uint8_t **ret,
	size_t *size, struct error *e)
{
	const struct bundle_member *m = bundle_find(b, name);

	if (!m)
		return error_set(e, EF_REASON_NOT_FOUND, "%s: no %s in it", b->name, name);
	if (b->remote && bundle_place(m->name) == 2)
		return error_set(e, EF_REASON_INTERNAL, "%s: %s is not here", b->name, name);
	if (m->size > max)
		return error_set(e, EF_REASON_BAD_SIZE, "%s: %s has %llu bytes, at most %zu taken",
			b->name, name, (unsigned long long)m->size, max);
	_cleanup_free_ uint8_t *buf = malloc((size_t)m->size + 1);
	if (!buf)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", b->name);
	enum ef_reason r = read_at(b, buf, (size_t)m->size, m->offset, e);
	if (r)
		return r;
	buf[m->size] = 0;
	*ret = TAKE_PTR(buf);
	*size = (size_t)m->size;
	return EF_REASON_OK;
}

/* The member at *at must be this object; skips it when it stood before (each once). */
static enum ef_reason expect_object(
	const struct bundle *b, const struct object *o, size_t first, size_t *at, struct error *e)
{
	char hex[DIGEST_HEX_MAX], name[sizeof("objects/") + DIGEST_HEX_MAX];

	snprintf(name, sizeof(name), "objects/%s", digest_hex(o->sha256, hex));
	for (size_t i = first; i <= *at && i < b->n_members; i++) {
		const struct bundle_member *m = &b->members[i];
		if (strcmp(m->name, name) != 0)
			continue;
		if (m->size != o->size)
			return error_set(e, EF_REASON_BAD_SIZE, "%s: %s", b->name, name);
		if (i == *at)
			(*at)++;
		return EF_REASON_OK;
	}
	return error_set(e, bundle_find(b, name) ? EF_REASON_BAD_FORMAT : EF_REASON_NOT_FOUND,
		bundle_find(b, name) ? "%s: %s out of order" : "%s: no %s in it", b->name, name);
}

enum ef_reason bundle_check_members(const struct bundle *b, const struct manifest *m,
	const char *manifest_name, struct error *e)
{
	size_t at = 0;
	enum ef_reason r = EF_REASON_OK;

	while (at < b->n_members && bundle_place(b->members[at].name) == 0)
		at++;
	if (at == b->n_members || strcmp(b->members[at].name, manifest_name) != 0)
		return error_set(e, EF_REASON_BAD_FORMAT, "%s: no %s behind the metadata", b->name,
			manifest_name);
	size_t first = ++at;
	for (size_t i = 0; i < m->n_components && !r; i++) {
		const struct object *o[COMPONENT_OBJECTS_MAX];
		size_t n = component_objects(&m->components[m->order[i]], o);
		for (size_t k = 0; k < n && !r; k++)
			r = expect_object(b, o[k], first, &at, e);
	}
	if (!r && at < b->n_members)
		r = error_set(e, EF_REASON_NOT_SIGNED_FOR, "%s: %s", b->name, b->members[at].name);
	return r;
}
