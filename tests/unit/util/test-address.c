/* SPDX-License-Identifier: Apache-2.0 */
#include "../unit.h"
#include "util/address.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

START_TEST(addresses)
{
	static const struct {
		const char *text, *host;
		uint16_t port;
	} t[] = {
		{"192.0.2.7", "192.0.2.7", 1337},
		{"192.0.2.7:1", "192.0.2.7", 1},
		{"192.0.2.7:65535", "192.0.2.7", 65535},
		{"2001:db8::7", "2001:db8::7", 1337},
		{"[2001:db8::7]", "2001:db8::7", 1337},
		{"[2001:db8::7]:99", "2001:db8::7", 99},
		{"fe80::1%lo", "fe80::1", 1337},
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct sockaddr_storage a;
		socklen_t n = 0;
		char host[64] = "";

		ck_assert_msg(address_parse(t[i].text, 1337, &a, &n), "%s", t[i].text);
		if (a.ss_family == AF_INET) {
			struct sockaddr_in *v4 = (struct sockaddr_in *)&a;

			inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
			ck_assert_uint_eq(ntohs(v4->sin_port), t[i].port);
		} else {
			struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;

			inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof host);
			ck_assert_uint_eq(ntohs(v6->sin6_port), t[i].port);
			ck_assert_uint_eq(v6->sin6_scope_id != 0, strchr(t[i].text, '%') != NULL);
		}
		ck_assert_str_eq(host, t[i].host);
	}
}
END_TEST

/* No name is looked up, and nothing that inet_aton reads as some other number is taken. */
START_TEST(no_addresses)
{
	static const char *const t[] = {"", "localhost", "node.example:1", "192.0.2", "192.0.2.300",
		"192.0.2.7:", "192.0.2.7:0", "192.0.2.7:65536", "192.0.2.7:1x", "192.0.2.7:-1",
		"[::1", "[::1]1", "[]:1", ":1", "/dev/ttyS0", "0x7f000001", "127.1", "1"};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct sockaddr_storage a;
		socklen_t n = 77;

		ck_assert_msg(!address_parse(t[i], 1337, &a, &n), "%s", t[i]);
		ck_assert_uint_eq(n, 77);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("address");
	TCase *c = tcase_create("address");

	tcase_add_test(c, addresses);
	tcase_add_test(c, no_addresses);
	suite_add_tcase(s, c);
	return s;
}

UNIT_MAIN(suite())
