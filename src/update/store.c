/* SPDX-License-Identifier: Apache-2.0 */
#include "update/store.h"
#include "update/sql.h"
#include "util/atomic-file.h"
#include "util/log.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define MARK "state.mark" /* says that there was a state.db */
#define RESERVE "state.reserve"
#define RESERVE_SIZE (128 * 1024)

static const char schema[] =
	"CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE deployments(id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL,"
	" origin TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL, release TEXT NOT NULL,"
	" sequence INTEGER NOT NULL, wanted TEXT NOT NULL, before TEXT NOT NULL,"
	" bundle TEXT NOT NULL, started INTEGER NOT NULL, ended INTEGER NOT NULL,"
	" server_before INTEGER NOT NULL, nodes_before TEXT NOT NULL, trials INTEGER NOT NULL,"
	" manifest_sha256 BLOB NOT NULL, manifest BLOB);"
	"CREATE TABLE parts(deployment INTEGER NOT NULL, number INTEGER NOT NULL,"
	" component TEXT NOT NULL, place TEXT NOT NULL, from_version TEXT NOT NULL,"
	" state TEXT NOT NULL, required INTEGER NOT NULL, hash BLOB NOT NULL, step INTEGER NOT "
	"NULL,"
	" reason TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY(deployment, number)) WITHOUT "
	"ROWID;"
	"CREATE TABLE events(id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL,"
	" word TEXT NOT NULL, deployment INTEGER NOT NULL, component TEXT NOT NULL,"
	" place TEXT NOT NULL, from_what TEXT NOT NULL, to_what TEXT NOT NULL,"
	" reason TEXT NOT NULL, detail TEXT NOT NULL);"
	"CREATE TABLE outbox(id INTEGER PRIMARY KEY AUTOINCREMENT, json TEXT NOT NULL);"
	"CREATE TABLE installed(place TEXT PRIMARY KEY, component TEXT NOT NULL,"
	" version TEXT NOT NULL, release TEXT NOT NULL, image BLOB NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE floors(compatible TEXT PRIMARY KEY, floor INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE refused(manifest BLOB PRIMARY KEY, reason TEXT NOT NULL, detail TEXT NOT "
	"NULL,"
	" time INTEGER NOT NULL) WITHOUT ROWID;"
	"PRAGMA user_version = 1;";

static enum ef_reason script(struct store *s, const char *sql, struct error *e)
{
	store_recover(s);
	int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);

	return rc == SQLITE_OK ? EF_REASON_OK : sql_error(s, rc, e);
}

static enum ef_reason pragma_text(
	struct store *s, const char *sql, char *ret, size_t size, struct error *e)
{
	_cleanup_stmt_ sqlite3_stmt *q = sql_query(s, e, sql, "");

	ret[0] = 0;
	if (q && sql_row(s, q, e))
		sql_text(q, 0, ret, size);
	return e->reason;
}

/* A file that SQLite cannot make sense of is unreadable whatever name it has for that. */
static enum ef_reason check(struct store *s, bool marked, struct error *e)
{
	char text[64], tables[64];

	if (pragma_text(s, "PRAGMA user_version", text, sizeof(text), e))
		return e->reason;
	long version = strtol(text, NULL, 10);
	if (version == 0 && !marked) {
		/* the very first start, or that was killed before it had stored anything */
		if (pragma_text(s, "SELECT count(*) FROM sqlite_master", tables, sizeof(tables), e))
			return e->reason;
		if (strcmp(tables, "0") != 0)
			return error_set(e, EF_REASON_STATE_UNREADABLE,
				"state.db is somebody else's database");
		if (script(s, "BEGIN IMMEDIATE;", e) == EF_REASON_OK &&
			script(s, schema, e) == EF_REASON_OK)
			script(s, "COMMIT;", e);
		return e->reason;
	}
	if (version != STORE_SCHEMA)
		return error_set(e, EF_REASON_STATE_UNREADABLE,
			"state.db has schema %ld, wanted %d", version, STORE_SCHEMA);
	if (pragma_text(s, "PRAGMA quick_check(1)", text, sizeof(text), e))
		return e->reason;
	if (strcmp(text, "ok") != 0)
		return error_set(e, EF_REASON_STATE_UNREADABLE, "state.db: %s", text);
	return EF_REASON_OK;
}

static bool have(int dir_fd, const char *name, bool with_content)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno != ENOENT;
	return !with_content || st.st_size > 0;
}

