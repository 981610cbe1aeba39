/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expiration by the ordinary clock: what a client trusts expires while it stays away. It is good
 * enough to find what is newer; when there is nothing newer, it is refused. One wait for all.
 */
#include "client.h"
#include "util/time-util.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECONDS 8 /* for one download, however busy the machine */
#define VARIANTS 10

static const char *const roles[] = {"root", "timestamp", "snapshot", "targets", "role"};

static void expire(int i, const char *when)
{
	const char *role = roles[i / 2];

	repo_expire(world.repo, role, when);
	if (i < 2)
		repo_bump(world.repo, "root");
	repo_set_version(world.repo, "role", repo_version(world.repo, "role") + 1);
	publish_all();
}

START_TEST(test_expires_meanwhile)
{
	struct repo *first = world.repo, *repos[VARIANTS];
	int64_t when = 0;
	char text[21];

	for (int i = 0; i < VARIANTS; i++) {
		world.repo = repos[i] = world_repo();
		snprintf(world.metadata, sizeof(world.metadata), "%s/metadata%d", world.dir, i);
		snprintf(world.targets, sizeof(world.targets), "%s/targets%d", world.dir, i);
		ck_assert_int_eq(init(), 0);
		delegate("targets", "role", 5, "*");
		publish_target("role", "one", "content", "content");
		publish_target("role", "two", "more content", "more content");
		when = now_real_s() + SECONDS;
		expire(i, time_format_utc(when, text));
		ck_assert_int_eq(download("one"), 0);
	}
	struct timespec rest = {.tv_sec = when + 1 - now_real_s()};
	nanosleep(&rest, NULL);
	for (int i = 0; i < VARIANTS; i++) {
		bool newer = i % 2;
		world.repo = repos[i];
		snprintf(world.metadata, sizeof(world.metadata), "%s/metadata%d", world.dir, i);
		snprintf(world.targets, sizeof(world.targets), "%s/targets%d", world.dir, i);
		if (newer)
			expire(i, FAR);
		ck_assert_msg(download("two") == (newer ? 0 : 1), "%s", roles[i / 2]);
		ck_assert_int_eq(count(world.targets), newer ? 2 : 1);
		repo_free(world.repo);
	}
	world.repo = first;
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("trust/tuf-client-clock");
	TCase *t = world_case("clock");

	tcase_add_test(t, test_expires_meanwhile);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
