/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room: a full disk, no inodes, a quota that is used up are refused before a slot or a node is
 * touched (F-03); what nobody needs goes first, what is needed never (I-7).
 */
#include "../unit.h"
#include "util/hex.h"
#include "world.h"
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static struct world *w;
static uint64_t bytes_left = UINT64_MAX, inodes_left = UINT64_MAX;

int __wrap_fstatvfs64(int fd, struct statvfs *ret);

/* What space.c asks. */
int __wrap_fstatvfs64(int fd, struct statvfs *ret)
{
	*ret = (struct statvfs){.f_frsize = 1,
		.f_bavail = bytes_left > 1ULL << 40 ? 1ULL << 40 : bytes_left,
		.f_files = inodes_left == 0 ? 0 : 1000000,
		.f_favail = inodes_left};
	return 0;
}

static void setup(void)
{
	bytes_left = inodes_left = UINT64_MAX;
	w = world_new();
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

static void teardown(void)
{
	world_free(w);
}

static struct error install(enum deployment_state want)
{
	struct error e = {0}, why;
	uint64_t id;

	ck_assert_int_eq(update_install(w->update, "", &id, &e), EF_REASON_OK);
	world_run(w, 0, false);
	enum deployment_state got = world_outcome(w, &why);
	ck_assert_msg(got == want, "%s, not %s: %s", deployment_state_word(got),
		deployment_state_word(want), why.detail);
	return why;
}

static void nothing_touched(void)
{
	ck_assert_uint_eq(w->worker_jobs, 0);
	ck_assert_uint_eq(w->nodes[0].erases + w->nodes[1].erases, 0);
	ck_assert_uint_eq(w->nodes[0].uploads + w->nodes[1].uploads, 0);
	ck_assert_int_eq(world_boot(w).mark[SLOT_B], SLOT_GOOD);
}

/* Bytes in the object store, and how many objects. */
static uint64_t stored(unsigned *n)
{
	char path[256];
	uint64_t sum = 0;
	struct dirent *d;
	struct stat st;

	snprintf(path, sizeof(path), "%s/state/objects", w->dir);
	DIR *dir = opendir(path);
	*n = 0;
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.')
			continue;
		ck_assert_int_eq(fstatat(dirfd(dir), d->d_name, &st, 0), 0);
		sum += (uint64_t)st.st_size;
		++*n;
	}
	closedir(dir);
	return sum;
}

static bool is_stored(const uint8_t sha256[32])
{
	char path[256], hex[DIGEST_HEX_MAX];

	snprintf(path, sizeof(path), "%s/state/objects/%s", w->dir, digest_hex(sha256, hex));
	return access(path, F_OK) == 0;
}

START_TEST(no_room) /* F-03 */
{
	unsigned n;

	if (_i == 0)
		bytes_left = SPACE_MARGIN + 100;
	else if (_i == 1)
		inodes_left = 5;
	else
		w->config.object_quota = 100;
	ck_assert_int_eq(install(DEPLOYMENT_REFUSED).reason, EF_REASON_NO_SPACE);
	nothing_touched();
	ck_assert_uint_eq(stored(&n), 0);
	/* with room it is installed, although it was refused before */
	bytes_left = inodes_left = UINT64_MAX;
	w->config.object_quota = 64 << 20;
	install(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* A file system that does not count inodes has enough of them. */
START_TEST(no_inodes_to_count)
{
	inodes_left = 0;
	install(DEPLOYMENT_CONFIRMED);
}
END_TEST

static void release(unsigned i, uint64_t *size)
{
	char version[25];
	unsigned n;
	uint64_t before = stored(&n);

	snprintf(version, sizeof(version), "%u.0.0", i);
	world_publish(w, &(struct world_release){.version = version, .sequence = i});
	install(DEPLOYMENT_CONFIRMED);
	*size = stored(&n) - before;
}

START_TEST(within_the_quota) /* I-7 */
{
	uint64_t size, none;
	unsigned n;

	install(DEPLOYMENT_CONFIRMED);
	size = stored(&n);
	ck_assert_uint_eq(n, 3);
	/* the installed one, the one before, and one more: the oldest of the others go */
	w->config.object_quota = 3 * size;
	for (unsigned i = 3; i < 9; i++) {
		release(i, &none);
		ck_assert_uint_le(stored(&n), 3 * size);
		ck_assert_uint_eq(n, i > 3 ? 9 : 6);
	}
	/* going back needs what the one before left */
	struct error e = {0}, why;
	uint64_t id;
	w->server_down = true;
	ck_assert_int_eq(update_rollback(w->update, &id, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(world_outcome(w, &why), DEPLOYMENT_CONFIRMED);
	ck_assert_str_eq(update_release(w->update), "7.0.0");
}
END_TEST

/* Two releases fill it: a third would take what is needed away. */
START_TEST(nothing_that_is_needed_goes) /* F-03, I-7 */
{
	uint64_t size, none;
	unsigned n;

	install(DEPLOYMENT_CONFIRMED);
	size = stored(&n);
	w->config.object_quota = 2 * size + size / 2;
	release(3, &none);
	world_publish(w, &(struct world_release){.version = "4.0.0", .sequence = 4});
	unsigned jobs = w->worker_jobs, uploads = w->nodes[0].uploads;
	ck_assert_int_eq(install(DEPLOYMENT_REFUSED).reason, EF_REASON_NO_SPACE);
	ck_assert_uint_eq(w->worker_jobs, jobs);
	ck_assert_uint_eq(w->nodes[0].uploads, uploads);
	ck_assert_uint_eq(stored(&n), 2 * size);
	ck_assert_uint_eq(n, 6);
}
END_TEST

/* What a node was left with, whatever the releases of the gateway are by now. */
START_TEST(what_a_node_was_left_with) /* I-7 */
{
	struct installed i;
	struct error e = {0};
	bool found;
	uint64_t none;

	install(DEPLOYMENT_CONFIRMED);
	ck_assert_int_eq(
		store_installed(w->update->store, "meter-1", &i, &found, &e), EF_REASON_OK);
	ck_assert(found);
	struct installed old = i;
	release(3, &none);
	release(4, &none);
	release(5, &none);
	/* as if it had been away since */
	ck_assert_int_eq(store_installed_put(w->update->store, &old, &e), EF_REASON_OK);
	w->config.object_quota = 1;
	objects_sweep(w->update);
	ck_assert(is_stored(old.image));
	unsigned n;
	stored(&n);
	ck_assert_uint_eq(n, 7); /* of 4, of 5, and that one */
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/space");
	TCase *t = tcase_create("space");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, no_room, 0, 3);
	tcase_add_test(t, no_inodes_to_count);
	tcase_add_test(t, within_the_quota);
	tcase_add_test(t, nothing_that_is_needed_goes);
	tcase_add_test(t, what_a_node_was_left_with);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
