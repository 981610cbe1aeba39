/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The engine from the inside: tuf.c (interface), tuf-refresh.c (top-level roles), tuf-find.c
 * (delegated roles), tuf-rotation.c (keys that change), tuf-stored.c (what the store holds). */
#include "trust/tuf-role.h"
#include "trust/tuf.h"

/* Bounds where nothing signed gives one. */
#define ROOT_SIZE_MAX (512u << 10)
#define TIMESTAMP_SIZE_MAX (64u << 10)
#define SNAPSHOT_SIZE_MAX (4u << 20)
#define TARGETS_SIZE_MAX (8u << 20)
#define ROOTS_MAX 256u /* root steps in one refresh (S-16) */
#define ROLES_MAX 32u  /* delegated roles visited in one search */

/* What the engine waits for. The order is that of steps[] in tuf.c. */
enum tuf_state { NOTHING, WANT_ROOT, WANT_TIMESTAMP, WANT_SNAPSHOT, WANT_TARGETS, WANT_ROLE };

/* A delegated role, verified by the delegation on which it was reached. */
struct tuf_role {
	struct tuf_role *next;
	const struct tuf_role *parent;	  /* NULL: targets */
	struct tuf_delegation delegation; /* in the parent's document */
	char name[TUF_ROLE_NAME_SIZE];
	struct tuf_doc doc;
};

struct tuf_step {
	const struct tuf_role *parent;
	struct tuf_delegation delegation;
};

/* A search in progress, and what came of it. */
struct tuf_walk {
	char *path;		   /* NULL: a role is loaded for its own sake */
	char hash[DIGEST_HEX_MAX]; /* of path */
	struct tuf_step *stack;
	size_t n_stack;
	unsigned n_visited;
	struct tuf_step wanted; /* asked for */
	struct tuf_doc stored;	/* what the store held of it */
	const json_t *target;	/* found */
};

struct tuf {
	struct tuf_store store;
	struct tuf_doc root, timestamp, snapshot, targets;
	struct tuf_role *roles;
	enum tuf_mode mode;
	int64_t now;
	bool refreshed; /* the last refresh succeeded */
	unsigned roots; /* steps taken in this refresh */
	enum tuf_state state;
	struct tuf_request request;
	struct tuf_walk walk;
	struct error error; /* of the operation */
};

/* tuf.c */
enum ef_reason tuf_want(struct tuf *t, enum tuf_state state, uint64_t max_size, const char *format,
	...) __attribute__((format(printf, 4, 5)));
enum ef_reason tuf_done(struct tuf *t);
const struct tuf_doc *tuf_role_doc(const struct tuf *t, const struct tuf_role *role);

/* A document with the digests of its bytes, its signatures checked and parsed, in this order. */
enum ef_reason tuf_doc_open(const void *data, size_t size, const json_t *keys, const json_t *role,
	enum tuf_doc_type type, const char *name, struct tuf_doc *ret, struct error *e);
enum ef_reason tuf_check_expiry(
	const struct tuf *t, const struct tuf_doc *d, const char *name, struct error *e);

/* tuf-stored.c: file is a name in the store. An empty doc when there is none. */
enum ef_reason tuf_stored_load(
	const struct tuf_store *s, const char *file, uint8_t **data, size_t *size, struct error *e);
enum ef_reason tuf_stored_root(const struct tuf_store *s, struct tuf_doc *ret, struct error *e);
/* One whose keys cannot have changed since it was stored: it verifies, or is unreadable. */
enum ef_reason tuf_stored_fixed(const struct tuf *t, enum tuf_doc_type type, const char *role,
	struct tuf_doc *ret, struct error *e);
/* A delegated role's document; an empty one too when it is not by the keys of this delegation. */
enum ef_reason tuf_stored_role(
	const struct tuf *t, const struct tuf_step *s, struct tuf_doc *ret, struct error *e);
/*
 * The store has one file for all who delegate to a role of one name. Where targets is one of them,
 * the file is by the keys that targets names: a document that is not, and good enough for another
 * role that delegates to the name, is never stored in its place.
 */
enum ef_reason tuf_may_store(const struct tuf *t, const struct tuf_step *s, const struct tuf_doc *d,
	bool *ret, struct error *e);
/* Whatever is wrong with stored state is one reason; being out of memory is not wrong with it. */
enum ef_reason tuf_unreadable(const char *file, const struct error *why, struct error *e);
enum ef_reason tuf_save(
	struct tuf *t, const char *file, const void *data, size_t size, struct error *e);
enum ef_reason tuf_save_copy(
	struct tuf *t, const char *file, const void *data, size_t size, struct error *e);
enum ef_reason tuf_forget(struct tuf *t, const char *file, struct error *e);
/* Forgets stored targets documents that are newer than a snapshot without predecessor lists them.
 */
enum ef_reason tuf_forget_newer(struct tuf *t, const struct tuf_doc *snapshot, struct error *e);

/* tuf-refresh.c */
enum ef_reason tuf_refresh_begin(struct tuf *t, struct error *e);
enum ef_reason tuf_feed_root(struct tuf *t, const void *data, size_t size, struct error *e);
enum ef_reason tuf_no_root(struct tuf *t, struct error *e);
enum ef_reason tuf_feed_timestamp(struct tuf *t, const void *data, size_t size, struct error *e);
enum ef_reason tuf_feed_snapshot(struct tuf *t, const void *data, size_t size, struct error *e);
enum ef_reason tuf_feed_targets(struct tuf *t, const void *data, size_t size, struct error *e);
/*
 * Every check on the document of targets (s: NULL) or of a delegated role, then it is stored.
 * stored: what is trusted of it already, or an empty doc.
 */
enum ef_reason tuf_take_targets(struct tuf *t, const void *data, size_t size,
	const struct tuf_step *s, const struct tuf_doc *stored, struct tuf_doc *ret,
	struct error *e);
/* Whether d is what the snapshot lists for the role, and not expired: no need to fetch it. */
bool tuf_targets_current(const struct tuf *t, const char *name, const struct tuf_doc *d);
/* The request for a targets document. */
enum ef_reason tuf_want_targets(
	struct tuf *t, enum tuf_state state, const char *name, struct error *e);

/* tuf-rotation.c: before root, or targets, is replaced by a new one. */
enum ef_reason tuf_rotate_root(struct tuf *t, const struct tuf_doc *new, struct error *e);
enum ef_reason tuf_rotate_delegations(
	struct tuf *t, const struct tuf_doc *old, const struct tuf_doc *new, struct error *e);

/* tuf-find.c */
/* A loaded role, as targets, or else the first role that was loaded, delegates to it. */
const struct tuf_role *tuf_role_find(const struct tuf *t, const char *name);
enum ef_reason tuf_feed_role(struct tuf *t, const void *data, size_t size, struct error *e);
void tuf_walk_reset(struct tuf *t);
void tuf_roles_free(struct tuf *t);
