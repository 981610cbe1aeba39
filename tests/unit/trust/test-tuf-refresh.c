/* SPDX-License-Identifier: Apache-2.0 */
/* The top-level workflow: order of requests, what is stored, expiry, freeze, mix-and-match. */
#include "fixture.h"

START_TEST(test_first)
{
	ck_assert_reason(refresh(), OK);
	ck_assert_str_eq(repo->log, "2.root.json timestamp.json 1.snapshot.json 1.targets.json ");
	assert_stored("root.json", "1.root.json");
	assert_stored("timestamp.json", "timestamp.json");
	assert_stored("snapshot.json", "1.snapshot.json");
	assert_stored("targets.json", "1.targets.json");
}
END_TEST

/* The same timestamp again is no error, and nothing else is asked for. */
START_TEST(test_nothing_new)
{
	ck_assert_reason(refresh(), OK);
	unsigned saves = store.saves;
	ck_assert_reason(refresh(), OK);
	ck_assert_str_eq(repo->log, "2.root.json timestamp.json ");
	reopen();
	ck_assert_reason(refresh(), OK);
	ck_assert_str_eq(repo->log, "2.root.json timestamp.json ");
	ck_assert_uint_eq(store.saves, saves);
}
END_TEST

START_TEST(test_update)
{
	ck_assert_reason(refresh(), OK);
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	reopen();
	ck_assert_reason(refresh(), OK);
	ck_assert_str_eq(repo->log, "2.root.json timestamp.json 2.snapshot.json 2.targets.json ");
	ck_assert_uint_eq(tuf_version(tuf, "root"), 1);
	ck_assert_uint_eq(tuf_version(tuf, "timestamp"), 2);
	ck_assert_uint_eq(tuf_version(tuf, "snapshot"), 2);
	ck_assert_uint_eq(tuf_version(tuf, "targets"), 2);
	ck_assert_uint_eq(tuf_version(tuf, "nobody"), 0);
	ck_assert_int_eq(tuf_expires(tuf, "targets"), 1893456000);
}
END_TEST

/* A snapshot alone changed: the targets that are stored are taken as they are. */
START_TEST(test_targets_reused)
{
	repo->meta_hashes = _i;
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	repo_update(repo);
	reopen();
	ck_assert_reason(refresh(), OK);
	ck_assert_str_eq(repo->log, "2.root.json timestamp.json 3.snapshot.json ");
}
END_TEST

/* The same version with another digest: what is stored is not what is meant. */
START_TEST(test_replaced_in_place)
{
	repo->meta_hashes = true;
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	repo_target(repo, "targets", "new", "content");
	repo_update(repo);
	if (_i) {
		/* and the snapshot as well */
		repo_set_version(repo, "snapshot", 1);
		repo_update(repo);
	}
	ck_assert_reason(refresh(), OK);
	ck_assert_str_eq(
		repo->log, _i ? "2.root.json timestamp.json 2.snapshot.json 1.targets.json "
			      : "2.root.json timestamp.json 3.snapshot.json 1.targets.json ");
	assert_stored("targets.json", "1.targets.json");
	assert_stored("snapshot.json", "snapshot.json");
}
END_TEST

START_TEST(test_not_consistent)
{
	json_object_set_new(repo_body(repo, "root"), "consistent_snapshot", json_false());
	repo_bump(repo, "root");
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_str_eq(
		repo->log, "2.root.json 3.root.json timestamp.json snapshot.json targets.json ");
}
END_TEST

/* A refresh that broke off goes on where it stopped, although the timestamp is the same. */
START_TEST(test_goes_on)
{
	static const char *const files[] = {"1.snapshot.json", "1.targets.json"};
	struct repo_file kept = *repo_get(repo, files[_i]);

	kept.data = memcpy(malloc(kept.size), kept.data, kept.size);
	repo_remove(repo, files[_i]);
	ck_assert_reason(refresh(), NOT_FOUND);
	reopen();
	repo_put(repo, files[_i], kept.data, kept.size);
	free(kept.data);
	ck_assert_reason(refresh(), OK);
	ck_assert_uint_eq(tuf_version(tuf, "targets"), 1);
}
END_TEST

START_TEST(test_missing_timestamp)
{
	ck_assert_reason(refresh(), OK);
	repo_remove(repo, "timestamp.json");
	ck_assert_reason(refresh(), NOT_FOUND);
	ck_assert_str_eq(repo->log, "2.root.json timestamp.json ");
}
END_TEST

/* Fetching failed: the reason is handed through, nothing is lost. */
START_TEST(test_fetch_error)
{
	struct error e = {.reason = EF_REASON_NET_TLS, .detail = "expired"}, got = {0};
	struct tuf_request q;

	ck_assert_int_eq(tuf_refresh(tuf, TUF_ONLINE, NOW, &got), EF_REASON_OK);
	ck_assert(tuf_next(tuf, &q));
	tuf_feed_error(tuf, &e);
	ck_assert(!tuf_next(tuf, &q));
	ck_assert_int_eq(tuf_result(tuf, &got), EF_REASON_NET_TLS);
	ck_assert_str_eq(got.detail, "2.root.json: expired");
	ck_assert_reason(refresh(), OK);
}
END_TEST

