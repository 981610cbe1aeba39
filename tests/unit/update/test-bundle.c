/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bundles through the whole engine with real metadata: rotations of the root inside them (S-16),
 * every byte wrong in turn (S-05, S-07, S-09, F-07), a medium that goes away (F-05, F-17).
 */
#include "../trust/repo.h"
#include "../unit.h"
#include "bundle/objects.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "world.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct world *w;

static void setup(void)
{
	w = world_new();
	world_repo_new(w);
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

static void teardown(void)
{
	world_repo_free(w);
	world_free(w);
}

static void install_fd(int fd)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install_bundle(w->update, fd, "demo.ferry", &id, &e) == EF_REASON_OK,
		"%s", e.detail);
	world_run(w, 0, false);
}

static struct error ends(enum deployment_state state)
{
	struct error why;
	enum deployment_state got = world_outcome(w, &why);

	ck_assert_msg(got == state, "%s, not %s: %s: %s", deployment_state_word(got),
		deployment_state_word(state), reason_word(why.reason), why.detail);
	return why;
}

static void nothing_touched(void)
{
	ck_assert_uint_eq(w->worker_jobs, 0);
	ck_assert_uint_eq(w->nodes[0].uploads + w->nodes[1].uploads, 0);
	ck_assert_uint_eq(w->nodes[0].erases + w->nodes[1].erases, 0);
	ck_assert_int_eq(world_boot(w).mark[SLOT_B], SLOT_GOOD);
}

/* --- rotation, offline --- */

/* Roots 2 to 4, each with a new root key and signed by the one before and its own. */
static void rotate_three_times(void)
{
	for (int i = 0; i < 3; i++) {
		repo_keys(w->repo, "root", 1, LIST(10 + i));
		repo_signers(w->repo, "root", LIST(i ? 9 + i : 0, 10 + i));
		repo_bump(w->repo, "root");
	}
	/* and the keys that sign releases are others now */
	repo_keys(w->repo, "targets", 1, LIST(14));
	repo_signers(w->repo, "root", LIST(12));
	repo_bump(w->repo, "root");
	repo_set_version(w->repo, "targets", repo_version(w->repo, "targets") + 1);
	world_repo_sign(w);
}

START_TEST(three_rotations) /* S-16 */
{
	rotate_three_times();
	install_fd(world_bundle(w));
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(tuf_version(w->update->tuf, "root"), 5);
	/* and again after a restart, from what was stored */
	world_kill(w);
	world_start(w);
	ck_assert_uint_eq(tuf_version(w->update->tuf, "root"), 5);
	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3});
	install_fd(world_bundle(w));
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

static void put_root(unsigned at, unsigned version)
{
	char name[32], path[64];

	snprintf(name, sizeof(name), "%u.root.json", version);
	snprintf(path, sizeof(path), "metadata/%u.root.json", at);
	const struct repo_file *f = repo_get(w->repo, name);
	world_put(w, path, f->data, f->size);
}

static void bend_skipped(void)
{
	world_remove(w, "metadata/3.root.json");
}

static void bend_replayed(void)
{
	put_root(3, 2);
}

static void bend_first_again(void)
{
	put_root(2, 1);
}

/* Root 3 as it should be, signed by somebody else. */
static void bend_forged(void)
{
	const struct repo_file *f = repo_get(w->repo, "3.root.json");
	json_t *o = json_loadb((const char *)f->data, f->size, 0, NULL);
	json_t *list = json_array();

	for (int key = 20; key < 22; key++)
		json_array_append_new(
			list, key_signature(repo_key(w->repo, key), json_object_get(o, "signed")));
	json_object_set_new(o, "signatures", list);
	char *text = json_dumps(o, 0);
	world_put(w, "metadata/3.root.json", text, strlen(text));
	free(text);
	json_decref(o);
}

static void bend_junk_behind(void)
{
	world_put(w, "metadata/6.root.json", "{}", 2);
}

static void bend_gap_behind(void)
{
	put_root(7, 5);
}

START_TEST(a_broken_chain_of_roots) /* S-16, F-34 */
{
	static const struct {
		void (*bend)(void);
		enum ef_reason want;
	} cases[] = {
		{bend_skipped, EF_REASON_BAD_SIGNATURE},
		{bend_replayed, EF_REASON_BAD_SIGNATURE},
		{bend_first_again, EF_REASON_BAD_SIGNATURE},
		{bend_forged, EF_REASON_BAD_SIGNATURE},
		{bend_junk_behind, EF_REASON_BAD_FORMAT},
		{bend_gap_behind, EF_REASON_BAD_FORMAT},
	};

	rotate_three_times();
	cases[_i].bend();
	install_fd(world_bundle(w));
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, cases[_i].want);
	nothing_touched();
	/* the next good one still works */
	world_remove(w, "metadata/6.root.json");
	world_remove(w, "metadata/7.root.json");
	world_repo_sign(w);
	install_fd(world_bundle(w));
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(tuf_version(w->update->tuf, "root"), 5);
}
END_TEST

