/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slots with a boot partition each: kernel and root file system of one release go into the same
 * slot, or neither is ever started. The world of test-run.c, with BootA= and BootB=.
 */
#include "../unit.h"
#include "world.h"
#include <string.h>

static struct world *w;

static void setup(void)
{
	w = world_new();
	world_boot_partitions(w);
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1, .boot = true});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2, .boot = true});
	world_start(w);
}

static void teardown(void)
{
	world_free(w);
}

static struct error install(const char *version, enum deployment_state wanted)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install(w->update, version, &id, &e) == EF_REASON_OK, "%s", e.detail);
	world_run(w, 0, false);
	enum deployment_state got = world_outcome(w, &e);
	ck_assert_msg(got == wanted, "%s: %s, %s: %s", version, deployment_state_word(got),
		reason_word(e.reason), e.detail);
	return e;
}

/* What runs is a root file system and the boot partition that goes with it. */
static void runs(const char *root, const char *boot, const char *what)
{
	enum slot_id slot = world_boot(w).running;
	uint8_t image[32];

	world_rootfs(root, image);
	ck_assert_msg(
		memcmp(w->slot_image[slot], image, 32) == 0, "%s: slot %s", what, slot_word(slot));
	world_boot_image(boot, image);
	ck_assert_msg(memcmp(w->boot_image[slot], image, 32) == 0, "%s: boot partition of %s", what,
		slot_word(slot));
}

START_TEST(both_are_written)
{
	install("2.0.0", DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(w->worker_jobs, 2);
	runs("2.0.0", "2.0.0", "after");
	ck_assert_int_eq(install("2.0.0", DEPLOYMENT_REFUSED).reason, EF_REASON_ALREADY_INSTALLED);
}
END_TEST

/* A new kernel below the same root file system is something new. */
START_TEST(a_new_kernel_alone)
{
	world_publish(
		w, &(struct world_release){
			   .version = "3.0.0", .sequence = 3, .boot = true, .same_root = "2.0.0"});
	install("2.0.0", DEPLOYMENT_CONFIRMED);
	install("3.0.0", DEPLOYMENT_CONFIRMED);
	runs("2.0.0", "3.0.0", "after");
}
END_TEST

/* Before anything is fetched. */
START_TEST(one_without_the_other_is_refused)
{
	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3});
	struct error e = install("3.0.0", DEPLOYMENT_REFUSED);
	ck_assert_int_eq(e.reason, EF_REASON_REQUIREMENT);
	ck_assert_ptr_nonnull(strstr(e.detail, "no boot partition"));
	ck_assert_uint_eq(w->worker_jobs, 0);
	install("2.0.0", DEPLOYMENT_CONFIRMED);
}
END_TEST

START_TEST(a_gateway_without_refuses_it)
{
	world_free(w);
	w = world_new();
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2, .boot = true});
	world_start(w);
	struct error e = install("2.0.0", DEPLOYMENT_REFUSED);
	ck_assert_int_eq(e.reason, EF_REASON_UNKNOWN_COMPONENT);
	ck_assert_ptr_nonnull(strstr(e.detail, "BootA="));
	ck_assert_uint_eq(w->worker_jobs, 0);
}
END_TEST

/* Of either of the two. */
START_TEST(workers_that_die_and_servers_that_fail)
{
	w->worker_deaths = 3;
	w->fetch_errors = 2;
	install("2.0.0", DEPLOYMENT_CONFIRMED);
	runs("2.0.0", "2.0.0", "after");
}
END_TEST

static void kill_anywhere(bool power)
{
	uint64_t length;

	install("2.0.0", DEPLOYMENT_CONFIRMED);
	length = w->iterations;
	ck_assert_uint_gt(length, 30);
	for (uint64_t at = 1; at < length; at++) {
		struct error e = {0};
		char what[64];
		uint64_t id;

		teardown();
		setup();
		ck_assert_int_eq(update_install(w->update, "2.0.0", &id, &e), EF_REASON_OK);
		world_run(w, at, power);
		snprintf(what, sizeof(what), "%s at %llu", power ? "power cut" : "killed",
			(unsigned long long)at);
		enum deployment_state got = world_outcome(w, &e);
		if (got == DEPLOYMENT_CONFIRMED)
			runs("2.0.0", "2.0.0", what);
		else
			ck_assert_msg(power && got == DEPLOYMENT_REVERTED, "%s: %s: %s", what,
				deployment_state_word(got), e.detail);
		ck_assert_uint_eq(w->workers, 0);
	}
}

START_TEST(killed_anywhere_F25)
{
	kill_anywhere(false);
}
END_TEST

START_TEST(power_cut_anywhere_F01)
{
	kill_anywhere(true);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/boot-partition");
	TCase *t = tcase_create("both");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 100);
	tcase_add_test(t, both_are_written);
	tcase_add_test(t, a_new_kernel_alone);
	tcase_add_test(t, one_without_the_other_is_refused);
	tcase_add_test(t, a_gateway_without_refuses_it);
	tcase_add_test(t, workers_that_die_and_servers_that_fail);
	tcase_add_test(t, killed_anywhere_F25);
	tcase_add_test(t, power_cut_anywhere_F01);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