START_TEST(test_busy)
{
	struct error e = {0};

	ck_assert_int_eq(tuf_refresh(tuf, TUF_ONLINE, NOW, &e), EF_REASON_OK);
	ck_assert_int_eq(tuf_refresh(tuf, TUF_ONLINE, NOW, &e), EF_REASON_BUSY);
	error_clear(&e);
	ck_assert_int_eq(tuf_result(tuf, &e), EF_REASON_BUSY);
	error_clear(&e);
	ck_assert_int_eq(repo_serve(repo, tuf, &e), EF_REASON_OK);
}
END_TEST

/* Expired at the second it names; good the second before. The one time given counts, no clock. */
START_TEST(test_expired)
{
	const char *role = top_roles[_i];

	repo_expire(repo, role, PAST);
	if (strcmp(role, "root") == 0)
		repo_bump(repo, "root");
	repo_update(repo);
	ck_assert_reason(refresh_at(NOW), EXPIRED);
	ck_assert_ptr_nonnull(strstr(last.detail, role));
	/* Root steps are stored whether they are expired or not (5.3.10); nothing else is. */
	ck_assert_uint_eq(stored_version(role), strcmp(role, "root") == 0 ? 2 : 0);
	reopen();
	ck_assert_reason(refresh_at(NOW - 1), OK);
}
END_TEST

/* Freeze: what was good yesterday and is served again today is noticed, in each role. */
START_TEST(test_freeze)
{
	const char *role = top_roles[_i];

	repo_expire(repo, role, PAST);
	if (strcmp(role, "root") == 0)
		repo_bump(repo, "root");
	repo_update(repo);
	ck_assert_reason(refresh_at(NOW - 1), OK);
	reopen();
	ck_assert_reason(refresh_at(NOW + 86400), EXPIRED);
	/* And is cured by a newer one (expired local metadata is no obstacle). */
	repo_expire(repo, role, LATER);
	if (strcmp(role, "root") == 0)
		repo_bump(repo, "root");
	else if (strcmp(role, "targets") == 0)
		repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh_at(NOW + 86400), OK);
}
END_TEST

/* The time is fixed when the refresh begins. */
START_TEST(test_fixed_time)
{
	struct error e = {0};
	struct tuf_request q;

	repo_expire(repo, "targets", PAST);
	repo_update(repo);
	ck_assert_int_eq(tuf_refresh(tuf, TUF_ONLINE, NOW - 1, &e), EF_REASON_OK);
	ck_assert(tuf_next(tuf, &q));
	ck_assert_int_eq(repo_serve(repo, tuf, &e), EF_REASON_OK);
}
END_TEST

/* Mix-and-match: files that are each well signed but do not belong together. */
START_TEST(test_mix_snapshot)
{
	static const enum ef_reason expect[] = {EF_REASON_METADATA_ROLLBACK, EF_REASON_BAD_SIZE};
	const struct repo_file *old;

	repo->meta_hashes = _i;
	repo_update(repo);
	old = repo_get(repo, "2.snapshot.json");
	repo_delegate(repo, "targets", "more", 5, PATHS("*"));
	repo_update(repo);
	repo_put(repo, "3.snapshot.json", old->data, old->size);
	ck_assert_int_eq(refresh(), expect[_i]);
	ck_assert_uint_eq(stored_version("snapshot"), 0);
}
END_TEST

START_TEST(test_mix_targets)
{
	const struct repo_file *old = repo_get(repo, "1.targets.json");

	repo->meta_hashes = _i;
	repo_set_version(repo, "targets", 2);
	repo_update(repo); /* the same size, so that the digest alone tells */
	repo_put(repo, "2.targets.json", old->data, old->size);
	ck_assert_int_eq(refresh(), _i ? EF_REASON_BAD_DIGEST : EF_REASON_METADATA_ROLLBACK);
	ck_assert_uint_eq(stored_version("targets"), 0);
	ck_assert_uint_eq(stored_version("snapshot"), 2);
}
END_TEST

/* A version that its parent does not announce yet. */
START_TEST(test_newer_than_listed)
{
	static const char *const roles[] = {"snapshot", "targets"};
	char name[64];

	snprintf(name, sizeof(name), "1.%s.json", roles[_i]);
	repo_set_version(repo, roles[_i], 7);
	json_t *envelope = repo_envelope(repo, roles[_i]);
	repo_put_json(repo, name, envelope);
	json_decref(envelope);
	ck_assert_reason(refresh(), BAD_FORMAT);
	ck_assert_uint_eq(stored_version(roles[_i]), 0);
}
END_TEST

