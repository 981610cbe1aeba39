/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S-03, K-04: the nth allocation fails, in our code, in jansson and in OpenSSL, for every n, in
 * everything between opening the store and a target found. A document that must be refused is
 * refused all the same, and nothing that protects against it is lost on the way.
 */
#include "fixture.h"
#include <openssl/crypto.h>
#include <stdlib.h>

/* The linker leads our allocations here (--wrap). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static long countdown = -1; /* allocations that still succeed; < 0: all do */
static bool for_good;	    /* all that follow fail as well */
static bool reached;

static bool fails(void)
{
	if (countdown < 0)
		return false;
	if (countdown > 0) {
		countdown--;
		return false;
	}
	reached = true;
	if (!for_good)
		countdown = -1;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t m)
{
	return fails() ? NULL : __real_calloc(n, m);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

static void *crypto_malloc(size_t n, const char *file, int line)
{
	return n == 0 || fails() ? NULL : __real_malloc(n);
}

static void *crypto_realloc(void *p, size_t n, const char *file, int line)
{
	if (n > 0)
		return fails() ? NULL : __real_realloc(p, n);
	free(p);
	return NULL;
}

static void crypto_free(void *p, const char *file, int line)
{
	free(p);
}

/* Repositories that must be refused, and one that must not; the client has seen version 5 of all.
 */
static void bend_nothing(void)
{
	repo_update(repo);
}

static void bend_threshold(void)
{
	repo_signers(repo, "targets", LIST(10, 11));
	repo_update(repo);
}

static void bend_one_key_three_ids(void)
{
	char name[64];

	repo_signers(repo, "targets", LIST(10, 11));
	repo_update(repo);
	snprintf(name, sizeof(name), "%llu.targets.json",
		(unsigned long long)repo_version(repo, "targets"));
	_cleanup_json_ json_t *e = repo_envelope(repo, "targets");
	json_t *s = key_signature(repo_key(repo, 10), repo_body(repo, "targets"));
	json_object_set_new(s, "keyid", json_string("alias"));
	json_array_append_new(json_object_get(e, "signatures"), s);
	repo_put_json(repo, name, e);
}

static void bend_timestamp_rollback(void)
{
	repo_set_version(repo, "timestamp", 3);
	repo_publish(repo, "timestamp");
}

static void bend_snapshot_rollback(void)
{
	repo_set_version(repo, "targets", 4);
	repo_update(repo);
}

static void bend_snapshot_drops(void)
{
	repo_update(repo);
	json_object_del(json_object_get(repo_body(repo, "snapshot"), "meta"), "old.json");
	repo_publish(repo, "snapshot");
}

static void bend_digest(void)
{
	repo->meta_hashes = true;
	repo_update(repo);
	char name[64];
	snprintf(name, sizeof(name), "%llu.targets.json",
		(unsigned long long)repo_version(repo, "targets"));
	struct repo_file *f = (struct repo_file *)repo_get(repo, name);
	*strchr((char *)f->data, ' ') = '\t';
}

static void bend_expired(void)
{
	repo_expire(repo, "targets", PAST);
	repo_update(repo);
}

static void bend_root(void)
{
	repo_keys(repo, "timestamp", 1, LIST(8));
	repo_signers(repo, "root", LIST(8));
	repo_bump(repo, "root");
	repo_set_version(repo, "timestamp", 0);
	repo_update(repo);
}

/* A good root that adds a key, with a timestamp behind it that goes back. */
static void bend_root_and_rollback(void)
{
	repo_keys(repo, "timestamp", 1, LIST(1, 9, 8));
	repo_bump(repo, "root");
	repo_set_version(repo, "timestamp", 3);
	repo_publish(repo, "timestamp");
}

/* The same where what is stored has to be verified once more to know that it is still good. */
static void bend_root_raises(void)
{
	repo_keys(repo, "timestamp", 2, LIST(1, 9));
	repo_bump(repo, "root");
	repo_set_version(repo, "timestamp", 3);
	repo_publish(repo, "timestamp");
}

static void bend_role(void)
{
	repo_signers(repo, "role", LIST(9));
	repo_set_version(repo, "role", 8);
	repo_update(repo);
}

static const struct {
	const char *name;
	void (*bend)(void);
	enum ef_reason want;
	const char *guarded; /* role whose stored version may not change */
} cases[] = {
	{"good", bend_nothing, EF_REASON_OK, NULL},
	{"threshold", bend_threshold, EF_REASON_BAD_SIGNATURE, "targets"},
	{"one key, three ids", bend_one_key_three_ids, EF_REASON_BAD_SIGNATURE, "targets"},
	{"timestamp rollback", bend_timestamp_rollback, EF_REASON_METADATA_ROLLBACK, "timestamp"},
	{"snapshot rollback", bend_snapshot_rollback, EF_REASON_METADATA_ROLLBACK, "snapshot"},
	{"snapshot drops", bend_snapshot_drops, EF_REASON_METADATA_ROLLBACK, "snapshot"},
	{"digest", bend_digest, EF_REASON_BAD_DIGEST, "targets"},
	{"expired", bend_expired, EF_REASON_EXPIRED, "targets"},
	{"root", bend_root, EF_REASON_BAD_SIGNATURE, "root"},
	{"root and rollback", bend_root_and_rollback, EF_REASON_METADATA_ROLLBACK, "timestamp"},
	{"root raises", bend_root_raises, EF_REASON_METADATA_ROLLBACK, "timestamp"},
	{"role", bend_role, EF_REASON_BAD_SIGNATURE, "role"},
};
#define CASES ((int)(sizeof(cases) / sizeof(cases[0])))

static struct memory before; /* the store that each round starts from */

static void memory_copy(struct memory *to, struct memory *from)
{
	struct tuf_store s = memory_store(to);

	memory_clear(to);
	for (size_t i = 0; i < from->n; i++)
		s.save(s.ctx, from->files[i].name, from->files[i].data, from->files[i].size);
}

/* The store of the test itself is spared; that it cannot be read for want of memory is not. */
static int spared_load(void *ctx, const char *name, uint8_t **ret, size_t *size)
{
	struct tuf_store s = memory_store(&store);

	if (fails())
		return -ENOMEM;
	long left = countdown;
	countdown = -1;
	int r = s.load(s.ctx, name, ret, size);
	countdown = left;
	return r;
}

static int spared_save(void *ctx, const char *name, const void *data, size_t size)
{
	struct tuf_store s = memory_store(&store);
	long left = countdown;

	countdown = -1;
	int r = s.save(s.ctx, name, data, size);
	countdown = left;
	return r;
}

static int spared_remove(void *ctx, const char *name)
{
	struct tuf_store s = memory_store(&store);

	return s.remove(s.ctx, name);
}

static enum ef_reason run(void)
{
	struct tuf_store s = {.load = spared_load, .save = spared_save, .remove = spared_remove};
	struct tuf_target target;

	error_clear(&last);
	tuf = NULL;
	if (tuf_open(&s, &tuf, &last) == EF_REASON_OK &&
		tuf_refresh(tuf, TUF_ONLINE, NOW, &last) == EF_REASON_OK &&
		repo_serve(repo, tuf, &last) == EF_REASON_OK &&
		tuf_find(tuf, "file", &last) == EF_REASON_OK &&
		repo_serve(repo, tuf, &last) == EF_REASON_OK)
		tuf_found(tuf, &target, &last);
	tuf_close(tuf);
	tuf = NULL;
	repo->log[0] = 0;
	return last.reason;
}

static void prepare(void)
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "role", 5, PATHS("*"));
	repo_delegate(repo, "targets", "old", 6, PATHS("none"));
	repo_target(repo, "role", "file", "content");
	repo_keys(repo, "targets", 3, LIST(10, 11, 12));
	repo_keys(repo, "timestamp", 1, LIST(1, 9));
	/* One of the keys goes by two ids. */
	json_t *root = repo_body(repo, "root");
	json_object_set_new(
		json_object_get(root, "keys"), "alias", tuf_key_to_json(repo_key(repo, 10)));
	json_array_append_new(
		json_object_get(
			json_object_get(json_object_get(root, "roles"), "targets"), "keyids"),
		json_string("alias"));
	repo_bump(repo, "root");
	for (int i = 1; i < 4; i++)
		repo_set_version(repo, top_roles[i], 5);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	tuf_close(tuf);
	tuf = NULL;
	memory_copy(&before, &store);
	repo_set_version(repo, "targets", 6);
}