/* Blocks of a file that is given up when the file system is full, so that outcomes still fit. */
static void make_reserve(int dir_fd)
{
	_cleanup_close_ int fd =
		openat(dir_fd, RESERVE, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd >= 0 && posix_fallocate(fd, 0, RESERVE_SIZE) != 0)
		unlinkat(dir_fd, RESERVE, 0);
}

bool store_use_reserve(struct store *s)
{
	return unlinkat(s->dir_fd, RESERVE, 0) == 0;
}

void store_keep_reserve(struct store *s)
{
	make_reserve(s->dir_fd);
}

static enum ef_reason open_db_once(struct store *s, struct error *e)
{
	_cleanup_free_ char *path = NULL;

	bool marked = have(s->dir_fd, MARK, false);
	if (marked && !have(s->dir_fd, "state.db", true))
		return error_set(
			e, EF_REASON_STATE_UNREADABLE, "%s/state.db is gone or empty", s->dir);
	if (asprintf(&path, "%s/state.db", s->dir) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "state.db");
	/*
	 * Made here, because SQLite would let everybody read it (S-29). One that is there stays as
	 * it is, also on a read-only file system (F-04); what else is wrong SQLite tells.
	 */
	ef_close(openat(s->dir_fd, "state.db", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
	int rc = sqlite3_open_v2(path, &s->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOFOLLOW, NULL);
	if (rc != SQLITE_OK)
		return sql_error(s, rc, e);
	sqlite3_busy_timeout(s->db, 100);
	/* PERSIST keeps the journal's blocks; the exclusive lock keeps a second daemon out (F-21).
	 */
	script(s,
		"PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = PERSIST;"
		"PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
		"BEGIN EXCLUSIVE; COMMIT;",
		e);
	/* IO here is a hot journal or a header that cannot be read, not a medium that fails later
	 */
	if (e->reason == EF_REASON_IO)
		e->reason = EF_REASON_STATE_UNREADABLE;
	if (e->reason == EF_REASON_BUSY) {
		error_clear(e);
		return error_set(e, EF_REASON_BUSY, "another edgeferryd has %s", path);
	}
	/* SQLite is content with reading where opening for writing failed, also when that would
	 * pass */
	if (!e->reason && sqlite3_db_readonly(s->db, "main") == 1 &&
		faccessat(s->dir_fd, "state.db", W_OK, 0) == 0)
		return error_set(e, EF_REASON_IO, "%s could not be opened for writing", path);
	if (e->reason || check(s, marked, e))
		return e->reason;
	if (!marked) {
		int r = atomic_file_write_at(s->dir_fd, MARK, "1\n", 2, 0600);
		if (r < 0)
			return error_errno(e, r, "%s/" MARK, s->dir);
	}
	make_reserve(s->dir_fd);
	return EF_REASON_OK;
}

static enum ef_reason open_db(struct store *s, struct error *e)
{
	s->opening = true;
	open_db_once(s, e);
	s->opening = false;
	return e->reason;
}

/* It was opened on a read-only file system, which can be written to by now (F-04). */
static bool writable_again(const struct store *s)
{
	return s->db && sqlite3_db_readonly(s->db, "main") == 1 &&
	       faccessat(s->dir_fd, "state.db", W_OK, 0) == 0;
}

void store_recover(struct store *s)
{
	struct error e = {0};

	if (!s->opening && !s->in_transaction && writable_again(s))
		s->suspect = true;
	/* not while something is read, or in the middle of a transaction */
	if (!s->suspect || s->opening || s->in_transaction || sqlite3_close(s->db) != SQLITE_OK)
		return;
	s->db = NULL;
	s->suspect = false;
	if (open_db(s, &e)) {
		log_error("state.db: %s", e.detail);
		s->suspect = true;
	}
	if (!s->db)
		abort(); /* out of memory: the service manager starts us again */
}

enum ef_reason store_open(const char *dir, struct store **ret, struct error *e)
{
	struct store *s = calloc(1, sizeof(*s));

	if (!s)
		return error_set(e, EF_REASON_NO_MEMORY, "state.db");
	s->dir = strdup(dir);
	s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!s->dir)
		error_set(e, EF_REASON_NO_MEMORY, "state.db");
	else if (s->dir_fd < 0)
		error_errno(e, -errno, "%s", dir);
	else
		open_db(s, e);
	if (e->reason) {
		store_close(s);
		return e->reason;
	}
	*ret = s;
	return EF_REASON_OK;
}

void store_close(struct store *s)
{
	if (!s)
		return;
	sqlite3_close(s->db);
	ef_close(s->dir_fd);
	free(s->dir);
	free(s);
}

enum ef_reason store_begin(struct store *s, struct error *e)
{
	if (script(s, "BEGIN IMMEDIATE", e) == EF_REASON_OK)
		s->in_transaction = true;
	return e->reason;
}

enum ef_reason store_commit(struct store *s, struct error *e)
{
	if (script(s, "COMMIT", e) != EF_REASON_OK)
		store_abort(s);
	s->in_transaction = false;
	return e->reason;
}

void store_abort(struct store *s)
{
	if (s->in_transaction && !sqlite3_get_autocommit(s->db))
		sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
	s->in_transaction = false;
}

enum ef_reason store_get(struct store *s, const char *key, char *ret, size_t size, struct error *e)
{
	_cleanup_stmt_ sqlite3_stmt *q =
		sql_query(s, e, "SELECT value FROM meta WHERE key = ?", "s", key);

