/* SPDX-License-Identifier: Apache-2.0 */
/*
 * S-03, K-04: the nth allocation fails, in our code, in jansson and in OpenSSL, or the nth call of
 * OpenSSL does, for every n, in everything between opening the store and a target found. A document
 * that must be refused is refused all the same, and nothing that protects against it is lost on the
 * way.
 *
 * Everything that is done depends on what is stored, what is served, and which call fails; so no
 * two rounds that are the same in this are run. The store is opened before anything is served:
 * failures there are tried once, for all that may be served, and what an opening that bears one
 * comes to is compared with what it comes to without. What a failure leaves behind is tried once
 * for each content that the store was left with.
 */
#include "fixture.h"
#include "trust/tuf-internal.h"
#include <openssl/crypto.h>
#include <stdlib.h>

/* The linker leads calls of ours here (--wrap). */
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t m);
void *__real_realloc(void *p, size_t n);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t m);
void *__wrap_realloc(void *p, size_t n);
char *__wrap_strdup(const char *s);

static enum source { MEMORY, CRYPTO } source; /* what fails */
static long countdown = -1;		      /* calls that still succeed; < 0: all do */
static bool for_good;			      /* all that follow fail as well */
static bool reached;

static bool count(void)
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

static bool fails(void)
{
	return source == MEMORY && count();
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

/* Calls of OpenSSL, and what each of them says when it fails. */
#define WRAPS(type, failure, name, params, args)                                   \
	type __real_##name params;                                                 \
	type __wrap_##name params;                                                 \
	type __wrap_##name params                                                  \
	{                                                                          \
		return source == CRYPTO && count() ? failure : __real_##name args; \
	}

WRAPS(int, 0, EVP_Digest,
	(const void *data, size_t size, unsigned char *out, unsigned int *n, const EVP_MD *md,
		ENGINE *e),
	(data, size, out, n, md, e))
WRAPS(EVP_MD_CTX *, NULL, EVP_MD_CTX_new, (void), ())
WRAPS(EVP_PKEY *, NULL, EVP_PKEY_new_raw_public_key,
	(int type, ENGINE *e, const unsigned char *key, size_t size), (type, e, key, size))
WRAPS(int, -1, EVP_PKEY_eq, (const EVP_PKEY *a, const EVP_PKEY *b), (a, b))
WRAPS(int, 0, EVP_DigestVerifyInit_ex,
	(EVP_MD_CTX * ctx, EVP_PKEY_CTX **pctx, const char *md, OSSL_LIB_CTX *lib,
		const char *props, EVP_PKEY *key, const OSSL_PARAM params[]),
	(ctx, pctx, md, lib, props, key, params))
WRAPS(int, -1, EVP_DigestVerify,
	(EVP_MD_CTX * ctx, const unsigned char *sig, size_t sig_size, const unsigned char *data,
		size_t size),
	(ctx, sig, sig_size, data, size))

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

/* Whom targets trusts with the path first, and last, has nothing of that name; the next one has. */
static void bend_bin(void)
{
	json_t *d = repo_delegate(repo, "targets", "bin", 7, PATHS("x"));
	json_t *list = json_object_get(
		json_object_get(repo_body(repo, "targets"), "delegations"), "roles");

	json_object_del(d, "paths");
	json_object_set_new(d, "path_hash_prefixes", json_pack("[s]", "3b9c")); /* "file" */
	json_object_set_new(d, "terminating", json_true());
	json_array_insert(list, 0, d);
	json_array_remove(list, json_array_size(list) - 1);
	repo_update(repo);
}

/* The same with bins (TAP 15), below a role of which nothing is stored yet. */
static void bend_succinct(void)
{
	json_t *d = repo_delegate(repo, "targets", "first", 7, PATHS("file"));
	json_t *list = json_object_get(
		json_object_get(repo_body(repo, "targets"), "delegations"), "roles");

	json_object_set_new(d, "terminating", json_true());
	json_array_insert(list, 0, d);
	json_array_remove(list, json_array_size(list) - 1);
	repo_delegate_bins(repo, "first", "bin", 4, 8);
	repo_targets_role(repo, "bin-3", 8);
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
	{"bin", bend_bin, EF_REASON_NOT_SIGNED_FOR, "role"},
	{"succinct", bend_succinct, EF_REASON_NOT_SIGNED_FOR, "role"},
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

static bool same_doc(const struct tuf_doc *a, const struct tuf_doc *b)
{
	return json_equal(a->envelope, b->envelope) && a->version == b->version &&
	       a->expires == b->expires && a->size == b->size &&
	       memcmp(a->hashes.sha256, b->hashes.sha256, sizeof(a->hashes.sha256)) == 0 &&
	       memcmp(a->hashes.sha512, b->hashes.sha512, sizeof(a->hashes.sha512)) == 0;
}

static struct tuf *whole; /* opened without failures */

static bool is_whole(const struct tuf *t)
{
	return same_doc(&t->root, &whole->root) && same_doc(&t->timestamp, &whole->timestamp) &&
	       same_doc(&t->snapshot, &whole->snapshot) && same_doc(&t->targets, &whole->targets);
}

static void close_client(void)
{
	tuf_close(tuf);
	tuf = NULL;
}

/* What is open already is gone on with. */
static enum ef_reason open_client(long opening)
{
	struct tuf_store s = {.load = spared_load, .save = spared_save, .remove = spared_remove};

	error_clear(&last);
	if (tuf)
		return EF_REASON_OK;
	countdown = opening;
	tuf_open(&s, &tuf, &last);
	countdown = -1;
	ck_assert(opening < 0 || last.reason != EF_REASON_OK || is_whole(tuf));
	return last.reason;
}

static enum ef_reason run(long opening, long refreshing)
{
	struct tuf_target target;

	if (open_client(opening) == EF_REASON_OK) {
		countdown = refreshing;
		if (tuf_refresh(tuf, TUF_ONLINE, NOW, &last) == EF_REASON_OK &&
			repo_serve(repo, tuf, &last) == EF_REASON_OK &&
			tuf_find(tuf, "file", &last) == EF_REASON_OK &&
			repo_serve(repo, tuf, &last) == EF_REASON_OK)
			tuf_found(tuf, &target, &last);
		countdown = -1;
	}
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

/* A number for what is stored, whatever the order. */
static uint64_t stored_content(void)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < store.n; i++) {
		const struct repo_file *f = &store.files[i];
		uint64_t h = 14695981039346656037u;
		for (const char *p = f->name; *p; p++)
			h = (h ^ (uint8_t)*p) * 1099511628211u;
		for (size_t k = 0; k < f->size; k++)
			h = (h ^ f->data[k]) * 1099511628211u;
		sum += h;
	}
	return sum;
}

/* Contents of the store from which it was shown that all goes on as ever. */
static uint64_t known[16];
static size_t n_known;

static bool is_known(uint64_t content)
{
	for (size_t i = 0; i < n_known; i++)
		if (known[i] == content)
			return true;
	ck_assert_uint_lt(n_known, 16);
	known[n_known++] = content;
	return false;
}

static void round_of(int i, bool opening, long n, uint64_t guarded)
{
	reached = false;
	memory_copy(&store, &before);
	enum ef_reason got = opening ? run(n, -1) : run(-1, n);
	if (cases[i].want != EF_REASON_OK) {
		ck_assert_msg(got != EF_REASON_OK, "%s: accepted at %ld", cases[i].name, n);
		ck_assert_uint_eq(stored_version(cases[i].guarded), guarded);
	}
	/* A client that a refresh has left as it was goes into the next one, as that of a gateway.
	 */
	if (opening || !tuf || !is_whole(tuf))
		close_client();
	/* Without failures, from what that left behind: as ever. Now and then also where it left
	 * the store as it was, for the sake of what it may have left elsewhere. */
	if (is_known(stored_content()) && n % 16 != 0)
		return;
	close_client();
	run(-1, -1);
	close_client();
	ck_assert_msg(last.reason == cases[i].want, "%s after %ld: %s: %s", cases[i].name, n,
		reason_word(last.reason), last.detail);
	if (cases[i].want != EF_REASON_OK)
		ck_assert_uint_eq(stored_version(cases[i].guarded), guarded);
}

static void every_call(int i, bool opening)
{
	struct tuf_store s = memory_store(&store);
	uint64_t guarded = 0;
	long n = 0;

	prepare();
	cases[i].bend();
	if (cases[i].guarded)
		guarded = stored_version(cases[i].guarded);
	ck_assert_int_eq(tuf_open(&s, &whole, &last), EF_REASON_OK);
	/* Without failures first: the reason, and everything that is allocated only once. */
	ck_assert_int_eq(run(-1, -1), cases[i].want);
	close_client();
	do {
		round_of(i, opening, n, guarded);
		n += for_good && source == MEMORY ? 5 : 1;
	} while (reached);
	ck_assert_int_gt(n, source == MEMORY ? 100 : 2);
	ck_assert_int_eq(run(-1, -1), cases[i].want);
	close_client();
	tuf_close(whole);
	memory_clear(&before);
}

START_TEST(test_every_call_of_a_refresh)
{
	source = _i / CASES % 2 ? CRYPTO : MEMORY;
	for_good = _i / CASES / 2;
	every_call(_i % CASES, false);
}
END_TEST

START_TEST(test_every_call_of_an_opening)
{
	source = _i % 2 ? CRYPTO : MEMORY;
	for_good = _i / 2;
	every_call(0, true);
}
END_TEST

/* A digest of a role's keys is right or not given: a wrong one would pass for a rotation (S-17). */
START_TEST(test_keys_of_a_role)
{
	uint8_t want[32], got[32];
	bool there;
	long n = 0;

	source = _i % 2 ? CRYPTO : MEMORY;
	for_good = false;
	repo_delegate(repo, "targets", "role", 5, PATHS("*"));
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(tuf_delegated(tuf, "role", &there, want, &last), EF_REASON_OK);
	do {
		reached = false;
		error_clear(&last);
		countdown = n++;
		enum ef_reason r = tuf_delegated(tuf, "role", &there, got, &last);
		countdown = -1;
		if (r == EF_REASON_OK)
			ck_assert(there && memcmp(want, got, 32) == 0);
		else
			ck_assert(r == EF_REASON_NO_MEMORY && !there);
	} while (reached);
	ck_assert_int_gt(n, source == MEMORY ? 10 : 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-memory");
	TCase *t = fixture_case("memory");

	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, test_every_call_of_an_opening, 0, 4);
	tcase_add_loop_test(t, test_every_call_of_a_refresh, 0, 4 * CASES);
	tcase_add_loop_test(t, test_keys_of_a_role, 0, 2);
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
