/* SPDX-License-Identifier: Apache-2.0 */
/* Time, the state folder, and trust. */
#include "doctor/doctor.h"
#include "trust/key.h"
#include "trust/time-floor.h"
#include "trust/tuf.h"
#include "util/fdio.h"
#include "util/time-util.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define ROOT_MAX (512u << 10)
#define SOON_S (30 * 86400)
#define SPACE_MIN (16u << 20) /* what the daemon keeps free, SPACE_MARGIN there */
#define INODES_MIN 64u

DEFINE_CLEANUP(struct tuf *, tuf_close)

/* --- the trust store, to read only; or in its place the root that would be taken first --- */

struct trust_place {
	struct tuf_store_dir dir;
	uint8_t *first;
	size_t size;
};

static int place_load(void *ctx, const char *name, uint8_t **ret, size_t *size)
{
	const struct trust_place *p = ctx;
	const struct tuf_store files = tuf_store_dir_ops((struct tuf_store_dir *)ctx);

	if (p->dir.dir_fd >= 0)
		return files.load(files.ctx, name, ret, size);
	if (!p->first || strcmp(name, "root.json") != 0)
		return -ENOENT;
	*ret = malloc(p->size + 1);
	if (!*ret)
		return -ENOMEM;
	memcpy(*ret, p->first, p->size);
	(*ret)[p->size] = 0;
	*size = p->size;
	return 0;
}

static int place_save(void *ctx, const char *name, const void *data, size_t size)
{
	struct trust_place *p = ctx;

	if (p->dir.dir_fd >= 0 || strcmp(name, "root.json") != 0 || p->first)
		return -EROFS;
	p->first = malloc(size);
	if (!p->first)
		return -ENOMEM;
	memcpy(p->first, data, size);
	p->size = size;
	return 0;
}

static int place_remove(void *ctx, const char *name)
{
	return -EROFS;
}

static void place_close(struct trust_place *p)
{
	ef_close(p->dir.dir_fd);
	free(p->first);
}

static struct tuf_store place_store(struct trust_place *p)
{
	return (struct tuf_store){
		.ctx = p, .load = place_load, .save = place_save, .remove = place_remove};
}