	ret[0] = 0;
	if (q && sql_row(s, q, e) && !sql_text(q, 0, ret, size))
		error_set(e, EF_REASON_STATE_UNREADABLE, "state.db: meta %s", key);
	return e->reason;
}

enum ef_reason store_set(struct store *s, const char *key, const char *value, struct error *e)
{
	return sql_run(
		s, e, "INSERT OR REPLACE INTO meta(key, value) VALUES(?, ?)", "ss", key, value);
}

enum ef_reason store_event_add(struct store *s, struct event *ev, struct error *e)
{
	sql_run(s, e,
		"INSERT INTO events(time, word, deployment, component, place, from_what, to_what,"
		" reason, detail) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?)",
		"isissssss", ev->time, ev->word, (int64_t)ev->deployment, ev->component, ev->place,
		ev->from, ev->to, reason_word(ev->error.reason), ev->error.detail);
	if (e->reason)
		return e->reason;
	ev->id = (uint64_t)sqlite3_last_insert_rowid(s->db);
	return sql_run(
		s, e, "DELETE FROM events WHERE id <= ?", "i", (int64_t)ev->id - STORE_EVENTS_MAX);
}

static bool event_read(sqlite3_stmt *q, struct event *ev)
{
	*ev = (struct event){
		.id = (uint64_t)sqlite3_column_int64(q, 0),
		.time = sqlite3_column_int64(q, 1),
		.deployment = (uint64_t)sqlite3_column_int64(q, 3),
	};
	return sql_text(q, 2, ev->word, sizeof(ev->word)) &&
	       sql_text(q, 4, ev->component, sizeof(ev->component)) &&
	       sql_text(q, 5, ev->place, sizeof(ev->place)) &&
	       sql_text(q, 6, ev->from, sizeof(ev->from)) &&
	       sql_text(q, 7, ev->to, sizeof(ev->to)) && sql_reason(q, 8, &ev->error);
}

int store_events(
	struct store *s, unsigned max, int (*cb)(void *ctx, const struct event *ev), void *ctx)
{
	struct error e = {0};
	struct event ev;
	int r = 0;

	_cleanup_stmt_ sqlite3_stmt *q = sql_query(s, &e,
		"SELECT * FROM (SELECT id, time, word, deployment, component, place, from_what, "
		"to_what,"
		" reason, detail FROM events ORDER BY id DESC LIMIT ?) ORDER BY id",
		"i", max > 0 ? (int64_t)max : (int64_t)STORE_EVENTS_MAX);
	while (r == 0 && q && sql_row(s, q, &e))
		r = event_read(q, &ev) ? cb(ctx, &ev) : -EBADMSG;
	return e.reason ? -EIO : r;
}

enum ef_reason store_report_add(
	struct store *s, char *(*make)(void *ctx, uint64_t id), void *ctx, struct error *e)
{
	if (sql_run(s, e, "INSERT INTO outbox(json) VALUES('')", ""))
		return e->reason;
	int64_t id = sqlite3_last_insert_rowid(s->db);
	_cleanup_free_ char *json = make(ctx, (uint64_t)id);
	if (!json)
		return error_set(e, EF_REASON_NO_MEMORY, "report");
	if (sql_run(s, e, "UPDATE outbox SET json = ? WHERE id = ?", "si", json, id))
		return e->reason;
	return sql_run(s, e, "DELETE FROM outbox WHERE id <= ?", "i", id - STORE_OUTBOX_MAX);
}

int store_reports(struct store *s, unsigned max,
	int (*cb)(void *ctx, uint64_t id, const char *json), void *ctx)
{
	struct error e = {0};
	int r = 0;

	_cleanup_stmt_ sqlite3_stmt *q =
		sql_query(s, &e, "SELECT id, json FROM outbox ORDER BY id LIMIT ?", "i",
			max > 0 ? (int64_t)max : (int64_t)STORE_OUTBOX_MAX);
	while (r == 0 && q && sql_row(s, q, &e)) {
		const char *json = (const char *)sqlite3_column_text(q, 1);
		r = json ? cb(ctx, (uint64_t)sqlite3_column_int64(q, 0), json) : -EBADMSG;
	}
	return e.reason ? -EIO : r;
}

enum ef_reason store_reports_done(struct store *s, uint64_t id, struct error *e)
{
	return sql_run(s, e, "DELETE FROM outbox WHERE id <= ?", "i", (int64_t)id);
}

enum ef_reason store_installed(
	struct store *s, const char *place, struct installed *ret, bool *found, struct error *e)
{
	_cleanup_stmt_ sqlite3_stmt *q = sql_query(s, e,
		"SELECT place, component, version, release, image FROM installed WHERE place = ?",
		"s", place);

