/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TUF metadata (S-01). The first byte says which role's document the rest is, in which mode, and
 * whether it comes as it is or is signed first, by keys that exist in this process only:
 * - as it is, no signature in it can be valid. Whatever it says, it ends before its meaning is
 *   read: with BAD_FORMAT, BAD_SIGNATURE, BAD_SIZE, and with nothing stored.
 * - signed, it reaches everything that is behind the signatures.
 */
#include "trust/canonical.h"
#include "trust/key.h"
#include "trust/tuf.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include "util/json.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

#define NOW 1700000000

enum role { ROOT, TIMESTAMP, SNAPSHOT, TARGETS, DELEGATED, ROLES };

struct blob {
	uint8_t *data;
	size_t size;
};

static EVP_PKEY *key;
static json_t *public;
static const char key_id[] = "k";
static struct blob good[ROLES]; /* one good document a role */

static void must(bool ok)
{
	if (!ok)
		abort();
}

/* An envelope around body, signed by the key. NULL when body has no canonical form. */
static uint8_t *sign(const json_t *body, size_t *size)
{
	_cleanup_free_ char *text = NULL;
	uint8_t sig[64];
	size_t text_size, sig_size = sizeof(sig);
	char hex[129];

	if (canonical_json(body, &text, &text_size) < 0)
		return NULL;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	must(ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestSign(ctx, sig, &sig_size, (const uint8_t *)text, text_size) == 1);
	EVP_MD_CTX_free(ctx);
	_cleanup_json_ json_t *v = json_pack("{s:[{s:s, s:s}], s:O}", "signatures", "keyid", key_id,
		"sig", hex_encode(sig, sig_size, hex), "signed", body);
	char *out = json_dumps(v, 0);
	must(out);
	*size = strlen(out);
	return (uint8_t *)out;
}

static void make(enum role role, const char *type, json_t *body)
{
	json_object_set_new(body, "_type", json_string(type));
	json_object_set_new(body, "spec_version", json_string("1.0.0"));
	json_object_set_new(body, "version", json_integer(2));
	json_object_set_new(body, "expires", json_string("2030-01-01T00:00:00Z"));
	good[role].data = sign(body, &good[role].size);
	must(good[role].data);
	json_decref(body);
}

static json_t *role_keys(void)
{
	return json_pack("{s:[s], s:i}", "keyids", key_id, "threshold", 1);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	must(key);
	public = tuf_key_to_json(key);
	must(public);
	make(ROOT, "root",
		json_pack("{s:b, s:{s:O}, s:{s:o, s:o, s:o, s:o}}", "consistent_snapshot", 0,
			"keys", key_id, public, "roles", "root", role_keys(), "timestamp",
			role_keys(), "snapshot", role_keys(), "targets", role_keys()));
	make(TIMESTAMP, "timestamp",
		json_pack("{s:{s:{s:i}}}", "meta", "snapshot.json", "version", 2));
	make(SNAPSHOT, "snapshot",
		json_pack("{s:{s:{s:i}, s:{s:i}, s:{s:i}}}", "meta", "targets.json", "version", 2,
			"role.json", "version", 2, "bin-3.json", "version", 2));
	make(TARGETS, "targets",
		json_pack("{s:{}, s:{s:{s:O}, s:[{s:s, s:[s], s:i, s:[s]}]}}", "targets",
			"delegations", "keys", key_id, public, "roles", "name", "role", "keyids",
			key_id, "threshold", 1, "paths", "*"));
	make(DELEGATED, "targets", json_pack("{s:{}}", "targets"));
	return 0;
}

static unsigned saves;

static int load(void *ctx, const char *name, uint8_t **ret, size_t *size)
{
	if (strcmp(name, "root.json") != 0)
		return -ENOENT;
	*ret = malloc(good[ROOT].size);
	must(*ret);
	memcpy(*ret, good[ROOT].data, good[ROOT].size);
	*size = good[ROOT].size;
	return 0;
}

static int save(void *ctx, const char *name, const void *data, size_t size)
{
	must(strchr(name, '/') == NULL);
	saves++;
	return 0;
}

