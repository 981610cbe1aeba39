/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The hook of publish: a command of the publisher's that carries the published folder elsewhere. It
 * runs in that folder, without a shell, once for each stage in turn: what timestamp.json leads to,
 * timestamp.json, the roots. What it fails at comes again the next time.
 */
#include "repo/options.h"
#include "repo/workspace.h"

#define UPLOAD_STAGES 3

struct upload {
	json_t *names[UPLOAD_STAGES];
	unsigned stage;
	size_t n_sent;
};

enum ef_reason upload_begin(struct upload *u, struct error *e);
void upload_done(struct upload *u);
/* A file of the stage that names are being added to; its name in the folder. */
void upload_add(struct upload *u, const char *name);
void upload_next(struct upload *u);
/*
 * words: the command's argument vector. With "{}" in a word, which is each file's name, there is
 * one run a file; without it the names are on standard input, a line each. all: also what it was
 * told before.
 */
enum ef_reason upload_run(struct upload *u, const struct workspace *w, const char *folder,
	const struct option_list *words, bool all, struct error *e);
