/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/rollout.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/time-util.h"
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)

#define SALT_MIN 8u
#define PRODUCT_MAX 32u

void rollout_target(const char *product, char out[ROLLOUT_TARGET_MAX])
{
	snprintf(out, ROLLOUT_TARGET_MAX, "rollouts/%s.json", product);
}

static enum ef_reason bad(struct error *e, const char *member)
{
	return error_set(e, EF_REASON_BAD_FORMAT, "rollout statement: %s", member);
}

/* Text of some characters and lengths only, copied. */
static bool take_text(
	const json_t *o, const char *key, const char *allowed, size_t min, size_t max, char *out)
{
	const char *text;

	if (!json_get_string(o, key, &text))
		return false;
	size_t n = strspn(text, allowed);
	if (n < min || n > max || text[n] != 0)
		return false;
	memcpy(out, text, n + 1);
	return true;
}

#define SALT_CHARACTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

bool rollout_salt_valid(const char *salt)
{
	size_t n = strspn(salt, SALT_CHARACTERS);

	return n >= SALT_MIN && n <= ROLLOUT_SALT_MAX && salt[n] == 0;
}

static enum ef_reason take_release(const json_t *o, struct rollout_release *ret, struct error *e)
{
	static const char *const known[] = {"version", "sequence", "share", "salt", "halted", NULL};
	const json_t *halted = json_object_get(o, "halted");
	uint64_t share;

	if (!json_is_object(o) || json_unknown_key(o, known))
		return bad(e, "a release has other members than it may");
	if (!take_text(o, "version", "0123456789.+", 5, EF_VERSION_TEXT_MAX - 1, ret->version))
		return bad(e, "version");
	if (!json_get_uint(o, "sequence", &ret->sequence) || ret->sequence == 0)
		return bad(e, "sequence");
	if (!json_get_uint(o, "share", &share) || share > ROLLOUT_WHOLE)
		return bad(e, "share is not 0 to 1000");
	if (!take_text(o, "salt", SALT_CHARACTERS, SALT_MIN, ROLLOUT_SALT_MAX, ret->salt))
		return bad(e, "salt");
	if (!json_is_boolean(halted))
		return bad(e, "halted");
	ret->share = (unsigned)share;
	ret->halted = json_is_true(halted);
	return EF_REASON_OK;
}

/* a salt belongs to one release, or the same devices would always come first. */
static bool repeats(const struct rollout *r, const struct rollout_release *one)
{
	for (size_t i = 0; i < r->n_releases; i++) {
		const struct rollout_release *other = &r->releases[i];
		if (strcmp(other->version, one->version) == 0 || other->sequence == one->sequence ||
			strcmp(other->salt, one->salt) == 0)
			return true;
	}
	return false;
}

static enum ef_reason take_releases(const json_t *list, struct rollout *ret, struct error *e)
{
	json_t *item;
	size_t i;

	if (!list || json_array_size(list) > ROLLOUT_RELEASES_MAX)
		return bad(e, "releases");
	json_array_foreach (list, i, item) {
		struct rollout_release one;
		enum ef_reason r = take_release(item, &one, e);
		if (r)
			return r;
		if (repeats(ret, &one))
			return bad(e, "version, sequence or salt stands twice");
		ret->releases[ret->n_releases++] = one;
	}
	return EF_REASON_OK;
}

static enum ef_reason take_head(
	const json_t *o, const char *product, struct rollout *ret, struct error *e)
{
	static const char *const known[] = {
		"schema", "product", "counter", "expires", "releases", NULL};
	const char *expires;
	uint64_t schema;

	if (!json_is_object(o) || json_unknown_key(o, known))
		return bad(e, "other members than it may have");
	if (!json_get_uint(o, "schema", &schema) || schema != 1)
		return bad(e, "schema is not 1");
	if (!take_text(o, "product", "abcdefghijklmnopqrstuvwxyz0123456789-", 1, PRODUCT_MAX,
		    ret->product) ||
		strcmp(ret->product, product) != 0)
		return bad(e, "product is another");
	if (!json_get_uint(o, "counter", &ret->counter) || ret->counter == 0)
		return bad(e, "counter");
	if (!json_get_string(o, "expires", &expires) || !time_parse_utc(expires, &ret->expires))
		return bad(e, "expires");
	return EF_REASON_OK;
}

