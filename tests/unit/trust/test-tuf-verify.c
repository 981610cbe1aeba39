/* SPDX-License-Identifier: Apache-2.0 */
/* Which signatures of an envelope count (S-01, S-02), one decision a row. */
#include "repo.h"
#include "trust/key.h"
#include "trust/tuf-verify.h"
#include "unit.h"
#include "util/json.h"
#include <string.h>

static EVP_PKEY *keys[3];
static json_t *known; /* "a", "b", "c": the keys; "b2": b once more; "odd": of no kind */

static void setup(void)
{
	known = json_pack("{s:{s:s,s:s,s:{s:s}}}", "odd", "keytype", "ed448", "scheme", "ed448",
		"keyval", "public", "00");
	for (int i = 0; i < 3; i++) {
		char id[2] = {(char)('a' + i)};
		keys[i] = key_make(i == 2 ? KEY_P256 : KEY_ED25519);
		json_object_set_new(known, id, tuf_key_to_json(keys[i]));
	}
	json_object_set(known, "b2", json_object_get(known, "b"));
}

static void teardown(void)
{
	json_decref(known);
	for (int i = 0; i < 3; i++)
		EVP_PKEY_free(keys[i]);
}

/* by: the letter of the key that signs, a second one bends the signature. */
static json_t *signature(const char *id, const char *by, const json_t *body)
{
	json_t *s = key_signature(keys[by[0] - 'a'], body);
	char text[4096];

	snprintf(text, sizeof(text), "%s", json_string_value(json_object_get(s, "sig")));
	switch (by[1]) {
	case 'e': /* empty */
		text[0] = 0;
		break;
	case 'o': /* an odd number of digits */
		text[strlen(text) - 1] = 0;
		break;
	case 'u': /* upper case */
		strcpy(text, "ABCDEF");
		break;
	case 'l': /* longer than any signature */
		memset(text, 'a', sizeof(text) - 1);
		text[sizeof(text) - 1] = 0;
		break;
	case 'x': /* as long as may be, and nobody's */
		memset(text, 'a', 2048);
		text[2048] = 0;
		break;
	case 'w': /* another one */
		text[10] = text[10] == '0' ? '1' : '0';
		break;
	default:
		break;
	}
	json_object_set_new(s, "keyid", json_string(id));
	json_object_set_new(s, "sig", json_string(text));
	return s;
}

/* signatures: "id:by" with blanks between them. Read as what comes over the network is. */
static json_t *envelope(const char *signatures)
{
	json_t *body = json_pack("{s:s}", "_type", "test"), *list = json_array();
	char copy[128], *save = NULL;

	snprintf(copy, sizeof(copy), "%s", signatures);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *by = strchr(w, ':');
		*by++ = 0;
		json_array_append_new(list, signature(w, by, body));
	}
	_cleanup_json_ json_t *all = json_pack("{s:o,s:o}", "signed", body, "signatures", list);
	_cleanup_free_ char *text = json_dumps(all, 0);
	struct error e = {0};
	json_t *v = tuf_envelope_read(text, strlen(text), "test", &e);
	ck_assert_msg(v != NULL, "%s", e.detail);
	return v;
}

