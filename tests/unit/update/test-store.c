/* SPDX-License-Identifier: Apache-2.0 */
/* S-14, I-4, I-8, I-9, F-03, F-21, F-25: state.db keeps what it said it kept, and stops when it
 * cannot. */
#include "../unit.h"
#include "update/machine.h"
#include "update/store.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char dir[64];

static const char manifest_text[] =
	"{\"schema\": 1, \"product\": \"demo\", \"version\": \"2.0.0\", \"sequence\": 2,"
	" \"kind\": \"feature\", \"notes\": \"\", \"components\": [{\"name\": \"meter\", \"type\": "
	"\"mcu\","
	" \"compatible\": \"edgeferry.github.io,mps2-an385\", \"hardware\": {\"min\": 1, \"max\": "
	"3},"
	" \"version\": \"2.0.0\", \"security\": 1, \"policy\": \"required\", \"image\": "
	"{\"sha256\":"
	" \"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\", \"size\": 21143},"
	" \"requires\": [], \"self_test\": 20, \"confirm\": 120}], \"order\": [\"meter\"]}";

static void setup(void)
{
	strcpy(dir, "/tmp/ef-store-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
	static const char *const names[] = {
		"state.db", "state.db-journal", "state.mark", "state.reserve"};
	char path[128];

	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	ck_assert_int_eq(rmdir(dir), 0); /* I-6: nothing else is left */
}

static struct store *opened(void)
{
	struct store *s = NULL;
	struct error e = {0};

	enum ef_reason r = store_open(dir, &s, &e);
	ck_assert_msg(r == EF_REASON_OK, "%s: %s", reason_word(r), e.detail);
	return s;
}

static enum ef_reason refused_open(void)
{
	struct store *s = NULL;
	struct error e = {0};

	enum ef_reason r = store_open(dir, &s, &e);
	ck_assert_ptr_null(s);
	ck_assert_str_ne(e.detail, "");
	return r;
}

static void write_file(
	const char *name, const void *data, size_t size, long offset, bool truncate_it)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | (truncate_it ? O_TRUNC : 0), 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_pwrite_full(fd, data, size, (uint64_t)offset), 0);
}

static struct deployment deployment_of(struct store *s, enum deployment_state state)
{
	struct deployment d = {
		.state = state, .origin = ORIGIN_BUNDLE, .sequence = 2, .started = 77};
	struct error e = {0};

	strcpy(d.release, "2.0.0");
	strcpy(d.before, "1.0.0");
	strcpy(d.bundle, "/media/usb/demo.ferry");
	ck_assert_int_eq(store_deployment_add(s, &d, &e), EF_REASON_OK);
	return d;
}

