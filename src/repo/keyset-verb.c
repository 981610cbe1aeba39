/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image keys: the document that brings a bootloader its next key set (docs/SPEC-dfu.md, "Key
 * sets"), signed by those of its keys, and of the set before, that are at hand. Run again elsewhere
 * with the same file it adds the signatures that are at hand there.
 */
#include "repo/keys.h"
#include "repo/known-keys.h"
#include "repo/verbs.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define KEYS_MAX 4u
#define HEAD 8u
#define XY 64u
#define SPKI 91u
#define ENTRY (1u + 64u)
#define DOCUMENT_MAX (HEAD + KEYS_MAX * XY + 2 * KEYS_MAX * ENTRY)

DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_MD_CTX *, EVP_MD_CTX_free)
DEFINE_CLEANUP(ECDSA_SIG *, ECDSA_SIG_free)

struct signer {
	const char *name;
	EVP_PKEY *public;
	uint8_t xy[XY];
	bool has_signed;
	uint8_t signature[64]; /* r and s */
};

struct document {
	struct signer own[KEYS_MAX], before[KEYS_MAX];
	size_t n_own, n_before;
	uint8_t head[HEAD + KEYS_MAX * XY]; /* what is signed */
	size_t head_size;
};

static void document_free(struct document *d)
{
	for (size_t i = 0; i < KEYS_MAX; i++) {
		EVP_PKEY_free(d->own[i].public);
		EVP_PKEY_free(d->before[i].public);
	}
}

static bool in_workspace(const char *name)
{
	return key_name_valid(name) && access(name, F_OK) < 0;
}

/* ---- keys ---- */

static enum ef_reason open_signer(
	const struct workspace *w, const char *name, struct signer *s, struct error *e)
{
	_cleanup_free_ uint8_t *spki = NULL;
	size_t size;
	enum ef_reason r = in_workspace(name) ? key_public(w, name, &s->public, e)
					      : key_open_public_uri(name, &s->public, e);

	s->name = name;
	if (!r)
		r = known_key_refuse(s->public, name, w->allow_test_keys, e);
	if (!r)
		r = key_spki(s->public, &spki, &size, e);
	if (r)
		return r;
	if (EVP_PKEY_is_a(s->public, "EC") != 1 || size != SPKI)
		return error_set(
			e, EF_REASON_USAGE, "%s: images are signed by P-256 keys only", name);
	memcpy(s->xy, spki + SPKI - XY, XY);
	return EF_REASON_OK;
}

static int by_point(const void *a, const void *b)
{
	return memcmp(((const struct signer *)a)->xy, ((const struct signer *)b)->xy, XY);
}

static enum ef_reason open_list(const struct workspace *w, const char *what,
	const struct option_list *names, bool sort, struct signer *ret, size_t *n, struct error *e)
{
	if (names->n == 0 || names->n > KEYS_MAX)
		return error_set(e, EF_REASON_USAGE, "%s: one to %u keys", what, KEYS_MAX);
	for (*n = 0; *n < names->n; ++*n) {
		enum ef_reason r = open_signer(w, names->items[*n], &ret[*n], e);
		if (r) {
			++*n; /* it may hold a key */
			return r;
		}
	}
	if (sort)
		qsort(ret, *n, sizeof(*ret), by_point);
	for (size_t i = 1; i < *n; i++)
		if (sort && by_point(&ret[i - 1], &ret[i]) == 0)
			return error_set(e, EF_REASON_USAGE, "%s: %s and %s are one key", what,
				ret[i - 1].name, ret[i].name);
	return EF_REASON_OK;
}

/* ---- signatures ---- */

static bool verify(const struct document *d, const struct signer *s, const uint8_t *signature)
{
	_cleanup_(ECDSA_SIG_freep) ECDSA_SIG *sig = ECDSA_SIG_new();
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *md = EVP_MD_CTX_new();
	BIGNUM *r = BN_bin2bn(signature, 32, NULL), *t = BN_bin2bn(signature + 32, 32, NULL);
	uint8_t *der = NULL;
	bool good = false;

	if (!sig || !md || !r || !t || ECDSA_SIG_set0(sig, r, t) != 1) {
		BN_free(r);
		BN_free(t);
		return false;
	}
	int size = i2d_ECDSA_SIG(sig, &der);
	if (size > 0)
		good = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, s->public) == 1 &&
		       EVP_DigestVerify(md, der, (size_t)size, d->head, d->head_size) == 1;
	OPENSSL_free(der);
	return good;
}

/* With the private key, where it is at hand. */
static enum ef_reason sign(
	const struct workspace *w, const struct document *d, struct signer *s, struct error *e)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_(ECDSA_SIG_freep) ECDSA_SIG *sig = NULL;
	_cleanup_free_ uint8_t *der = NULL;
	struct error missing = {0};
	size_t size;

	if (s->has_signed || (in_workspace(s->name) ? key_open(w, s->name, &key, &missing)
						    : key_open_uri(s->name, &key, &missing)))
		return EF_REASON_OK;
	enum ef_reason r = key_sign_p256(key, d->head, d->head_size, &der, &size, e);
	if (r)
		return r;
	const uint8_t *p = der;
	sig = d2i_ECDSA_SIG(NULL, &p, (long)size);
	if (!sig || BN_bn2binpad(ECDSA_SIG_get0_r(sig), s->signature, 32) != 32 ||
		BN_bn2binpad(ECDSA_SIG_get0_s(sig), s->signature + 32, 32) != 32)
		return error_set(e, EF_REASON_INTERNAL, "%s: cannot sign", s->name);
	s->has_signed = true;
	return EF_REASON_OK;
}

