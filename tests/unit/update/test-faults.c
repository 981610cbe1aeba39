/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F-26, F-03, F-04: one system call of a small deployment fails, one errno at a time, and the
 * gateway ends old or new, with exactly one outcome, and installs the next release. The calls of
 * the C library that the engine and its libraries use for files stand here, in front of the C
 * library's own. A sample, whose seed is printed; all of them with EDGEFERRY_FAULTS=all, another
 * one with EDGEFERRY_FAULTS=SEED.
 */
#include "../unit.h"
#include "world.h"
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SAMPLE 30 /* of each errno */

/* --- the calls; offsets have 64 bits everywhere, so that open stands for open64, too --- */

static struct {
	bool armed, half; /* half: of a write, that much is done and no error said */
	unsigned calls, at;
	int error;
	const char *hit;
} fault;

static bool fails(const char *name)
{
	if (!fault.armed || world_harness || ++fault.calls != fault.at)
		return false;
	fault.hit = name;
	if (fault.half)
		return false;
	errno = fault.error;
	return true;
}

#define OPEN(name, before, at)                                                              \
	int name(before const char *path, int flags, ...)                                   \
	{                                                                                   \
		va_list ap;                                                                 \
		va_start(ap, flags);                                                        \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;       \
		va_end(ap);                                                                 \
		return fails(#name) ? -1 : (int)syscall(SYS_openat, at, path, flags, mode); \
	}
#define NOTHING
#define DIR_FD int dir,
OPEN(open, NOTHING, AT_FDCWD)
OPEN(openat, DIR_FD, dir)

/* Not what the event loop has for itself, or the console. */
static bool of_a_file(int fd)
{
	struct stat st;

	return fd > 2 && syscall(SYS_fstat, fd, &st) == 0 &&
	       (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode));
}

ssize_t write(int fd, const void *p, size_t n)
{
	bool at = of_a_file(fd) && fault.armed && !world_harness && fault.calls + 1 == fault.at;

	if (of_a_file(fd) && fails("write"))
		return -1;
	return syscall(SYS_write, fd, p, at && fault.half && n > 1 ? n / 2 : n);
}

ssize_t read(int fd, void *p, size_t n)
{
	bool at = of_a_file(fd) && fault.armed && !world_harness && fault.calls + 1 == fault.at;

	if (of_a_file(fd) && fails("read"))
		return -1;
	return syscall(SYS_read, fd, p, at && fault.half && n > 1 ? n / 2 : n);
}

ssize_t pread(int fd, void *p, size_t n, off_t offset)
{
	return fails("pread") ? -1 : syscall(SYS_pread64, fd, p, n, offset);
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t offset)
{
	return fails("pwrite") ? -1 : syscall(SYS_pwrite64, fd, p, n, offset);
}

int fsync(int fd)
{
	return fails("fsync") ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return fails("fdatasync") ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	return fails("renameat") ? -1 : (int)syscall(SYS_renameat, from_dir, from, to_dir, to);
}

int rename(const char *from, const char *to)
{
	return fails("rename") ? -1 : (int)syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to);
}

int unlinkat(int dir, const char *path, int flags)
{
	return fails("unlinkat") ? -1 : (int)syscall(SYS_unlinkat, dir, path, flags);
}

int unlink(const char *path)
{
	return fails("unlink") ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}

int ftruncate(int fd, off_t size)
{
	return fails("ftruncate") ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}

/* --- a small deployment --- */

static struct world *w;

