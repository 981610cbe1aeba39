/* SPDX-License-Identifier: Apache-2.0 */
/* Section 5.6.7: the walk through delegations. */
#include "fixture.h"

struct edge {
	const char *from, *to, *path;
	bool terminating;
};

/* Edges, and the roles that are asked in this order for a path that nobody names. */
static const struct {
	const char *name, *asked;
	struct edge edges[8];
} graphs[] = {
	{"one", "A", {{"targets", "A", "*", 0}}},
	{"two beside each other", "A B", {{"targets", "A", "*", 0}, {"targets", "B", "*", 0}}},
	{"two levels", "A B C",
		{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"B", "C", "*", 0}}},
	{"depth first", "A C D B",
		{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"A", "C", "*", 0},
			{"A", "D", "*", 0}}},
	{"three levels", "A C D B",
		{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"A", "C", "*", 0},
			{"C", "D", "*", 0}}},
	{"terminating below", "A C",
		{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"A", "C", "*", 1},
			{"A", "D", "*", 0}}},
	{"terminating asks its own", "A C D",
		{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"A", "C", "*", 1},
			{"C", "D", "*", 0}}},
	{"terminating at the top", "A C",
		{{"targets", "A", "*", 1}, {"targets", "B", "*", 0}, {"A", "C", "*", 0}}},
	{"terminating for other paths", "A B",
		{{"targets", "X", "*.py", 1}, {"targets", "A", "*", 0}, {"targets", "B", "*", 0}}},
	{"terminating in second place", "A B",
		{{"targets", "A", "*", 0}, {"targets", "B", "*", 1}, {"targets", "C", "*", 0}}},
	{"paths that do not match", "B",
		{{"targets", "A", "*.py", 0}, {"targets", "B", "*", 0}, {"A", "C", "*", 0}}},
	{"paths that do not match below", "A B",
		{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"A", "C", "*.py", 0},
			{"C", "D", "*", 0}}},
	{"a cycle", "A B C D",
		{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"B", "C", "*", 0},
			{"C", "D", "*", 0}, {"D", "B", "*", 0}}},
	{"to itself", "A", {{"targets", "A", "*", 0}, {"A", "A", "*", 0}}},
	{"one of two ways", "A C B",
		{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"B", "C", "*", 0},
			{"A", "C", "*", 0}}},
	{"the other of two ways", "A B C",
		{{"targets", "A", "*", 0}, {"targets", "B", "*", 0}, {"B", "C", "*", 0},
			{"A", "C", "*.py", 0}}},
};
#define GRAPHS ((int)(sizeof(graphs) / sizeof(graphs[0])))

static void build(const struct edge *e)
{
	for (; e->from; e++) {
		/* A role that is delegated to twice has one key. */
		json_t *d = repo_delegate(
			repo, e->from, e->to, 5 + (e->to[0] - 'A') % 16, PATHS(e->path));
		json_object_set_new(d, "terminating", json_boolean(e->terminating));
	}
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
}

START_TEST(test_order)
{
	struct tuf_target target;
	char want[256] = "", *out = want;

	build(graphs[_i].edges);
	for (const char *p = graphs[_i].asked; *p; p++)
		if (*p != ' ')
			out += sprintf(out, "1.%c.json ", *p);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("missing", &target), NOT_SIGNED_FOR);
	ck_assert_msg(strcmp(repo->log, want) == 0, "%s: %s", graphs[_i].name, repo->log);
	/* Once more, from what is loaded; and after a restart, from what is stored. */
	ck_assert_reason(find("missing", &target), NOT_SIGNED_FOR);
	ck_assert_str_eq(repo->log, "");
	reopen();
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("missing", &target), NOT_SIGNED_FOR);
	ck_assert_str_eq(repo->log, "");
}
END_TEST

/* Who is asked for a path, and whether it is found. */
static const struct {
	const char *path, *asked;
	bool found;
} searches[] = {
	{"targetfile", "", true},
	{"README.md", "1.A.json ", true},
	{"releases/x/x_v1", "1.B.json 1.C.json ", true},
	{"releases/y/y_v1.zip", "1.B.json 1.D.json ", true},
	{"releases/z/z_v1.zip", "1.B.json ", false}, /* D signs for it, but may not */
	{"releases/x", "", false},
	{"releases/x/deep/er", "", false},
	{"dir/README.md", "", false},
	{"nothing", "", false},
	{"releases/x/", "1.B.json 1.C.json ", false},
};

