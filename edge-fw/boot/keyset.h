/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Whose images this device runs, and how that changes (docs/SPEC-dfu.md, "Key sets"). Set 0 is the
 * factory page's; each further set is a document signed by enough keys of the set before it and by
 * enough of its own (E-07). It is kept in two copies, a page each, of which one is whole at any
 * time (E-06).
 */
#include "boot/factory.h"

/* Four keys, signed by four of the set before and by all of its own. */
#define KEYSET_DOCUMENT_MAX (8u + 4u * 64u + 8u * 65u)

/*
 * The device's record with the keys in force. Without keys when there are none, or when there was
 * a later set than the factory's and cannot be read (S-14).
 */
void keyset_load(struct factory *f);

/*
 * The same at each start, before anything else writes there: makes both copies agree. A copy that
 * power left half written may read as whole now and not the next time; what is read of it now holds
 * from then on.
 */
void keyset_mend(struct factory *f);

/*
 * May the document follow the set in force, which is f's? OK: *next is what to store. BAD_FORMAT,
 * BAD_SIGNATURE (not by enough keys), METADATA_ROLLBACK (not newer), REQUIREMENT (a set between
 * them is missing). Takes as long as all its signatures.
 */
enum ef_reason keyset_check(
	const uint8_t *document, size_t size, const struct factory *f, struct factory *next);

/* Puts *next in force. 0, or negative: then it is the set before or this one. */
int keyset_store(const struct factory *next);
