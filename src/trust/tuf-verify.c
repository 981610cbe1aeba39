/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/tuf-verify.h"
#include "trust/canonical.h"
#include "trust/key.h"
#include "util/hex.h"
#include "util/json.h"
#include <errno.h>
#include <string.h>

#define SIGNATURE_SIZE_MAX 1024u

DEFINE_CLEANUP(struct tuf_key *, tuf_key_free)

/* Keys that have signed. */
struct signers {
	struct tuf_key *keys[TUF_SIGNATURES_MAX];
	size_t n;
};

static void signers_free(struct signers *s)
{
	while (s->n > 0)
		tuf_key_free(s->keys[--s->n]);
}

static enum ef_reason check_signatures(const json_t *list, const char *name, struct error *e)
{
	_cleanup_json_ json_t *seen = json_object();
	const char *keyid, *sig;

	if (!seen)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	if (json_array_size(list) > TUF_SIGNATURES_MAX)
		return error_set(e, EF_REASON_BAD_FORMAT, "%s: too many signatures", name);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *s = json_array_get(list, i);
		if (!json_get_string(s, "keyid", &keyid) || !json_get_string(s, "sig", &sig))
			return error_set(e, EF_REASON_BAD_FORMAT,
				"%s: signature %zu without keyid or sig", name, i);
		if (json_object_get(seen, keyid))
			return error_set(e, EF_REASON_BAD_FORMAT, "%s: two signatures by key %s",
				name, keyid);
		if (json_object_set_new(seen, keyid, json_true()) < 0)
			return error_set(e, EF_REASON_NO_MEMORY, "%s", name);
	}
	return EF_REASON_OK;
}

json_t *tuf_envelope_read(const void *data, size_t size, const char *name, struct error *e)
{
	_cleanup_json_ json_t *v = json_read(data, size, name, e);

	if (!v)
		return NULL;
	const json_t *list = json_get_array(v, "signatures");
	if (!json_get_object(v, "signed") || !list) {
		error_set(e, EF_REASON_BAD_FORMAT, "%s: no signed document", name);
		return NULL;
	}
	return check_signatures(list, name, e) == EF_REASON_OK ? TAKE_PTR(v) : NULL;
}

/* Of a signature; both are there in every envelope that was read. */
static const char *text_of(const json_t *signature, const char *key)
{
	return json_string_value(json_object_get(signature, key));
}

static bool role_has_key(const json_t *role, const char *keyid)
{
	const json_t *keyids = json_get_array(role, "keyids");

	for (size_t i = 0; i < json_array_size(keyids); i++) {
		const char *id = json_string_value(json_array_get(keyids, i));
		if (id && strcmp(id, keyid) == 0)
			return true;
	}
	return false;
}

/* Adds the key of one signature to the signers if the signature holds and the key is new there. */
static enum ef_reason count_signature(struct signers *s, const json_t *key, const char *sig,
	const char *text, size_t size, struct error *e)
{
	uint8_t raw[SIGNATURE_SIZE_MAX];
	size_t digits = strnlen(sig, 2 * SIGNATURE_SIZE_MAX + 1); /* odd when there are more */
	struct error why = {.reason = EF_REASON_OK};

	if (digits == 0 || digits % 2 || !hex_decode(sig, raw, digits / 2))
		return EF_REASON_OK;
	_cleanup_(tuf_key_freep) struct tuf_key *k = tuf_key_from_json(key, &why);
	if (!k)
		return why.reason == EF_REASON_NO_MEMORY
			       ? error_set(e, EF_REASON_NO_MEMORY, "%s", why.detail)
			       : EF_REASON_OK;
	if (!tuf_key_verify(k, text, size, raw, digits / 2))
		return EF_REASON_OK;
	for (size_t i = 0; i < s->n; i++)
		if (tuf_key_same(s->keys[i], k))
			return EF_REASON_OK;
	if (s->n < TUF_SIGNATURES_MAX) /* whatever the list is read by */
		s->keys[s->n++] = TAKE_PTR(k);
	return EF_REASON_OK;
}

enum ef_reason tuf_envelope_verify(const json_t *envelope, const json_t *keys, const json_t *role,
	const char *name, struct error *e)
{
	_cleanup_(signers_free) struct signers signers = {.n = 0};
	_cleanup_free_ char *text = NULL;
	const json_t *list = json_get_array(envelope, "signatures");
	uint64_t threshold;
	size_t size;

	if (!json_get_uint(role, "threshold", &threshold) || threshold == 0)
		return error_set(e, EF_REASON_BAD_SIGNATURE, "%s: no threshold", name);
	int r = canonical_json(json_get_object(envelope, "signed"), &text, &size);
	if (r < 0)
		return error_set(e, r == -ENOMEM ? EF_REASON_NO_MEMORY : EF_REASON_BAD_FORMAT,
			"%s: no canonical form", name);
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *s = json_array_get(list, i);
		const char *keyid = text_of(s, "keyid"), *sig = text_of(s, "sig");
		if (!role_has_key(role, keyid))
			continue;
		const json_t *key = json_object_get(keys, keyid);
		if (key && count_signature(&signers, key, sig, text, size, e) != EF_REASON_OK)
			return e->reason;
	}
	if (signers.n < threshold)
		return error_set(e, EF_REASON_BAD_SIGNATURE, "%s: %zu of %llu signatures hold",
			name, signers.n, (unsigned long long)threshold);
	return EF_REASON_OK;
}

bool tuf_envelope_claims(const json_t *envelope, const json_t *role)
{
	const json_t *list = json_get_array(envelope, "signatures");
	uint64_t threshold, n = 0;

	for (size_t i = 0; i < json_array_size(list); i++)
		n += role_has_key(role, text_of(json_array_get(list, i), "keyid"));
	return json_get_uint(role, "threshold", &threshold) && n >= threshold;
}
