/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The publisher's folder:
 *
 *   workspace.json     product; names, URIs of keys; keys, threshold and expiry of each role
 *   keys/              NAME.pub.pem always, NAME.pem where the private key is a file here
 *   staged/            NAME.json: components as the next release will name them
 *   objects/           SHA256: images, chunk indexes and packs
 *   targets/           release manifests under their published names
 *   pending/           ROLE.json: metadata that still lacks signatures
 *   metadata/          signed metadata under its published names
 *
 * Whatever a verb was doing when it was cut off, every file is whole, and the verb may be run
 * again.
 */
#include "util/reason.h"
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct workspace {
	char *path;
	int fd;		/* of the folder, locked */
	json_t *config; /* workspace.json */
	int64_t now;	/* one time for the whole run */
	bool quiet, json;
	bool allow_test_keys; /* published ones (S-32) */
};

#define WORKSPACE_EMPTY  \
	{                \
		.fd = -1 \
	}

enum ef_reason workspace_create(
	struct workspace *w, const char *path, const char *product, struct error *e);
/* BUSY while another edgeferry-repo works in it; NOT_FOUND when there is none. */
enum ef_reason workspace_open(struct workspace *w, const char *path, struct error *e);
void workspace_close(struct workspace *w);
enum ef_reason workspace_save(struct workspace *w, struct error *e);

const char *workspace_product(const struct workspace *w);
/* The role's part of workspace.json; NULL for an unknown role. Borrowed. */
json_t *workspace_role(const struct workspace *w, const char *role);

/* Descriptor of a folder in the workspace, made when absent; negative errno. */
int workspace_dir(const struct workspace *w, const char *name);

/* name may have one folder in front. NOT_FOUND when absent. New reference. */
enum ef_reason workspace_read_json(
	const struct workspace *w, const char *name, json_t **ret, struct error *e);
enum ef_reason workspace_write_json(const struct workspace *w, const char *dir, const char *name,
	const json_t *value, struct error *e);

/* The bytes that a JSON document has in a file: sorted keys, indented, a line end. NULL: no memory.
 */
char *json_file_text(const json_t *value);

/* A line for the person at the terminal, unless --quiet. */
void note(const struct workspace *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
