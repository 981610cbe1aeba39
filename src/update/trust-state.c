/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What guards the trust store and the clock between two runs: a file that was trusted before and is
 * gone stops updating (S-14), and time never moves back behind what was known (S-19).
 */
#include "update/internal.h"
#include "util/fdio.h"
#include "util/log.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define ROOT_MAX (512u << 10)
#define NAMES_MAX TRUST_NAMES_MAX

/* --- time --- */

int64_t update_now(const struct update *u)
{
	return time_floor_now(&u->time_floor, u->env.now(),
		u->env.synchronised(u->env.synchronised_ctx), now_monotonic_us());
}

int64_t update_stamp(const struct update *u)
{
	int64_t clock = u->env.now(), best = update_now(u);

	return clock > best ? clock : best;
}

void trust_note(struct update *u, int64_t now)
{
	struct error e = {0};

	if (time_floor_raise(&u->time_floor, &u->trust_store, now, now_monotonic_us(), &e))
		log_warning("time: %s", e.detail);
}

bool update_stale(const struct update *u)
{
	int64_t expires = u->tuf ? tuf_expires(u->tuf, "timestamp") : 0;
	struct error why = {0};

	return u->check_error.reason == EF_REASON_EXPIRED ||
	       statement_in_force(u, &why) == EF_REASON_EXPIRED ||
	       (expires != 0 && expires <= update_now(u));
}

/* --- the trust store --- */

/* Names of what is stored, one a line. */
static bool names(int dir_fd, char *out, size_t size)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *d;
	size_t n = 0;

	out[0] = 0;
	if (!dir) {
		ef_close(fd);
		return false;
	}
	while ((d = readdir(dir))) {
		if (d->d_name[0] == '.' || n + strlen(d->d_name) + 2 > size)
			continue;
		n += (size_t)snprintf(out + n, size - n, "%s\n", d->d_name);
	}
	closedir(dir);
	return true;
}

/* state.db is made before anything is trusted: trust without it is what a loss has left, and with
 * it sequence and floors are gone. */
enum ef_reason state_lost(struct update *u, struct error *e)
{
	char present[NAMES_MAX];

	if (!names(u->trust_dir.dir_fd, present, sizeof(present)))
		return error_errno(e, -errno, "trust");
	if (present[0] == 0 || faccessat(u->trust_dir.dir_fd, "../state.db", F_OK, 0) == 0)
		return EF_REASON_OK;
	return error_set(e, EF_REASON_STATE_UNREADABLE, "%s/state.db is gone, trust/ is not",
		u->env.config->state_dir);
}

/* A root of trust is taken from outside once: never again beside what was trusted before. */
static enum ef_reason bootstrap(struct update *u, const char *present, struct error *e)
{
	_cleanup_free_ uint8_t *root = NULL;
	size_t size;

	if (!u->env.root_file)
		return EF_REASON_OK;
	if (present[0] != 0)
		return error_set(e, EF_REASON_STATE_UNREADABLE, "trust/root.json is gone");
	int r = file_read(u->env.root_file, ROOT_MAX, &root, &size);
	if (r == -ENOENT)
		return EF_REASON_OK;
	if (r < 0)
		return error_errno(e, r, "%s", u->env.root_file);
	return tuf_bootstrap(&u->trust_store, root, size, e);
}

static enum ef_reason all_there(struct update *u, const char *noted, struct error *e)
{
	for (const char *at = noted; *at;) {
		char name[256];
		size_t n = strcspn(at, "\n");

		snprintf(name, sizeof(name), "%.*s", (int)n, at);
		at += n + (at[n] == '\n');
		if (faccessat(u->trust_dir.dir_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
			return error_set(e, EF_REASON_STATE_UNREADABLE, "trust/%s is gone", name);
	}
	return EF_REASON_OK;
}

static enum ef_reason trust_check(struct update *u, struct error *e)
{
	char present[NAMES_MAX], *noted = u->trust_noted;

	if (!names(u->trust_dir.dir_fd, present, sizeof(present)))
		return error_errno(e, -errno, "trust");
	if (store_get(u->store, "trust", noted, sizeof(u->trust_noted), e))
		return e->reason;
	if (faccessat(u->trust_dir.dir_fd, "root.json", F_OK, 0) < 0) {
		if (noted[0] != 0)
			return error_set(e, EF_REASON_STATE_UNREADABLE, "trust/root.json is gone");
		bootstrap(u, present, e);
	} else {
		all_there(u, noted, e);
	}
	if (e->reason)
		return e->reason;
	return time_floor_open(&u->time_floor, &u->trust_store, EF_BUILT, now_monotonic_us(), e);
}

enum ef_reason trust_open(struct update *u, struct error *e)
{
	if (u->tuf || trust_check(u, e))
		return e->reason;
	return tuf_open(&u->trust_store, &u->tuf, e);
}

/* --- the store that the TUF client is handed --- */

static bool is_noted(const char *noted, const char *name, const char **at)
{
	size_t n = strlen(name);

	for (*at = noted; **at; *at += strcspn(*at, "\n") + 1)
		if (strncmp(*at, name, n) == 0 && (*at)[n] == '\n')
			return true;
	return false;
}

static int note(struct update *u, const char *text)
{
	struct error e = {0};

	if (store_set(u->store, "trust", text, &e)) {
		log_error("trust: %s", e.detail);
		return -EIO;
	}
	strcpy(u->trust_noted, text);
	return 0;
}

static int keep_load(void *ctx, const char *name, uint8_t **ret, size_t *size)
{
	struct update *u = ctx;

	return u->trust_files.load(u->trust_files.ctx, name, ret, size);
}

/* There first, then expected to be there. */
static int keep_save(void *ctx, const char *name, const void *data, size_t size)
{
	struct update *u = ctx;
	char text[NAMES_MAX];
	const char *at;

	int r = u->trust_files.save(u->trust_files.ctx, name, data, size);
	if (r < 0 || is_noted(u->trust_noted, name, &at))
		return r;
	if (snprintf(text, sizeof(text), "%s%s\n", u->trust_noted, name) >= (int)sizeof(text))
		return -ENAMETOOLONG;
	return note(u, text);
}

/* Whoever holds an online key can bring up new roles for ever: they take no room here. */
static int keep_no_copy(void *ctx, const char *name, const void *data, size_t size)
{
	return 0;
}

/* No longer expected, then gone. */
static int keep_remove(void *ctx, const char *name)
{
	struct update *u = ctx;
	char text[NAMES_MAX];
	const char *at;

	if (is_noted(u->trust_noted, name, &at)) {
		int before = (int)(at - u->trust_noted);
		snprintf(text, sizeof(text), "%.*s%s", before, u->trust_noted,
			at + strlen(name) + 1);
		int r = note(u, text);
		if (r < 0)
			return r;
	}
	return u->trust_files.remove(u->trust_files.ctx, name);
}

struct tuf_store trust_store_of(struct update *u)
{
	u->trust_files = tuf_store_dir_ops(&u->trust_dir);
	return (struct tuf_store){.ctx = u,
		.load = keep_load,
		.save = keep_save,
		.remove = keep_remove,
		.save_copy = keep_no_copy};
}
