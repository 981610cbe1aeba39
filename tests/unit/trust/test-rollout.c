/* SPDX-License-Identifier: Apache-2.0 */
/* Rollout statements: and what a gateway makes of them. */
#include "trust/rollout.h"
#include "unit.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

#define NOW 1795000000
#define RELEASE(version, sequence, share, salt, halted)                           \
	"{\"version\":\"" version "\",\"sequence\":" sequence ",\"share\":" share \
	",\"salt\":\"" salt "\",\"halted\":" halted "}"
#define STATEMENT(counter, expires, releases)                                               \
	"{\"schema\":1,\"product\":\"demo\",\"counter\":" counter ",\"expires\":\"" expires \
	"\",\"releases\":[" releases "]}"
#define LATER "2030-01-01T00:00:00Z"
#define ONE RELEASE("2.0.0", "2", "250", "r42-7f3a", "false")

static struct rollout last, next;
static struct error e;

static enum ef_reason parse(const char *text, struct rollout *ret)
{
	error_clear(&e);
	return rollout_parse(text, strlen(text), "demo", ret, &e);
}

/* R-02, with the vectors that came with the rule */
START_TEST(test_bucket)
{
	static const struct {
		const char *device;
		double fraction;
	} vectors[] = {{"gw-0001", 0.450004}, {"gw-0002", 0.899318}, {"gw-0003", 0.198255}};
	uint64_t bucket;
	unsigned place;

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		ck_assert(rollout_bucket("r42-7f3a", vectors[i].device, &bucket));
		ck_assert_double_eq_tol(ldexp((double)bucket, -64), vectors[i].fraction, 5e-7);
		ck_assert(rollout_place("r42-7f3a", vectors[i].device, &place));
		ck_assert_uint_eq(place, (unsigned)(vectors[i].fraction * 1000));
	}
}
END_TEST

START_TEST(test_parse)
{
	ck_assert_int_eq(parse(STATEMENT("7", LATER, ONE), &last), EF_REASON_OK);
	ck_assert_str_eq(last.product, "demo");
	ck_assert_uint_eq(last.counter, 7);
	ck_assert_int_eq(last.expires, 1893456000);
	ck_assert_uint_eq(last.n_releases, 1);
	ck_assert_str_eq(last.releases[0].version, "2.0.0");
	ck_assert_uint_eq(last.releases[0].sequence, 2);
	ck_assert_uint_eq(last.releases[0].share, 250);
	ck_assert_str_eq(last.releases[0].salt, "r42-7f3a");
	ck_assert(!last.releases[0].halted);
	ck_assert_int_eq(parse(STATEMENT("1", LATER, ""), &last), EF_REASON_OK);
}
END_TEST