static int discard(void *ctx, const char *name)
{
	return 0;
}

/* Which role a request is for. */
static enum role role_of(const char *name)
{
	static const char *const words[] = {
		"root.json", "timestamp.json", "snapshot.json", "targets.json"};

	for (int i = 0; i < DELEGATED; i++)
		if (strstr(name, words[i]))
			return (enum role)i;
	return DELEGATED;
}

/* Answers what the engine asks for: the document in question in its role's place, good ones else.
 */
static void serve(struct tuf *t, enum role role, const struct blob *doc, unsigned *before)
{
	struct tuf_request q;
	bool given = false;

	while (tuf_next(t, &q)) {
		enum role r = role_of(q.name);
		const struct blob *b = r == role ? doc : &good[r];
		if (r == ROOT && (role != ROOT || given)) {
			tuf_feed_absent(t);
			continue;
		}
		if (r == role) {
			given = true;
			*before = saves;
		}
		/* Exactly as large as it is, so that a sanitizer sees every byte behind. */
		uint8_t *copy = malloc(b->size ? b->size : 1);
		must(copy);
		memcpy(copy, b->data, b->size);
		tuf_feed(t, copy, b->size);
		free(copy);
	}
}

static int walk(void *ctx, const struct tuf_target *target)
{
	char file[TUF_TARGET_FILE_MAX];
	struct error e = {0};

	must(target->has_sha256 || target->has_sha512);
	tuf_target_file(target, file, sizeof(file));
	must(tuf_target_check(target, "", 0, &e) != EF_REASON_OK || target->length == 0);
	return 0;
}

static void run(enum role role, enum tuf_mode mode, const struct blob *doc, bool is_signed)
{
	struct tuf_store s = {.load = load, .save = save, .remove = discard};
	struct error e = {0};
	unsigned before = 0;
	struct tuf *t;

	saves = 0;
	must(tuf_open(&s, &t, &e) == EF_REASON_OK);
	if (tuf_refresh(t, mode, NOW, &e) == EF_REASON_OK) {
		serve(t, role, doc, &before);
		if (tuf_result(t, &e) == EF_REASON_OK && tuf_find(t, "file", &e) == EF_REASON_OK) {
			struct tuf_target target;
			serve(t, role, doc, &before);
			if (tuf_found(t, &target, &e) == EF_REASON_OK)
				walk(NULL, &target);
			tuf_list(t, "targets", walk, NULL);
			tuf_list(t, "role", walk, NULL);
			tuf_list(t, "bin-3", walk, NULL); /* TAP 15: where "file" falls, of 16 */
		}
	}
	/* From a bundle, timestamp and snapshot are not asked for at all. */
	if (!is_signed && !(mode == TUF_OFFLINE && (role == TIMESTAMP || role == SNAPSHOT))) {
		must(e.reason == EF_REASON_BAD_FORMAT || e.reason == EF_REASON_BAD_SIGNATURE ||
			e.reason == EF_REASON_BAD_SIZE);
		must(saves == before);
	}
	tuf_close(t);
}

/* A document that has a key "k" gets ours by that name, so that it can lead further. */
static void adopt(json_t *o)
{
	json_t *keys = json_get_object(o, "keys");

	if (json_object_get(keys, key_id))
		json_object_set(keys, key_id, public);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct error e = {0};
	struct blob doc;

	if (size < 1)
		return 0;
	enum role role = (enum role)(data[0] % ROLES);
	enum tuf_mode mode = data[0] / ROLES % 2 ? TUF_OFFLINE : TUF_ONLINE;
	if (data[0] / (2 * ROLES) % 2 == 0) {
		doc = (struct blob){(uint8_t *)data + 1, size - 1};
		run(role, mode, &doc, false);
		return 0;
	}
	_cleanup_json_ json_t *body = json_read(data + 1, size - 1, "input", &e);
	if (!json_is_object(body))
		return 0;
	adopt(body);
	adopt(json_object_get(body, "delegations"));
	doc.data = sign(body, &doc.size);
	if (!doc.data)
		return 0;
	run(role, mode, &doc, true);
	free(doc.data);
	return 0;
}