/* The keys of the releases are the same: a root that is skipped still shows. */
START_TEST(a_skipped_root_that_nothing_needs) /* S-16, S-05 */
{
	repo_bump(w->repo, "root");
	repo_bump(w->repo, "root");
	world_repo_sign(w);
	world_remove(w, "metadata/2.root.json");
	install_fd(world_bundle(w));
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_BAD_FORMAT);
	nothing_touched();
}
END_TEST

/* Made before a rotation that this gateway knows of already: nobody has its timestamp's keys. */
START_TEST(a_bundle_older_than_the_root) /* S-37 */
{
	struct error e = {0};
	uint64_t id;

	int fd = world_bundle(w);
	repo_keys(w->repo, "timestamp", 1, LIST(15));
	repo_keys(w->repo, "snapshot", 1, LIST(16));
	repo_bump(w->repo, "root");
	repo_update(w->repo);
	world_repo_copy(w);
	w->server_down = false;
	w->nodes[0].unreachable = true; /* looks, and then goes no further */
	ck_assert_int_eq(update_install(w->update, "", &id, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_FAILED).reason, EF_REASON_NODE_UNREACHABLE);
	ck_assert_uint_eq(tuf_version(w->update->tuf, "root"), 2);
	w->nodes[0].unreachable = false;
	install_fd(fd);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* --- closed world --- */

static void add_junk_metadata(void)
{
	world_put(w, "metadata/2.root.json", "{}", 2);
}

static void forge(const char *path, const char *name, int key)
{
	const struct repo_file *f = repo_get(w->repo, name);
	json_t *o = json_loadb((const char *)f->data, f->size, 0, NULL);

	json_object_set_new(o, "signatures",
		json_pack("[o]",
			key_signature(repo_key(w->repo, key), json_object_get(o, "signed"))));
	char *text = json_dumps(o, 0);
	world_put(w, path, text, strlen(text));
	free(text);
	json_decref(o);
}

static void forge_timestamp(void)
{
	forge("metadata/timestamp.json", "timestamp.json", 20);
}

static void timestamp_of_another(void)
{
	char *old = strndup((const char *)repo_get(w->repo, "timestamp.json")->data,
		repo_get(w->repo, "timestamp.json")->size);

	world_repo_sign(w);
	world_put(w, "metadata/timestamp.json", old, strlen(old));
	free(old);
}

START_TEST(what_nobody_signed_for_is_refused) /* S-05 */
{
	static const struct {
		void (*bend)(void);
		enum ef_reason want;
	} cases[] = {
		{add_junk_metadata, EF_REASON_BAD_FORMAT},
		{forge_timestamp, EF_REASON_BAD_SIGNATURE},
		{timestamp_of_another, EF_REASON_NOT_SIGNED_FOR},
	};

	cases[_i].bend();
	install_fd(world_bundle(w));
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, cases[_i].want);
	nothing_touched();
}
END_TEST

/* --- every byte --- */

static bool keep_none(void *ctx, const uint8_t sha256[32])
{
	return false;
}

static void forget_objects(void)
{
	uint64_t used;

	ck_assert_int_eq(object_trim(w->update->objects_fd, 0, keep_none, NULL, &used), 0);
}

