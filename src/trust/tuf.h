/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * TUF client, specification 1.0.x, "detailed client workflow" (section 5), as an engine: it asks
 * for files by name and is fed their bytes; who fetches them, and from where (server, bundle,
 * directory), is the caller's business. The caller gives the time; one refresh uses one time.
 *
 * Online, file names are asked for as they are published, consistent snapshots included. From a
 * bundle only roots are asked for by version ("2.root.json"); "targets.json" and "ROLE.json" mean
 * the one version that the bundle holds. Names of delegated roles are percent-encoded: a request is
 * always one plain path segment, ready for a URL.
 *
 * Trusted metadata is kept through a store under names without version ("root.json", …). Nothing is
 * stored before all checks on it passed (S-15); what is stored but cannot be read or verified ends
 * every use with STATE_UNREADABLE (S-14).
 */
#include "util/reason.h"
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tuf_store {
	void *ctx;
	/* 0 and a new buffer; -ENOENT when never stored; another negative errno when unreadable. */
	int (*load)(void *ctx, const char *name, uint8_t **ret, size_t *size);
	int (*save)(
		void *ctx, const char *name, const void *data, size_t size); /* atomic, durable */
	int (*remove)(void *ctx, const char *name);			     /* absent is success */
	/*
	 * As save, for roles that others than targets delegate to: they may be many, and are no
	 * more than copies of what can be had again. NULL: save.
	 */
	int (*save_copy)(void *ctx, const char *name, const void *data, size_t size);
};

/* Files in a directory; names are checked, never joined blindly (S-25). */
struct tuf_store_dir {
	int dir_fd;
};
struct tuf_store tuf_store_dir_ops(struct tuf_store_dir *d);

enum tuf_mode {
	TUF_ONLINE,  /* root, timestamp, snapshot, targets */
	TUF_OFFLINE, /* a bundle: root chain and targets; freshness is not asked for */
};

/* What the engine wants next. */
struct tuf_request {
	char name[512];	    /* relative to the metadata folder: "2.root.json", "timestamp.json" */
	uint64_t max_size;  /* more is NET_TOO_LARGE: tuf_feed_error rather than feeding it */
	bool may_be_absent; /* absence is an answer (next root), not an error */
};

struct tuf_target {
	char path[512]; /* as signed, "releases/demo/2.0.0.json" */
	uint64_t length;
	uint8_t sha256[32];
	bool has_sha256;
	uint8_t sha512[64];
	bool has_sha512; /* at least one of the two is there */
	json_t *custom;	 /* borrowed from the engine, or NULL */
	bool consistent; /* file name on the server carries the digest (tuf_target_file) */
};

struct tuf;

/* The store must hold a root.json, put there at provisioning (tuf_bootstrap). */
enum ef_reason tuf_open(const struct tuf_store *store, struct tuf **ret, struct error *e);
void tuf_close(struct tuf *t);

/* Checks that root is well-formed and signed by itself, and stores it, unless one is stored
 * already. */
enum ef_reason tuf_bootstrap(
	const struct tuf_store *store, const void *root, size_t size, struct error *e);

/*
 * Begins a refresh as of now (seconds since 1970). Then: while tuf_next is true, fetch and feed.
 * What earlier operations gave (custom, role names) is no longer valid.
 */
enum ef_reason tuf_refresh(struct tuf *t, enum tuf_mode mode, int64_t now, struct error *e);

/*
 * True: *ret is wanted. False: the operation is over; tuf_result says how.
 * One operation (refresh or load) at a time.
 */
bool tuf_next(struct tuf *t, struct tuf_request *ret);
void tuf_feed(struct tuf *t, const void *data, size_t size);
void tuf_feed_absent(struct tuf *t);			   /* 403 or 404, or no such member */
void tuf_feed_error(struct tuf *t, const struct error *e); /* could not be fetched */
enum ef_reason tuf_result(const struct tuf *t, struct error *e);

/*
 * Begins finding a target by its path: pre-order walk of delegations (section 5.6.7), loading role
 * metadata as needed through tuf_next. When it is over, tuf_found gives the target; NOT_SIGNED_FOR
 * when nobody signed for the path. Only after a refresh that succeeded (USAGE), and as of its time.
 */
enum ef_reason tuf_find(struct tuf *t, const char *path, struct error *e);
enum ef_reason tuf_found(const struct tuf *t, struct tuf_target *ret, struct error *e);

/*
 * Begins loading one role that targets, or a role loaded already, delegates to ("releases"), to
 * list it with tuf_list. NOT_FOUND when nobody does.
 */
enum ef_reason tuf_load_role(struct tuf *t, const char *role, struct error *e);
/*
 * Calls cb for each target of a loaded role that every delegation on the way to it allows it to
 * name. cb != 0 ends, and is returned; -ENOENT when the role is not loaded. Which role speaks for a
 * path is decided by tuf_find alone.
 */
int tuf_list(const struct tuf *t, const char *role,
	int (*cb)(void *ctx, const struct tuf_target *target), void *ctx);

/*
 * After an online refresh that succeeded: *ret is whether targets itself delegates to role and the
 * snapshot lists the role's document. If so, keys is a digest of the set of keys that the
 * delegation names: other keys, another digest (S-17).
 */
enum ef_reason tuf_delegated(
	const struct tuf *t, const char *role, bool *ret, uint8_t keys[32], struct error *e);

/* A path that a loaded role names although a delegation on the way to it does not let it; NULL:
 * none. */
const char *tuf_overstep(const struct tuf *t, const char *role);

/*
 * Path below the targets folder: "releases/demo/<sha256>.2.0.0.json" when consistent, else path;
 * not percent-encoded. "" when out is too small: TUF_TARGET_FILE_MAX is enough.
 */
#define TUF_TARGET_FILE_MAX (512 + 129)
void tuf_target_file(const struct tuf_target *target, char *out, size_t size);

/* The bytes of a target: length and every digest signed for it. BAD_SIZE or BAD_DIGEST. */
enum ef_reason tuf_target_check(
	const struct tuf_target *target, const void *data, size_t size, struct error *e);

/*
 * After an offline refresh and loads that succeeded: the timestamp and snapshot that came along
 * (NULL: none did) are signed by the trusted root's keys, and name each other and every document
 * that was taken from the bundle, by version and by the digests they give. Their age does not
 * matter, and nothing of them is kept.
 */
struct tuf_file {
	const void *data;
	size_t size;
};
enum ef_reason tuf_carried(const struct tuf *t, const struct tuf_file *timestamp,
	const struct tuf_file *snapshot, struct error *e);
/* Whether "VERSION.ROLE.json" is a document that was taken, or one that the snapshot (bytes that
 * passed tuf_carried; NULL: none) lists. */
bool tuf_carried_named(const struct tuf *t, const struct tuf_file *snapshot, const char *name);

/* For status displays. 0 when not loaded. */
uint64_t tuf_version(const struct tuf *t, const char *role);
int64_t tuf_expires(const struct tuf *t, const char *role);
