/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between bundle-read.c (a bundle in a file) and bundle-remote.c (one that comes in pieces). */
#include "bundle/bundle.h"

struct bundle {
	int fd;
	bool exact; /* nothing may stand behind the end */
	uint64_t size;
	char *name; /* of the file, for messages */
	struct bundle_member *members;
	const struct bundle_member **sorted; /* by name */
	size_t n_members;
	/* remote: what is wanted next; 0 bytes: nothing more */
	bool remote, at_end;
	uint64_t want, taken; /* taken: of metadata and targets, so far */
	size_t want_size;
};

enum ef_reason bundle_bad(
	const struct bundle *b, uint64_t offset, struct error *e, const char *what);
/* Appends the member whose header is block at offset; the place of its data is filled in. */
enum ef_reason bundle_append(
	struct bundle *b, const uint8_t *block, uint64_t offset, struct error *e);
/* All members are there: none twice, each can be found. */
enum ef_reason bundle_sort(struct bundle *b, struct error *e);
bool bundle_all_zero(const uint8_t *p, size_t size);
/* 0: metadata, 1: targets, 2: objects */
unsigned bundle_place(const char *name);