/* Metadata digests and lengths: wrong ones are refused before a signature is looked at. */
START_TEST(test_meta_digest)
{
	static const char *const files[] = {"2.snapshot.json", "1.targets.json"};
	static const char *const roles[] = {"snapshot", "targets"};

	repo->meta_hashes = true;
	repo_update(repo);
	struct repo_file *f = (struct repo_file *)repo_get(repo, files[_i]);
	char *space = strchr((char *)f->data, ' ');
	*space = '\t'; /* the same document, other bytes */
	ck_assert_reason(refresh(), BAD_DIGEST);
	ck_assert_uint_eq(stored_version(roles[_i]), 0);
}
END_TEST

START_TEST(test_meta_length)
{
	static const char *const files[] = {"2.snapshot.json", "1.targets.json"};

	repo->meta_hashes = true;
	repo_update(repo);
	struct repo_file *f = (struct repo_file *)repo_get(repo, files[_i % 2]);
	size_t size = f->size;
	uint8_t *longer = malloc(size + 2);
	memcpy(longer, f->data, size);
	longer[size] = '\n';
	repo_put(repo, files[_i % 2], longer, _i < 2 ? size + 1 : size - 1);
	free(longer);
	ck_assert_reason(refresh(), BAD_SIZE);
}
END_TEST

/* A sha512 is as good; an unknown algorithm alone is none, and so no reason to trust. */
START_TEST(test_meta_algorithms)
{
	static const char *const algorithms[] = {"sha512", "blake2b-256", "sha256"};
	const struct repo_file *f = repo_get(repo, "1.targets.json");
	uint8_t digest[64];
	char hex[129];

	EVP_Digest(f->data, f->size, digest, NULL, _i == 0 ? EVP_sha512() : EVP_sha256(), NULL);
	hex_encode(digest, _i == 0 ? 64 : 32, hex);
	json_t *meta = json_object_get(repo_body(repo, "snapshot"), "meta");
	json_object_set_new(meta, "targets.json",
		json_pack("{s:i,s:{s:s}}", "version", 1, "hashes", algorithms[_i], hex));
	repo_publish(repo, "snapshot");
	ck_assert_int_eq(refresh(), _i == 1 ? EF_REASON_BAD_DIGEST : EF_REASON_OK);
}
END_TEST

/* Without a length in the parent, a bound of our own (endless data). */
START_TEST(test_size_bound)
{
	struct tuf_request q;
	struct error e = {0};
	unsigned n = 0;

	ck_assert_int_eq(tuf_refresh(tuf, TUF_ONLINE, NOW, &e), EF_REASON_OK);
	while (tuf_next(tuf, &q) && n++ < (unsigned)_i) {
		const struct repo_file *f = repo_get(repo, q.name);
		f ? tuf_feed(tuf, f->data, f->size) : tuf_feed_absent(tuf);
	}
	ck_assert_uint_le(q.max_size, 16 << 20);
	ck_assert_int_eq(q.may_be_absent, _i == 0);
	uint8_t *big = calloc(1, q.max_size + 1);
	tuf_feed(tuf, big, q.max_size + 1);
	free(big);
	ck_assert_int_eq(tuf_result(tuf, &e), EF_REASON_BAD_SIZE);
}
END_TEST

/* The bytes are stored as they came, not as we would write them. */
START_TEST(test_bytes_kept)
{
	struct repo_file *f = (struct repo_file *)repo_get(repo, "timestamp.json");
	char *text = malloc(f->size + 8);
	int n = sprintf(text, "\n%s\t \n", (char *)f->data);

	repo_put(repo, "timestamp.json", text, (size_t)n);
	free(text);
	ck_assert_reason(refresh(), OK);
	assert_stored("timestamp.json", "timestamp.json");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-refresh");
	TCase *t = fixture_case("refresh");

	tcase_add_test(t, test_first);
	tcase_add_test(t, test_nothing_new);
	tcase_add_test(t, test_update);
	tcase_add_loop_test(t, test_targets_reused, 0, 2);
	tcase_add_loop_test(t, test_replaced_in_place, 0, 2);
	tcase_add_test(t, test_not_consistent);
	tcase_add_loop_test(t, test_goes_on, 0, 2);
	tcase_add_test(t, test_missing_timestamp);
	tcase_add_test(t, test_fetch_error);
	tcase_add_test(t, test_busy);
	tcase_add_loop_test(t, test_expired, 0, 4);
	tcase_add_loop_test(t, test_freeze, 0, 4);
	tcase_add_test(t, test_fixed_time);
	tcase_add_loop_test(t, test_mix_snapshot, 0, 2);
	tcase_add_loop_test(t, test_mix_targets, 0, 2);
	tcase_add_loop_test(t, test_newer_than_listed, 0, 2);
	tcase_add_loop_test(t, test_meta_digest, 0, 2);
	tcase_add_loop_test(t, test_meta_length, 0, 4);
	tcase_add_loop_test(t, test_meta_algorithms, 0, 3);
	tcase_add_loop_test(t, test_size_bound, 0, 4);
	tcase_add_test(t, test_bytes_kept);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
