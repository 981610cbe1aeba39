/* SPDX-License-Identifier: Apache-2.0 */
/* The shape of documents: signed by the right keys, and still refused. */
#include "fixture.h"

/*
 * In a role's document, the member at path ("a/b/0") is replaced by a value, or removed when that
 * is NULL. role "-" is the envelope of targets.
 */
static const struct {
	const char *role, *path, *value;
	enum ef_reason want;
} cases[] = {
	/* common */
	{"root", "_type", "\"targets\"", EF_REASON_BAD_FORMAT},
	{"timestamp", "_type", "\"snapshot\"", EF_REASON_BAD_FORMAT},
	{"targets", "_type", NULL, EF_REASON_BAD_FORMAT},
	{"targets", "_type", "\"Targets\"", EF_REASON_BAD_FORMAT},
	{"targets", "spec_version", NULL, EF_REASON_BAD_FORMAT},
	{"targets", "spec_version", "1", EF_REASON_BAD_FORMAT},
	{"targets", "spec_version", "\"1\"", EF_REASON_BAD_FORMAT},
	{"targets", "spec_version", "\"1.\"", EF_REASON_BAD_FORMAT},
	{"targets", "spec_version", "\"1.0.\"", EF_REASON_BAD_FORMAT},
	{"targets", "spec_version", "\"2.0.0\"", EF_REASON_BAD_FORMAT},
	{"targets", "spec_version", "\"10.0.0\"", EF_REASON_BAD_FORMAT},
	{"targets", "spec_version", "\"1.0.0-rc\"", EF_REASON_BAD_FORMAT},
	{"targets", "spec_version", "\"1.0\"", EF_REASON_OK},
	{"targets", "spec_version", "\"1.0.99\"", EF_REASON_OK},
	{"targets", "version", NULL, EF_REASON_BAD_FORMAT},
	{"targets", "version", "0", EF_REASON_BAD_FORMAT},
	{"targets", "version", "-1", EF_REASON_BAD_FORMAT},
	{"targets", "version", "\"1\"", EF_REASON_BAD_FORMAT},
	{"targets", "version", "true", EF_REASON_BAD_FORMAT},
	{"root", "version", "0", EF_REASON_BAD_FORMAT},
	{"timestamp", "version", "0", EF_REASON_BAD_FORMAT},
	{"snapshot", "version", "0", EF_REASON_BAD_FORMAT},
	{"targets", "expires", NULL, EF_REASON_BAD_FORMAT},
	{"targets", "expires", "1893456000", EF_REASON_BAD_FORMAT},
	{"targets", "expires", "\"never\"", EF_REASON_BAD_FORMAT},
	{"targets", "expires", "\"2030-01-01\"", EF_REASON_BAD_FORMAT},
	{"targets", "expires", "\"2030-01-01T00:00:00\"", EF_REASON_BAD_FORMAT},
	{"targets", "expires", "\"2030-01-01T00:00:00+00:00\"", EF_REASON_BAD_FORMAT},
	{"targets", "expires", "\"2030-02-30T00:00:00Z\"", EF_REASON_BAD_FORMAT},
	{"targets", "expires", "\"9999-12-31T23:59:59Z\"", EF_REASON_OK},
	{"root", "expires", "\"\"", EF_REASON_BAD_FORMAT},
	/* root */
	{"root", "keys", NULL, EF_REASON_BAD_FORMAT},
	{"root", "keys", "[]", EF_REASON_BAD_FORMAT},
	{"root", "keys/x", "1", EF_REASON_BAD_FORMAT},
	{"root", "keys/x", "{}", EF_REASON_OK},
	{"root", "roles", NULL, EF_REASON_BAD_FORMAT},
	{"root", "roles/root", NULL, EF_REASON_BAD_FORMAT},
	{"root", "roles/timestamp", NULL, EF_REASON_BAD_FORMAT},
	{"root", "roles/snapshot", NULL, EF_REASON_BAD_FORMAT},
	{"root", "roles/targets", NULL, EF_REASON_BAD_FORMAT},
	{"root", "roles/targets", "[]", EF_REASON_BAD_FORMAT},
	{"root", "roles/targets/threshold", NULL, EF_REASON_BAD_FORMAT},
	{"root", "roles/targets/threshold", "0", EF_REASON_BAD_FORMAT},
	{"root", "roles/targets/threshold", "-1", EF_REASON_BAD_FORMAT},
	{"root", "roles/targets/threshold", "\"1\"", EF_REASON_BAD_FORMAT},
	{"root", "roles/targets/threshold", "9223372036854775807", EF_REASON_BAD_SIGNATURE},
	{"root", "roles/targets/keyids", NULL, EF_REASON_BAD_FORMAT},
	{"root", "roles/targets/keyids", "{}", EF_REASON_BAD_FORMAT},
	{"root", "roles/targets/keyids", "[1]", EF_REASON_BAD_FORMAT},
	{"root", "roles/targets/keyids", "[]", EF_REASON_BAD_SIGNATURE},
	{"root", "roles/mirrors", "1", EF_REASON_OK},
	{"root", "consistent_snapshot", "1", EF_REASON_BAD_FORMAT},
	{"root", "consistent_snapshot", "null", EF_REASON_BAD_FORMAT},
	{"root", "consistent_snapshot", NULL, EF_REASON_OK},
	/* timestamp */
	{"timestamp", "meta", NULL, EF_REASON_BAD_FORMAT},
	{"timestamp", "meta", "[]", EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/snapshot.json", NULL, EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/snapshot.json", "1", EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/snapshot.json/version", NULL, EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/snapshot.json/version", "0", EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/snapshot.json/length", "-1", EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/snapshot.json/length", "\"9\"", EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/snapshot.json/hashes", "[]", EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/snapshot.json/hashes", "{}", EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/snapshot.json/hashes", "{\"sha256\":\"00\"}", EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/snapshot.json/hashes", "{\"md5\":1}", EF_REASON_BAD_FORMAT},
	{"timestamp", "meta/other.json", "1", EF_REASON_OK},
	/* snapshot */
	{"snapshot", "meta", NULL, EF_REASON_BAD_FORMAT},
	{"snapshot", "meta/targets.json", NULL, EF_REASON_BAD_FORMAT},
	{"snapshot", "meta/role.json", "1", EF_REASON_BAD_FORMAT},
	{"snapshot", "meta/role.json", "{}", EF_REASON_BAD_FORMAT},
	{"snapshot", "meta/role.json", "{\"version\":1}", EF_REASON_OK},
	{"snapshot", "meta/role.json", "{\"version\":1,\"length\":0}", EF_REASON_OK},
	/* targets */
	{"targets", "targets", NULL, EF_REASON_BAD_FORMAT},
	{"targets", "targets", "[]", EF_REASON_BAD_FORMAT},
	{"targets", "targets/x", "1", EF_REASON_BAD_FORMAT},
	{"targets", "targets/x", "{\"length\":1}", EF_REASON_BAD_FORMAT},
	{"targets", "targets/x", "{\"length\":-1,\"hashes\":{\"md5\":\"\"}}", EF_REASON_BAD_FORMAT},
	{"targets", "targets/x", "{\"length\":1,\"hashes\":{}}", EF_REASON_BAD_FORMAT},
	{"targets", "targets/x", "{\"length\":1,\"hashes\":{\"sha256\":\"AB\"}}",
		EF_REASON_BAD_FORMAT},
	{"targets", "targets/x", "{\"length\":1,\"hashes\":{\"md5\":\"\"},\"custom\":1}",
		EF_REASON_BAD_FORMAT},
	{"targets", "targets/x", "{\"length\":1,\"hashes\":{\"md5\":\"\"},\"custom\":{}}",
		EF_REASON_OK},
	{"targets", "delegations", "[]", EF_REASON_BAD_FORMAT},
	{"targets", "delegations", "{\"keys\":{}}", EF_REASON_BAD_FORMAT},
	{"targets", "delegations", "{\"roles\":[]}", EF_REASON_BAD_FORMAT},
	{"targets", "delegations", "{\"keys\":{},\"roles\":[]}", EF_REASON_OK},
	{"targets", "delegations", "{\"keys\":{\"a\":1},\"roles\":[]}", EF_REASON_BAD_FORMAT},
	{"targets", "delegations", "{\"keys\":{},\"roles\":[1]}", EF_REASON_BAD_FORMAT},
#define ROLE(more) "{\"keys\":{},\"roles\":[{\"keyids\":[],\"threshold\":1" more "}]}"
	{"targets", "delegations", ROLE(",\"name\":\"a\",\"paths\":[]"), EF_REASON_OK},
	{"targets", "delegations", ROLE(",\"name\":\"a\""), EF_REASON_OK},
	{"targets", "delegations", ROLE(",\"paths\":[]"), EF_REASON_BAD_FORMAT},
	{"targets", "delegations", ROLE(",\"name\":1,\"paths\":[]"), EF_REASON_BAD_FORMAT},
	{"targets", "delegations", ROLE(",\"name\":\"a\",\"paths\":{}"), EF_REASON_BAD_FORMAT},
	{"targets", "delegations", ROLE(",\"name\":\"a\",\"paths\":[1]"), EF_REASON_BAD_FORMAT},
	{"targets", "delegations", ROLE(",\"name\":\"a\",\"path_hash_prefixes\":[1]"),
		EF_REASON_BAD_FORMAT},
	{"targets", "delegations", ROLE(",\"name\":\"a\",\"path_hash_prefixes\":[],\"paths\":[]"),
		EF_REASON_BAD_FORMAT},
	{"targets", "delegations", ROLE(",\"name\":\"a\",\"terminating\":1"), EF_REASON_BAD_FORMAT},
	{"targets", "delegations",
		"{\"keys\":{},\"roles\":[{\"keyids\":[],\"threshold\":0,\"name\":\"a\"}]}",
		EF_REASON_BAD_FORMAT},
	{"targets", "delegations",
		"{\"keys\":{},\"roles\":[{\"keyids\":[],\"threshold\":1,\"name\":\"a\"},{"
		"\"keyids\":[],\"threshold\":1,\"name\":\"a\"}]}",
		EF_REASON_BAD_FORMAT},
	/* floats have no canonical form, wherever they stand */
	{"targets", "x", "1.0", EF_REASON_BAD_FORMAT},
	{"root", "x", "{\"y\":[1e2]}", EF_REASON_BAD_FORMAT},
	/* the envelope */
	{"-", "signed", NULL, EF_REASON_BAD_FORMAT},
	{"-", "signed", "[]", EF_REASON_BAD_FORMAT},
	{"-", "signatures", NULL, EF_REASON_BAD_FORMAT},
	{"-", "signatures", "{}", EF_REASON_BAD_FORMAT},
	{"-", "signatures", "[1]", EF_REASON_BAD_FORMAT},
	{"-", "signatures", "[{}]", EF_REASON_BAD_FORMAT},
	{"-", "signatures", "[{\"keyid\":\"a\"}]", EF_REASON_BAD_FORMAT},
	{"-", "signatures", "[{\"keyid\":1,\"sig\":\"\"}]", EF_REASON_BAD_FORMAT},
	{"-", "signatures", "[{\"keyid\":\"a\",\"sig\":\"\"},{\"keyid\":\"a\",\"sig\":\"\"}]",
		EF_REASON_BAD_FORMAT},
	{"-", "signatures", "[]", EF_REASON_BAD_SIGNATURE},
	{"-", "more", "1", EF_REASON_OK},
};

static void bend(json_t *o, const char *path, const char *value)
{
	char copy[64], *part = copy, *slash;

	snprintf(copy, sizeof(copy), "%s", path);
	for (; (slash = strchr(part, '/')); part = slash + 1) {
		*slash = 0;
		o = json_object_get(o, part);
		ck_assert_ptr_nonnull(o);
	}
	if (!value)
		ck_assert_int_eq(json_object_del(o, part), 0);
	else
		ck_assert_int_eq(
			json_object_set_new(o, part, json_loads(value, JSON_DECODE_ANY, NULL)), 0);
}

/* A signature over what has no canonical form cannot be made; one over something else is as good.
 */
static json_t *envelope(const char *role)
{
	bool floats = json_object_get(repo_body(repo, role), "x");
	json_t *x = floats ? json_incref(json_object_get(repo_body(repo, role), "x")) : NULL;

	if (floats)
		json_object_del(repo_body(repo, role), "x");
	json_t *e = repo_envelope(repo, role);
	if (floats)
		json_object_set_new(repo_body(repo, role), "x", x);
	return e;
}

START_TEST(test_shape)
{
	const char *role = cases[_i].role[0] == '-' ? "targets" : cases[_i].role;
	static char name[64];

	repo_set_version(repo, "root", strcmp(role, "root") == 0 ? 2 : 1);
	if (cases[_i].role[0] != '-')
		bend(repo_body(repo, role), cases[_i].path, cases[_i].value);
	_cleanup_json_ json_t *e = envelope(role);
	if (cases[_i].role[0] == '-')
		bend(e, cases[_i].path, cases[_i].value);
	snprintf(name, sizeof(name), "%d.%s.json", strcmp(role, "root") == 0 ? 2 : 1, role);
	repo_put_json(repo, strcmp(role, "timestamp") == 0 ? "timestamp.json" : name, e);
	refresh();
	ck_assert_msg(last.reason == cases[_i].want, "%s %s %s: %s: %s", role, cases[_i].path,
		cases[_i].value ? cases[_i].value : "-", reason_word(last.reason), last.detail);
	if (last.reason == EF_REASON_BAD_FORMAT)
		ck_assert_uint_eq(stored_version(role), strcmp(role, "root") == 0 ? 1 : 0);
}
END_TEST

/* Strict JSON: bytes that some other parser would take for the same document. */
START_TEST(test_strict)
{
	static const char *const before[] = {"", "\xef\xbb\xbf", "", "", "", "/**/", "["};
	static const char *const after[] = {"x", "", "{}", "\0", ",", "", "]"};
	const struct repo_file *f = repo_get(repo, "1.targets.json");
	char *text = malloc(f->size + 16);
	size_t n = strlen(before[_i]), m = _i == 3 ? 1 : strlen(after[_i]);

	memcpy(text, before[_i], n);
	memcpy(text + n, f->data, f->size);
	memcpy(text + n + f->size, after[_i], m);
	repo_put(repo, "1.targets.json", text, n + f->size + m);
	free(text);
	ck_assert_reason(refresh(), BAD_FORMAT);
}
END_TEST

START_TEST(test_duplicate_member)
{
	const struct repo_file *f = repo_get(repo, "1.targets.json");
	char *text = malloc(f->size + 32);
	int n = sprintf(text, "{\"signatures\":[],%s", strchr((char *)f->data, '{') + 1);

	repo_put(repo, "1.targets.json", text, (size_t)n);
	free(text);
	ck_assert_reason(refresh(), BAD_FORMAT);
}
END_TEST

START_TEST(test_many_signatures)
{
	_cleanup_json_ json_t *e = repo_envelope(repo, "targets");
	json_t *list = json_object_get(e, "signatures");
	char id[16];

	while ((int)json_array_size(list) < 256 + _i) {
		sprintf(id, "%zu", json_array_size(list));
		json_array_append_new(list, json_pack("{s:s,s:s}", "keyid", id, "sig", "00"));
	}
	repo_put_json(repo, "1.targets.json", e);
	ck_assert_int_eq(refresh(), _i ? EF_REASON_BAD_FORMAT : EF_REASON_OK);
}
END_TEST

/* What goes into an error is printable and short, whatever the document said (S-35). */
START_TEST(test_error_text)
{
	json_object_set_new(
		repo_body(repo, "targets"), "expires", json_string("2030-01-01T00:00:00Z"));
	json_t *targets = json_object_get(repo_body(repo, "targets"), "targets");
	json_object_set_new(targets, "\x1b[2J\n\x07\xc2\x9b evil", json_integer(1));
	repo_publish(repo, "targets");
	ck_assert_reason(refresh(), BAD_FORMAT);
	for (const char *p = last.detail; *p; p++)
		ck_assert(*p >= 0x20 && *p != 0x7f);
	ck_assert_ptr_nonnull(strstr(last.detail, "evil"));
}
END_TEST

/* TAP 15, alone or beside roles: refused by name, not passed over. */
START_TEST(test_succinct_roles)
{
	json_t *d = json_pack("{s:{},s:{s:[],s:i,s:i,s:s}}", "keys", "succinct_roles", "keyids",
		"threshold", 1, "bit_length", 4, "name_prefix", "bin");

	if (_i)
		json_object_set_new(d, "roles", json_array());
	json_object_set_new(repo_body(repo, "targets"), "delegations", d);
	repo_publish(repo, "targets");
	ck_assert_reason(refresh(), BAD_FORMAT);
	ck_assert_str_eq(last.detail, "1.targets.json: succinct_roles (TAP 15) are not supported");
	ck_assert_uint_eq(stored_version("targets"), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-documents");
	TCase *t = fixture_case("documents");

	tcase_add_loop_test(t, test_shape, 0, sizeof(cases) / sizeof(cases[0]));
	tcase_add_loop_test(t, test_strict, 0, 7);
	tcase_add_test(t, test_duplicate_member);
	tcase_add_loop_test(t, test_many_signatures, 0, 2);
	tcase_add_test(t, test_error_text);
	tcase_add_loop_test(t, test_succinct_roles, 0, 2);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