/* false: not there, or not readable (errno). */
static bool state_open(const struct doctor *d, const char *name, int *fd)
{
	char path[PATH_MAX], full[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", d->config->state_dir, name);
	*fd = open(below(d, path, full), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd >= 0;
}

static int64_t best_time(const struct doctor *d, struct error *e)
{
	_cleanup_(place_close) struct trust_place place = {.dir = {-1}};
	const struct tuf_store store = place_store(&place);
	struct time_floor floor;

	state_open(d, "trust", &place.dir.dir_fd);
	if (time_floor_open(&floor, &store, EF_BUILT, now_monotonic_us(), e))
		return 0;
	return time_floor_now(
		&floor, now_real_s(), clock_is_synchronised() > 0, now_monotonic_us());
}

void check_clock(struct doctor *d)
{
	struct error e = {0};
	char stamp[21];
	int64_t best = best_time(d, &e), clock = now_real_s();

	if (e.reason)
		say(d, LEVEL_ERROR,
			"this file is needed to know what has expired; the state folder has to "
			"come "
			"from a copy, or be emptied as a whole and the gateway provisioned anew",
			"the time that was stored cannot be read: %s", e.detail);
	else if (clock < best)
		say(d, LEVEL_WARNING,
			"set the clock (timedatectl); until it is right, time is counted from what "
			"is "
			"known, and the history shows wrong times",
			"the clock is behind %s, which is over already",
			time_format_utc(best, stamp));
	else if (*d->root)
		return;
	else if (clock_is_synchronised() <= 0)
		say(d, LEVEL_WARNING,
			"timedatectl set-ntp true, with systemd-timesyncd or chrony installed",
			"the clock is not synchronised: what has expired is judged from %s on",
			time_format_utc(best, stamp));
	else
		say(d, LEVEL_OK, "", "the clock is synchronised");
}

void check_state(struct doctor *d)
{
	char full[PATH_MAX], path[PATH_MAX];
	const char *dir = d->config->state_dir;
	struct stat st;

	if (stat(below(d, dir, full), &st) < 0) {
		say(d, errno == ENOENT ? LEVEL_WARNING : LEVEL_ERROR,
			errno == ENOENT ? "edgeferry.service makes it when it starts"
					: "run this as root",
			"%s: %s", dir, strerror(errno));
		return;
	}
	if (!S_ISDIR(st.st_mode) || (st.st_mode & 022)) {
		say(d, LEVEL_ERROR,
			"chmod 700 it: who can write there decides what this gateway trusts",
			"%s: %s", dir,
			S_ISDIR(st.st_mode) ? "others than its owner may write to it"
					    : "not a folder");
		return;
	}
	snprintf(path, sizeof(path), "%s/state.db", dir);
	bool database = there(d, path);
	snprintf(path, sizeof(path), "%s/trust/root.json", dir);
	if (!database && there(d, path))
		say(d, LEVEL_ERROR,
			"bring state.db back from a copy, or empty the folder as a whole and "
			"provision the gateway anew: floors and history are gone with it",
			"%s/state.db is gone, trust/ is not: nothing is installed", dir);
	else
		say(d, LEVEL_OK, "", "%s, mode %04o%s", dir, st.st_mode & 07777,
			database ? "" : ", not used yet");
}

void check_space(struct doctor *d)
{
	const char *dir = d->config->state_dir;
	char full[PATH_MAX];
	struct statvfs fs;

	if (statvfs(below(d, dir, full), &fs) < 0)
		return; /* check_state has said it */
	uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize, quota = d->config->object_quota;
	if (fs.f_flag & ST_RDONLY)
		say(d, LEVEL_ERROR, "look at dmesg for errors of its medium; mount it writable",
			"%s is mounted read-only: no deployment can begin", dir);
	else if (room < SPACE_MIN || (fs.f_files > 0 && fs.f_favail < INODES_MIN))
		say(d, LEVEL_ERROR, "make room on that file system",
			"%s: %" PRIu64 " bytes and %" PRIu64 " inodes free: releases are refused",
			dir, room, (uint64_t)fs.f_favail);
	else if (room < quota + SPACE_MIN)
		say(d, LEVEL_WARNING, "make room, or lower [Update] ObjectQuota=",
			"%s: %" PRIu64 " MiB free, less than ObjectQuota= (%" PRIu64
			" MiB) may take",
			dir, room >> 20, quota >> 20);
	else
		say(d, LEVEL_OK, "", "%s: %" PRIu64 " MiB free", dir, room >> 20);
}

/* --- trust --- */

static void published_keys_in(struct doctor *d, const struct tuf_store *store)
{
	_cleanup_free_ uint8_t *text = NULL;
	struct error e = {0};
	const char *id;
	json_t *key;
	size_t size;

	if (store->load(store->ctx, "root.json", &text, &size) < 0)
		return;
	_cleanup_json_ json_t *o = json_read(text, size, "root.json", &e);
	json_object_foreach (json_get_object(json_get_object(o, "signed"), "keys"), id, key) {
		struct error none = {0};
		struct tuf_key *k = tuf_key_from_json(key, &none);
		const char *whose = k ? tuf_key_published(k) : NULL;

		tuf_key_free(k);
		if (whose)
			say(d, LEVEL_ERROR,
				"the publisher makes new keys (edgeferry-repo rotate), and this "
				"gateway "
				"is provisioned with the new root",
				"the root trusts %s: its private half is published, anybody can "
				"sign "
				"for this gateway",
				whose);
	}
}

static void say_expiry(struct doctor *d, const struct tuf *t, bool stored)
{
	int64_t expires = tuf_expires(t, "root"), now = now_real_s();
	unsigned long long version = tuf_version(t, "root");
	struct error e = {0};
	int64_t best = best_time(d, &e);
	char stamp[21];

	now = best > now ? best : now;
	time_format_utc(expires, stamp);
	if (expires <= now)
		say(d, LEVEL_ERROR,
			"the publisher signs a new root (edgeferry-repo sign, publish); it is "
			"taken "
			"with the next look or bundle",
			"root %llu expired at %s", version, stamp);
	else if (expires - now < SOON_S)
		say(d, LEVEL_WARNING,
			"the publisher signs a new root before that (edgeferry-repo "
			"sign, publish)",
			"root %llu expires at %s", version, stamp);
	else
		say(d, LEVEL_OK, "", "root %llu%s, until %s", version,
			stored ? "" : ", to be taken at the first start", stamp);
}

void check_trust(struct doctor *d)
{
	_cleanup_(place_close) struct trust_place place = {.dir = {-1}};
	_cleanup_(tuf_closep) struct tuf *t = NULL;
	const struct tuf_store store = place_store(&place);
	_cleanup_free_ uint8_t *first = NULL;
	char path[PATH_MAX];
	struct error e = {0};
	size_t size;

	bool stored = state_open(d, "trust", &place.dir.dir_fd) &&
		      faccessat(place.dir.dir_fd, "root.json", F_OK, 0) == 0;
	if (!stored) {
		place.dir.dir_fd = ef_close(place.dir.dir_fd);
		snprintf(path, sizeof(path), "%s/root.json", d->config_dir);
		int r = file_read(path, ROOT_MAX, &first, &size);
		if (r < 0) {
			say(d, LEVEL_ERROR,
				"put the product's root.json there (edgeferry-repo export-root "
				"makes "
				"it), and restart edgeferry",
				"no root of trust: %s: %s", path, strerror(-r));
			return;
		}
		tuf_bootstrap(&store, first, size, &e);
	}
	if (e.reason || tuf_open(&store, &t, &e)) {
		say(d, LEVEL_ERROR,
			stored ? "trust/ has to come from a copy, or the state folder be emptied "
				 "as a "
				 "whole and the gateway provisioned anew"
			       : "take the file that edgeferry-repo export-root has made",
			"the root of trust cannot be used: %s: %s", reason_text(e.reason),
			e.detail);
		return;
	}
	say_expiry(d, t, stored);
	published_keys_in(d, &store);
}