START_TEST(test_search)
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "A", 5, PATHS("*.doc", "*.md"));
	repo_delegate(repo, "targets", "B", 6, PATHS("releases/*/*"));
	repo_delegate(repo, "B", "C", 7, PATHS("releases/x/*"));
	repo_delegate(repo, "B", "D", 8, PATHS("releases/y/*.zip"));
	repo_target(repo, "targets", "targetfile", "by targets");
	repo_target(repo, "A", "README.md", "by A");
	repo_target(repo, "A", "dir/README.md", "by A");
	repo_target(repo, "C", "releases/x/x_v1", "by C");
	repo_target(repo, "D", "releases/y/y_v1.zip", "by D");
	repo_target(repo, "D", "releases/z/z_v1.zip", "by D");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(find(searches[_i].path, &target),
		searches[_i].found ? EF_REASON_OK : EF_REASON_NOT_SIGNED_FOR);
	ck_assert_str_eq(repo->log, searches[_i].asked);
	if (searches[_i].found) {
		ck_assert_str_eq(target.path, searches[_i].path);
		ck_assert(target.has_sha256 && !target.has_sha512 && target.consistent);
		ck_assert_ptr_null(target.custom);
	}
}
END_TEST

/* The first delegation outweighs the second. */
START_TEST(test_priority)
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "A", 5, PATHS("*"));
	repo_delegate(repo, "targets", "B", 6, PATHS("*"));
	repo_target(repo, "A", "file", "by A");
	repo_target(repo, "B", "file", "a longer one, by B");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_uint_eq(target.length, 4);
	repo_target(repo, "targets", "file", "!");
	repo_set_version(repo, "targets", 3);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_uint_eq(target.length, 1);
}
END_TEST

/* Cycles do not use up the number of roles that may be visited. */
START_TEST(test_cycle_and_bound)
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "A", 5, PATHS("*"));
	repo_delegate(repo, "targets", "C", 6, PATHS("*"));
	repo_delegate(repo, "A", "B", 7, PATHS("*"));
	repo_delegate(repo, "B", "A", 5, PATHS("*"));
	repo_target(repo, "C", "file", "by C");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
}
END_TEST

/* All delegate to all: there are thousands of ways, and an end to them. */
START_TEST(test_all_to_all)
{
	static const char *const names[] = {"targets", "A", "B", "C", "D", "E", "F", "G"};
	struct tuf_target target;

	for (int i = 0; i < 8; i++)
		for (int j = 1; j < 8; j++)
			repo_delegate(repo, names[i], names[j], 4 + j, PATHS("*"));
	repo_target(repo, "G", "file", "by G");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_reason(find("missing", &target), NOT_SIGNED_FOR);
	ck_assert_str_eq(repo->log, "");
}
END_TEST

START_TEST(test_hash_prefixes)
{
	/* SHA-256 of "file": 3b9c358f36f0a31b… */
	static const struct {
		const char *prefix;
		bool matches;
	} t[] = {{"3", true}, {"3b9", true}, {"3b9c358f36f0a31b", true},
		{"3b9c358f36f0a31c", false}, {"4", false}, {"", false}, {"3B", false}};
	struct tuf_target target;

	json_t *d = repo_delegate(repo, "targets", "bin", 5, PATHS("x"));
	json_object_del(d, "paths");
	json_object_set_new(d, "path_hash_prefixes", json_pack("[s,s]", "00", t[_i].prefix));
	repo_target(repo, "bin", "file", "content");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(
		find("file", &target), t[_i].matches ? EF_REASON_OK : EF_REASON_NOT_SIGNED_FOR);
}
END_TEST

/* No more than 32 roles are visited for one target. */
START_TEST(test_bound)
{
	struct tuf_target target;
	char name[16];
	unsigned asked = 0;

	for (int i = 0; i < 34; i++) {
		snprintf(name, sizeof(name), "role%02d", i);
		repo_delegate(repo, "targets", name, 5, PATHS("*"));
	}
	repo_target(repo, "role31", "last", "content");
	repo_target(repo, "role32", "too far", "content");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("last", &target), OK);
	ck_assert_reason(find("too far", &target), NOT_SIGNED_FOR);
	for (const char *p = repo->log; (p = strchr(p, ' ')); p++)
		asked++;
	ck_assert_uint_eq(asked, 0); /* all 32 were loaded by the first search */
}
END_TEST