/* Installs the bundle with one bit of a byte turned; true when that was refused. */
static bool flipped(int fd, uint64_t at, struct error *why)
{
	uint8_t byte, bent;
	char path[64];
	uint64_t id;

	ck_assert_int_eq(fd_pread_full(fd, &byte, 1, at), 0);
	bent = byte ^ (uint8_t)(1u << (at % 8));
	ck_assert_int_eq(fd_pwrite_full(fd, &bent, 1, at), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	error_clear(why);
	enum deployment_state state = DEPLOYMENT_REFUSED;
	if (update_install_bundle(
		    w->update, open(path, O_RDONLY | O_CLOEXEC), "demo.ferry", &id, why) == 0) {
		world_run(w, 0, false);
		state = world_outcome(w, why);
	}
	ck_assert_int_eq(fd_pwrite_full(fd, &byte, 1, at), 0);
	forget_objects();
	return state == DEPLOYMENT_REFUSED || state == DEPLOYMENT_FAILED;
}

START_TEST(every_byte_of_a_bundle_flipped) /* S-05, S-07, S-09, F-07 */
{
	struct bundle *b;
	struct error why = {0};
	size_t n;

	repo_bump(w->repo, "root");
	world_repo_sign(w);
	ef_close(world_bundle(w));
	char path[256];
	snprintf(path, sizeof(path), "%s/demo.ferry", w->dir);
	_cleanup_close_ int fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(bundle_open(dup(fd), "demo.ferry", &b, &why), EF_REASON_OK);
	const struct bundle_member *m = bundle_members(b, &n);
	ck_assert_str_eq(m[0].name, "metadata/1.root.json");
	/* the pack: index before it, and it is the last */
	const struct bundle_member *pack = &m[n - 1];
	uint64_t size = (uint64_t)lseek(fd, 0, SEEK_END);
	for (uint64_t at = 0; at < size; at++) {
		/* the root that is trusted already is not read: tried below */
		if (at >= m[0].offset && at < m[0].offset + m[0].size)
			continue;
		bool in_pack = at >= pack->offset && at < pack->offset + pack->size;
		ck_assert_msg(
			flipped(fd, at, &why), "byte %llu was not missed", (unsigned long long)at);
		if (in_pack)
			ck_assert_int_eq(why.reason, EF_REASON_BAD_DIGEST);
		else if (at < pack->offset)
			nothing_touched();
	}
	/* none of it was tried or started */
	ck_assert_uint_eq(w->nodes[0].resets + w->nodes[1].resets, 0);
	ck_assert_int_eq(world_boot(w).running, SLOT_A);
	ck_assert_int_eq(world_boot(w).trial, SLOT_NONE);
	/* and where nobody looks, a flip changes nothing */
	ck_assert(!flipped(fd, m[0].offset + 40, &why));
	ends(DEPLOYMENT_CONFIRMED);
	bundle_close(b);
}
END_TEST

/* --- the stick is pulled out --- */

int __real_fd_pread_full(int fd, void *buf, size_t size, uint64_t offset);
int __wrap_fd_pread_full(int fd, void *buf, size_t size, uint64_t offset);

/* What bundle-read.c reads with. */
int __wrap_fd_pread_full(int fd, void *buf, size_t size, uint64_t offset)
{
	return w && w->medium_gone ? -EIO : __real_fd_pread_full(fd, buf, size, offset);
}

static void pull_out(bool out)
{
	char path[256], away[256];

	snprintf(path, sizeof(path), "%s/demo.ferry", w->dir);
	snprintf(away, sizeof(away), "%s/away.ferry", w->dir);
	w->medium_gone = out;
	ck_assert_int_eq(out ? rename(path, away) : rename(away, path), 0);
}

/* Turns of the loop, at most so many; a reboot is let happen. */
static uint64_t turns(uint64_t max)
{
	uint64_t n = 0;

	for (; n < max && (w->update->current || w->rebooting); n++) {
		if (w->rebooting) {
			world_kill(w);
			world_reboot(w);
			world_start(w);
		}
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	}
	return n;
}

/* At whichever moment: it goes on without the stick, or ends with a reason and nothing tried; and
 * is done when the stick is back. */
START_TEST(pulled_out_in_the_middle) /* F-05, F-17 */
{
	struct error e = {0}, why;
	unsigned failed = 0, done = 0;
	uint64_t id;

	for (uint64_t at = 0;; at++) {
		int fd = world_bundle(w);
		ck_assert_int_eq(
			update_install_bundle(w->update, fd, "demo.ferry", &id, &e), EF_REASON_OK);
		bool over = turns(at) < at;
		pull_out(true);
		if (_i) { /* it was a loose contact */
			turns(3);
			pull_out(false);
		}
		turns(UINT64_MAX);
		enum deployment_state state = world_outcome(w, &why);
		if (state == DEPLOYMENT_CONFIRMED) {
			done++;
		} else {
			failed++;
			ck_assert_msg(
				why.reason == EF_REASON_IO || why.reason == EF_REASON_NOT_FOUND,
				"%s", why.detail);
			ck_assert(state == DEPLOYMENT_FAILED || state == DEPLOYMENT_REFUSED);
			ck_assert_int_eq(world_boot(w).running, SLOT_A);
			ck_assert_uint_eq(w->nodes[0].resets, 0);
			if (!_i)
				pull_out(false);
			install_fd(world_bundle(w));
			ends(DEPLOYMENT_CONFIRMED);
		}
		if (over)
			break;
		teardown();
		setup();
	}
	ck_assert_uint_gt(done, 0);
	ck_assert_uint_gt(_i ? done : failed, 10);
}
END_TEST

/* --- on a web server --- */

#define URL "https://files.example/demo.ferry"

/* The bundle under its address, and nothing else there. */
static void upload(void)
{
	uint8_t *data;
	size_t size;
	char path[256];

	ef_close(world_bundle(w));
	snprintf(path, sizeof(path), "%s/demo.ferry", w->dir);
	ck_assert_int_eq(file_read(path, 1 << 20, &data, &size), 0);
	ck_assert_int_eq(unlink(path), 0);
	while (w->n_files > 0)
		world_remove(w, w->files[0].path);
	world_put(w, URL, data, size);
	free(data);
	w->server_down = false;
}

static void install_url(void)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install(w->update, URL, &id, &e) == EF_REASON_OK, "%s", e.detail);
}

