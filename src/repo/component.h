/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Components as they are staged: staged/NAME.json holds each as the manifest will name it. */
#include "bundle/manifest.h"
#include "repo/options.h"
#include "repo/workspace.h"

/* What "add" is told of any component. */
struct component_options {
	const char *compatible, *version, *hardware, *policy, *protocol;
	uint64_t security, self_test, confirm, budget, soak; /* UINT64_MAX: not given */
	struct option_list requires;			     /* "NAME>=VERSION" */
};

#define COMPONENT_OPTIONS 11
/* Defaults into c, the rows of the table into out. */
void component_options_table(struct component_options *c, struct option out[COMPONENT_OPTIONS]);

/* A digest and size as JSON. New reference. */
json_t *component_object(const struct object *o);

/* What can be said without the objects, said before the long work on them. */
enum ef_reason component_try(const char *name, enum component_type type,
	const struct component_options *c, struct error *e);
/*
 * Puts together the component, checks it as a gateway's parser would and writes staged/NAME.json.
 * objects: "image" and for a rootfs "index" and "pack", and what else it may bring; borrowed.
 */
enum ef_reason component_stage(const struct workspace *w, const char *name,
	enum component_type type, const struct component_options *c, const json_t *objects,
	struct error *e);

/* The names staged, sorted: mcu first, then rootfs, each by name. New reference. */
enum ef_reason component_staged(const struct workspace *w, json_t **names, struct error *e);

/*
 * What a component says against what its image says: class, version, security version, digest of
 * the objects. OK or the first contradiction.
 */
enum ef_reason component_check(
	const struct workspace *w, const struct component *c, struct error *e);
