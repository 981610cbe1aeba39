/* SPDX-License-Identifier: Apache-2.0 */
/* S-14, S-15: trust state at rest is whole or nothing works; it changes only after all checks. */
#include "fixture.h"

static const char *const files[] = {
	"root.json", "timestamp.json", "snapshot.json", "targets.json", "role.json"};

static void fill(void)
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "role", 5, PATHS("*"));
	repo_target(repo, "role", "file", "content");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_uint_eq(store.n, 5);
}

/* What happens to a client with this store, up to the end of a search; nothing may be written. */
static enum ef_reason use(enum tuf_mode mode)
{
	struct tuf_store s = memory_store(&store);
	struct tuf_target target;

	tuf_close(tuf);
	tuf = NULL;
	error_clear(&last);
	store.saves = 0;
	if (tuf_open(&s, &tuf, &last) != EF_REASON_OK)
		return last.reason;
	if (refresh_mode(mode, NOW) != EF_REASON_OK)
		return last.reason;
	return find("file", &target);
}

static void assert_unreadable(int mode)
{
	use(mode);
	ck_assert_msg(last.reason == EF_REASON_STATE_UNREADABLE, "%s: %s", reason_word(last.reason),
		last.detail);
}

static struct repo_file *file(int i)
{
	return memory_get(&store, files[i % 5]);
}

START_TEST(test_empty)
{
	fill();
	file(_i)->size = 0;
	assert_unreadable(_i / 5);
}
END_TEST

START_TEST(test_truncated)
{
	fill();
	size_t whole = file(_i)->size;
	for (size_t size = 1; size + 1 < whole; size += 97) { /* the last byte is a bracket */
		file(_i)->size = size;
		assert_unreadable(_i / 5);
	}
}
END_TEST

START_TEST(test_zeros)
{
	fill();
	memset(file(_i)->data, 0, file(_i)->size);
	assert_unreadable(_i / 5);
}
END_TEST

/* One bit, in what was signed. */
START_TEST(test_bit)
{
	fill();
	char *p = strstr((char *)file(_i)->data, "2030-01-01");
	ck_assert_ptr_nonnull(p);
	p[3] ^= 1; /* 2031 */
	assert_unreadable(_i / 5);
}
END_TEST

/* A signature that no longer holds. */
START_TEST(test_signature)
{
	fill();
	char *p = strstr((char *)file(_i)->data, "\"sig\": \"");
	ck_assert_ptr_nonnull(p);
	p[8] = p[8] == '0' ? '1' : '0';
	assert_unreadable(_i / 5);
}
END_TEST

/* Another role's file in the place of this one. */
START_TEST(test_exchanged)
{
	fill();
	struct repo_file *a = file(_i), *b = file(_i + 1), was = *a;
	a->data = b->data;
	a->size = b->size;
	b->data = was.data;
	b->size = was.size;
	assert_unreadable(TUF_ONLINE);
}
END_TEST

START_TEST(test_read_error)
{
	fill();
	store.load_error = -EIO;
	assert_unreadable(TUF_ONLINE);
	store.load_error = -EACCES;
	assert_unreadable(TUF_ONLINE);
	store.load_error = -ENOMEM;
	ck_assert_reason(use(TUF_ONLINE), NO_MEMORY);
	store.load_error = 0;
	ck_assert_reason(use(TUF_ONLINE), OK);
}
END_TEST

/* L-15: a timestamp that is gone while its snapshot is there is no first start. */
START_TEST(test_timestamp_gone)
{
	struct tuf_store s = memory_store(&store);

	fill();
	s.remove(s.ctx, "timestamp.json");
	assert_unreadable(TUF_ONLINE);
	s.remove(s.ctx, "root.json");
	ck_assert_reason(use(TUF_ONLINE), NO_TRUST);
}
END_TEST

/* Unreadable state is not overwritten by provisioning. */
START_TEST(test_bootstrap_unreadable)
{
	struct tuf_store s = memory_store(&store);
	const struct repo_file *root = repo_get(repo, "1.root.json");
	struct error e = {0};

	store.load_error = -EIO;
	ck_assert_int_eq(tuf_bootstrap(&s, root->data, root->size, &e), EF_REASON_STATE_UNREADABLE);
	ck_assert_uint_eq(store.saves, 0);
}
END_TEST

