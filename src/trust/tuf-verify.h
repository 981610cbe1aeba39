/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The envelope {"signed", "signatures"} of every TUF document: all that is looked at before its
 * signatures hold (S-01). */
#include "util/reason.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#define TUF_SIGNATURES_MAX 256

/*
 * Reads an envelope: strict JSON, "signed" an object, "signatures" a list of {keyid, sig} in which
 * no key id stands twice. NULL with e set otherwise.
 */
json_t *tuf_envelope_read(const void *data, size_t size, const char *name, struct error *e);

/*
 * envelope, here and below: from tuf_envelope_read.
 * OK when at least role's threshold of role's keys have signed: each key counts once, whatever the
 * number of ids it goes by (S-02). keys: key id → key object. Keys of kinds that are not supported
 * count as absent. Anything that fails, out of memory included, is refusal (S-03).
 */
enum ef_reason tuf_envelope_verify(const json_t *envelope, const json_t *keys, const json_t *role,
	const char *name, struct error *e);

/*
 * Whether the envelope has signatures that say they are by a threshold of role's keys. When they do
 * not hold, it was damaged; when it has none, the role's keys have changed since.
 */
bool tuf_envelope_claims(const json_t *envelope, const json_t *role);