	*ret = (struct installed){0};
	*found = q && sql_row(s, q, e);
	if (*found && !(sql_text(q, 0, ret->place, sizeof(ret->place)) &&
			      sql_text(q, 1, ret->component, sizeof(ret->component)) &&
			      sql_text(q, 2, ret->version, sizeof(ret->version)) &&
			      sql_text(q, 3, ret->release, sizeof(ret->release)) &&
			      sql_blob(q, 4, ret->image, sizeof(ret->image))))
		error_set(e, EF_REASON_STATE_UNREADABLE, "state.db: installed %s", place);
	return e->reason;
}

enum ef_reason store_installed_put(struct store *s, const struct installed *i, struct error *e)
{
	return sql_run(s, e,
		"INSERT OR REPLACE INTO installed(place, component, version, release, image)"
		" VALUES(?, ?, ?, ?, ?)",
		"ssssb", i->place, i->component, i->version, i->release, i->image,
		sizeof(i->image));
}

enum ef_reason store_installed_remove(struct store *s, const char *place, struct error *e)
{
	return sql_run(s, e, "DELETE FROM installed WHERE place = ?", "s", place);
}

enum ef_reason store_installed_version(
	struct store *s, const char *component, char ret[EF_VERSION_TEXT_MAX], struct error *e)
{
	_cleanup_stmt_ sqlite3_stmt *q = sql_query(
		s, e, "SELECT version FROM installed WHERE component = ?", "s", component);

	ret[0] = 0;
	if (q && sql_row(s, q, e))
		sql_text(q, 0, ret, EF_VERSION_TEXT_MAX);
	return e->reason;
}

enum ef_reason store_floor(struct store *s, const char *compatible, uint32_t *ret, struct error *e)
{
	_cleanup_stmt_ sqlite3_stmt *q =
		sql_query(s, e, "SELECT floor FROM floors WHERE compatible = ?", "s", compatible);

	*ret = 0;
	if (q && sql_row(s, q, e)) {
		int64_t v = sqlite3_column_int64(q, 0);
		if (v < 0 || v > UINT32_MAX)
			return error_set(e, EF_REASON_STATE_UNREADABLE, "state.db: floor");
		*ret = (uint32_t)v;
	}
	return e->reason;
}

enum ef_reason store_floor_raise(
	struct store *s, const char *compatible, uint32_t floor, struct error *e)
{
	return sql_run(s, e,
		"INSERT INTO floors(compatible, floor) VALUES(?1, ?2)"
		" ON CONFLICT(compatible) DO UPDATE SET floor = max(floor, ?2)",
		"si", compatible, (int64_t)floor);
}

enum ef_reason store_refused(struct store *s, const uint8_t manifest[32], bool *found,
	struct error *why, struct error *e)
{
	_cleanup_stmt_ sqlite3_stmt *q = sql_query(s, e,
		"SELECT reason, detail FROM refused WHERE manifest = ?", "b", manifest, (size_t)32);

	error_clear(why);
	*found = q && sql_row(s, q, e);
	if (*found && !sql_reason(q, 0, why))
		error_set(e, EF_REASON_STATE_UNREADABLE, "state.db: refused");
	return e->reason;
}

enum ef_reason store_refused_put(struct store *s, const uint8_t manifest[32],
	const struct error *why, int64_t now, struct error *e)
{
	return sql_run(s, e,
		"INSERT OR REPLACE INTO refused(manifest, reason, detail, time) VALUES(?, ?, ?, ?)",
		"bssi", manifest, (size_t)32, reason_word(why->reason), why->detail, now);
}

enum ef_reason store_refused_remove(struct store *s, const uint8_t manifest[32], struct error *e)
{
	return sql_run(s, e, "DELETE FROM refused WHERE manifest = ?", "b", manifest, (size_t)32);
}