enum ef_reason rollout_parse(
	const void *data, size_t size, const char *product, struct rollout *ret, struct error *e)
{
	_cleanup_json_ json_t *o = NULL;
	_cleanup_free_ struct rollout *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return error_set(e, EF_REASON_NO_MEMORY, "rollout statement");
	if (size > ROLLOUT_SIZE_MAX)
		return error_set(e, EF_REASON_BAD_SIZE, "rollout statement: above 64 KiB");
	o = json_read(data, size, "rollout statement", e);
	if (!o)
		return e->reason;
	enum ef_reason r = take_head(o, product, fresh, e);
	if (!r)
		r = take_releases(json_get_array(o, "releases"), fresh, e);
	if (!r)
		*ret = *fresh;
	return r;
}

const struct rollout_release *rollout_find(const struct rollout *r, const char *version)
{
	for (size_t i = 0; i < r->n_releases; i++)
		if (strcmp(r->releases[i].version, version) == 0)
			return &r->releases[i];
	return NULL;
}

static bool same(const struct rollout *a, const struct rollout *b)
{
	if (a->expires != b->expires || a->n_releases != b->n_releases)
		return false;
	for (size_t i = 0; i < a->n_releases; i++) {
		const struct rollout_release *x = &a->releases[i], *y = &b->releases[i];
		if (strcmp(x->version, y->version) != 0 || x->sequence != y->sequence ||
			x->share != y->share || strcmp(x->salt, y->salt) != 0 ||
			x->halted != y->halted)
			return false;
	}
	return true;
}

enum ef_reason rollout_follows(
	const struct rollout *last, const struct rollout *next, struct error *e)
{
	if (strcmp(last->product, next->product) != 0)
		return bad(e, "product is another");
	if (next->counter < last->counter)
		return error_set(e, EF_REASON_METADATA_ROLLBACK,
			"rollout statement %llu after %llu", (unsigned long long)next->counter,
			(unsigned long long)last->counter);
	if (next->counter == last->counter)
		return same(last, next) ? EF_REASON_OK : bad(e, "two contents under one counter");
	for (size_t i = 0; i < last->n_releases; i++) {
		const struct rollout_release *old = &last->releases[i];
		const struct rollout_release *new = rollout_find(next, old->version);
		if (!new)
			continue;
		if (new->sequence != old->sequence || strcmp(new->salt, old->salt) != 0)
			return bad(e, "sequence or salt of a release changed");
		if (new->share < old->share)
			return bad(e, "the share of a release shrank");
	}
	return EF_REASON_OK;
}

bool rollout_bucket(const char *salt, const char *device, uint64_t *ret)
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t digest[32];

	if (!md || EVP_DigestInit_ex(md, EVP_sha256(), NULL) != 1 ||
		EVP_DigestUpdate(md, salt, strlen(salt)) != 1 ||
		EVP_DigestUpdate(md, "\n", 1) != 1 ||
		EVP_DigestUpdate(md, device, strlen(device)) != 1 ||
		EVP_DigestFinal_ex(md, digest, NULL) != 1)
		return false;
	*ret = 0;
	for (int i = 0; i < 8; i++)
		*ret = *ret << 8 | digest[i];
	return true;
}

const char *rollout_answer_word(enum rollout_answer a)
{
	static const char *const words[] = {
		[ROLLOUT_EXPIRED] = "expired",
		[ROLLOUT_UNLISTED] = "unlisted",
		[ROLLOUT_HALTED] = "halted",
		[ROLLOUT_LATER] = "later",
		[ROLLOUT_FAILED] = "failed",
		[ROLLOUT_GO] = "go",
	};

	return words[a];
}

/* Rounded down, so that place < share is bucket / 2^64 < share / 1000 exactly. */
bool rollout_place(const char *salt, const char *device, unsigned *ret)
{
	uint64_t bucket;

	if (!rollout_bucket(salt, device, &bucket))
		return false;
	/* bucket * ROLLOUT_WHOLE / 2^64, on processors of 32 bits, too */
	*ret = (unsigned)(((bucket >> 32) * ROLLOUT_WHOLE +
				  ((bucket & UINT32_MAX) * ROLLOUT_WHOLE >> 32)) >>
			  32);
	return true;
}

enum rollout_answer rollout_decide(const struct rollout *r, const char *version, uint64_t sequence,
	const char *device, int64_t now)
{
	const struct rollout_release *x = rollout_find(r, version);
	unsigned place;

	if (now >= r->expires)
		return ROLLOUT_EXPIRED;
	if (!x || x->sequence != sequence)
		return ROLLOUT_UNLISTED;
	if (x->halted)
		return ROLLOUT_HALTED;
	if (!rollout_place(x->salt, device, &place))
		return ROLLOUT_FAILED;
	return place < x->share ? ROLLOUT_GO : ROLLOUT_LATER;
}