START_TEST(a_deployment_comes_back_whole)
{
	struct store *s = opened();
	struct deployment d = deployment_of(s, DEPLOYMENT_OFFERED), *back;
	struct error e = {0};

	ck_assert_int_eq(manifest_parse(manifest_text, strlen(manifest_text), &d.manifest, &e),
		EF_REASON_OK);
	struct part p = {.component = &d.manifest->components[0],
		.place = "meter-1",
		.from = "1.0.0",
		.state = COMPONENT_STAGING,
		.required = true,
		.hash = {9, 8, 7},
		.step = 2};
	d.parts = &p;
	d.n_parts = 1;
	d.state = DEPLOYMENT_FETCHING;
	d.trials = 2;
	d.server_before = true;
	d.nodes_before = (char *)"meter-1\n";
	error_set(&d.error, EF_REASON_NODE_REVERTED, "node meter-1");
	ck_assert_int_eq(store_begin(s, &e), EF_REASON_OK);
	ck_assert_int_eq(store_deployment_save(s, &d, &e), EF_REASON_OK);
	ck_assert_int_eq(store_deployment_plan(s, &d, manifest_text, strlen(manifest_text), &e),
		EF_REASON_OK);
	ck_assert_int_eq(store_commit(s, &e), EF_REASON_OK);
	store_close(s);

	s = opened();
	ck_assert_int_eq(store_deployment_current(s, &back, &e), EF_REASON_OK);
	ck_assert_ptr_nonnull(back);
	ck_assert_uint_eq(back->id, d.id);
	ck_assert_int_eq(back->state, DEPLOYMENT_FETCHING);
	ck_assert_int_eq(back->origin, ORIGIN_BUNDLE);
	ck_assert_str_eq(back->bundle, d.bundle);
	ck_assert_str_eq(back->nodes_before, "meter-1\n");
	ck_assert_str_eq(back->before, "1.0.0");
	ck_assert_uint_eq(back->trials, 2);
	ck_assert(back->server_before);
	ck_assert_int_eq(back->error.reason, EF_REASON_NODE_REVERTED);
	ck_assert_uint_eq(back->n_parts, 1);
	ck_assert_str_eq(back->parts[0].component->name, "meter");
	ck_assert_str_eq(back->parts[0].place, "meter-1");
	ck_assert_int_eq(back->parts[0].state, COMPONENT_STAGING);
	ck_assert_uint_eq(back->parts[0].step, 2);
	ck_assert(back->parts[0].required);
	ck_assert_mem_eq(back->parts[0].hash, p.hash, 32);
	deployment_free(back);
	/* over: no longer the current one, but there to go back to */
	d.state = DEPLOYMENT_CONFIRMED;
	ck_assert_int_eq(store_deployment_save(s, &d, &e), EF_REASON_OK);
	ck_assert_int_eq(store_deployment_current(s, &back, &e), EF_REASON_OK);
	ck_assert_ptr_null(back);
	_cleanup_free_ uint8_t *bytes = NULL;
	size_t size;
	ck_assert_int_eq(
		store_deployment_before(s, "2.0.0", &back, &bytes, &size, &e), EF_REASON_NOT_FOUND);
	error_clear(&e);
	ck_assert_int_eq(
		store_deployment_before(s, "3.0.0", &back, &bytes, &size, &e), EF_REASON_OK);
	ck_assert_uint_eq(size, strlen(manifest_text));
	ck_assert_mem_eq(bytes, manifest_text, size);
	deployment_free(back);
	manifest_free(d.manifest);
	store_close(s);
}
END_TEST

START_TEST(nobody_else_reads_it) /* S-29 */
{
	struct stat st;
	char path[128];

	umask(0);
	store_close(opened());
	snprintf(path, sizeof(path), "%s/state.db", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0600);
}
END_TEST

START_TEST(gone_is_not_empty) /* S-14 */
{
	char path[128];

	store_close(opened());
	snprintf(path, sizeof(path), "%s/state.db", dir);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(refused_open(), EF_REASON_STATE_UNREADABLE);
	write_file("state.db", "", 0, 0, true);
	ck_assert_int_eq(refused_open(), EF_REASON_STATE_UNREADABLE);
}
END_TEST

START_TEST(damaged_is_not_empty) /* S-14, F-28 */
{
	uint8_t junk[4096];

	store_close(opened());
	memset(junk, 0x5a, sizeof(junk));
	write_file("state.db", junk, 100, 0, false);
	ck_assert_int_eq(refused_open(), EF_REASON_STATE_UNREADABLE);
	write_file("state.db", "not a database", 14, 0, true);
	ck_assert_int_eq(refused_open(), EF_REASON_STATE_UNREADABLE);
}
END_TEST

START_TEST(a_damaged_table_is_noticed) /* S-14 */
{
	struct store *s = opened();
	struct error e = {0};
	char path[128];
	uint8_t junk[512];
	struct stat st;

	for (int i = 0; i < 200; i++)
		deployment_of(s, DEPLOYMENT_CONFIRMED);
	ck_assert_int_eq(e.reason, EF_REASON_OK);
	store_close(s);
	snprintf(path, sizeof(path), "%s/state.db", dir);
	ck_assert_int_eq(stat(path, &st), 0);
	memset(junk, 0xff, sizeof(junk));
	for (long at = 4096; at < st.st_size; at += 4096)
		write_file("state.db", junk, sizeof(junk), at, false);
	ck_assert_int_eq(refused_open(), EF_REASON_STATE_UNREADABLE);
}
END_TEST

