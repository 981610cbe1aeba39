/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * STATE/state.db: what must survive a power cut. A commit is on the medium when the call returns.
 * A file that cannot be read, has another schema, or is gone although it was there before ends in
 * STATE_UNREADABLE; it is never treated as empty (S-14, I-9). Blocks for an fsync.
 */
#include "update/update.h"

#define STORE_SCHEMA 1
#define STORE_EVENTS_MAX 10000 /* oldest go first (I-7) */
#define STORE_OUTBOX_MAX 1000
#define STORE_DEPLOYMENTS_MAX 500

struct store;

/* dir: STATE. BUSY when another process has it (F-21). */
enum ef_reason store_open(const char *dir, struct store **ret, struct error *e);
void store_close(struct store *s);

/* Everything between begin and commit is stored, or nothing is. */
enum ef_reason store_begin(struct store *s, struct error *e);
enum ef_reason store_commit(struct store *s, struct error *e);
void store_abort(struct store *s);

/* Gives up the space kept for outcomes on a full file system; false when it is gone already (F-03).
 */
bool store_use_reserve(struct store *s);
void store_keep_reserve(struct store *s); /* makes it anew when it was used and there is room */

/* Small facts by name; *ret "" when never set. */
enum ef_reason store_get(struct store *s, const char *key, char *ret, size_t size, struct error *e);
enum ef_reason store_set(struct store *s, const char *key, const char *value, struct error *e);

enum ef_reason store_event_add(struct store *s, struct event *ev, struct error *e); /* sets id */
int store_events(
	struct store *s, unsigned max, int (*cb)(void *ctx, const struct event *ev), void *ctx);

/* make is called with the report's id and returns its text (malloc'd), NULL when out of memory. */
enum ef_reason store_report_add(
	struct store *s, char *(*make)(void *ctx, uint64_t id), void *ctx, struct error *e);
int store_reports(struct store *s, unsigned max,
	int (*cb)(void *ctx, uint64_t id, const char *json), void *ctx);
enum ef_reason store_reports_done(struct store *s, uint64_t id, struct error *e);

/* What a slot or node was left with by the last confirmed deployment that touched it. */
struct installed {
	char place[33], component[33];
	char version[EF_VERSION_TEXT_MAX], release[EF_VERSION_TEXT_MAX];
	uint8_t image[32]; /* SHA-256 of the image object */
};
enum ef_reason store_installed(
	struct store *s, const char *place, struct installed *ret, bool *found, struct error *e);
enum ef_reason store_installed_put(struct store *s, const struct installed *i, struct error *e);
enum ef_reason store_installed_remove(struct store *s, const char *place, struct error *e);
/* The version of a component, on whatever place; "" when none. */
enum ef_reason store_installed_version(
	struct store *s, const char *component, char ret[EF_VERSION_TEXT_MAX], struct error *e);

/* Floors by hardware ("vendor,class"); they never fall (I-4). */
enum ef_reason store_floor(struct store *s, const char *compatible, uint32_t *ret, struct error *e);
enum ef_reason store_floor_raise(
	struct store *s, const char *compatible, uint32_t floor, struct error *e);

/* Manifests that were refused or went back: not tried again by themselves. */
enum ef_reason store_refused(struct store *s, const uint8_t manifest[32], bool *found,
	struct error *why, struct error *e);
enum ef_reason store_refused_put(struct store *s, const uint8_t manifest[32],
	const struct error *why, int64_t now, struct error *e);
enum ef_reason store_refused_remove(struct store *s, const uint8_t manifest[32], struct error *e);

/* Deployments (store-deployment.c). */
struct deployment *deployment_free(struct deployment *d); /* returns NULL */
enum ef_reason store_deployment_add(
	struct store *s, struct deployment *d, struct error *e); /* sets id */
enum ef_reason store_deployment_save(struct store *s, const struct deployment *d, struct error *e);
/* Whether it is on record as in this state; so a commit that failed at its very end was none the
 * less. */
bool store_deployment_is(struct store *s, uint64_t id, enum deployment_state state);
/* Manifest bytes as they were verified, and the parts planned from it. */
enum ef_reason store_deployment_plan(struct store *s, const struct deployment *d,
	const void *manifest, size_t size, struct error *e);
enum ef_reason store_part_save(
	struct store *s, const struct deployment *d, size_t part, struct error *e);
/* The one that is not over; *ret NULL when there is none. */
enum ef_reason store_deployment_current(struct store *s, struct deployment **ret, struct error *e);
/* The last confirmed one of a release other than this; with its manifest's bytes (caller frees). */
enum ef_reason store_deployment_before(struct store *s, const char *release,
	struct deployment **ret, uint8_t **manifest, size_t *size, struct error *e);
/* The last confirmed one of exactly this release, with its manifest's bytes when manifest is not
 * NULL; *ret NULL when there is none. */
enum ef_reason store_deployment_of(struct store *s, const char *release, struct deployment **ret,
	uint8_t **manifest, size_t *size, struct error *e);
int store_deployments(
	struct store *s, unsigned max, int (*cb)(void *ctx, const struct deployment *d), void *ctx);
