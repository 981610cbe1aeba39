/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Bundle file NAME.ferry: an uncompressed ustar archive with a fixed member order
 * (docs/SPEC-repository.md, "Bundle"). The reader maps names to places and sizes; it verifies
 * nothing, its caller does, by the digests in signed metadata. Names are looked up, never used as
 * paths (S-25). Sizes above 8 GiB use the base-256 form.
 */
#include "bundle/manifest.h"
#include "util/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bundle;

struct bundle_member {
	char name[256];
	uint64_t offset, size; /* of the data in the file */
};

/* Takes over fd (regular file or block device, readable). */
enum ef_reason bundle_open(int fd, const char *name, struct bundle **ret, struct error *e);
void bundle_close(struct bundle *b);
int bundle_fd(const struct bundle *b);
/*
 * NULL when there is none. A role's metadata without a version ("metadata/targets.json") finds its
 * newest ("metadata/3.targets.json"): offline nothing says which version to ask for.
 */
const struct bundle_member *bundle_find(const struct bundle *b, const char *name);
const struct bundle_member *bundle_members(const struct bundle *b, size_t *n);
/* Whole member into memory; NOT_FOUND, BAD_SIZE above max, IO. Caller frees. */
enum ef_reason bundle_read(const struct bundle *b, const char *name, size_t max, uint8_t **ret,
	size_t *size, struct error *e);

/*
 * A bundle at some distance: what is read of it is asked for piece by piece. While
 * bundle_remote_next is true, exactly those bytes are fetched and fed; then it is open like any
 * other, but bundle_read knows metadata and targets only. Bytes behind the end are never asked for.
 */
enum ef_reason bundle_remote_open(const char *name, struct bundle **ret, struct error *e);
bool bundle_remote_next(const struct bundle *b, uint64_t *offset, size_t *size);
enum ef_reason bundle_remote_feed(struct bundle *b, const void *data, size_t size, struct error *e);
bool bundle_is_remote(const struct bundle *b);

/*
 * Closed world (S-05): behind the metadata stand the manifest under manifest_name ("targets/…") and
 * exactly the objects that it names, in the order of activation, with their sizes. A member that
 * nobody signed for is NOT_SIGNED_FOR, one that lacks NOT_FOUND.
 */
enum ef_reason bundle_check_members(const struct bundle *b, const struct manifest *m,
	const char *manifest_name, struct error *e);

/* Writer, for the publisher. Fields that vary are zeroed: same input, same bytes. */
struct bundle_writer;
int bundle_writer_open(int fd, struct bundle_writer **ret);
int bundle_writer_add(struct bundle_writer *w, const char *name, const void *data, size_t size);
/* size bytes from the start of fd; -ENODATA when it has fewer. */
int bundle_writer_add_fd(struct bundle_writer *w, const char *name, int fd, uint64_t size);
/* The end of the archive; an error of any call before comes again. fd stays the caller's to sync.
 */
int bundle_writer_finish(struct bundle_writer *w); /* frees w in any case */
