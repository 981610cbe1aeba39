/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* One repository, one store that was provisioned with its first root, one engine, for each test. */
#include "repo.h"
#include "trust/key.h"
#include "trust/tuf-delegation.h"
#include "unit.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include "util/json.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct repo *repo;
static struct memory store = {.fail_saves_after = -1};
static struct tuf *tuf;
static struct error last; /* of the last operation */

__attribute__((unused)) static const char *const top_roles[] = {
	"root", "timestamp", "snapshot", "targets"};

#define PATHS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define ck_assert_reason(got, want)                                                                \
	ck_assert_msg((got) == EF_REASON_##want, "%s: %s instead of %s", reason_word(last.reason), \
		last.detail, #want)

__attribute__((unused)) static void provision(void)
{
	struct tuf_store s = memory_store(&store);
	const struct repo_file *root = repo_get(repo, "1.root.json");
	struct error e = {0};

	ck_assert_int_eq(tuf_bootstrap(&s, root->data, root->size, &e), EF_REASON_OK);
	ck_assert_int_eq(tuf_open(&s, &tuf, &e), EF_REASON_OK);
	store.saves = 0;
}

/* As after a restart of the program. */
__attribute__((unused)) static void reopen(void)
{
	struct tuf_store s = memory_store(&store);

	tuf_close(tuf);
	tuf = NULL;
	error_clear(&last);
	if (tuf_open(&s, &tuf, &last) != EF_REASON_OK)
		ck_abort_msg("%s: %s", reason_word(last.reason), last.detail);
}

__attribute__((unused)) static enum ef_reason refresh_mode(enum tuf_mode mode, int64_t now)
{
	error_clear(&last);
	repo->log[0] = 0;
	if (tuf_refresh(tuf, mode, now, &last) != EF_REASON_OK)
		return last.reason;
	return repo_serve(repo, tuf, &last);
}

__attribute__((unused)) static enum ef_reason refresh_at(int64_t now)
{
	return refresh_mode(TUF_ONLINE, now);
}

__attribute__((unused)) static enum ef_reason refresh(void)
{
	return refresh_mode(TUF_ONLINE, NOW);
}

__attribute__((unused)) static enum ef_reason refresh_offline(void)
{
	return refresh_mode(TUF_OFFLINE, NOW);
}

__attribute__((unused)) static enum ef_reason find(const char *path, struct tuf_target *ret)
{
	error_clear(&last);
	repo->log[0] = 0;
	if (tuf_find(tuf, path, &last) != EF_REASON_OK)
		return last.reason;
	repo_serve(repo, tuf, &last);
	error_clear(&last);
	return tuf_found(tuf, ret, &last);
}

/* The version of what is stored, 0 for nothing. */
__attribute__((unused)) static uint64_t stored_version(const char *role)
{
	char file[TUF_FILE_MAX];
	uint64_t v = 0;

	tuf_file_name(role, file);
	struct repo_file *f = memory_get(&store, file);
	if (!f)
		return 0;
	_cleanup_json_ json_t *o = json_loadb((const char *)f->data, f->size, 0, NULL);
	ck_assert(json_get_uint(json_get_object(o, "signed"), "version", &v));
	return v;
}

__attribute__((unused)) static void assert_stored(const char *name, const char *published)
{
	struct repo_file *f = memory_get(&store, name);
	const struct repo_file *want = repo_get(repo, published);

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(f->size, want->size);
	ck_assert_mem_eq(f->data, want->data, f->size);
}

static void setup(void)
{
	repo = repo_new();
	provision();
}

static void teardown(void)
{
	tuf_close(tuf);
	memory_clear(&store);
	repo_free(repo);
}

static TCase *fixture_case(const char *name)
{
	TCase *t = tcase_create(name);

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	return t;
}
