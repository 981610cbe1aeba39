/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the tests of src/trust publish with: keys, signed documents, and a repository in memory
 * that can be bent in every way. Failures in here abort: they are no result of a test.
 */
#include "trust/tuf.h"
#include <jansson.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_kind { KEY_ED25519, KEY_P256, KEY_RSA };

EVP_PKEY *key_make(enum key_kind kind);
/* Raw signature by the scheme of the key; caller frees. */
uint8_t *key_sign(EVP_PKEY *k, const void *data, size_t size, size_t *sig_size);
/* {"keyid", "sig"} over the canonical form of value. */
json_t *key_signature(EVP_PKEY *k, const json_t *value);

#define NOW 1700000000		     /* 2023-11-14T22:13:20Z */
#define LATER "2030-01-01T00:00:00Z" /* when documents expire, unless told otherwise */
#define PAST "2023-11-14T22:13:20Z"  /* this very second: expired */
#define KEYS 24

struct repo_role {
	char name[64];
	json_t *body;	 /* "signed", to be edited at will */
	int signers[32]; /* indexes of keys, ended by -1 */
};

struct repo_file {
	char name[256];
	uint8_t *data;
	size_t size;
};

struct repo {
	EVP_PKEY *keys[KEYS]; /* made when first asked for */
	struct repo_role roles[40];
	size_t n_roles;
	struct repo_file files[512];
	size_t n_files;
	char log[4096];	  /* names that clients asked for, each with a blank behind it */
	bool meta_hashes; /* repo_update lists lengths and digests of metadata */
};

/* Version 1 of root, timestamp, snapshot, targets, with keys 0 to 3, consistent, published. */
struct repo *repo_new(void);
void repo_free(struct repo *r);
EVP_PKEY *repo_key(struct repo *r, int key);
/* The key's id, as root and delegations name it. */
const char *repo_key_id(struct repo *r, int key, char out[65]);

struct repo_role *repo_role(struct repo *r, const char *role);
json_t *repo_body(struct repo *r, const char *role);
uint64_t repo_version(struct repo *r, const char *role);
void repo_set_version(struct repo *r, const char *role, uint64_t version);
void repo_expire(struct repo *r, const char *role, const char *when);

/* Lists of keys end with -1. The keys of a top-level role in root, and who signs its documents. */
void repo_keys(struct repo *r, const char *role, int threshold, const int *keys);
void repo_signers(struct repo *r, const char *role, const int *keys);
#define LIST(...) ((const int[]){__VA_ARGS__, -1})

/* A new role that parent delegates to; the delegation is returned for further editing. */
json_t *repo_delegate(
	struct repo *r, const char *parent, const char *role, int key, const char *const *paths);
/* bit_length bits of bins instead (TAP 15), by one key; the object is returned for editing. Their
 * documents are made by repo_targets_role. */
json_t *repo_delegate_bins(
	struct repo *r, const char *parent, const char *prefix, int bits, int key);
/* Who signs targets metadata of this name; made when there is none. */
void repo_targets_role(struct repo *r, const char *role, int key);
void repo_target(struct repo *r, const char *role, const char *path, const char *content);

/* The role's document, signed: to be bent, and put under any name. */
json_t *repo_envelope(struct repo *r, const char *role);
void repo_put_json(struct repo *r, const char *name, const json_t *v);
void repo_put(struct repo *r, const char *name, const void *data, size_t size);
const struct repo_file *repo_get(const struct repo *r, const char *name);
void repo_remove(struct repo *r, const char *name);

/* Signs the role as it is and puts it where it belongs; returns the name of the file. */
const char *repo_publish(struct repo *r, const char *role);
/* One version more, then published. */
void repo_bump(struct repo *r, const char *role);
/* Publishes all targets roles, lists them in a new snapshot, and that in a new timestamp. */
void repo_update(struct repo *r);

/* Answers everything an engine asks for, as a server or a bundle would. Its result. */
enum ef_reason repo_serve(struct repo *r, struct tuf *t, struct error *e);

/* A store in memory that can be told to fail. */
struct memory {
	struct repo_file files[64];
	size_t n;
	unsigned saves;
	int fail_saves_after; /* when >= 0: number of saves that still succeed */
	int load_error;	      /* returned by every load when not 0 */
};
struct tuf_store memory_store(struct memory *m);
void memory_clear(struct memory *m);
struct repo_file *memory_get(struct memory *m, const char *name); /* NULL when absent */
