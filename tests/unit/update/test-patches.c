/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patches for nodes: made once for all that run the same, found again, and whatever is in their way
 * costs bytes on a wire and nothing else: the full image is sent in the same deployment, and why is
 * on record.
 */
#include "../unit.h"
#include "bundle/objects.h"
#include "util/hex.h"
#include "world.h"
#include <dirent.h>
#include <string.h>
#include <sys/stat.h>

static struct world *w;

static struct error installs(const char *version, enum deployment_state want)
{
	struct error e = {0}, why;
	uint64_t id;

	ck_assert_msg(!update_install(w->update, version, &id, &e), "%s", e.detail);
	world_run(w, 0, false);
	enum deployment_state got = world_outcome(w, &why);
	ck_assert_msg(got == want, "%s, not %s: %s", deployment_state_word(got),
		deployment_state_word(want), why.detail);
	return why;
}

static void publish(const char *version)
{
	world_publish(w, &(struct world_release){.version = version,
				 .sequence = (uint64_t)atoi(version),
				 .no_rootfs = true});
}

static void forget_counts(void)
{
	for (size_t i = 0; i < WORLD_NODES; i++)
		w->nodes[i].uploads = w->nodes[i].patches = 0;
	w->patch_jobs = 0;
}

/* Every node takes patches and runs 2.0.0, which came from here. */
static void setup(void)
{
	w = world_new();
	for (size_t i = 0; i < WORLD_NODES; i++) {
		w->nodes[i].id.patch_models = 3;
		w->nodes[i].id.patch_memory = 4096; /* the room, here */
	}
	publish("2.0.0");
	publish("3.0.0");
	world_start(w);
	installs("2.0.0", DEPLOYMENT_CONFIRMED);
	forget_counts();
}

static void teardown(void)
{
	world_free(w);
}

static void all_run(const char *version)
{
	uint8_t hash[32];

	for (size_t i = 0; i < WORLD_NODES; i++) {
		world_hash(w, version, i, hash);
		ck_assert_int_eq(memcmp(w->nodes[i].id.slots[0].hash, hash, 32), 0);
		ck_assert(w->nodes[i].id.slots[0].confirmed);
	}
}

static void sent(size_t node, unsigned patches, unsigned images)
{
	ck_assert_uint_eq(w->nodes[node].patches, patches);
	ck_assert_uint_eq(w->nodes[node].uploads, images);
}

struct looked_for {
	const char *place, *word, *detail;
	unsigned n;
};

static int look(void *ctx, const struct event *ev)
{
	struct looked_for *l = ctx;

	l->n += strcmp(ev->place, l->place) == 0 && strcmp(ev->word, l->word) == 0 &&
		strstr(ev->error.detail, l->detail) &&
		(ev->error.reason == EF_REASON_PATCH) == (strcmp(ev->word, "patch") == 0);
	return 0;
}

static unsigned events(const char *place, const char *word, const char *detail)
{
	struct looked_for l = {place, word, detail, 0};

	ck_assert_int_ge(update_history(w->update, 0, look, &l), 0);
	return l.n;
}

START_TEST(one_for_all_that_run_the_same)
{
	uint8_t image[32];

	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	all_run("3.0.0");
	for (size_t i = 0; i < WORLD_NODES; i++)
		sent(i, 1, 0);
	ck_assert_uint_eq(w->patch_jobs, 2); /* of meters, and of the sensor */
	ck_assert_uint_eq(events("meter-2", "component", "by a patch of 100 bytes for "), 1);
	ck_assert_uint_eq(events("meter-1", "patch", "is not here"), 1); /* to 2.0.0 */
	struct object o;
	world_hash(w, "3.0.0", 0, image);
	ck_assert(image_find(w->update, image, &o));
	ck_assert_uint_eq(update_node_saved(w->update, 0), o.size - WORLD_PATCH);
	ck_assert_uint_eq(w->workers, 0);
}
END_TEST

