/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/cleanup.h"
#include "util/token-uri.h"
#include <stdio.h>
#include <string.h>

START_TEST(good_ones)
{
	static const char *const good[] = {"pkcs11:token=gw;object=tls", "pkcs11:object=tls",
		"PKCS11:id=%01%fF;token=my%20token;type=private",
		"pkcs11:serial=0123;manufacturer=a:b[1];model=x&y;object=t",
		"pkcs11:token=gw;object=tls?pin-source=file:/etc/edgeferry/secrets/pin",
		"pkcs11:token=gw;object=tls?pin-source=credential:token-pin.1"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		ck_assert(token_uri_is(good[i]));
		ck_assert_msg(!token_uri_fault(good[i]), "%s", good[i]);
	}
}
END_TEST

START_TEST(bad_ones)
{
	static const struct {
		const char *uri, *says;
	} bad[] = {{"/etc/key", "begins with pkcs11:"}, {"pkcs11:", "token=NAME;object=NAME"},
		{"pkcs11:token=gw", "token=NAME;object=NAME"},
		{"pkcs11:object=", "token=NAME;object=NAME"},
		{"pkcs11:object=a;object=b", "token=NAME;object=NAME"},
		{"pkcs11:object=a;", "token=NAME;object=NAME"},
		{"pkcs11:object=a;;token=b", "token=NAME;object=NAME"},
		{"pkcs11:object=a%2", "token=NAME;object=NAME"},
		{"pkcs11:object=a%zz", "token=NAME;object=NAME"},
		{"pkcs11:object=a b", "token=NAME;object=NAME"},
		{"pkcs11:object=a;slot-id=1", "token=NAME;object=NAME"},
		/* a module of the configuration's choice would run in the process */
		{"pkcs11:object=a;module-path=/x.so", "token=NAME;object=NAME"},
		{"pkcs11:object=a?module-path=/x.so", "pin-source"},
		{"pkcs11:object=a?pin-source=file:/x&module-path=/x.so", "pin-source"},
		{"pkcs11:object=a?", "pin-source"},
		{"pkcs11:object=a?pin-source=file:x", "pin-source"},
		{"pkcs11:object=a?pin-source=file:/a/../b", "pin-source"},
		{"pkcs11:object=a?pin-source=|cat", "pin-source"},
		{"pkcs11:object=a?pin-source=credential:", "pin-source"},
		{"pkcs11:object=a?pin-source=credential:../x", "pin-source"},
		{"pkcs11:object=a?pin-value=1234", "everybody can read"},
		{"pkcs11:object=a;PIN-VALUE=1234", "everybody can read"}};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *fault = token_uri_fault(bad[i].uri);
		ck_assert_msg(fault && strstr(fault, bad[i].says), "%s: %s", bad[i].uri, fault);
	}
}
END_TEST

START_TEST(pins) /* S-31 */
{
	_cleanup_free_ char *secret = NULL;
	char shown[256], longer[400];

	ck_assert_ptr_null(token_uri_pin_source("pkcs11:object=a"));
	ck_assert_str_eq(token_uri_pin_source("pkcs11:object=a?pin-source=file:/x"), "/x");
	ck_assert_str_eq(
		token_uri_pin_source("pkcs11:object=a?pin-source=credential:x"), "credential:x");
	secret = token_uri_with_pin("pkcs11:object=a?pin-source=file:/x", "1&2;é ?%");
	ck_assert_str_eq(secret, "pkcs11:object=a?pin-value=1%262%3B%C3%A9%20%3F%25");
	ck_assert_str_eq(token_uri_shown(secret, shown), "pkcs11:object=a");
	ck_assert_str_eq(
		token_uri_shown("pkcs11:object=a;Pin-Value=1?x", shown), "pkcs11:object=a;");
	ck_assert_str_eq(token_uri_shown("pkcs:object=a?pin-value=1", shown), "pkcs:object=a?");
	ck_assert_str_eq(token_uri_shown("a?b", shown), "a?b");
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_uint_eq(strlen(token_uri_shown(longer, shown)), 255);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("token-uri");
	TCase *t = tcase_create("token-uri");

	tcase_add_test(t, good_ones);
	tcase_add_test(t, bad_ones);
	tcase_add_test(t, pins);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
