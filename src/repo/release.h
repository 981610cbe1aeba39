/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Releases in the workspace: how they are named, where their manifests lie. */
#include "bundle/manifest.h"
#include "repo/metadata.h"

#define RELEASE_PATH_MAX 256

/* "releases/PRODUCT/VERSION.json" */
void release_target(const char *product, const char *version, char out[RELEASE_PATH_MAX]);
/* "targets/releases/PRODUCT/SHA256.VERSION.json" of a target's entry in the metadata. */
enum ef_reason release_file(
	const char *target, const json_t *entry, char out[RELEASE_PATH_MAX], struct error *e);

struct release {
	char file[RELEASE_PATH_MAX];
	uint8_t *data; /* the manifest's bytes */
	size_t size;
	struct manifest *manifest;
};
/* From the workspace, digest checked. release_done frees what it holds. */
enum ef_reason release_load(const struct workspace *w, const char *target, const json_t *entry,
	struct release *ret, struct error *e);
void release_done(struct release *x);
