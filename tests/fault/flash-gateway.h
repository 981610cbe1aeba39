/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What a gateway asks of an agent, without a wire: requests in, answers read. For tests. */
#include "agent/agent.h"
#include "flash-image.h"
#include "wire/cbor.h"

struct reply {
	bool answered;
	uint32_t rc;	       /* of the SMP level */
	enum ef_reason reason; /* of "err" */
	bool has_off, has_match, match;
	uint32_t off;
	const uint8_t *body; /* lives until the next request */
	size_t size;
};

static inline bool reply_good(const struct reply *r)
{
	return r->answered && r->rc == 0 && r->reason == EF_REASON_OK;
}

/* body: a CBOR map. */
struct reply gateway_ask(struct agent *a, uint8_t op, uint16_t group, uint8_t command,
	const void *body, size_t size);
struct reply gateway_read(struct agent *a, uint16_t group, uint8_t command);

struct reply gateway_state(struct agent *a, const uint8_t *hash, bool confirm, uint32_t deadline);
struct reply gateway_preflight(struct agent *a, const struct test_image *i);
/* With the middle of the digest of another image. */
struct reply gateway_preflight_of(
	struct agent *a, const struct test_image *i, const struct test_image *of);
/* The image will come as a patch of this size, for the image with the hash base. */
struct reply gateway_preflight_patch(struct agent *a, const struct test_image *i,
	const struct test_image *patch, const uint8_t base[32]);
struct reply gateway_chunk(
	struct agent *a, const struct test_image *i, uint32_t off, uint32_t size);
/* All of it, in order; the last answer, or the first refusal. */
struct reply gateway_upload(struct agent *a, const struct test_image *i, uint32_t chunk);

/* A number of the answer's map; at its top level; UINT32_MAX: not there. */
uint32_t reply_uint(const struct reply *ret, const char *name);