static void roll_back(void)
{
	struct error e = {0}, why;
	uint64_t id;

	ck_assert_int_eq(update_rollback(w->update, &id, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(world_outcome(w, &why), DEPLOYMENT_CONFIRMED);
	for (size_t i = 0; i < WORLD_NODES; i++)
		w->nodes[i].id.slots[1] =
			(struct node_slot){.present = false}; /* or it would go back to that */
	forget_counts();
}

static void in_each_patch(void (*what)(const char *path))
{
	char path[256], file[512];
	struct dirent *d;
	unsigned n = 0;

	snprintf(path, sizeof(path), "%s/state/objects", w->dir);
	DIR *dir = opendir(path);
	while ((d = readdir(dir)))
		if (strstr(d->d_name, ".patch")) {
			snprintf(file, sizeof(file), "%s/%s", path, d->d_name);
			what(file);
			n++;
		}
	closedir(dir);
	ck_assert_uint_gt(n, 0);
}

static void flip_a_byte(const char *path)
{
	FILE *f = fopen(path, "r+");

	ck_assert_ptr_nonnull(f);
	fseek(f, 40, SEEK_SET);
	fputc(0x55, f);
	fclose(f);
}

static void nothing(const char *path)
{
}

START_TEST(found_again_after_a_restart)
{
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	roll_back();
	world_kill(w);
	in_each_patch(_i ? flip_a_byte : nothing);
	world_start(w);
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	all_run("3.0.0");
	sent(0, 1, 0);
	ck_assert_uint_eq(w->patch_jobs, _i ? 2 : 0);
}
END_TEST

/* --- what is in the way --- */

static void takes_none(void)
{
	w->nodes[0].id.patch_models = 0;
}

static void not_wanted(void)
{
	w->config_nodes[0].no_patch = true;
}

static void no_room(void)
{
	w->nodes[0].id.patch_memory = 0;
}

static void little_room(void)
{
	w->nodes[0].id.patch_memory = WORLD_PATCH - 1;
}

static void nothing_saved(void)
{
	w->patch_size = 200;
}

static void worker_fails(void)
{
	w->patch_error = EF_REASON_TIMEOUT;
}

static void no_hash(void)
{
	memset(w->nodes[0].id.slots[0].hash, 0, 32);
}

static void another_runs(void)
{
	memset(w->nodes[0].id.slots[0].hash, 7, 32);
}

static void full_asked(void)
{
	update_transfer(w->update, TRANSFER_FULL);
}

static void on_the_node(void)
{
	w->nodes[0].bad_patches = true;
}

static void line_fails(void)
{
	w->nodes[0].line_cuts = 2;
}

static const struct hindrance {
	void (*make)(void);
	const char *detail;
	unsigned patches; /* that were tried */
} hindrances[] = {
	{takes_none, "it takes none", 0},
	{not_wanted, "Patch=no in its file", 0},
	{no_room, "no room for one beside the image", 0},
	{little_room, "room for 99 bytes of 100", 0},
	{nothing_saved, "it would save too little: 200 of ", 0},
	{worker_fails, "none was made: timeout", 0},
	{no_hash, "does not say what it runs", 0},
	{another_runs, "the image that it runs, 0707070707070707…, is not here", 0},
	{full_asked, "the full image was asked for", 0},
	{on_the_node, "another image came out", 1},
	{line_fails, "node-unreachable: cut", 0},
};
#define N_HINDRANCES ((int)(sizeof(hindrances) / sizeof(hindrances[0])))

START_TEST(the_full_image_instead)
{
	const struct hindrance *h = &hindrances[_i];

	h->make();
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	all_run("3.0.0");
	sent(0, h->patches, 1);
	ck_assert_msg(events("meter-1", "patch", h->detail) == 1, "%s", h->detail);
	ck_assert_uint_eq(events("meter-1", "component", "by a patch"), 0);
	ck_assert_uint_eq(update_node_saved(w->update, 0), 0);
	ck_assert_uint_eq(w->workers, 0);
}
END_TEST

/* Whoever says that it must be a patch is told why it is not. */
START_TEST(nothing_but_a_patch)
{
	const struct hindrance *h = &hindrances[_i];

	if (h->make == full_asked || h->make == line_fails || h->make == nothing_saved)
		return;
	h->make();
	update_transfer(w->update, TRANSFER_PATCH);
	struct error why = installs("3.0.0", DEPLOYMENT_FAILED);
	ck_assert_int_eq(why.reason, EF_REASON_PATCH);
	ck_assert_msg(strstr(why.detail, h->detail), "%s", why.detail);
	sent(0, h->patches, 0);
	ck_assert_uint_eq(events("meter-1", "patch", ""), 1); /* that of the setup */
	/* the release is as good as before */
	struct error e = {0};
	bool refused = true;
	ck_assert_int_eq(store_refused(w->update->store, w->releases[1].sha256, &refused, &why, &e),
		EF_REASON_OK);
	ck_assert(!refused);
}
END_TEST

START_TEST(a_patch_although_it_saves_little)
{
	nothing_saved();
	update_transfer(w->update, TRANSFER_PATCH);
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	sent(0, 1, 0);
	sent(1, 1, 0);
}
END_TEST

/* A shared line: the image goes once to all of them, a patch to each. */
START_TEST(a_broadcast_is_shorter)
{
	for (size_t i = 0; i < WORLD_NODES; i++) {
		w->nodes[i].id.spread = i == 4 ? 0 : 64; /* one that cannot */
		w->update->nodes[i].spread = (struct spread *)w;
	}
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(events("meter-2", "patch", "broadcast to 3 nodes at once"), 1);
	sent(0, 0, 1);
	sent(1, 1, 0);
	sent(4, 1, 0);
}
END_TEST

START_TEST(a_line_that_fails_once)
{
	w->nodes[0].line_cuts = 1;
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	sent(0, 1, 0);
}
END_TEST

/* One that is away before anything was sent has nothing against patches. */
START_TEST(away_for_a_while)
{
	struct error e = {0}, why;
	uint64_t id;

	ck_assert_int_eq(update_install(w->update, "3.0.0", &id, &e), EF_REASON_OK);
	while (w->patch_jobs == 0)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	w->nodes[0].unreachable = true;
	while (w->update->run.parts[0].attempts < 3)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	w->nodes[0].unreachable = false;
	world_run(w, 0, false);
	ck_assert_int_eq(world_outcome(w, &why), DEPLOYMENT_CONFIRMED);
	sent(0, 1, 0);
}
END_TEST

/* The same way on the same device: not by itself, but when somebody says so. */
START_TEST(failed_once_is_not_tried_again)
{
	w->nodes[0].bad_patches = true;
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	sent(0, 1, 1);
	roll_back();
	w->nodes[0].bad_patches = false;
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	sent(0, 0, 1);
	sent(2, 1, 0);
	ck_assert_uint_eq(
		events("meter-1", "patch", "from and to the same failed on it before"), 1);
	roll_back();
	w->nodes[0].id.id[3] ^= 1; /* a spare part under that name */
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	sent(0, 1, 0);
	w->nodes[0].id.id[3] ^= 1;
	roll_back();
	update_transfer(w->update, TRANSFER_PATCH);
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	sent(0, 1, 0);
}
END_TEST

/* Wherever the daemon is killed: it ends as if it had not been. */
START_TEST(killed_anywhere)
{
	if (_i % 2)
		update_transfer(w->update, TRANSFER_FULL);
	struct error e = {0}, why;
	uint64_t id;
	ck_assert_int_eq(update_install(w->update, "3.0.0", &id, &e), EF_REASON_OK);
	world_run(w, (uint64_t)_i * 3 + 1, false);
	ck_assert_int_eq(world_outcome(w, &why), DEPLOYMENT_CONFIRMED);
	all_run("3.0.0");
	for (size_t i = 0; i < WORLD_NODES; i++)
		ck_assert_uint_eq(_i % 2 ? w->nodes[i].patches : w->nodes[i].uploads, 0);
	ck_assert_uint_eq(w->workers, 0);
}
END_TEST

START_TEST(called_off_while_it_is_made)
{
	struct error e = {0}, why;
	uint64_t id;

	ck_assert_int_eq(update_install(w->update, "3.0.0", &id, &e), EF_REASON_OK);
	while (w->patch_jobs == 0)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	ck_assert_int_eq(update_cancel(w->update, &e), EF_REASON_OK);
	ck_assert_uint_eq(w->workers, 0);
	world_run(w, 0, false);
	ck_assert_int_eq(world_outcome(w, &why), DEPLOYMENT_CANCELLED);
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	sent(0, 1, 0);
}
END_TEST

/* --- room --- */

static uint64_t stored(bool patches_only)
{
	char path[256];
	uint64_t sum = 0;
	struct dirent *d;
	struct stat st;

	snprintf(path, sizeof(path), "%s/state/objects", w->dir);
	DIR *dir = opendir(path);
	while ((d = readdir(dir)))
		if (d->d_name[0] != '.' && (!patches_only || strstr(d->d_name, ".patch")) &&
			fstatat(dirfd(dir), d->d_name, &st, 0) == 0)
			sum += (uint64_t)st.st_size;
	closedir(dir);
	return sum;
}

/* No room to keep it: it is used all the same. */
START_TEST(a_full_store_keeps_none) /* I-7 */
{
	w->config.object_quota = 2 * stored(false) + WORLD_PATCH;
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	sent(0, 1, 0);
	ck_assert_uint_eq(stored(true), 0);
}
END_TEST

/* What a node runs is kept while there is room, and never in the way of a release. */
START_TEST(what_nodes_run_is_wanted) /* I-7, F-03 */
{
	struct object o;
	uint8_t hash[32];
	uint64_t size = stored(false);

	publish("4.0.0");
	publish("5.0.0");
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	installs("4.0.0", DEPLOYMENT_CONFIRMED);
	/* one still, or again, runs what nobody needs any more */
	world_hash(w, "2.0.0", 0, hash);
	memcpy(w->nodes[0].id.slots[0].hash, hash, 32);
	w->update->nodes[0].identity = w->nodes[0].id;
	w->config.object_quota = 2 * size + size / 2 + 1;
	objects_sweep(w->update);
	ck_assert(image_find(w->update, hash, &o));
	w->config.object_quota = 2 * size;
	objects_sweep(w->update);
	ck_assert(!image_find(w->update, hash, &o));
}
END_TEST

/* --- by hand --- */

/* meter-1 is back at what it ran before, whyever. */
static void falls_back(void)
{
	struct node_slot old = w->nodes[0].id.slots[1];

	w->nodes[0].id.slots[1] = (struct node_slot){.present = false};
	w->nodes[0].id.slots[0] = old;
	w->nodes[0].id.slots[0].active = w->nodes[0].id.slots[0].confirmed = true;
	forget_counts();
}

static struct error flashes(enum deployment_state want)
{
	struct error e = {0}, why;
	uint64_t id;

	ck_assert_int_eq(update_flash(w->update, &id, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(world_outcome(w, &why), want);
	return why;
}

START_TEST(flash_brings_nodes_up)
{
	ck_assert_int_eq(flashes(DEPLOYMENT_REFUSED).reason, EF_REASON_ALREADY_INSTALLED);
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	falls_back();
	flashes(DEPLOYMENT_CONFIRMED);
	all_run("3.0.0");
	sent(0, 1, 0);
	sent(2, 0, 0);
}
END_TEST

/* Whoever wants a patch and gets none has not tried the image on the node. */
START_TEST(flash_by_patch_is_no_try)
{
	installs("3.0.0", DEPLOYMENT_CONFIRMED);
	falls_back();
	w->nodes[0].id.patch_models = 0;
	update_transfer(w->update, TRANSFER_PATCH);
	for (unsigned i = 0; i < 4; i++)
		flashes(DEPLOYMENT_CONFIRMED); /* of the other nodes */
	ck_assert_uint_eq(events("meter-1", "patch", ""), 1);
	sent(0, 0, 0);
	update_transfer(w->update, TRANSFER_BEST);
	w->config.catch_up = true;
	for (unsigned i = 0; i < 4000 && w->nodes[0].uploads == 0; i++)
		ck_assert_int_ge(sd_event_run(w->event, 10000), 0);
	sent(0, 0, 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/patches");
	TCase *t = tcase_create("patches");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, one_for_all_that_run_the_same);
	tcase_add_loop_test(t, found_again_after_a_restart, 0, 2);
	tcase_add_loop_test(t, the_full_image_instead, 0, N_HINDRANCES);
	tcase_add_loop_test(t, nothing_but_a_patch, 0, N_HINDRANCES);
	tcase_add_test(t, a_patch_although_it_saves_little);
	tcase_add_test(t, a_broadcast_is_shorter);
	tcase_add_test(t, a_line_that_fails_once);
	tcase_add_test(t, away_for_a_while);
	tcase_add_test(t, failed_once_is_not_tried_again);
	tcase_add_loop_test(t, killed_anywhere, 0, 24);
	tcase_add_test(t, called_off_while_it_is_made);
	tcase_add_test(t, a_full_store_keeps_none);
	tcase_add_test(t, what_nodes_run_is_wanted);
	tcase_add_test(t, flash_brings_nodes_up);
	tcase_add_test(t, flash_by_patch_is_no_try);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