/* S-25: names are quoted in requests, and in the store. */
START_TEST(test_names)
{
	static const struct {
		const char *role, *file;
	} t[] = {
		{"?", "%3F.json"},
		{"#", "%23.json"},
		{"/delegated", "%2Fdelegated.json"},
		{"../delegated", "..%2Fdelegated.json"},
		{"..", "...json"},
		{".", "..json"},
		{"a b%20c", "a%20b%2520c.json"},
		{"\xc3\xa9", "%C3%A9.json"},
		{"a\nb;$(x)", "a%0Ab%3B%24%28x%29.json"},
		{"1.root", "1.root.json"},
		{"A-Z_a~z.0", "A-Z_a~z.0.json"},
	};
	struct tuf_target target;
	char want[300];

	repo_delegate(repo, "targets", t[_i].role, 5, PATHS("*"));
	repo_target(repo, t[_i].role, "file", "content");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("file", &target), OK);
	snprintf(want, sizeof(want), "1.%s ", t[_i].file);
	ck_assert_str_eq(repo->log, want);
	ck_assert_ptr_nonnull(memory_get(&store, t[_i].file));
}
END_TEST

/* Names that would take another role's place, or do not fit, spoil the document that has them. */
START_TEST(test_bad_names)
{
	static char longest[202];
	const char *const names[] = {
		"", "root", "timestamp", "snapshot", "targets", "mirrors", longest};

	memset(longest, 'a', 201);
	json_t *d = repo_delegate(repo, "targets", "ok", 5, PATHS("*"));
	json_object_set_new(d, "name", json_string(names[_i]));
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), BAD_FORMAT);
	longest[200] = 0; /* the longest name that fits */
	json_object_set_new(d, "name", json_string(longest));
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
}
END_TEST

/* What is wrong with a delegated role ends the search, with its reason. */
START_TEST(test_bad_role)
{
	static const enum ef_reason want[] = {EF_REASON_BAD_SIGNATURE, EF_REASON_EXPIRED,
		EF_REASON_NOT_FOUND, EF_REASON_BAD_FORMAT, EF_REASON_METADATA_ROLLBACK,
		EF_REASON_BAD_FORMAT};
	struct tuf_target target;

	repo_delegate(repo, "targets", "A", 5, PATHS("*"));
	repo_delegate(repo, "targets", "B", 6, PATHS("*"));
	repo_target(repo, "B", "file", "content");
	repo_set_version(repo, "targets", 2);
	repo_set_version(repo, "A", 2);
	if (_i == 0)
		repo_signers(repo, "A", LIST(6)); /* a key of another role */
	else if (_i == 1)
		repo_expire(repo, "A", PAST);
	repo_update(repo);
	if (_i == 2)
		repo_remove(repo, "2.A.json");
	else if (_i == 3)
		repo_put(repo, "2.A.json", "[]", 2);
	else if (_i == 4) {
		repo_set_version(repo, "A", 1);
		_cleanup_json_ json_t *v = repo_envelope(repo, "A");
		repo_put_json(repo, "2.A.json", v);
	} else if (_i == 5) {
		/* not listed in the snapshot */
		json_object_del(json_object_get(repo_body(repo, "snapshot"), "meta"), "A.json");
		repo_publish(repo, "snapshot");
	}
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(find("file", &target), want[_i]);
	ck_assert_uint_eq(stored_version("A"), 0);
	ck_assert_uint_eq(stored_version("B"), 0);
}
END_TEST

/* Stored roles serve as long as they are current and fresh. */
START_TEST(test_stored_role_expires)
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "A", 5, PATHS("*"));
	repo_target(repo, "A", "file", "content");
	repo_expire(repo, "A", PAST);
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh_at(NOW - 10), OK);
	ck_assert_reason(find("file", &target), OK);
	reopen();
	ck_assert_reason(refresh_at(NOW - 1), OK);
	ck_assert_reason(find("file", &target), OK);
	ck_assert_str_eq(repo->log, "");
	reopen();
	ck_assert_reason(refresh_at(NOW), OK);
	ck_assert_reason(find("file", &target), EXPIRED);
	repo_expire(repo, "A", LATER);
	repo_set_version(repo, "A", 2);
	repo_update(repo);
	ck_assert_reason(refresh_at(NOW), OK);
	ck_assert_reason(find("file", &target), OK);
}
END_TEST