/* S-05: nothing that it may not have, nothing out of range; and what was there is untouched. */
START_TEST(test_refused)
{
	static const char *const wrong[] = {
		"",
		"[]",
		"{}",
		"{\"schema\":2,\"product\":\"demo\",\"counter\":1,\"expires\":\"" LATER
		"\",\"releases\":[]}",
		"{\"schema\":1,\"product\":\"other\",\"counter\":1,\"expires\":\"" LATER
		"\",\"releases\":[]}",
		"{\"schema\":1,\"product\":\"demo\",\"counter\":1,\"expires\":\"" LATER
		"\",\"releases\":[],\"floor\":0}",
		"{\"schema\":1,\"product\":\"demo\",\"counter\":1,\"expires\":\"" LATER
		"\",\"releases\":{}}",
		"{\"schema\":1,\"product\":\"demo\",\"counter\":1,\"expires\":\"" LATER "\"}",
		"{\"schema\":1,\"product\":\"demo\",\"expires\":\"" LATER "\",\"releases\":[]}",
		"{\"schema\":1,\"product\":\"demo\",\"counter\":1,\"releases\":[]}",
		STATEMENT("0", LATER, ""),
		STATEMENT("-1", LATER, ""),
		STATEMENT("1.5", LATER, ""),
		STATEMENT("99999999999999999999", LATER, ""),
		STATEMENT("1", "tomorrow", ""),
		STATEMENT("1", "2030-01-01", ""),
		STATEMENT("1", LATER, "1"),
		STATEMENT("1", LATER, RELEASE("", "2", "250", "r42-7f3a", "false")),
		STATEMENT("1", LATER, RELEASE("2.0.0 ", "2", "250", "r42-7f3a", "false")),
		STATEMENT("1", LATER,
			RELEASE("2.0.000000000000000000000", "2", "250", "r42-7f3a", "false")),
		STATEMENT("1", LATER, RELEASE("2.0.0", "0", "250", "r42-7f3a", "false")),
		STATEMENT("1", LATER, RELEASE("2.0.0", "2", "1001", "r42-7f3a", "false")),
		STATEMENT("1", LATER, RELEASE("2.0.0", "2", "-1", "r42-7f3a", "false")),
		STATEMENT("1", LATER, RELEASE("2.0.0", "2", "25.5", "r42-7f3a", "false")),
		STATEMENT("1", LATER, RELEASE("2.0.0", "2", "\"250\"", "r42-7f3a", "false")),
		STATEMENT("1", LATER, RELEASE("2.0.0", "2", "250", "", "false")),
		STATEMENT("1", LATER, RELEASE("2.0.0", "2", "250", "r42 7f3a", "false")),
		STATEMENT("1", LATER, RELEASE("2.0.0", "2", "250", "r42-7f3", "false")),
		STATEMENT("1", LATER, RELEASE("2.0.0", "2", "250", "r42-7f3a", "0")),
		STATEMENT("1", LATER,
			"{\"version\":\"2.0.0\",\"sequence\":2,\"share\":1,"
			"\"salt\":\"r42-7f3a\"}"),
		STATEMENT("1", LATER,
			"{\"version\":\"2.0.0\",\"sequence\":2,\"share\":1,\"x\":0,"
			"\"salt\":\"r42-7f3a\",\"halted\":false}"),
		STATEMENT("1", LATER, ONE "," ONE),
		STATEMENT("1", LATER, ONE "," RELEASE("2.0.0", "3", "1", "other-salt", "false")),
		STATEMENT("1", LATER, ONE "," RELEASE("3.0.0", "2", "1", "other-salt", "false")),
		/* a new salt per release */
		STATEMENT("1", LATER, ONE "," RELEASE("3.0.0", "3", "1", "r42-7f3a", "false")),
		STATEMENT("1", LATER, ONE) " x",
	};

	memset(&last, 0x5a, sizeof(last));
	next = last;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ck_assert_msg(parse(wrong[i], &last) == EF_REASON_BAD_FORMAT, "%s", wrong[i]);
		ck_assert_mem_eq(&last, &next, sizeof(last));
	}
}
END_TEST

START_TEST(test_bounds)
{
	static char text[ROLLOUT_SIZE_MAX + 2];
	size_t n = (size_t)snprintf(text, sizeof(text), "%s",
		"{\"schema\":1,\"product\":\"demo\","
		"\"counter\":1,\"expires\":\"" LATER "\",\"releases\":[");

	for (unsigned i = 0; i <= ROLLOUT_RELEASES_MAX; i++) {
		size_t end = n + (size_t)sprintf(text + n, "]}");
		ck_assert_int_eq(rollout_parse(text, end, "demo", &last, &e), EF_REASON_OK);
		ck_assert_uint_eq(last.n_releases, i);
		n += (size_t)sprintf(text + n,
			"%s{\"version\":\"2.0.%u\",\"sequence\":%u,\"share\":1,\"salt\":\"salt%"
			"04u\","
			"\"halted\":false}",
			i ? "," : "", i, i + 1, i);
	}
	n += (size_t)sprintf(text + n, "]}");
	ck_assert_int_eq(rollout_parse(text, n, "demo", &last, &e), EF_REASON_BAD_FORMAT);
	memset(text + n, ' ', sizeof(text) - n);
	error_clear(&e);
	ck_assert_int_eq(
		rollout_parse(text, ROLLOUT_SIZE_MAX + 1, "demo", &last, &e), EF_REASON_BAD_SIZE);
}
END_TEST

static enum rollout_answer decide(const char *statement, const char *device, int64_t now)
{
	ck_assert_int_eq(parse(statement, &last), EF_REASON_OK);
	return rollout_decide(&last, "2.0.0", 2, device, now);
}