static void setup(void)
{
	w = world_new();
	w->start_tries = 3; /* as the service manager does it */
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

static void teardown(void)
{
	fault.armed = false;
	world_free(w);
}

static bool install(const char *version)
{
	struct error e = {0};
	uint64_t id;

	return update_install(w->update, version, &id, &e) == EF_REASON_OK;
}

static bool runs(const char *version)
{
	struct boot_state b = world_boot(w);
	uint8_t image[32], hash[32];
	bool all = true;

	world_rootfs(version, image);
	all = !b.on_trial && b.running == b.primary && b.trial == SLOT_NONE &&
	      memcmp(w->slot_image[b.running], image, 32) == 0;
	for (size_t i = 0; i < WORLD_NODES; i++) {
		const struct node_identity *id = &w->nodes[i].id;
		world_hash(w, version, i, hash);
		all &= memcmp(id->slots[0].hash, hash, 32) == 0 && !id->trial &&
		       id->slots[0].confirmed && !id->slots[1].pending;
	}
	return all;
}

static int count_ends(void *ctx, const struct event *ev)
{
	enum deployment_state to;

	if ((strcmp(ev->word, "deployment") == 0 || strcmp(ev->word, "refused") == 0) &&
		ev->deployment == 1 && deployment_state_from_word(ev->to, &to) &&
		deployment_over(to))
		++*(unsigned *)ctx;
	return 0;
}

/* One deployment with the nth call failing. True: that call was made. */
static bool run_with(unsigned at, int error, bool half)
{
	unsigned ends = 0;
	char what[96];

	setup();
	fault.calls = 0;
	fault.at = at;
	fault.error = error;
	fault.half = half;
	fault.hit = NULL;
	fault.armed = true;
	if (getenv("EDGEFERRY_FAULTS"))
		fprintf(stderr, "# call %u\n", at);
	bool begun = install("2.0.0");
	if (begun)
		world_run(w, 0, false);
	bool reached = fault.hit;
	fault.armed = false;
	snprintf(what, sizeof(what), "call %u (%s): %s", at, fault.hit ? fault.hit : "none",
		half ? "half of it" : strerror(error));
	/* whatever it met, the next start finds one truth */
	world_kill(w);
	world_start(w);
	world_run(w, 0, false);
	ck_assert_msg(runs("1.0.0") || runs("2.0.0"), "%s", what);
	if (begun) {
		ck_assert_int_eq(update_history(w->update, 0, count_ends, &ends), 0);
		ck_assert_msg(ends == 1, "%s: %u outcomes", what, ends);
	}
	ck_assert_msg(install("2.0.0"), "%s", what);
	world_run(w, 0, false);
	struct error why;
	enum deployment_state end = world_outcome(w, &why);
	ck_assert_msg(end == DEPLOYMENT_CONFIRMED || why.reason == EF_REASON_ALREADY_INSTALLED,
		"%s, then: %s: %s", what, reason_word(why.reason), why.detail);
	ck_assert_msg(runs("2.0.0"), "%s", what);
	teardown();
	return reached;
}

static unsigned calls_of_a_run(void)
{
	setup();
	fault.calls = 0;
	fault.at = 0;
	fault.armed = true;
	ck_assert(install("2.0.0"));
	world_run(w, 0, false);
	fault.armed = false;
	unsigned n = fault.calls;
	teardown();
	return n;
}

static void walk(int error, bool half)
{
	const char *how = getenv("EDGEFERRY_FAULTS");
	bool all = how && strcmp(how, "all") == 0;
	unsigned seed = how && !all ? (unsigned)strtoul(how, NULL, 10) : (unsigned)time(NULL);
	unsigned n = calls_of_a_run(), reached = 0, tried = 0;

	ck_assert_uint_gt(n, 200);
	fprintf(stderr, "# %u calls, %s, EDGEFERRY_FAULTS=%u\n", n,
		half ? "half of it" : strerror(error), seed);
	srand(seed);
	for (unsigned i = 1; all ? i <= n : i <= SAMPLE; i++, tried++)
		reached += run_with(all ? i : 1 + (unsigned)rand() % n, error, half);
	/* retries and timers make runs differ a little: nearly all of the places are met */
	ck_assert_msg(reached * 10 >= tried * 9, "%u of %u", reached, tried);
}

START_TEST(one_call_fails_F26)
{
	static const int errors[] = {EIO, ENOSPC, EINTR, EAGAIN, EMFILE, EROFS, ENOMEM};

	walk(errors[_i], false);
}
END_TEST

START_TEST(short_reads_and_writes_F26)
{
	walk(0, true);
}
END_TEST

struct tally {
	unsigned begun, ended;
};

static int count_all(void *ctx, const struct event *ev)
{
	struct tally *t = ctx;
	enum deployment_state to;

	if (strcmp(ev->word, "deployment") == 0 && deployment_state_from_word(ev->to, &to)) {
		t->begun += to == DEPLOYMENT_OFFERED;
		t->ended += deployment_over(to);
	}
	return 0;
}

/* A deployment that the disk would not hear of is begun again by the same process: whichever are on
 * record have ended. */
START_TEST(begun_or_not_F26)
{
	bool reached = true;

	for (unsigned at = 1; reached; at++) {
		struct tally t = {0};
		setup();
		fault.calls = 0;
		fault.at = at;
		fault.error = EIO;
		fault.half = false;
		fault.hit = NULL;
		fault.armed = true;
		bool begun = install("2.0.0");
		reached = fault.hit;
		fault.armed = false;
		if (!begun)
			ck_assert_msg(install("2.0.0"), "call %u", at);
		world_run(w, 0, false);
		ck_assert_int_eq(update_history(w->update, 0, count_all, &t), 0);
		ck_assert_msg(t.begun > 0 && t.begun == t.ended, "call %u: %u begun, %u ended", at,
			t.begun, t.ended);
		ck_assert_msg(runs("2.0.0"), "call %u", at);
		teardown();
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/faults");
	TCase *t = tcase_create("faults");

	tcase_set_timeout(t, getenv("EDGEFERRY_FAULTS") ? 3600 : 120);
	tcase_add_loop_test(t, one_call_fails_F26, 0, 7);
	tcase_add_test(t, short_reads_and_writes_F26);
	tcase_add_test(t, begun_or_not_F26);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
