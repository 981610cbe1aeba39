/* SPDX-License-Identifier: Apache-2.0 */
#include "update/sql.h"
#include <stdarg.h>
#include <string.h>

enum ef_reason sql_error(struct store *s, int rc, struct error *e)
{
	static const struct {
		int code;
		enum ef_reason reason;
	} map[] = {
		{SQLITE_FULL, EF_REASON_NO_SPACE}, {SQLITE_NOMEM, EF_REASON_NO_MEMORY},
		{SQLITE_BUSY, EF_REASON_BUSY}, {SQLITE_LOCKED, EF_REASON_BUSY},
		{SQLITE_CORRUPT, EF_REASON_STATE_UNREADABLE},
		{SQLITE_NOTADB, EF_REASON_STATE_UNREADABLE},
		{SQLITE_SCHEMA, EF_REASON_STATE_UNREADABLE},
		{SQLITE_ERROR, EF_REASON_STATE_UNREADABLE}, /* a table or column is missing */
	};
	enum ef_reason reason = EF_REASON_IO;

	for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (map[i].code == (rc & 0xff))
			reason = map[i].reason;
	s->suspect |= reason == EF_REASON_IO;
	return error_set(
		e, reason, "state.db: %s", s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc));
}

static int bind(sqlite3_stmt *q, const char *types, va_list ap)
{
	int rc = SQLITE_OK, n = 0;

	for (; *types && rc == SQLITE_OK; types++) {
		n++;
		if (*types == 'i') {
			rc = sqlite3_bind_int64(q, n, va_arg(ap, int64_t));
		} else if (*types == 's') {
			rc = sqlite3_bind_text(
				q, n, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
		} else {
			const void *data = va_arg(ap, const void *);
			size_t size = va_arg(ap, size_t);
			rc = sqlite3_bind_blob64(q, n, data, size, SQLITE_TRANSIENT);
		}
	}
	return rc;
}

static sqlite3_stmt *query_v(
	struct store *s, struct error *e, const char *sql, const char *types, va_list ap)
{
	_cleanup_stmt_ sqlite3_stmt *q = NULL;

	store_recover(s);
	int rc = sqlite3_prepare_v2(s->db, sql, -1, &q, NULL);
	if (rc == SQLITE_OK)
		rc = bind(q, types, ap);
	if (rc != SQLITE_OK) {
		sql_error(s, rc, e);
		return NULL;
	}
	return TAKE_PTR(q);
}

sqlite3_stmt *sql_query(struct store *s, struct error *e, const char *sql, const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	sqlite3_stmt *q = query_v(s, e, sql, types, ap);
	va_end(ap);
	return q;
}

enum ef_reason sql_run(struct store *s, struct error *e, const char *sql, const char *types, ...)
{
	va_list ap;

	va_start(ap, types);
	_cleanup_stmt_ sqlite3_stmt *q = query_v(s, e, sql, types, ap);
	va_end(ap);
	if (!q)
		return e->reason;
	int rc = sqlite3_step(q);
	if (rc != SQLITE_DONE && rc != SQLITE_ROW)
		return sql_error(s, rc, e);
	return EF_REASON_OK;
}

bool sql_row(struct store *s, sqlite3_stmt *q, struct error *e)
{
	int rc = sqlite3_step(q);

	if (rc == SQLITE_ROW)
		return true;
	if (rc != SQLITE_DONE)
		sql_error(s, rc, e);
	return false;
}

bool sql_text(sqlite3_stmt *q, int column, char *out, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(q, column);

	out[0] = 0;
	if (!text || strlen(text) >= size)
		return false;
	strcpy(out, text);
	return true;
}

bool sql_blob(sqlite3_stmt *q, int column, void *out, size_t size)
{
	const void *data = sqlite3_column_blob(q, column);

	if (!data || (size_t)sqlite3_column_bytes(q, column) != size)
		return false;
	memcpy(out, data, size);
	return true;
}

bool sql_reason(sqlite3_stmt *q, int column, struct error *ret)
{
	const char *word = (const char *)sqlite3_column_text(q, column);

	error_clear(ret);
	if (!reason_from_word(word, &ret->reason))
		return false;
	return sql_text(q, column + 1, ret->detail, sizeof(ret->detail));
}