/* Where the data of the last member begins, the pack; and where that of the first ends. */
static uint64_t pack_offset(uint64_t *root_end)
{
	struct bundle *b;
	struct error e = {0};
	size_t n;
	int fd = memfd_create("bundle", MFD_CLOEXEC);

	ck_assert_int_eq(fd_write_full(fd, w->files[0].data, w->files[0].size), 0);
	ck_assert_int_eq(bundle_open(fd, "demo.ferry", &b, &e), EF_REASON_OK);
	const struct bundle_member *m = bundle_members(b, &n);
	uint64_t offset = m[n - 1].offset;
	*root_end = m[0].offset + m[0].size;
	bundle_close(b);
	return offset;
}

START_TEST(from_a_web_server)
{
	repo_bump(w->repo, "root");
	world_repo_sign(w);
	upload();
	install_url();
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_uint_eq(tuf_version(w->update->tuf, "root"), 2);
	uint64_t root_end;
	ck_assert_uint_eq(w->last_range.offset, pack_offset(&root_end));
	ck_assert_uint_eq(w->last_range.size, 1);
	/* its address is not one, or nothing is there */
	world_remove(w, URL);
	install_url();
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_NOT_FOUND);
}
END_TEST

START_TEST(from_a_web_server_killed_anywhere) /* F-01, F-25 */
{
	for (uint64_t at = 1;; at++) {
		upload();
		install_url();
		world_run(w, at, false);
		ends(DEPLOYMENT_CONFIRMED);
		ck_assert_str_eq(update_release(w->update), "2.0.0");
		if (at >= w->iterations)
			break;
		teardown();
		setup();
	}
}
END_TEST

START_TEST(from_a_web_server_that_is_away) /* F-12 */
{
	upload();
	w->server_down = true;
	install_url();
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_FAILED).reason, EF_REASON_NET_UNREACHABLE);
	nothing_touched();
	w->server_down = false;
	w->fetch_errors = 2; /* of the pack */
	install_url();
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

/* Of the pack the worker looks at every chunk; here it is the rest. */
START_TEST(from_a_web_server_that_lies) /* S-37, F-07, F-33 */
{
	struct error why;

	upload();
	uint64_t root_end, pack = pack_offset(&root_end);
	for (uint64_t at = 0; at < pack; at += 3) {
		if (at >= 512 && at < root_end)
			continue; /* the root that is trusted already */
		w->files[0].data[at] ^= (uint8_t)(1u << (at % 8));
		install_url();
		world_run(w, 0, false);
		ck_assert_msg(world_outcome(w, &why) == DEPLOYMENT_REFUSED, "byte %llu: %s",
			(unsigned long long)at, why.detail);
		nothing_touched();
		w->files[0].data[at] ^= (uint8_t)(1u << (at % 8));
		forget_objects();
	}
	size_t size = w->files[0].size;
	for (w->files[0].size = 0; w->files[0].size < pack; w->files[0].size += 256) {
		install_url();
		world_run(w, 0, false);
		ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_BAD_SIZE);
		nothing_touched();
	}
	w->files[0].size = size;
	install_url();
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/bundle");
	TCase *t = tcase_create("bundle");

	tcase_set_timeout(t, 300);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, three_rotations);
	tcase_add_loop_test(t, a_broken_chain_of_roots, 0, 6);
	tcase_add_test(t, a_skipped_root_that_nothing_needs);
	tcase_add_test(t, a_bundle_older_than_the_root);
	tcase_add_loop_test(t, what_nobody_signed_for_is_refused, 0, 3);
	tcase_add_test(t, every_byte_of_a_bundle_flipped);
	tcase_add_loop_test(t, pulled_out_in_the_middle, 0, 2);
	tcase_add_test(t, from_a_web_server);
	tcase_add_test(t, from_a_web_server_killed_anywhere);
	tcase_add_test(t, from_a_web_server_that_is_away);
	tcase_add_test(t, from_a_web_server_that_lies);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
