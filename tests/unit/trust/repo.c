/* SPDX-License-Identifier: Apache-2.0 */
#include "repo.h"
#include "trust/canonical.h"
#include "trust/key.h"
#include "trust/tuf-delegation.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include <errno.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool ok)
{
	if (!ok)
		abort();
}

EVP_PKEY *key_make(enum key_kind kind)
{
	EVP_PKEY *k = kind == KEY_ED25519 ? EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")
		      : kind == KEY_P256  ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256")
					  : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
	must(k);
	return k;
}

uint8_t *key_sign(EVP_PKEY *k, const void *data, size_t size, size_t *sig_size)
{
	int id = EVP_PKEY_get_base_id(k);
	const char *digest = id == EVP_PKEY_ED25519 ? NULL : "SHA256";
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pctx;

	must(ctx && EVP_DigestSignInit_ex(ctx, &pctx, digest, NULL, NULL, k, NULL) == 1);
	if (id == EVP_PKEY_RSA)
		must(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1);
	must(EVP_DigestSign(ctx, NULL, sig_size, data, size) == 1);
	uint8_t *sig = malloc(*sig_size);
	must(sig && EVP_DigestSign(ctx, sig, sig_size, data, size) == 1);
	EVP_MD_CTX_free(ctx);
	return sig;
}

json_t *key_signature(EVP_PKEY *k, const json_t *value)
{
	_cleanup_free_ char *text = NULL, *hex = NULL;
	_cleanup_free_ uint8_t *sig = NULL;
	size_t size, sig_size;
	char id[65];

	must(canonical_json(value, &text, &size) == 0);
	sig = key_sign(k, text, size, &sig_size);
	must((hex = malloc(2 * sig_size + 1)));
	json_t *public = tuf_key_to_json(k);
	tuf_key_id(public, id);
	json_decref(public);
	return json_pack("{s:s, s:s}", "keyid", id, "sig", hex_encode(sig, sig_size, hex));
}

EVP_PKEY *repo_key(struct repo *r, int key)
{
	must(key >= 0 && key < KEYS);
	if (!r->keys[key])
		r->keys[key] = key_make(KEY_ED25519);
	return r->keys[key];
}

const char *repo_key_id(struct repo *r, int key, char out[65])
{
	json_t *public = tuf_key_to_json(repo_key(r, key));

	tuf_key_id(public, out);
	json_decref(public);
	return out;
}

struct repo_role *repo_role(struct repo *r, const char *role)
{
	for (size_t i = 0; i < r->n_roles; i++)
		if (strcmp(r->roles[i].name, role) == 0)
			return &r->roles[i];
	abort();
}

json_t *repo_body(struct repo *r, const char *role)
{
	return repo_role(r, role)->body;
}

uint64_t repo_version(struct repo *r, const char *role)
{
	return (uint64_t)json_integer_value(json_object_get(repo_body(r, role), "version"));
}

void repo_set_version(struct repo *r, const char *role, uint64_t version)
{
	json_object_set_new(repo_body(r, role), "version", json_integer((json_int_t)version));
}

void repo_expire(struct repo *r, const char *role, const char *when)
{
	json_object_set_new(repo_body(r, role), "expires", json_string(when));
}

static struct repo_role *add_role(struct repo *r, const char *name, const char *type, json_t *body)
{
	struct repo_role *role = &r->roles[r->n_roles++];

	must(r->n_roles <= sizeof(r->roles) / sizeof(r->roles[0]));
	snprintf(role->name, sizeof(role->name), "%s", name);
	json_object_set_new(body, "_type", json_string(type));
	json_object_set_new(body, "spec_version", json_string("1.0.31"));
	json_object_set_new(body, "version", json_integer(1));
	json_object_set_new(body, "expires", json_string(LATER));
	role->body = body;
	role->signers[0] = -1;
	return role;
}

void repo_signers(struct repo *r, const char *role, const int *keys)
{
	struct repo_role *s = repo_role(r, role);
	size_t i = 0;

	do
		s->signers[i] = keys[i];
	while (keys[i++] >= 0);
}

/* Puts keys into the table of a root or of delegations; the list of their ids. */
static json_t *add_keys(struct repo *r, json_t *table, const int *keys)
{
	json_t *ids = json_array();
	char id[65];

	for (; *keys >= 0; keys++) {
		json_array_append_new(ids, json_string(repo_key_id(r, *keys, id)));
		json_object_set_new(table, id, tuf_key_to_json(repo_key(r, *keys)));
	}
	return ids;
}

void repo_keys(struct repo *r, const char *role, int threshold, const int *keys)
{
	json_t *root = repo_body(r, "root");

	json_object_set_new(json_object_get(root, "roles"), role,
		json_pack("{s:o, s:i}", "keyids", add_keys(r, json_object_get(root, "keys"), keys),
			"threshold", threshold));
	repo_signers(r, role, keys);
}

