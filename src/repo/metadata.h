/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * TUF metadata in the workspace. A role has a current document (metadata/, signed by enough keys)
 * and perhaps a pending one (pending/, one version higher, signed by none, some, …). A change is
 * made to the pending document; signing moves it over once the threshold is reached.
 */
#include "repo/workspace.h"

enum role_id {
	ROLE_ROOT,
	ROLE_TARGETS,
	ROLE_RELEASES,
	ROLE_ROLLOUTS, /* online; a workspace may be without */
	ROLE_SNAPSHOT,
	ROLE_TIMESTAMP,
	ROLE_COUNT
};
extern const char *const role_names[ROLE_COUNT];
/* Targets delegates to it; the others are named by root. */
bool role_is_delegated(enum role_id role);
/* False for a word that is no role. */
bool role_from_name(const char *name, enum role_id *ret);

/* "3.root.json"; "timestamp.json" has no version in its name. */
void role_file_name(enum role_id role, uint64_t version, char out[64]);

/* The document {"signed", "signatures"}; NOT_FOUND when there is none. New reference. */
enum ef_reason metadata_current(
	const struct workspace *w, enum role_id role, json_t **ret, struct error *e);
enum ef_reason metadata_pending(
	const struct workspace *w, enum role_id role, json_t **ret, struct error *e);
/* A certain version of a role with versions in its names. */
enum ef_reason metadata_load(const struct workspace *w, enum role_id role, uint64_t version,
	json_t **ret, struct error *e);
/* Pending when there is one, else current. */
enum ef_reason metadata_newest(
	const struct workspace *w, enum role_id role, json_t **ret, struct error *e);
bool metadata_is_pending(const struct workspace *w, enum role_id role);

uint64_t metadata_version(const json_t *document);

/*
 * A copy of the newest document's "signed", with the version that a change must have and a fresh
 * expiry, for metadata_store. Without any document yet: version 1 and no content. New reference.
 */
enum ef_reason metadata_edit(
	const struct workspace *w, enum role_id role, json_t **ret, struct error *e);
/* As the pending document, without signatures. */
enum ef_reason metadata_store(
	const struct workspace *w, enum role_id role, json_t *body, struct error *e);

/* Contents made anew from workspace.json: keys, thresholds, delegation. */
enum ef_reason metadata_edit_root(const struct workspace *w, struct error *e);
enum ef_reason metadata_edit_targets(const struct workspace *w, struct error *e);
/* A new version of any role with the same content: other keys, or a later expiry. */
enum ef_reason metadata_refresh(const struct workspace *w, enum role_id role, struct error *e);

/* Adds what the keys at hand can sign; moves the document over when that is enough. */
enum ef_reason metadata_sign(
	const struct workspace *w, enum role_id role, bool *complete, struct error *e);

/* Whether document has what delegator (root, or targets for delegated roles) asks for. */
bool metadata_is_signed(const struct workspace *w, enum role_id role, const json_t *document,
	const json_t *delegator);

/*
 * Who has to sign the pending document: [{"signatures", "threshold", "keys": [{"name", "keyid",
 * "type", "signed"}]}], one for each that names the role's keys. bytes, unless NULL: exactly what
 * is signed.
 */
enum ef_reason metadata_signers(const struct workspace *w, enum role_id role, json_t **ret,
	char **bytes, size_t *size, struct error *e);
/* Takes a signature that was made elsewhere, in hex; BAD_SIGNATURE when it does not hold. */
enum ef_reason metadata_attach(const struct workspace *w, enum role_id role, const char *id,
	const char *hex, bool *complete, struct error *e);
/* Takes the signatures that others gave the same document. */
enum ef_reason metadata_merge(const struct workspace *w, enum role_id role, const json_t *other,
	bool *changed, bool *complete, struct error *e);

/*
 * Every pending role, then a snapshot and a timestamp when something changed. complete: nothing
 * lacks a signature. Snapshot and timestamp do not wait for a role that lacks some: they name what
 * is current.
 */
enum ef_reason metadata_sign_all(const struct workspace *w, bool *complete, struct error *e);

/*
 * Nothing is pending, and timestamp, snapshot and the rest name one another's current versions:
 * what there is may be published. BAD_SIGNATURE when it has to be signed first.
 */
enum ef_reason metadata_check_complete(const struct workspace *w, struct error *e);

/* The version that snapshot or timestamp names for a role; 0 when it names none. */
uint64_t metadata_named(const json_t *document, enum role_id role);
/*
 * What may lack signatures aside: whether a client with the newest signed root can verify
 * timestamp, snapshot and all that this names.
 */
enum ef_reason metadata_check_signed(const struct workspace *w, struct error *e);