START_TEST(test_every_allocation)
{
	int i = _i % CASES;
	uint64_t guarded = 0;
	long n = 0;

	prepare();
	cases[i].bend();
	if (cases[i].guarded)
		guarded = stored_version(cases[i].guarded);
	/* Without failures first: the reason, and everything that is allocated only once. */
	ck_assert_int_eq(run(), cases[i].want);
	do {
		for_good = _i / CASES;
		reached = false;
		memory_copy(&store, &before);
		countdown = n;
		enum ef_reason got = run();
		countdown = -1;
		if (cases[i].want != EF_REASON_OK) {
			ck_assert_msg(got != EF_REASON_OK, "%s: accepted at allocation %ld",
				cases[i].name, n);
			ck_assert_uint_eq(stored_version(cases[i].guarded), guarded);
		}
		/* With memory again, from what that left behind: as ever. */
		run();
		ck_assert_msg(last.reason == cases[i].want, "%s after %ld: %s: %s", cases[i].name,
			n, reason_word(last.reason), last.detail);
		if (cases[i].want != EF_REASON_OK)
			ck_assert_uint_eq(stored_version(cases[i].guarded), guarded);
		n += for_good ? 5 : 1;
	} while (reached);
	ck_assert_int_gt(n, 500);
	memory_clear(&before);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-memory");
	TCase *t = fixture_case("memory");

	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, test_every_allocation, 0, 2 * CASES);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
		return EXIT_FAILURE;
	json_set_alloc_funcs(__wrap_malloc, free);
	SRunner *r = srunner_create(suite());
	srunner_set_tap(r, "-");
	srunner_run_all(r, CK_SILENT);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