void repo_targets_role(struct repo *r, const char *role, int key)
{
	bool known = false;

	for (size_t i = 0; i < r->n_roles; i++)
		known |= strcmp(r->roles[i].name, role) == 0;
	if (!known)
		add_role(r, role, "targets", json_pack("{s:{}}", "targets"));
	repo_signers(r, role, LIST(key));
}

json_t *repo_delegate_bins(
	struct repo *r, const char *parent, const char *prefix, int bits, int key)
{
	json_t *keys = json_object();
	json_t *bins = json_pack("{s:o, s:i, s:i, s:s}", "keyids", add_keys(r, keys, LIST(key)),
		"threshold", 1, "bit_length", bits, "name_prefix", prefix);

	json_object_set_new(repo_body(r, parent), "delegations",
		json_pack("{s:o, s:o}", "keys", keys, "succinct_roles", bins));
	return bins;
}

json_t *repo_delegate(
	struct repo *r, const char *parent, const char *role, int key, const char *const *paths)
{
	json_t *body = repo_body(r, parent), *list = json_array();

	if (!json_object_get(body, "delegations"))
		json_object_set_new(
			body, "delegations", json_pack("{s:{}, s:[]}", "keys", "roles"));
	json_t *delegations = json_object_get(body, "delegations");
	for (; *paths; paths++)
		json_array_append_new(list, json_string(*paths));
	json_t *d = json_pack("{s:s, s:o, s:i, s:b, s:o}", "name", role, "keyids",
		add_keys(r, json_object_get(delegations, "keys"), LIST(key)), "threshold", 1,
		"terminating", 0, "paths", list);
	json_array_append_new(json_object_get(delegations, "roles"), d);
	repo_targets_role(r, role, key);
	return d;
}

void repo_target(struct repo *r, const char *role, const char *path, const char *content)
{
	uint8_t digest[32];
	char hex[65];

	must(EVP_Digest(content, strlen(content), digest, NULL, EVP_sha256(), NULL) == 1);
	json_object_set_new(json_object_get(repo_body(r, role), "targets"), path,
		json_pack("{s:I, s:{s:s}}", "length", (json_int_t)strlen(content), "hashes",
			"sha256", digest_hex(digest, hex)));
}

json_t *repo_envelope(struct repo *r, const char *role)
{
	struct repo_role *s = repo_role(r, role);
	json_t *list = json_array();

	for (const int *k = s->signers; *k >= 0; k++)
		json_array_append_new(list, key_signature(repo_key(r, *k), s->body));
	return json_pack("{s:o, s:O}", "signatures", list, "signed", s->body);
}

static void put(struct repo_file *f, const char *name, const void *data, size_t size)
{
	snprintf(f->name, sizeof(f->name), "%s", name);
	uint8_t *copy = malloc(size + 1);
	must(copy);
	if (size > 0)
		memcpy(copy, data, size);
	copy[size] = 0;
	free(f->data);
	f->data = copy;
	f->size = size;
}

const struct repo_file *repo_get(const struct repo *r, const char *name)
{
	for (size_t i = 0; i < r->n_files; i++)
		if (strcmp(r->files[i].name, name) == 0)
			return &r->files[i];
	return NULL;
}

void repo_put(struct repo *r, const char *name, const void *data, size_t size)
{
	struct repo_file *f = (struct repo_file *)repo_get(r, name);

	if (!f) {
		must(r->n_files < sizeof(r->files) / sizeof(r->files[0]));
		f = &r->files[r->n_files++];
	}
	put(f, name, data, size);
}

void repo_put_json(struct repo *r, const char *name, const json_t *v)
{
	char *text = json_dumps(v, JSON_INDENT(1));

	must(text);
	repo_put(r, name, text, strlen(text));
	free(text);
}

void repo_remove(struct repo *r, const char *name)
{
	struct repo_file *f = (struct repo_file *)repo_get(r, name);

	must(f);
	f->name[0] = 0;
}

const char *repo_publish(struct repo *r, const char *role)
{
	static char name[256];
	char file[TUF_FILE_MAX];
	json_t *envelope = repo_envelope(r, role);
	bool consistent =
		json_is_true(json_object_get(repo_body(r, "root"), "consistent_snapshot"));

	tuf_file_name(role, file);
	/* A bundle is asked without versions, and a server that is not consistent as well. */
	if (strcmp(role, "root") != 0)
		repo_put_json(r, file, envelope);
	snprintf(name, sizeof(name), "%s", file);
	if (strcmp(role, "timestamp") != 0 && (consistent || strcmp(role, "root") == 0)) {
		snprintf(name, sizeof(name), "%llu.%s", (unsigned long long)repo_version(r, role),
			file);
		repo_put_json(r, name, envelope);
	}
	json_decref(envelope);
	return name;
}

void repo_bump(struct repo *r, const char *role)
{
	repo_set_version(r, role, repo_version(r, role) + 1);
	repo_publish(r, role);
}

