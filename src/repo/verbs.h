/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What main.c's table of verbs points to. A verb parses its own options, then does one thing. */
#include "repo/options.h"
#include "repo/workspace.h"

struct verb;

struct invocation {
	const struct verb *verb;
	int n; /* words behind the verb */
	char **args;
	struct common_options common;
	struct arguments words; /* what is no option */
	bool nothing_to_do;	/* exit 2 */
	bool attention;		/* exit 4 */
};

struct verb {
	const char *name;    /* one or two words: "add mcu" */
	const char *usage;   /* arguments and the like, behind the name */
	int min, max;	     /* number of arguments */
	const char *summary; /* one line */
	const char *text;    /* more, or NULL */
	enum ef_reason (*run)(struct invocation *i, struct error *e);
};

/* False: help was printed (*ret OK) or the command line is wrong; the verb returns *ret at once. */
bool verb_begin(
	struct invocation *i, const struct option *options, enum ef_reason *ret, struct error *e);
/* The time to act as of: --now, $SOURCE_DATE_EPOCH or the clock. */
enum ef_reason verb_now(const struct invocation *i, int64_t *ret, struct error *e);
/* Opens the workspace that the options name and takes over time, --quiet and --json. */
enum ef_reason verb_workspace(const struct invocation *i, struct workspace *w, struct error *e);

enum ef_reason verb_init(struct invocation *i, struct error *e);
enum ef_reason verb_key_new(struct invocation *i, struct error *e);
enum ef_reason verb_key_add(struct invocation *i, struct error *e);
enum ef_reason verb_key_list(struct invocation *i, struct error *e);
enum ef_reason verb_key_public(struct invocation *i, struct error *e);
enum ef_reason verb_add_rootfs(struct invocation *i, struct error *e);
enum ef_reason verb_add_mcu(struct invocation *i, struct error *e);
enum ef_reason verb_drop(struct invocation *i, struct error *e);
enum ef_reason verb_image_sign(struct invocation *i, struct error *e);
enum ef_reason verb_image_inspect(struct invocation *i, struct error *e);
enum ef_reason verb_image_keys(struct invocation *i, struct error *e);
enum ef_reason verb_patch(struct invocation *i, struct error *e);
enum ef_reason verb_release(struct invocation *i, struct error *e);
enum ef_reason verb_sign_export(struct invocation *i, struct error *e);
enum ef_reason verb_sign_attach(struct invocation *i, struct error *e);
enum ef_reason verb_sign_merge(struct invocation *i, struct error *e);
enum ef_reason verb_status(struct invocation *i, struct error *e);
enum ef_reason verb_key_revoke(struct invocation *i, struct error *e);
enum ef_reason verb_sign(struct invocation *i, struct error *e);
enum ef_reason verb_rotate(struct invocation *i, struct error *e);
enum ef_reason verb_rollout_set(struct invocation *i, struct error *e);
enum ef_reason verb_rollout_halt(struct invocation *i, struct error *e);
enum ef_reason verb_rollout_renew(struct invocation *i, struct error *e);
enum ef_reason verb_rollout_show(struct invocation *i, struct error *e);
enum ef_reason verb_publish(struct invocation *i, struct error *e);
enum ef_reason verb_bundle(struct invocation *i, struct error *e);
enum ef_reason verb_inspect(struct invocation *i, struct error *e);
enum ef_reason verb_verify(struct invocation *i, struct error *e);
enum ef_reason verb_export_root(struct invocation *i, struct error *e);