static const struct {
	const char *signatures, *role;
	bool holds, claims;
} rows[] = {
	{"a:a", "{\"keyids\":[\"a\"],\"threshold\":1}", true, true},
	{"a:a b:b", "{\"keyids\":[\"a\",\"b\"],\"threshold\":2}", true, true},
	{"a:a b:b c:c", "{\"keyids\":[\"a\",\"c\"],\"threshold\":2}", true, true},
	{"a:a", "{\"keyids\":[\"a\",\"b\"],\"threshold\":2}", false, false},
	{"", "{\"keyids\":[\"a\"],\"threshold\":1}", false, false},
	/* a signature counts by the key that it says it is by */
	{"a:b", "{\"keyids\":[\"a\"],\"threshold\":1}", false, true},
	{"b:b", "{\"keyids\":[\"a\"],\"threshold\":1}", false, false},
	/* not known, or of a kind that is not: absent, and no harm to the others */
	{"z:a a:a", "{\"keyids\":[\"a\",\"z\"],\"threshold\":1}", true, true},
	{"z:a a:a", "{\"keyids\":[\"a\",\"z\"],\"threshold\":2}", false, true},
	{"odd:a a:a", "{\"keyids\":[\"a\",\"odd\"],\"threshold\":1}", true, true},
	{"odd:a a:a", "{\"keyids\":[\"a\",\"odd\"],\"threshold\":2}", false, true},
	/* one key by two ids */
	{"b:b b2:b", "{\"keyids\":[\"b\",\"b2\"],\"threshold\":2}", false, true},
	{"b:b b2:b a:a", "{\"keyids\":[\"b\",\"b2\",\"a\"],\"threshold\":2}", true, true},
	/* what is no signature */
	{"a:ae", "{\"keyids\":[\"a\"],\"threshold\":1}", false, true},
	{"a:ao", "{\"keyids\":[\"a\"],\"threshold\":1}", false, true},
	{"a:au", "{\"keyids\":[\"a\"],\"threshold\":1}", false, true},
	{"a:al", "{\"keyids\":[\"a\"],\"threshold\":1}", false, true},
	{"a:ax", "{\"keyids\":[\"a\"],\"threshold\":1}", false, true},
	{"a:aw", "{\"keyids\":[\"a\"],\"threshold\":1}", false, true},
	{"c:cw", "{\"keyids\":[\"c\"],\"threshold\":1}", false, true},
	{"a:aw b:b", "{\"keyids\":[\"a\",\"b\"],\"threshold\":1}", true, true},
	/* no threshold that means anything is none that is reached */
	{"a:a", "{\"keyids\":[\"a\"]}", false, false},
	{"a:a", "{\"keyids\":[\"a\"],\"threshold\":\"1\"}", false, false},
	{"a:a", "{\"keyids\":[\"a\"],\"threshold\":-1}", false, false},
	{"a:a", "{\"keyids\":[\"a\"],\"threshold\":0}", false, true},
	/* nor are keys that are not named by text */
	{"a:a", "{\"keyids\":[1,null,\"a\"],\"threshold\":1}", true, true},
	{"a:a", "{\"keyids\":[1],\"threshold\":1}", false, false},
	{"a:a", "{\"keyids\":\"a\",\"threshold\":1}", false, false},
	{"a:a", "{\"threshold\":1}", false, false},
};

START_TEST(who_counts) /* S-02 */
{
	_cleanup_json_ json_t *v = envelope(rows[_i].signatures);
	_cleanup_json_ json_t *role = json_loads(rows[_i].role, 0, NULL);
	struct error e = {0};

	enum ef_reason got = tuf_envelope_verify(v, known, role, "test", &e);
	ck_assert_msg(got == (rows[_i].holds ? EF_REASON_OK : EF_REASON_BAD_SIGNATURE),
		"%s by %s: %s", rows[_i].signatures, rows[_i].role, e.detail);
	ck_assert_int_eq(got, e.reason);
	ck_assert_msg(tuf_envelope_claims(v, role) == rows[_i].claims, "%s by %s",
		rows[_i].signatures, rows[_i].role);
}
END_TEST

START_TEST(as_many_as_may_be)
{
	_cleanup_json_ json_t *all = json_pack("{s:{},s:[]}", "signed", "signatures");
	_cleanup_json_ json_t *role = json_pack("{s:[],s:i}", "keyids", "threshold", 1);
	json_t *list = json_object_get(all, "signatures");
	struct error e = {0};

	for (int n = 1; n <= TUF_SIGNATURES_MAX + 1; n++) {
		char id[8];
		snprintf(id, sizeof(id), "%d", n);
		json_array_append_new(list, json_pack("{s:s,s:s}", "keyid", id, "sig", "00"));
		_cleanup_free_ char *text = json_dumps(all, 0);
		_cleanup_json_ json_t *v = tuf_envelope_read(text, strlen(text), "test", &e);
		ck_assert_int_eq(v != NULL, n <= TUF_SIGNATURES_MAX);
	}
	ck_assert_int_eq(e.reason, EF_REASON_BAD_FORMAT);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-verify");
	TCase *t = tcase_create("verify");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, who_counts, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_test(t, as_many_as_may_be);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