static void list(struct repo *r, const char *in, const char *role, const char *published)
{
	const struct repo_file *f = repo_get(r, published);
	char file[300], hex[65];
	uint8_t digest[32];
	json_t *meta = json_pack("{s:I}", "version", (json_int_t)repo_version(r, role));

	if (r->meta_hashes) {
		must(EVP_Digest(f->data, f->size, digest, NULL, EVP_sha256(), NULL) == 1);
		json_object_set_new(meta, "length", json_integer((json_int_t)f->size));
		json_object_set_new(
			meta, "hashes", json_pack("{s:s}", "sha256", digest_hex(digest, hex)));
	}
	snprintf(file, sizeof(file), "%s.json", role);
	json_object_set_new(json_object_get(repo_body(r, in), "meta"), file, meta);
}

void repo_update(struct repo *r)
{
	for (size_t i = 0; i < r->n_roles; i++) {
		const char *type = json_string_value(json_object_get(r->roles[i].body, "_type"));
		if (strcmp(type, "targets") == 0)
			list(r, "snapshot", r->roles[i].name, repo_publish(r, r->roles[i].name));
	}
	repo_set_version(r, "snapshot", repo_version(r, "snapshot") + 1);
	list(r, "timestamp", "snapshot", repo_publish(r, "snapshot"));
	repo_bump(r, "timestamp");
}

struct repo *repo_new(void)
{
	struct repo *r = calloc(1, sizeof(*r));

	must(r);
	add_role(r, "root", "root",
		json_pack("{s:{}, s:{}, s:b}", "keys", "roles", "consistent_snapshot", 1));
	add_role(r, "timestamp", "timestamp", json_pack("{s:{}}", "meta"));
	add_role(r, "snapshot", "snapshot", json_pack("{s:{}}", "meta"));
	add_role(r, "targets", "targets", json_pack("{s:{}}", "targets"));
	repo_keys(r, "root", 1, LIST(0));
	repo_keys(r, "timestamp", 1, LIST(1));
	repo_keys(r, "snapshot", 1, LIST(2));
	repo_keys(r, "targets", 1, LIST(3));
	repo_publish(r, "root");
	repo_set_version(r, "snapshot", 0);
	repo_set_version(r, "timestamp", 0);
	repo_update(r);
	return r;
}

void repo_free(struct repo *r)
{
	for (size_t i = 0; i < KEYS; i++)
		EVP_PKEY_free(r->keys[i]);
	for (size_t i = 0; i < r->n_roles; i++)
		json_decref(r->roles[i].body);
	for (size_t i = 0; i < r->n_files; i++)
		free(r->files[i].data);
	free(r);
}

enum ef_reason repo_serve(struct repo *r, struct tuf *t, struct error *e)
{
	struct tuf_request q;

	while (tuf_next(t, &q)) {
		size_t n = strlen(r->log);
		snprintf(r->log + n, sizeof(r->log) - n, "%s ", q.name);
		const struct repo_file *f = repo_get(r, q.name);
		if (f)
			tuf_feed(t, f->data, f->size);
		else
			tuf_feed_absent(t);
	}
	return tuf_result(t, e);
}

struct repo_file *memory_get(struct memory *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->files[i].name, name) == 0)
			return &m->files[i];
	return NULL;
}

static int memory_load(void *ctx, const char *name, uint8_t **ret, size_t *size)
{
	struct memory *m = ctx;
	struct repo_file *f = memory_get(m, name);

	if (m->load_error)
		return m->load_error;
	if (!f)
		return -ENOENT;
	*ret = malloc(f->size + 1);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, f->data, f->size + 1);
	*size = f->size;
	return 0;
}

static int memory_save(void *ctx, const char *name, const void *data, size_t size)
{
	struct memory *m = ctx;
	struct repo_file *f = memory_get(m, name);

	if (m->fail_saves_after == 0)
		return -ENOSPC;
	if (m->fail_saves_after > 0)
		m->fail_saves_after--;
	if (!f) {
		must(m->n < sizeof(m->files) / sizeof(m->files[0]));
		f = &m->files[m->n++];
	}
	put(f, name, data, size);
	m->saves++;
	return 0;
}

static int memory_remove(void *ctx, const char *name)
{
	struct memory *m = ctx;
	struct repo_file *f = memory_get(m, name);

	if (f) {
		free(f->data);
		*f = m->files[--m->n];
		m->files[m->n] = (struct repo_file){.data = NULL};
	}
	return 0;
}

struct tuf_store memory_store(struct memory *m)
{
	return (struct tuf_store){
		.ctx = m, .load = memory_load, .save = memory_save, .remove = memory_remove};
}

void memory_clear(struct memory *m)
{
	for (size_t i = 0; i < m->n; i++)
		free(m->files[i].data);
	*m = (struct memory){.fail_saves_after = -1};
}
