/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Between the store's files only: SQLite with the project's errors. */
#include "util/cleanup.h"
#include "util/reason.h"
#include <sqlite3.h>
#include <stdint.h>

struct store {
	sqlite3 *db;
	int dir_fd;
	bool in_transaction;
	bool opening;
	bool suspect; /* reading or writing failed: the connection may never do it again */
	char *dir;
};

/* Opens a suspect one anew, outside of a transaction; SQLite under an exclusive lock remembers a
 * failed call for ever. It stays suspect when that does not do. */
void store_recover(struct store *s);

static inline void sql_finalizep(sqlite3_stmt **q)
{
	sqlite3_finalize(*q);
}
#define _cleanup_stmt_ _cleanup_(sql_finalizep)

/* Sets e from the connection's last error. */
enum ef_reason sql_error(struct store *s, int rc, struct error *e);

/*
 * types, one letter an argument: i int64_t, s const char * (NULL is NULL), b const void * and
 * size_t. sql_run executes one statement that yields no rows. sql_query: NULL with e set on
 * failure.
 */
enum ef_reason sql_run(struct store *s, struct error *e, const char *sql, const char *types, ...);
sqlite3_stmt *sql_query(struct store *s, struct error *e, const char *sql, const char *types, ...);
/* True: there is a row. False: no more, or e set. */
bool sql_row(struct store *s, sqlite3_stmt *q, struct error *e);

/* Column as text; false when NULL or longer than out (which is then ""). */
bool sql_text(sqlite3_stmt *q, int column, char *out, size_t size);
/* Column as a blob of exactly size bytes. */
bool sql_blob(sqlite3_stmt *q, int column, void *out, size_t size);
/* Reason stored by its word; false when it is unknown. */
bool sql_reason(
	sqlite3_stmt *q, int column, struct error *ret); /* word here, detail in column + 1 */