/* Nothing is stored of a document that fails, whatever it fails by. */
START_TEST(test_nothing_stored_on_refusal)
{
	static const char *const names[] = {
		"2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"};
	static const unsigned saves[] = {0, 0, 1, 2};
	static const char text[] = "{\"signed\":{\"version\":9},\"signatures\":[]}";

	repo_put(repo, names[_i], text, sizeof(text) - 1);
	ck_assert_reason(refresh(), BAD_SIGNATURE);
	ck_assert_uint_eq(store.saves, saves[_i]);
}
END_TEST

/* Saving fails at the nth file: the same refresh succeeds later, from any point. */
START_TEST(test_save_fails)
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "role", 5, PATHS("*"));
	repo_target(repo, "role", "file", "content");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	repo_keys(repo, "timestamp", 1, LIST(8));
	repo_bump(repo, "root");
	repo_update(repo);
	store.fail_saves_after = _i;
	if (refresh() == EF_REASON_OK)
		find("file", &target);
	ck_assert_reason(last.reason, NO_SPACE);
	ck_assert_uint_eq(store.saves, _i);
	store.fail_saves_after = -1;
	ck_assert_reason(use(TUF_ONLINE), OK);
}
END_TEST

/*
 * S-15: power is cut after the nth change of the store, in the rotation of every key. The next
 * start must neither find the state unreadable nor miss the update.
 */
struct cutter {
	struct memory *m;
	int left;
};

static int cut_save(void *ctx, const char *name, const void *data, size_t size)
{
	struct cutter *c = ctx;
	struct tuf_store s = memory_store(c->m);

	return c->left-- > 0 ? s.save(s.ctx, name, data, size) : -EIO;
}

static int cut_remove(void *ctx, const char *name)
{
	struct cutter *c = ctx;
	struct tuf_store s = memory_store(c->m);

	return c->left-- > 0 ? s.remove(s.ctx, name) : -EIO;
}

static int cut_load(void *ctx, const char *name, uint8_t **ret, size_t *size)
{
	struct cutter *c = ctx;
	struct tuf_store s = memory_store(c->m);

	return s.load(s.ctx, name, ret, size);
}

START_TEST(test_power_cut)
{
	struct cutter c = {&store, _i};
	struct tuf_store s = {.ctx = &c, .load = cut_load, .save = cut_save, .remove = cut_remove};
	struct tuf_target target;
	struct error e = {0};

	fill();
	for (int i = 0; i < 4; i++)
		repo_keys(repo, top_roles[i], 1, LIST(10 + i));
	repo_signers(repo, "root", LIST(0, 10));
	repo_bump(repo, "root");
	json_object_del(repo_body(repo, "targets"), "delegations");
	repo_delegate(repo, "targets", "role", 15, PATHS("*"));
	repo_set_version(repo, "targets", 1); /* recovered from a fast-forward, too */
	repo_set_version(repo, "snapshot", 0);
	repo_set_version(repo, "timestamp", 0);
	repo_update(repo);
	tuf_close(tuf);
	tuf = NULL;
	ck_assert_int_eq(tuf_open(&s, &tuf, &e), EF_REASON_OK);
	if (tuf_refresh(tuf, TUF_ONLINE, NOW, &e) == EF_REASON_OK &&
		repo_serve(repo, tuf, &e) == EF_REASON_OK &&
		tuf_find(tuf, "file", &e) == EF_REASON_OK)
		repo_serve(repo, tuf, &e);
	/* The count of changes is known: the last round is not cut. */
	ck_assert_int_eq(e.reason, _i < 9 ? EF_REASON_IO : EF_REASON_OK);
	ck_assert_reason(use(TUF_ONLINE), OK);
	ck_assert_uint_eq(stored_version("root"), 2);
	ck_assert_uint_eq(stored_version("targets"), 1);
	ck_assert_reason(find("file", &target), OK);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-state");
	TCase *t = fixture_case("state");

	tcase_add_loop_test(t, test_empty, 0, 10);
	tcase_add_loop_test(t, test_truncated, 0, 10);
	tcase_add_loop_test(t, test_zeros, 0, 10);
	tcase_add_loop_test(t, test_bit, 0, 10);
	tcase_add_loop_test(t, test_signature, 0, 10);
	tcase_add_loop_test(t, test_exchanged, 0, 4);
	tcase_add_test(t, test_read_error);
	tcase_add_test(t, test_timestamp_gone);
	tcase_add_test(t, test_bootstrap_unreadable);
	tcase_add_loop_test(t, test_nothing_stored_on_refusal, 0, 4);
	tcase_add_loop_test(t, test_save_fails, 0, 5);
	tcase_add_loop_test(t, test_power_cut, 0, 10);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
