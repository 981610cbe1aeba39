/* SPDX-License-Identifier: Apache-2.0 */
/* The publisher: what the world's server has is signed by real keys (tests/unit/trust/repo.h). */
#include "../trust/repo.h"
#include "trust/tuf-delegation.h"
#include "util/atomic-file.h"
#include "util/hex.h"
#include "world.h"
#include <check.h>
#include <string.h>

static void sign_release(struct world *w, size_t i)
{
	char hex[DIGEST_HEX_MAX], path[256];
	json_t *targets = json_object_get(repo_body(w->repo, "releases"), "targets");

	digest_hex(w->releases[i].sha256, hex);
	json_object_set_new(targets, w->releases[i].path,
		json_pack("{s:I, s:{s:s}, s:O}", "length", (json_int_t)w->releases[i].size,
			"hashes", "sha256", hex, "custom", w->releases[i].custom));
	if (strcmp(w->releases[i].file, w->releases[i].path) != 0)
		return;
	/* under its published name, with the digest in it */
	char published[152];
	snprintf(path, sizeof(path), "targets/%s", w->releases[i].path);
	ck_assert_int_lt(snprintf(published, sizeof(published), "releases/demo/%s.%s.json", hex,
				 w->releases[i].version),
		(int)sizeof(published));
	strcpy(w->releases[i].file, published);
	for (size_t k = 0; k < w->n_files; k++)
		if (strcmp(w->files[k].path, path) == 0)
			snprintf(w->files[k].path, sizeof(w->files[k].path), "targets/%s",
				published);
}

void world_repo_sign(struct world *w)
{
	struct repo *r = w->repo;

	for (size_t i = 0; i < w->n_releases; i++)
		sign_release(w, i);
	repo_set_version(r, "releases", repo_version(r, "releases") + 1);
	repo_update(r);
	world_repo_copy(w);
}

void world_rollout(struct world *w, const char *product, const char *text)
{
	static const char *const paths[] = {"rollouts/*", NULL};
	char target[128], path[256], hex[DIGEST_HEX_MAX];

	if (!w->rollouts) {
		repo_delegate(w->repo, "targets", "rollouts", WORLD_ROLLOUTS_KEY, paths);
		repo_set_version(w->repo, "targets", repo_version(w->repo, "targets") + 1);
		repo_set_version(w->repo, "rollouts", 0);
		w->rollouts = true;
	}
	snprintf(target, sizeof(target), "rollouts/%s.json", product);
	repo_target(w->repo, "rollouts", target, text);
	const char *digest = json_string_value(json_object_get(
		json_object_get(
			json_object_get(
				json_object_get(repo_body(w->repo, "rollouts"), "targets"), target),
			"hashes"),
		"sha256"));
	snprintf(hex, sizeof(hex), "%s", digest);
	snprintf(path, sizeof(path), "targets/rollouts/%s.%s.json", hex, product);
	world_put(w, path, text, strlen(text));
	repo_set_version(w->repo, "rollouts", repo_version(w->repo, "rollouts") + 1);
	world_repo_sign(w);
}

void world_repo_copy(struct world *w)
{
	struct repo *r = w->repo;
	char path[300];

	for (size_t i = 0; i < r->n_files; i++) {
		if (r->files[i].name[0] == 0)
			continue;
		snprintf(path, sizeof(path), "metadata/%s", r->files[i].name);
		world_put(w, path, r->files[i].data, r->files[i].size);
	}
}

void world_repo_new(struct world *w)
{
	static const char *const paths[] = {"releases/*/*", NULL};
	char path[256];

	w->repo = repo_new();
	w->repo->meta_hashes = true;
	repo_delegate(w->repo, "targets", "releases", 5, paths);
	repo_set_version(w->repo, "targets", 2);
	world_repo_sign(w);
	const struct repo_file *root = repo_get(w->repo, "1.root.json");
	snprintf(path, sizeof(path), "%s/root.json", w->dir);
	ck_assert_int_eq(atomic_file_write(path, root->data, root->size, 0600), 0);
}

void world_repo_free(struct world *w)
{
	repo_free(w->repo);
	w->repo = NULL;
}
