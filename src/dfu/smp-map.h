/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Answers of a node, read by table: which keys are known, of which type, how large, and where they
 * go. Unknown keys are passed over; a known key of another type, twice, or out of range, and a
 * required one that is missing, spoil the whole answer (F-32).
 */
#include "util/reason.h"
#include "wire/cbor.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum smp_kind {
	SMP_UINT,  /* uint64_t, at most limit */
	SMP_BOOL,  /* bool */
	SMP_TEXT,  /* struct smp_string, at most limit bytes */
	SMP_BYTES, /* struct smp_string, exactly limit bytes; limit 0: any */
};

struct smp_string {
	const uint8_t *data; /* NULL: the key was not there */
	size_t size;
};

struct smp_field {
	const char *key;
	enum smp_kind kind;
	bool required;
	size_t offset; /* in the structure that smp_map_read fills */
	uint64_t limit;
};

/* The next item, a map of at most 32 fields. What is absent stays as the caller set it. */
bool smp_map_read(struct cbor_reader *r, const struct smp_field *fields, size_t n, void *ret);

/* A whole body that is one map. */
bool smp_body_read(
	const uint8_t *body, size_t size, const struct smp_field *fields, size_t n, void *ret);

/*
 * What an answer says of success: EF_REASON_OK, or the reason of the node or of SMP with "what: …"
 * in e. NODE_PROTOCOL when the body is not a map. *unsupported: the node does not know the command.
 */
enum ef_reason smp_body_status(
	const uint8_t *body, size_t size, const char *what, bool *unsupported, struct error *e);

/* Printable ASCII only, cut at the buffer (S-35). */
void smp_text_copy(struct smp_string text, char *out, size_t size);

/* A reason as a node may name it: about images, its state and itself. False for all others. */
bool smp_reason_valid(uint64_t n, enum ef_reason *ret);
