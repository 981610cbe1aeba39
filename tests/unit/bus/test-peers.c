/* SPDX-License-Identifier: Apache-2.0 */
/* S-30, F-31: what one user may cost; a clock of this test. */
#include "../unit.h"
#include "bus/peers.h"
#include <stdio.h>
#include <string.h>

#define SECOND 1000000u

START_TEST(so_many_calls_F31)
{
	struct peers p = {0};
	unsigned n = 0;

	while (n < 10 * PEERS_BURST && peers_admit(&p, 1000, 5))
		n++;
	ck_assert_uint_eq(n, PEERS_BURST);
	ck_assert(peers_admit(&p, 1001, 5)); /* another one has a measure of its own */
	for (n = 0; n < 10 * PEERS_BURST && peers_admit(&p, 1000, 5 + SECOND);)
		n++;
	ck_assert_uint_eq(n, PEERS_PER_SECOND);
	for (n = 0; n < 10 * PEERS_BURST && peers_admit(&p, 1000, 3600ull * SECOND);)
		n++;
	ck_assert_uint_eq(n, PEERS_BURST);
}
END_TEST

START_TEST(so_many_that_wait_S30)
{
	struct peers p = {0};
	char calls[PEERS_WAITING_MAX + 1], others[200];
	unsigned n = 0;

	for (unsigned i = 0; i < PEERS_WAITING_MAX; i++)
		ck_assert(peers_wait(&p, &calls[i], 1000));
	ck_assert(!peers_wait(&p, &calls[PEERS_WAITING_MAX], 1000));
	peers_answered(&p, &calls[3]);
	peers_answered(&p, &calls[3]);
	ck_assert(peers_wait(&p, &calls[PEERS_WAITING_MAX], 1000));
	while (n < sizeof(others) && peers_wait(&p, &others[n], 2000 + n))
		n++;
	ck_assert_uint_eq(n + PEERS_WAITING_MAX, 64); /* of all */
}
END_TEST

START_TEST(connections_are_remembered)
{
	struct peers p = {0};
	char name[16];
	uid_t uid;

	for (unsigned i = 1; i <= 64; i++) {
		snprintf(name, sizeof(name), ":1.%u", i);
		peers_remember(&p, name, i, i);
	}
	ck_assert(peers_uid(&p, ":1.1", 100, &uid));
	ck_assert_uint_eq(uid, 1);
	peers_remember(&p, ":1.65", 65, 101);
	ck_assert(peers_uid(&p, ":1.1", 102, &uid));
	ck_assert(!peers_uid(&p, ":1.2", 103, &uid)); /* the one not seen for longest */
	ck_assert(!peers_uid(&p, "", 104, &uid));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("bus/peers");
	TCase *t = tcase_create("peers");

	tcase_add_test(t, so_many_calls_F31);
	tcase_add_test(t, so_many_that_wait_S30);
	tcase_add_test(t, connections_are_remembered);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