/* A role reached on two ways is verified by the keys of each. */
START_TEST(test_two_parents)
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "A", 5, PATHS("a/*"));
	repo_delegate(repo, "targets", "B", 6, PATHS("b/*"));
	repo_delegate(repo, "A", "C", 8, PATHS("*/*"));
	repo_delegate(repo, "B", "C", 7, PATHS("*/*"));
	repo_target(repo, "C", "a/file", "content");
	repo_target(repo, "C", "b/file", "content");
	repo_set_version(repo, "targets", 2);
	repo_update(repo); /* C is signed by key 7 */
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("b/file", &target), OK);
	ck_assert_reason(find("a/file", &target), BAD_SIGNATURE);
	ck_assert_reason(find("b/file", &target), OK);
	/* What is stored of C by B's key is no damaged file to A. */
	ck_assert_reason(find("a/file", &target), BAD_SIGNATURE);
	repo_signers(repo, "C", LIST(7, 8));
	repo_set_version(repo, "C", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("a/file", &target), OK);
	ck_assert_reason(find("b/file", &target), OK);
}
END_TEST

/* Nor is it good on the second way because it was on the first, in one search. */
START_TEST(test_second_way)
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "A", 5, PATHS("*"));
	repo_delegate(repo, "targets", "B", 6, PATHS("*"));
	repo_delegate(repo, "targets", "Z", 9, PATHS("*"));
	repo_delegate(repo, "B", "C", 7, PATHS("*"));
	repo_delegate(repo, "A", "C", 8, PATHS("*"));
	repo_target(repo, "C", "by C", "content");
	repo_target(repo, "Z", "by Z", "content");
	repo_set_version(repo, "targets", 2);
	repo_update(repo); /* C is signed by key 8 */
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("by C", &target), OK);
	ck_assert_reason(find("by Z", &target), BAD_SIGNATURE);
	ck_assert_str_eq(repo->log, "1.B.json 1.C.json ");
	repo_signers(repo, "C", LIST(7, 8));
	repo_set_version(repo, "C", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("by Z", &target), OK);
	ck_assert_str_eq(repo->log, "2.C.json 1.Z.json ");
}
END_TEST

START_TEST(test_usage)
{
	static char longest[600];
	struct tuf_target target;
	struct error e = {0};

	ck_assert_reason(find("file", &target), USAGE);
	ck_assert_int_eq(tuf_load_role(tuf, "A", &e), EF_REASON_USAGE);
	repo_put(repo, "timestamp.json", "{}", 2);
	ck_assert_reason(refresh(), BAD_FORMAT);
	ck_assert_reason(find("file", &target), USAGE);
	repo_publish(repo, "timestamp");
	ck_assert_reason(refresh(), OK);
	ck_assert_int_eq(tuf_found(tuf, &target, &last), EF_REASON_USAGE);
	ck_assert_reason(find("", &target), USAGE);
	memset(longest, 'a', sizeof(longest) - 1);
	ck_assert_reason(find(longest, &target), USAGE);
	longest[511] = 0;
	ck_assert_reason(find(longest, &target), NOT_SIGNED_FOR);
}
END_TEST

START_TEST(test_overstep) /* S-04 */
{
	struct tuf_target target;

	repo_delegate(repo, "targets", "A", 5, PATHS("a/*"));
	repo_target(repo, "A", "a/1", "x");
	repo_set_version(repo, "targets", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_ptr_null(tuf_overstep(tuf, "A")); /* not loaded */
	ck_assert_reason(find("a/1", &target), OK);
	ck_assert_ptr_null(tuf_overstep(tuf, "A"));
	repo_target(repo, "A", "b/1", "x");
	repo_set_version(repo, "A", 2);
	repo_update(repo);
	ck_assert_reason(refresh(), OK);
	ck_assert_reason(find("a/1", &target), OK);
	ck_assert_str_eq(tuf_overstep(tuf, "A"), "b/1");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-find");
	TCase *t = fixture_case("find");

	tcase_add_loop_test(t, test_order, 0, GRAPHS);
	tcase_add_loop_test(t, test_search, 0, sizeof(searches) / sizeof(searches[0]));
	tcase_add_test(t, test_priority);
	tcase_add_test(t, test_cycle_and_bound);
	tcase_add_test(t, test_all_to_all);
	tcase_add_loop_test(t, test_hash_prefixes, 0, 7);
	tcase_add_test(t, test_bound);
	tcase_add_loop_test(t, test_names, 0, 11);
	tcase_add_loop_test(t, test_bad_names, 0, 7);
	tcase_add_loop_test(t, test_bad_role, 0, 6);
	tcase_add_test(t, test_stored_role_expires);
	tcase_add_test(t, test_two_parents);
	tcase_add_test(t, test_second_way);
	tcase_add_test(t, test_usage);
	tcase_add_test(t, test_overstep);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