static enum ef_reason sign_all(const struct workspace *w, const struct document *d,
	struct signer *s, size_t n, struct error *e)
{
	enum ef_reason r = EF_REASON_OK;

	for (size_t i = 0; i < n && !r; i++)
		r = sign(w, d, &s[i], e);
	return r;
}

/* ---- the file ---- */

static void put_head(struct document *d, uint64_t set, uint64_t need)
{
	memcpy(d->head, "EFK1", 4);
	d->head[4] = (uint8_t)d->n_own;
	d->head[5] = (uint8_t)need;
	d->head[6] = (uint8_t)set;
	d->head[7] = (uint8_t)(set >> 8);
	for (size_t i = 0; i < d->n_own; i++)
		memcpy(d->head + HEAD + i * XY, d->own[i].xy, XY);
	d->head_size = HEAD + d->n_own * XY;
}

/* What others have signed already, when there is such a file. */
static enum ef_reason take_signatures(struct document *d, const char *path, struct error *e)
{
	_cleanup_free_ uint8_t *data = NULL;
	size_t size, at = d->head_size;
	int n = file_read(path, DOCUMENT_MAX, &data, &size);

	if (n == -ENOENT)
		return EF_REASON_OK;
	if (n < 0)
		return error_errno(e, n, "%s", path);
	if (size < at || memcmp(data, d->head, at) != 0 || (size - at) % ENTRY != 0)
		return error_set(e, EF_REASON_BAD_FORMAT,
			"%s is there and not this document; write another file", path);
	for (; at < size; at += ENTRY) {
		bool old = data[at] & 0x80;
		unsigned i = data[at] & 0x7f;
		struct signer *s = old ? d->before + i : d->own + i;

		if (i >= (old ? d->n_before : d->n_own) || !verify(d, s, data + at + 1))
			return error_set(e, EF_REASON_BAD_SIGNATURE,
				"%s: a signature in it is not by the key that it names", path);
		memcpy(s->signature, data + at + 1, sizeof(s->signature));
		s->has_signed = true;
	}
	return EF_REASON_OK;
}

static size_t put_signatures(
	const struct signer *s, size_t n, uint8_t flag, uint8_t *to, size_t *size)
{
	size_t signed_by = 0;

	for (size_t i = 0; i < n; i++) {
		if (!s[i].has_signed)
			continue;
		signed_by++;
		to[(*size)++] = (uint8_t)(flag | i);
		memcpy(to + *size, s[i].signature, sizeof(s[i].signature));
		*size += sizeof(s[i].signature);
	}
	return signed_by;
}

static enum ef_reason write_document(
	struct invocation *i, const struct workspace *w, const struct document *d, struct error *e)
{
	uint8_t data[DOCUMENT_MAX];
	size_t size = d->head_size;

	memcpy(data, d->head, size);
	size_t own = put_signatures(d->own, d->n_own, 0, data, &size);
	size_t before = put_signatures(d->before, d->n_before, 0x80, data, &size);
	int n = atomic_file_write(i->words.items[0], data, size, 0644);
	if (n < 0)
		return error_errno(e, n, "%s", i->words.items[0]);
	note(w,
		"%s: %zu bytes, signed by %zu of its %zu keys (%u are needed) and %zu of the %zu "
		"before",
		i->words.items[0], size, own, d->n_own, d->head[5], before, d->n_before);
	i->attention = own < d->head[5] || before == 0;
	return EF_REASON_OK;
}

enum ef_reason verb_image_keys(struct invocation *i, struct error *e)
{
	struct option_list own = {0}, before = {0};
	uint64_t set = 0, need = 0;
	const struct option options[] = {
		{"set", OPTION_NUMBER, &set, "N",
			"number of the set: that of the one before plus 1"},
		{"need", OPTION_NUMBER, &need, "T",
			"how many of its keys must sign the next set (default: more than half)"},
		{"key", OPTION_LIST, &own, "KEY", "a key of the set: name, file or URI; up to 4"},
		{"before", OPTION_LIST, &before, "KEY",
			"a key of the set before; for set 1 in the order of the factory page"},
		{0},
	};
	_cleanup_(workspace_close) struct workspace w = WORKSPACE_EMPTY;
	_cleanup_(document_free) struct document d = {0};
	bool names = false;
	enum ef_reason r;

	if (!verb_begin(i, options, &r, e))
		return r;
	if (set == 0 || set > UINT16_MAX)
		return error_set(e, EF_REASON_USAGE, "--set: 1 to 65535");
	if (need == 0)
		need = own.n / 2 + 1;
	if (need > own.n)
		return error_set(e, EF_REASON_USAGE, "--need: at most the number of --key");
	for (size_t k = 0; k < own.n; k++)
		names |= in_workspace(own.items[k]);
	for (size_t k = 0; k < before.n; k++)
		names |= in_workspace(before.items[k]);
	w.allow_test_keys = i->common.allow_test_keys;
	w.quiet = i->common.quiet;
	r = names ? verb_workspace(i, &w, e) : EF_REASON_OK;
	if (!r)
		r = open_list(&w, "--key", &own, true, d.own, &d.n_own, e);
	if (!r)
		r = open_list(&w, "--before", &before, set > 1, d.before, &d.n_before, e);
	if (r)
		return r;
	put_head(&d, set, need);
	r = take_signatures(&d, i->words.items[0], e);
	if (!r)
		r = sign_all(&w, &d, d.own, d.n_own, e);
	if (!r)
		r = sign_all(&w, &d, d.before, d.n_before, e);
	return r ? r : write_document(i, &w, &d, e);
}
