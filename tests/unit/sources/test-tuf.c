/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "sources/source.h"
#include "util/cleanup.h"
#include <errno.h>
#include <string.h>

static const struct source_identity who = {.id = "gw1", .product = "demo", .prefix = "edgeferry"};

START_TEST(test_topics)
{
	char topic[64];

	ck_assert(source_tuf.topic(&who, 0, topic, sizeof(topic)));
	ck_assert_str_eq(topic, "edgeferry/demo/offer");
	ck_assert(source_tuf.topic(&who, 1, topic, sizeof(topic)));
	ck_assert_str_eq(topic, "edgeferry/gateway/gw1/offer");
	ck_assert(!source_tuf.topic(&who, 2, topic, sizeof(topic)));
	ck_assert(!source_tuf.topic(&who, 0, topic, 10));
}
END_TEST

/* Hostile input: look or not, and a hint only when it is short and plain (S-35). */
START_TEST(test_decode)
{
	static const struct {
		const char *topic, *text;
		bool look;
		const char *version;
	} cases[] = {
		{"edgeferry/demo/offer", "", true, ""},
		{"edgeferry/demo/offer", "{}", true, ""},
		{"edgeferry/gateway/gw1/offer", "{\"version\": \"2.0.0\"}", true, "2.0.0"},
		{"edgeferry/demo/offer", "{\"version\": \"1.0.0-aaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}",
			true, ""},
		{"edgeferry/demo/offer", "{\"version\": \"\\u001b[2J\"}", true, ""},
		{"edgeferry/demo/offer", "{\"version\": 2}", true, ""},
		{"edgeferry/demo/offer", "{\"version\": \"1\", \"version\": \"2\"}", false, ""},
		{"edgeferry/demo/offer", "[]", false, ""},
		{"edgeferry/demo/offer", "2.0.0", false, ""},
		{"edgeferry/demo/offer",
			"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":"
			"{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":1}}}}}}"
			"}}}}}}}}}}}",
			false, ""},
		{"edgeferry/other/offer", "", false, ""},
		{"edgeferry/demo/offer/", "", false, ""},
		{"edgeferry/gateway/gw1/report", "", false, ""},
		{"", "", false, ""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct source_offer o;
		bool look = source_tuf.decode(
			&who, cases[i].topic, cases[i].text, strlen(cases[i].text), &o);
		ck_assert_msg(look == cases[i].look && o.look == look, "case %zu", i);
		ck_assert_str_eq(o.version, cases[i].version);
	}
}
END_TEST

START_TEST(test_decode_large)
{
	static char text[1 << 20];
	struct source_offer o;

	memset(text, ' ', sizeof(text));
	text[0] = '{';
	text[sizeof(text) - 1] = '}';
	ck_assert(!source_tuf.decode(&who, "edgeferry/demo/offer", text, sizeof(text), &o));
	text[1023] = '}';
	ck_assert(source_tuf.decode(&who, "edgeferry/demo/offer", text, 1024, &o));
}
END_TEST

START_TEST(test_encode)
{
	json_t *report = json_pack("{s:s}", "event", "confirmed");
	_cleanup_free_ char *payload = NULL;
	char topic[64];
	size_t size;

	ck_assert_int_eq(source_tuf.encode(&who, report, topic, sizeof(topic), &payload, &size), 0);
	ck_assert_str_eq(topic, "edgeferry/gateway/gw1/report");
	ck_assert_str_eq(payload, "{\"event\":\"confirmed\"}");
	ck_assert_uint_eq(size, strlen(payload));
	ck_assert_int_eq(
		source_tuf.encode(&who, report, topic, 10, &payload, &size), -ENAMETOOLONG);
	json_decref(report);
	report = json_array();
	ck_assert_int_eq(
		source_tuf.encode(&who, report, topic, sizeof(topic), &payload, &size), -EINVAL);
	json_decref(report);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("tuf");
	TCase *t = tcase_create("tuf");

	tcase_add_test(t, test_topics);
	tcase_add_test(t, test_decode);
	tcase_add_test(t, test_decode_large);
	tcase_add_test(t, test_encode);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