#define SHARE(share) STATEMENT("1", LATER, RELEASE("2.0.0", "2", share, "r42-7f3a", "false"))

/* below the percentage, not at it */
START_TEST(test_share)
{
	ck_assert_int_eq(decide(SHARE("250"), "gw-0003", NOW), ROLLOUT_GO);
	ck_assert_int_eq(decide(SHARE("250"), "gw-0001", NOW), ROLLOUT_LATER);
	ck_assert_int_eq(decide(SHARE("198"), "gw-0003", NOW), ROLLOUT_LATER);
	ck_assert_int_eq(decide(SHARE("199"), "gw-0003", NOW), ROLLOUT_GO);
	ck_assert_int_eq(decide(SHARE("450"), "gw-0001", NOW), ROLLOUT_LATER);
	ck_assert_int_eq(decide(SHARE("451"), "gw-0001", NOW), ROLLOUT_GO);
	ck_assert_int_eq(decide(SHARE("0"), "gw-0003", NOW), ROLLOUT_LATER);
	for (int i = 0; i < 1000; i++) {
		char device[16];
		snprintf(device, sizeof(device), "gw-%04d", i);
		ck_assert_int_eq(decide(SHARE("1000"), device, NOW), ROLLOUT_GO);
		ck_assert_int_eq(decide(SHARE("0"), device, NOW), ROLLOUT_LATER);
	}
}
END_TEST

/* The share is one of the fleet: as many as it says, near enough. */
START_TEST(test_spread)
{
	int go = 0;

	ck_assert_int_eq(parse(SHARE("100"), &last), EF_REASON_OK);
	for (int i = 0; i < 10000; i++) {
		char device[16];
		snprintf(device, sizeof(device), "gw-%05d", i);
		go += rollout_decide(&last, "2.0.0", 2, device, NOW) == ROLLOUT_GO;
	}
	ck_assert_int_gt(go, 880); /* four standard deviations */
	ck_assert_int_lt(go, 1120);
}
END_TEST

/* expired means hold, whatever else it says */
START_TEST(test_expired)
{
	const char *text = STATEMENT(
		"1", "2026-11-21T08:00:00Z", RELEASE("2.0.0", "2", "1000", "r42-7f3a", "false"));

	ck_assert_int_eq(decide(text, "gw-0001", 1795247999), ROLLOUT_GO);
	ck_assert_int_eq(decide(text, "gw-0001", 1795248000), ROLLOUT_EXPIRED);
	ck_assert_int_eq(decide(text, "gw-0001", INT64_MAX), ROLLOUT_EXPIRED);
}
END_TEST

START_TEST(test_halted_and_unlisted)
{
	const char *halted =
		STATEMENT("1", LATER, RELEASE("2.0.0", "2", "1000", "r42-7f3a", "true"));

	ck_assert_int_eq(decide(halted, "gw-0003", NOW), ROLLOUT_HALTED);
	ck_assert_int_eq(decide(STATEMENT("1", LATER, ""), "gw-0003", NOW), ROLLOUT_UNLISTED);
	ck_assert_int_eq(parse(SHARE("1000"), &last), EF_REASON_OK);
	ck_assert_int_eq(rollout_decide(&last, "2.0.1", 2, "gw-0003", NOW), ROLLOUT_UNLISTED);
	/* the same version made again is another release */
	ck_assert_int_eq(rollout_decide(&last, "2.0.0", 3, "gw-0003", NOW), ROLLOUT_UNLISTED);
	/* an answer that was never given */
	ck_assert_int_ne((enum rollout_answer)0, ROLLOUT_GO);
}
END_TEST

static enum ef_reason follows(const char *from, const char *to)
{
	ck_assert_int_eq(parse(from, &last), EF_REASON_OK);
	ck_assert_int_eq(parse(to, &next), EF_REASON_OK);
	error_clear(&e);
	return rollout_follows(&last, &next, &e);
}

#define AT(counter, release) STATEMENT(counter, LATER, release)