/* I-9, F-28: newer, older, and of nobody; the database stays as it is. */
START_TEST(another_schema_is_refused)
{
	static const char *const versions[] = {
		"PRAGMA user_version = 2", "PRAGMA user_version = 0", "PRAGMA user_version = -1"};
	char path[128];
	sqlite3 *db;

	store_close(opened());
	snprintf(path, sizeof(path), "%s/state.db", dir);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, versions[_i], NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	ck_assert_int_eq(refused_open(), EF_REASON_STATE_UNREADABLE);
	ck_assert_int_eq(sqlite3_open(path, &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, "PRAGMA user_version = 1", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	store_close(opened()); /* with what was in it */
}
END_TEST

START_TEST(a_second_daemon_is_refused) /* F-21 */
{
	struct store *s = opened();
	int status;

	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		struct store *other = NULL;
		struct error e = {0};
		_exit(store_open(dir, &other, &e) == EF_REASON_BUSY ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	store_close(s);
	store_close(opened());
}
END_TEST

START_TEST(floors_never_fall) /* I-4 */
{
	struct store *s = opened();
	struct error e = {0};
	uint32_t floor;

	ck_assert_int_eq(store_floor(s, "v,c", &floor, &e), EF_REASON_OK);
	ck_assert_uint_eq(floor, 0);
	ck_assert_int_eq(store_floor_raise(s, "v,c", 5, &e), EF_REASON_OK);
	ck_assert_int_eq(store_floor_raise(s, "v,c", 3, &e), EF_REASON_OK);
	ck_assert_int_eq(store_floor(s, "v,c", &floor, &e), EF_REASON_OK);
	ck_assert_uint_eq(floor, 5);
	store_close(s);
}
END_TEST

START_TEST(refusals_are_remembered)
{
	struct store *s = opened();
	struct error e = {0}, why = {EF_REASON_NOT_COMPATIBLE, "made for another board"}, back;
	uint8_t manifest[32] = {1, 2, 3};
	bool found;

	ck_assert_int_eq(store_refused(s, manifest, &found, &back, &e), EF_REASON_OK);
	ck_assert(!found);
	ck_assert_int_eq(store_refused_put(s, manifest, &why, 5, &e), EF_REASON_OK);
	ck_assert_int_eq(store_refused(s, manifest, &found, &back, &e), EF_REASON_OK);
	ck_assert(found);
	ck_assert_int_eq(back.reason, why.reason);
	ck_assert_str_eq(back.detail, why.detail);
	manifest[0] ^= 1; /* another manifest is another release */
	ck_assert_int_eq(store_refused(s, manifest, &found, &back, &e), EF_REASON_OK);
	ck_assert(!found);
	store_close(s);
}
END_TEST

static int count_event(void *ctx, const struct event *ev)
{
	uint64_t *n = ctx;

	ck_assert_uint_gt(ev->id, *n >> 32);
	*n = ev->id << 32 | ((*n & 0xffffffff) + 1);
	return 0;
}

static int count_report(void *ctx, uint64_t id, const char *json)
{
	ck_assert_str_ne(json, "");
	++*(uint64_t *)ctx;
	return 0;
}

static char *report(void *ctx, uint64_t id)
{
	return strdup("{}");
}

static bool add_both(struct store *s, uint64_t number)
{
	struct event ev = {.word = "node", .time = (int64_t)number};
	struct error e = {0};
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
	return !store_begin(s, &e) && !store_event_add(s, &ev, &e) &&
	       !store_report_add(s, report, NULL, &e) && !store_set(s, "number", text, &e) &&
	       !store_commit(s, &e);
}

START_TEST(events_and_reports_are_bounded) /* I-7, S-34 */
{
	struct store *s = opened();
	struct error e = {0};
	uint64_t n = 0;

	ck_assert_int_eq(store_begin(s, &e), EF_REASON_OK);
	for (uint64_t i = 0; i < STORE_EVENTS_MAX + 50; i++) {
		struct event ev = {.word = "node"};
		ck_assert_int_eq(store_event_add(s, &ev, &e), EF_REASON_OK);
		if (i < STORE_OUTBOX_MAX + 50)
			ck_assert_int_eq(store_report_add(s, report, NULL, &e), EF_REASON_OK);
	}
	ck_assert_int_eq(store_commit(s, &e), EF_REASON_OK);
	ck_assert_int_eq(store_events(s, 0, count_event, &n), 0);
	ck_assert_uint_eq(n & 0xffffffff, STORE_EVENTS_MAX);
	n = 0;
	ck_assert_int_eq(store_reports(s, 0, count_report, &n), 0);
	ck_assert_uint_eq(n, STORE_OUTBOX_MAX);
	ck_assert_int_eq(store_reports_done(s, 100, &e), EF_REASON_OK);
	n = 0;
	ck_assert_int_eq(store_reports(s, 0, count_report, &n), 0);
	ck_assert_uint_eq(n, STORE_OUTBOX_MAX - 50);
	store_close(s);
}
END_TEST

/* Writes and says so after each commit, until it is killed. */
static void writer(int out)
{
	struct store *s = opened();
	struct error e = {0};
	char text[32];

	if (store_get(s, "number", text, sizeof(text), &e))
		_exit(2);
	for (uint64_t i = strtoull(text, NULL, 10) + 1;; i++) {
		if (!add_both(s, i))
			_exit(3);
		if (write(out, &i, sizeof(i)) != sizeof(i))
			_exit(4);
	}
}

START_TEST(killed_at_any_point_keeps_what_was_said) /* F-25, I-5 */
{
	unsigned seed = (unsigned)getpid();
	uint64_t said = 0;

	for (int round = 0; round < 40; round++) {
		int p[2], status;
		char text[32];
		struct error e = {0};

		ck_assert_int_eq(pipe(p), 0);
		fflush(NULL);
		pid_t pid = fork();
		if (pid == 0) {
			close(p[0]);
			writer(p[1]);
		}
		close(p[1]);
		uint64_t number;
		/* In every second round at work, however slow the machine is; else anywhere from
		 * its start on. */
		if (round % 2 && read(p[0], &number, sizeof(number)) == sizeof(number))
			said = number;
		usleep((useconds_t)(rand_r(&seed) % 15000));
		kill(pid, SIGKILL);
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_msg(WIFSIGNALED(status), "writer: %d", status);
		while (read(p[0], &number, sizeof(number)) == sizeof(number))
			said = number;
		close(p[0]);
		struct store *s = opened();
		uint64_t events = 0, reports = 0;
		ck_assert_int_eq(store_get(s, "number", text, sizeof(text), &e), EF_REASON_OK);
		uint64_t stored = strtoull(text, NULL, 10);
		ck_assert_int_eq(store_events(s, 0, count_event, &events), 0);
		ck_assert_int_eq(store_reports(s, 0, count_report, &reports), 0);
		/* at most the one that was being said is there in addition; and never half of it */
		ck_assert_uint_ge(stored, said);
		ck_assert_uint_le(stored, said + 1);
		said = stored;
		if (stored <= STORE_OUTBOX_MAX) {
			ck_assert_uint_eq(events & 0xffffffff, stored);
			ck_assert_uint_eq(reports, stored);
		}
		store_close(s);
	}
	ck_assert_uint_gt(said, 0);
}
END_TEST

START_TEST(an_aborted_transaction_left_nothing)
{
	struct store *s = opened();
	struct event ev = {.word = "node"};
	struct error e = {0};
	uint64_t n = 0;

	ck_assert_int_eq(store_begin(s, &e), EF_REASON_OK);
	ck_assert_int_eq(store_event_add(s, &ev, &e), EF_REASON_OK);
	store_abort(s);
	ck_assert_int_eq(store_events(s, 0, count_event, &n), 0);
	ck_assert_uint_eq(n, 0);
	/* room for outcomes on a full file system (F-03) */
	ck_assert(store_use_reserve(s));
	ck_assert(!store_use_reserve(s));
	store_close(s);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/store");
	TCase *t = tcase_create("store");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_deployment_comes_back_whole);
	tcase_add_test(t, nobody_else_reads_it);
	tcase_add_test(t, gone_is_not_empty);
	tcase_add_test(t, damaged_is_not_empty);
	tcase_add_test(t, a_damaged_table_is_noticed);
	tcase_add_loop_test(t, another_schema_is_refused, 0, 3);
	tcase_add_test(t, a_second_daemon_is_refused);
	tcase_add_test(t, floors_never_fall);
	tcase_add_test(t, refusals_are_remembered);
	tcase_add_test(t, events_and_reports_are_bounded);
	tcase_add_test(t, killed_at_any_point_keeps_what_was_said);
	tcase_add_test(t, an_aborted_transaction_left_nothing);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
