/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Rollout statement, rollouts/PRODUCT.json (docs/SPEC-repository.md section 5): which share of a
 * fleet may take a release that others have signed. Pure: no files, no clock. Parse only after the
 * bytes were checked against signed metadata of the role "rollouts".
 *
 * What it can say is "wait" or nothing: it adds no release and lowers no floor (S-04). Whatever is
 * wrong with it means wait.
 */
#include "util/reason.h"
#include <edgeferry/version.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ROLLOUT_SIZE_MAX ((size_t)64 << 10)
#define ROLLOUT_RELEASES_MAX 64u
#define ROLLOUT_SALT_MAX 64u
#define ROLLOUT_WHOLE 1000u /* a share is in parts per thousand */

struct rollout_release {
	char version[EF_VERSION_TEXT_MAX];
	uint64_t sequence;
	unsigned share;
	char salt[ROLLOUT_SALT_MAX + 1];
	bool halted;
};

struct rollout {
	char product[33];
	uint64_t counter; /* grows with every statement */
	int64_t expires;  /* seconds since 1970 */
	size_t n_releases;
	struct rollout_release releases[ROLLOUT_RELEASES_MAX];
};

/* "rollouts/PRODUCT.json" */
#define ROLLOUT_TARGET_MAX 64
void rollout_target(const char *product, char out[ROLLOUT_TARGET_MAX]);

/* product: whose statement is wanted; another's is BAD_FORMAT. *ret is filled only on success. */
enum ef_reason rollout_parse(
	const void *data, size_t size, const char *product, struct rollout *ret, struct error *e);

/* What a salt may be: 8 to 64 of [A-Za-z0-9._-]. */
bool rollout_salt_valid(const char *salt);

/* NULL when the statement does not name it. */
const struct rollout_release *rollout_find(const struct rollout *r, const char *version);

/*
 * Whether next may replace last, which was taken before: the counter never falls
 * (METADATA_ROLLBACK), one counter has one content, and within a release sequence and salt stay and
 * the share never shrinks (BAD_FORMAT).
 */
enum ef_reason rollout_follows(
	const struct rollout *last, const struct rollout *next, struct error *e);

/* First 8 bytes, big-endian, of SHA-256(salt, newline, device). False when that failed. */
bool rollout_bucket(const char *salt, const char *device, uint64_t *ret);
/* The device's place, in thousandths of the fleet, 0 to 999: its turn has come when it is below the
 * share. */
bool rollout_place(const char *salt, const char *device, unsigned *ret);

/* ROLLOUT_GO is not zero, so that an answer never given is none to go by. */
enum rollout_answer {
	ROLLOUT_EXPIRED,  /* hold */
	ROLLOUT_UNLISTED, /* this release is not in it: hold */
	ROLLOUT_HALTED,	  /* */
	ROLLOUT_LATER,	  /* this device is not in the share yet */
	ROLLOUT_FAILED,	  /* could not be worked out: hold */
	ROLLOUT_GO,
};
const char *rollout_answer_word(enum rollout_answer a); /* "expired", "halted", … */

/* For one release, named by version and sequence of its manifest, on one device as of now. */
enum rollout_answer rollout_decide(const struct rollout *r, const char *version, uint64_t sequence,
	const char *device, int64_t now);