/* The counter never falls; R-03: salt and share of a release */
START_TEST(test_follows)
{
	static const struct {
		const char *from, *to;
		enum ef_reason reason;
	} lines[] = {
		{AT("3", ONE), AT("3", ONE), EF_REASON_OK},
		{AT("3", ONE), AT("4", ONE), EF_REASON_OK},
		{AT("3", ONE), AT("900", ONE), EF_REASON_OK},
		{AT("3", ONE), AT("2", ONE), EF_REASON_METADATA_ROLLBACK},
		{AT("3", ONE), AT("3", ""), EF_REASON_BAD_FORMAT},
		{AT("3", ONE), STATEMENT("3", "2031-01-01T00:00:00Z", ONE), EF_REASON_BAD_FORMAT},
		{AT("3", ONE), STATEMENT("4", "2029-01-01T00:00:00Z", ONE), EF_REASON_OK},
		{AT("3", ONE), AT("4", RELEASE("2.0.0", "2", "251", "r42-7f3a", "false")),
			EF_REASON_OK},
		{AT("3", ONE), AT("4", RELEASE("2.0.0", "2", "249", "r42-7f3a", "false")),
			EF_REASON_BAD_FORMAT},
		{AT("3", ONE), AT("4", RELEASE("2.0.0", "2", "250", "other-salt", "false")),
			EF_REASON_BAD_FORMAT},
		{AT("3", ONE), AT("4", RELEASE("2.0.0", "3", "250", "r42-7f3a", "false")),
			EF_REASON_BAD_FORMAT},
		/* halted and going on again are both a publisher's right */
		{AT("3", ONE), AT("4", RELEASE("2.0.0", "2", "250", "r42-7f3a", "true")),
			EF_REASON_OK},
		{AT("3", RELEASE("2.0.0", "2", "250", "r42-7f3a", "true")), AT("4", ONE),
			EF_REASON_OK},
		{AT("3", ONE), AT("4", RELEASE("2.0.0", "2", "250", "r42-7f3a", "true")),
			EF_REASON_OK},
		/* another release starts anew */
		{AT("3", ONE), AT("4", RELEASE("3.0.0", "3", "1", "other-salt", "false")),
			EF_REASON_OK},
		{AT("3", ONE), AT("4", ONE "," RELEASE("3.0.0", "3", "1", "other-salt", "false")),
			EF_REASON_OK},
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		ck_assert_msg(follows(lines[i].from, lines[i].to) == lines[i].reason,
			"line %zu: %s", i, e.detail);
	strcpy(next.product, "other");
	error_clear(&e);
	ck_assert_int_eq(rollout_follows(&last, &next, &e), EF_REASON_BAD_FORMAT);
}
END_TEST

/* who was in stays in while the share grows */
START_TEST(test_share_only_adds)
{
	ck_assert_int_eq(parse(SHARE("0"), &last), EF_REASON_OK);
	for (int i = 0; i < 300; i++) {
		char device[16];
		bool in = false;
		snprintf(device, sizeof(device), "gw-%04d", i);
		for (unsigned share = 0; share <= ROLLOUT_WHOLE; share++) {
			last.releases[0].share = share;
			bool now = rollout_decide(&last, "2.0.0", 2, device, NOW) == ROLLOUT_GO;
			ck_assert(now || !in);
			in = now;
		}
		ck_assert(in);
	}
}
END_TEST

START_TEST(test_words)
{
	char target[ROLLOUT_TARGET_MAX];

	rollout_target("demo", target);
	ck_assert_str_eq(target, "rollouts/demo.json");
	ck_assert_str_eq(rollout_answer_word(ROLLOUT_GO), "go");
	ck_assert_str_eq(rollout_answer_word(ROLLOUT_EXPIRED), "expired");
	ck_assert(rollout_salt_valid("r42-7f3a") && !rollout_salt_valid("r42-7f3"));
	ck_assert(!rollout_salt_valid("r42-7f3a\n") && !rollout_salt_valid(""));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rollout");
	TCase *t = tcase_create("rollout");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, test_bucket);
	tcase_add_test(t, test_parse);
	tcase_add_test(t, test_refused);
	tcase_add_test(t, test_bounds);
	tcase_add_test(t, test_share);
	tcase_add_test(t, test_spread);
	tcase_add_test(t, test_expired);
	tcase_add_test(t, test_halted_and_unlisted);
	tcase_add_test(t, test_follows);
	tcase_add_test(t, test_share_only_adds);
	tcase_add_test(t, test_words);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
