/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole deployments against a world of fakes (world.h). The property that is tested most: wherever
 * the engine is killed, or the power goes, it ends where it would have ended, or with everything
 * back (F-01, F-02, F-25, I-1, I-2, I-5, I-8).
 */
#include "../unit.h"
#include "net/fetch.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "world.h"
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

static struct world *w;

static void setup(void)
{
	w = world_new();
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

static void teardown(void)
{
	world_free(w);
}

static void install(const char *version)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install(w->update, version, &id, &e) == EF_REASON_OK, "%s", e.detail);
}

static struct error ends(enum deployment_state state)
{
	struct error why;
	enum deployment_state got = world_outcome(w, &why);

	ck_assert_msg(got == state, "%s, not %s: %s: %s", deployment_state_word(got),
		deployment_state_word(state), reason_word(why.reason), why.detail);
	return why;
}

static bool node_has(size_t i, const char *version)
{
	uint8_t hash[32];

	world_hash(w, version, i, hash);
	return memcmp(w->nodes[i].id.slots[0].hash, hash, 32) == 0;
}

/* The whole fleet runs version, for good, and nothing is going to be tried (I-1, I-2). */
static void fleet_runs(const char *version, const char *what)
{
	struct boot_state b = world_boot(w);
	uint8_t image[32];

	world_rootfs(version, image);
	ck_assert_msg(!b.on_trial && b.running == b.primary && b.trial == SLOT_NONE, "%s", what);
	ck_assert_msg(memcmp(w->slot_image[b.running], image, 32) == 0, "%s: slot %s", what,
		slot_word(b.running));
	for (size_t i = 0; i < WORLD_NODES; i++) {
		const struct node_identity *id = &w->nodes[i].id;
		ck_assert_msg(node_has(i, version), "%s: node %zu", what, i);
		ck_assert_msg(!id->trial && id->slots[0].confirmed && !id->slots[1].pending,
			"%s: node %zu", what, i);
	}
}

static bool gateway_runs(const char *version)
{
	uint8_t image[32];

	world_rootfs(version, image);
	return memcmp(w->slot_image[world_boot(w).running], image, 32) == 0;
}

/* --- what the history says --- */

struct story {
	char text[2048];
	unsigned ends;
};

static int tell(void *ctx, const struct event *ev)
{
	struct story *s = ctx;
	enum deployment_state to;

	if (strcmp(ev->word, "deployment") != 0 && strcmp(ev->word, "refused") != 0)
		return 0;
	strcat(s->text, ev->to);
	strcat(s->text, " ");
	if (deployment_state_from_word(ev->to, &to) && deployment_over(to))
		s->ends++;
	return 0;
}

static int count(void *ctx, uint64_t id, const char *json)
{
	++*(unsigned *)ctx;
	return 0;
}

static struct story story(void)
{
	struct story s = {.text = ""};

	ck_assert_int_eq(update_history(w->update, 0, tell, &s), 0);
	return s;
}

#define CONFIRMED_STORY "offered fetching staged activating trial confirming confirmed "

/* --- the path --- */

START_TEST(a_release_reaches_everything)
{
	unsigned reports = 0;

	install("");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "after");
	ck_assert_str_eq(update_release(w->update), "2.0.0");
	ck_assert_str_eq(story().text, CONFIRMED_STORY);
	ck_assert_int_eq(update_outbox(w->update, 0, count, &reports), 0);
	ck_assert_uint_eq(reports, 7); /* each transition once (S-34) */
	/* the very same again: nothing to do, and it says so */
	install("");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_ALREADY_INSTALLED);
	fleet_runs("2.0.0", "again");
}
END_TEST

/* What the kernel of a slot would be told of dm-verity. */
static const char *told(enum slot_id slot)
{
	static char text[256];
	_cleanup_free_ uint8_t *data = NULL;
	char path[256];
	size_t size;

	snprintf(path, sizeof(path), "%s/boot/kernel-%s", w->dir, slot_word(slot));
	if (file_read(path, sizeof(text) - 1, &data, &size) < 0)
		return "no file";
	snprintf(text, sizeof(text), "%s", (char *)data);
	for (size_t n = strlen(text); n > 0 && text[n - 1] == ' '; n--)
		text[n - 1] = '\0';
	return text;
}

/* The root hash goes from the manifest to worker and boot loader, for the slot that it is of. */
START_TEST(a_root_hash_is_handed_over)
{
	static const struct {
		const char *version;
		bool verity;
		const char *a, *b;
	} t[] = {
		{"3.0.0", true, "no file", "edgeferry.roothash="},
		{"4.0.0", false, "no file", "edgeferry.roothash="},
		{"5.0.0", true, "no file", "edgeferry.roothash="},
		{"6.0.0", true, "edgeferry.roothash=", "edgeferry.roothash="},
		{"7.0.0", false, "edgeferry.roothash=", ""},
	};
	char before[256] = "";

	for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
		world_publish(w,
			&(struct world_release){
				.version = t[i].version, .sequence = 3 + i, .verity = t[i].verity});
		install("");
		world_run(w, 0, false);
		ends(DEPLOYMENT_CONFIRMED);
		ck_assert_uint_eq(w->verity_offset, t[i].verity ? WORLD_VERITY : 0);
		ck_assert_msg(strncmp(told(SLOT_A), t[i].a, strlen(t[i].a)) == 0, "%s: A %s",
			t[i].version, told(SLOT_A));
		ck_assert_msg(*t[i].b ? strncmp(told(SLOT_B), t[i].b, strlen(t[i].b)) == 0
				      : *told(SLOT_B) == '\0',
			"%s: B %s", t[i].version, told(SLOT_B));
		if (!t[i].verity)
			continue;
		const char *now = told(world_boot(w).running);
		ck_assert_ptr_nonnull(strstr(now, " edgeferry.hashoffset=8192"));
		ck_assert_str_ne(now, before);
		strcpy(before, now);
	}
}
END_TEST

START_TEST(rollback_goes_back_and_stays)
{
	struct error e = {0};
	uint64_t id;

	install("1.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_int_eq(update_rollback(w->update, &id, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("1.0.0", "rolled back");
	ck_assert_str_eq(update_release(w->update), "1.0.0");
	/* older by network is still refused: the sequence never falls (I-4) */
	install("1.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_DOWNGRADE);
	/* by hand forward again */
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "forward again");
}
END_TEST

START_TEST(an_exchanged_node_is_brought_up)
{
	install("2.0.0");
	world_run(w, 0, false);
	world_hash(w, "1.0.0", 1, w->nodes[1].id.slots[0].hash); /* a spare part */
	unsigned jobs = w->worker_jobs, uploads = w->nodes[0].uploads;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "spare part");
	ck_assert_uint_eq(w->worker_jobs, jobs);
	ck_assert_uint_eq(w->nodes[0].uploads, uploads);
}
END_TEST

/* --- interrupted everywhere --- */

static uint64_t length_of_a_run(void)
{
	install("2.0.0");
	world_run(w, 0, false);
	return w->iterations;
}

START_TEST(killed_anywhere_it_still_gets_there) /* F-25 */
{
	uint64_t length = length_of_a_run();

	ck_assert_uint_gt(length, 30);
	for (uint64_t at = 1; at < length; at++) {
		char what[64];
		world_free(w);
		setup();
		install("2.0.0");
		world_run(w, at, false);
		snprintf(what, sizeof(what), "killed at %llu of %llu", (unsigned long long)at,
			(unsigned long long)length);
		struct error why;
		ck_assert_msg(world_outcome(w, &why) == DEPLOYMENT_CONFIRMED, "%s: %s: %s", what,
			reason_word(why.reason), why.detail);
		fleet_runs("2.0.0", what);
		struct story s = story();
		ck_assert_msg(strcmp(s.text, CONFIRMED_STORY) == 0, "%s: %s", what, s.text);
		for (size_t i = 0; i < WORLD_NODES; i++)
			ck_assert_uint_eq(w->nodes[i].uploads, 1); /* found staged */
	}
}
END_TEST

static void install_bundle(void)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install_bundle(w->update, world_bundle(w), "demo.ferry", &id, &e) ==
			      EF_REASON_OK,
		"%s", e.detail);
}

/* Without any network, found again by its path after the core ended (S-37, F-36). */
START_TEST(killed_anywhere_a_bundle_still_gets_there)
{
	install_bundle();
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "bundle");
	uint64_t length = w->iterations;
	for (uint64_t at = 1; at < length; at++) {
		char what[64];
		struct error why;
		world_free(w);
		setup();
		install_bundle();
		world_run(w, at, false);
		snprintf(what, sizeof(what), "killed at %llu of %llu", (unsigned long long)at,
			(unsigned long long)length);
		ck_assert_msg(world_outcome(w, &why) == DEPLOYMENT_CONFIRMED, "%s: %s: %s", what,
			reason_word(why.reason), why.detail);
		fleet_runs("2.0.0", what);
		ck_assert_str_eq(story().text, CONFIRMED_STORY);
	}
}
END_TEST

START_TEST(a_bundle_that_is_gone_after_a_restart)
{
	char path[256];

	install_bundle();
	snprintf(path, sizeof(path), "%s/demo.ferry", w->dir);
	ck_assert_int_eq(unlink(path), 0);
	world_kill(w);
	world_start(w);
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_NOT_FOUND);
	fleet_runs("1.0.0", "no bundle");
}
END_TEST

START_TEST(power_cut_anywhere_ends_old_or_new) /* F-01, F-02, I-1, I-2 */
{
	uint64_t length = length_of_a_run();
	unsigned ended_new = 0, ended_old = 0;

	for (uint64_t at = 1; at < length; at++) {
		char what[64];
		struct error why;
		world_free(w);
		setup();
		install("2.0.0");
		world_run(w, at, true);
		snprintf(what, sizeof(what), "power cut at %llu of %llu", (unsigned long long)at,
			(unsigned long long)length);
		enum deployment_state end = world_outcome(w, &why);
		struct story s = story();
		ck_assert_msg(s.ends == 1, "%s: %s", what, s.text);
		ck_assert_msg(end == DEPLOYMENT_CONFIRMED || end == DEPLOYMENT_REVERTED,
			"%s: %s: %s", what, deployment_state_word(end), why.detail);
		fleet_runs(end == DEPLOYMENT_CONFIRMED ? "2.0.0" : "1.0.0", what);
		if (end == DEPLOYMENT_CONFIRMED)
			ended_new++;
		else
			ended_old++;
		/* and the next one works */
		if (end == DEPLOYMENT_REVERTED) {
			install("2.0.0");
			world_run(w, 0, false);
			ends(DEPLOYMENT_CONFIRMED);
			fleet_runs("2.0.0", what);
		}
	}
	ck_assert_uint_gt(ended_new, 0);
	ck_assert_uint_gt(ended_old, 0);
}
END_TEST

START_TEST(killed_anywhere_on_the_way_back) /* I-5 */
{
	world_script(w, "10-fail", "echo no good; exit 1");
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_REVERTED);
	uint64_t length = w->iterations;
	for (int cut = 0; cut < 2; cut++)
		for (uint64_t at = 1; at < length; at++) {
			char what[64];
			world_free(w);
			setup();
			world_script(w, "10-fail", "echo no good; exit 1");
			install("2.0.0");
			world_run(w, at, cut);
			snprintf(what, sizeof(what), "%s at %llu of %llu", cut ? "cut" : "killed",
				(unsigned long long)at, (unsigned long long)length);
			struct error why;
			ck_assert_msg(world_outcome(w, &why) == DEPLOYMENT_REVERTED, "%s", what);
			fleet_runs("1.0.0", what);
			ck_assert_msg(story().ends == 1, "%s: %s", what, story().text);
		}
}
END_TEST

/* --- what goes wrong --- */

START_TEST(a_failing_check_takes_everything_back)
{
	world_script(w, "10-fail", "echo the pump is off; exit 1");
	install("2.0.0");
	world_run(w, 0, false);
	struct error why = ends(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_CHECK_FAILED);
	ck_assert_str_eq(why.detail, "10-fail: status 1: the pump is off");
	fleet_runs("1.0.0", "check");
	ck_assert_str_eq(update_release(w->update), "");
	ck_assert_str_eq(
		story().text, "offered fetching staged activating trial reverting reverted ");
	ck_assert_int_eq(world_boot(w).mark[SLOT_B], SLOT_BAD);
}
END_TEST

START_TEST(a_slot_that_does_not_boot) /* F-23 */
{
	w->slot_unbootable[SLOT_B] = true;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_TRIAL_NOT_BOOTED);
	fleet_runs("1.0.0", "unbootable");
}
END_TEST

START_TEST(a_node_that_goes_back_at_once)
{
	w->nodes[1].bad_start = true;
	install("2.0.0");
	world_run(w, 0, false);
	struct error why = ends(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_NODE_REVERTED);
	ck_assert_ptr_nonnull(strstr(why.detail, reason_text(EF_REASON_NOT_CONFIRMED)));
	ck_assert_ptr_nonnull(strstr(why.detail, "sensor-1"));
	fleet_runs("1.0.0", "node");
}
END_TEST

START_TEST(a_node_that_goes_back_in_the_trial) /* E-05 */
{
	w->nodes[0].back_in_trial = true;
	w->nodes[0].back_after = 1;
	install("2.0.0");
	world_run(w, 0, false);
	struct error why = ends(DEPLOYMENT_REVERTED);
	ck_assert_int_eq(why.reason, EF_REASON_NODE_REVERTED);
	ck_assert_ptr_nonnull(strstr(why.detail, reason_text(EF_REASON_NOT_CONFIRMED)));
	fleet_runs("1.0.0", "node");
}
END_TEST

START_TEST(a_self_test_that_fails)
{
	w->nodes[0].bad_self_test = true;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_SELF_TEST);
	fleet_runs("1.0.0", "self-test");
	ck_assert(gateway_runs("1.0.0"));
}
END_TEST

START_TEST(an_image_for_another_board_reaches_no_node) /* S-09, S-23, F-22 */
{
	world_publish(
		w, &(struct world_release){
			   .version = "3.0.0", .sequence = 3, .wrong_board = "nrf51-microbit"});
	install("");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_NOT_COMPATIBLE);
	ck_assert_uint_eq(w->worker_jobs, 0);
	ck_assert_uint_eq(w->nodes[0].erases + w->nodes[1].erases, 0);
	ck_assert_int_eq(world_boot(w).mark[SLOT_B], SLOT_GOOD);
	fleet_runs("1.0.0", "refused");
	/* the next good one still works */
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

START_TEST(swapped_cables) /* F-22 */
{
	struct node_identity id = w->nodes[0].id;
	memcpy(w->nodes[0].id.class_id, w->nodes[1].id.class_id, 16);
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_NODE_MISMATCH);
	ck_assert_uint_eq(w->worker_jobs, 0);
	ck_assert_uint_eq(w->nodes[0].erases + w->nodes[1].erases, 0);
	w->nodes[0].id = id;
}
END_TEST

START_TEST(a_key_that_the_node_does_not_know)
{
	w->nodes[0].reject_image = true;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_FAILED).reason, EF_REASON_IMAGE_KEY);
	ck_assert_uint_eq(w->nodes[0].erases, 0);
	fleet_runs("1.0.0", "key");
}
END_TEST

struct checked {
	bool done;
	char version[32];
	struct error error;
};

static void on_checked(void *ctx, const char *version, const struct error *e)
{
	struct checked *c = ctx;

	c->done = true;
	strcpy(c->version, version);
	c->error = *e;
}

static struct checked check_now(void)
{
	struct checked c = {0};
	struct error e = {0};

	ck_assert_int_eq(update_check(w->update, on_checked, &c, &e), EF_REASON_OK);
	while (!c.done)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	return c;
}

START_TEST(a_release_signed_by_the_wrong_key)
{
	struct story s;

	w->trust_error = EF_REASON_BAD_SIGNATURE;
	install("");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_BAD_SIGNATURE);
	fleet_runs("1.0.0", "signature");
	/* found while looking: one event, however often it is looked at */
	for (int i = 0; i < 3; i++) {
		struct checked c = check_now();
		ck_assert_int_eq(c.error.reason, EF_REASON_BAD_SIGNATURE);
		ck_assert_str_eq(c.version, "");
	}
	s = story();
	ck_assert_str_eq(s.text, "offered refused  ");
}
END_TEST

/* S-14: state that is not mounted, where only the slot's own folder is, is no first start. */
START_TEST(state_in_the_running_slot_is_refused)
{
	struct update_env env = w->update->env;
	struct stat root, state;
	struct update *u = NULL;
	struct error e = {0};
	char boot[] = "grub";

	world_kill(w);
	char *before = w->config.boot;
	w->config.boot = boot;
	ck_assert_int_eq(stat("/", &root), 0);
	ck_assert_int_eq(stat(w->config.state_dir, &state), 0);
	enum ef_reason r = update_new(&u, &env, &e);
	ck_assert_int_eq(r, root.st_dev == state.st_dev ? EF_REASON_CONFIG : EF_REASON_OK);
	if (r)
		ck_assert_ptr_nonnull(strstr(e.detail, "lies in the running slot"));
	update_free(u);
	w->config.boot = before;
	world_start(w);
}
END_TEST

/* In the clear only where the administrator says so in so many words. */
START_TEST(a_node_without_a_session_must_be_allowed)
{
	struct update_env env = w->update->env;
	struct update *u = NULL;
	struct error e = {0};

	world_kill(w);
	w->config_nodes[0].security = SECURITY_SESSION;
	ck_assert_int_eq(update_new(&u, &env, &e), EF_REASON_CONFIG);
	ck_assert_ptr_nonnull(strstr(e.detail, "Key="));
	w->config_nodes[0].security = SECURITY_NONE;
	world_start(w);
}
END_TEST

START_TEST(a_trust_file_that_is_gone_stops_it)
{
	static const char *const files[] = {"timestamp.json", "snapshot.json"};
	struct update_env env = w->update->env;
	struct update *u = NULL;
	struct error e = {0};
	char path[256], kept[256];

	check_now();
	for (size_t i = 0; i < 2; i++) {
		world_kill(w);
		world_start(w); /* everything there: starts */
		world_kill(w);
		snprintf(path, sizeof(path), "%s/state/trust/%s", w->dir, files[i]);
		snprintf(kept, sizeof(kept), "%s/kept", w->dir);
		ck_assert_int_eq(rename(path, kept), 0);
		error_clear(&e);
		ck_assert_int_eq(update_new(&u, &env, &e), EF_REASON_STATE_UNREADABLE);
		ck_assert_ptr_nonnull(strstr(e.detail, files[i]));
		ck_assert_int_eq(rename(kept, path), 0);
		world_start(w);
	}
}
END_TEST

/* S-14: sequence and floors are gone with it, so it is no first start, even without the mark. */
START_TEST(trust_without_a_state_stops_it)
{
	static const char *const files[] = {"state.db", "state.mark"};
	struct update_env env = w->update->env;
	struct update *u = NULL;
	struct error e = {0};
	char path[256], kept[256];

	world_kill(w);
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/state/%s", w->dir, files[i]);
		snprintf(kept, sizeof(kept), "%s/kept-%zu", w->dir, i);
		ck_assert_int_eq(rename(path, kept), 0);
	}
	ck_assert_int_eq(update_new(&u, &env, &e), EF_REASON_STATE_UNREADABLE);
	ck_assert_ptr_nonnull(strstr(e.detail, "state.db is gone"));
	snprintf(path, sizeof(path), "%s/state/state.db", w->dir);
	ck_assert_int_ne(access(path, F_OK), 0); /* and it does not look like one the next time */
	for (size_t i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/state/%s", w->dir, files[i]);
		snprintf(kept, sizeof(kept), "%s/kept-%zu", w->dir, i);
		ck_assert_int_eq(rename(kept, path), 0);
	}
	world_start(w);
}
END_TEST

/* F-22: seen when a node answers, not only when something is to be installed; tried again later. */
START_TEST(a_swapped_cable_is_shown_F22)
{
	struct error last;
	int64_t seen;
	bool present;

	memset(w->nodes[0].id.vendor, 0x55, sizeof(w->nodes[0].id.vendor));
	world_kill(w);
	world_start(w);
	check_now();
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_REFUSED);
	update_node(w->update, 0, &present, &seen, &last);
	ck_assert(present);
	ck_assert_int_eq(last.reason, EF_REASON_NODE_MISMATCH);
	ck_assert_str_eq(check_now().version, "2.0.0"); /* wiring is put right here */
}
END_TEST

START_TEST(what_went_back_is_not_offered_again)
{
	size_t n;

	ck_assert_str_eq(check_now().version, "2.0.0");
	w->nodes[0].bad_self_test = true;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_REVERTED);
	ck_assert_str_eq(check_now().version, "");
	const struct known_release *k = update_known(w->update, &n);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(k[0].version, "2.0.0");
	ck_assert_int_eq(k[0].error.reason, EF_REASON_SELF_TEST);
	/* by hand it may be tried again; and when it works, that is forgotten */
	w->nodes[0].bad_self_test = false;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_str_eq(check_now().version, "");
	k = update_known(w->update, &n);
	ck_assert(k[0].installed);
	ck_assert_int_eq(k[0].error.reason, EF_REASON_OK);
	ck_assert_int_eq(k[1].error.reason, EF_REASON_DOWNGRADE);
}
END_TEST

static void on_checked_once_more(void *ctx, const char *version, const struct error *e)
{
	struct error why = {0};
	uint64_t id;

	ck_assert_int_eq(update_install(w->update, version, &id, &why), EF_REASON_OK);
	ck_assert_int_eq(update_check(w->update, on_checked, ctx, &why), EF_REASON_OK);
}

/* What a wake-up during a look leads to: the next look is asked for by the answer to the last one.
 */
START_TEST(a_look_asked_for_by_an_answer)
{
	struct checked c = {0};
	struct error e = {0};

	ck_assert_int_eq(update_check(w->update, on_checked_once_more, &c, &e), EF_REASON_OK);
	while (!update_current(w->update))
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(c.done);
	ck_assert_str_eq(check_now().version, "");
}
END_TEST

START_TEST(floors_rise_on_confirmation_only) /* S-12, S-13 */
{
	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3, .security = 7});
	world_publish(w, &(struct world_release){.version = "4.0.0", .sequence = 4, .security = 6});
	w->nodes[0].bad_self_test = true;
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_REVERTED);
	w->nodes[0].bad_self_test = false;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	install("4.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_FLOOR);
	fleet_runs("3.0.0", "floor");
}
END_TEST

START_TEST(an_absent_node_is_waited_for_then_named) /* F-17 */
{
	w->nodes[1].unreachable = true;
	install("2.0.0");
	world_run(w, 0, false);
	struct error why = ends(DEPLOYMENT_FAILED);
	ck_assert_int_eq(why.reason, EF_REASON_NODE_UNREACHABLE);
	ck_assert_ptr_nonnull(strstr(why.detail, "sensor-1"));
	ck_assert_uint_eq(w->worker_jobs, 0);
	/* an optional one is left out, and the rest is updated */
	w->config_nodes[1].required = false;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "2.0.0") && node_has(1, "1.0.0") && gateway_runs("2.0.0"));
}
END_TEST

START_TEST(transient_faults_are_ridden_out)
{
	w->fetch_errors = 2;
	w->worker_deaths = 2;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "faults");
}
END_TEST

static int find_note(void *ctx, const struct event *ev)
{
	if (strcmp(ev->word, "component") == 0 && strcmp(ev->component, "rootfs") == 0 &&
		strcmp(ev->to, "staged") == 0) {
		ck_assert_int_eq(ev->error.reason, EF_REASON_OK);
		ck_assert_str_eq(ev->error.detail, the_world->fetch_note);
		++*(unsigned *)ctx;
	}
	return 0;
}

/* Why so much was fetched. */
START_TEST(a_server_without_ranges_is_noted)
{
	unsigned found = 0;

	w->fetch_note = FETCH_WHOLE_NOTE;
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert_int_eq(update_history(w->update, 0, find_note, &found), 0);
	ck_assert_uint_eq(found, 1);
}
END_TEST

START_TEST(a_server_that_stays_away)
{
	w->server_down = true;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_FAILED).reason, EF_REASON_NET_UNREACHABLE);
	fleet_runs("1.0.0", "server");
}
END_TEST

START_TEST(a_definite_slot_error_ends_it)
{
	w->worker_error = EF_REASON_SLOT_READ_BACK;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_FAILED).reason, EF_REASON_SLOT_READ_BACK);
	ck_assert_uint_eq(w->worker_jobs, 1);
	ck_assert_int_eq(world_boot(w).mark[SLOT_B], SLOT_BAD);
	fleet_runs("1.0.0", "slot");
}
END_TEST

START_TEST(the_server_must_be_reachable_after_as_before) /* F-24 */
{
	w->server_lost_after_reboot = true;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_SERVER_LOST);
	fleet_runs("1.0.0", "server lost");
}
END_TEST

/* F-24: server and node were away before, so their absence says nothing about the release. */
START_TEST(what_was_away_before_is_not_blamed)
{
	world_publish(w, &(struct world_release){
				 .version = "3.0.0", .sequence = 3, .sensor_policy = "optional"});
	w->nodes[1].unreachable = true;
	w->config_nodes[1].required = false;
	world_kill(w);
	world_start(w);
	install_bundle(); /* the server is away now */
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(gateway_runs("3.0.0"));
	ck_assert(node_has(0, "3.0.0"));
	ck_assert(node_has(1, "1.0.0"));
}
END_TEST

/* --- by hand --- */

static void run_until(enum deployment_state state)
{
	for (int i = 0; i < 5000; i++) {
		const struct deployment *d = update_current(w->update);
		if (d && d->state == state && !w->rebooting)
			return;
		ck_assert_ptr_nonnull(w->update->current);
		if (w->rebooting) {
			world_kill(w);
			world_reboot(w);
			world_start(w);
		}
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	}
	ck_abort_msg("never %s", deployment_state_word(state));
}

START_TEST(cancelled_before_activation)
{
	struct error e = {0};

	install("2.0.0");
	run_until(DEPLOYMENT_FETCHING);
	uint64_t id;
	ck_assert_int_eq(update_install(w->update, "", &id, &e), EF_REASON_BUSY); /* F-21 */
	error_clear(&e);
	ck_assert_int_eq(update_cancel(w->update, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_CANCELLED).reason, EF_REASON_CANCELLED);
	fleet_runs("1.0.0", "cancelled");
	ck_assert_int_eq(update_cancel(w->update, &e), EF_REASON_NOT_FOUND);
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

static int no_temporary(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	const char *name = path + f->base;
	size_t n = strlen(name);

	ck_assert_msg(!(name[0] == '.' && n > 5 && strcmp(name + n - 4, ".tmp") == 0), "%s", path);
	return 0;
}

/* Nothing runs, waits or is going to be tried, and what was written can boot nowhere (I-1, I-2,
 * I-6). */
static void no_trace(const struct boot_state *before, const char *what)
{
	struct boot_state b = world_boot(w);

	fleet_runs("1.0.0", what);
	ck_assert_msg(b.primary == before->primary && b.running == before->running, "%s", what);
	/* a slot that was written to is no way back any more, before the first byte */
	ck_assert_msg(w->worker_jobs == 0 || b.mark[SLOT_B] == SLOT_BAD, "%s", what);
	ck_assert_msg(w->worker_jobs > 0 || b.mark[SLOT_B] == before->mark[SLOT_B], "%s", what);
	ck_assert_msg(w->workers == 0, "%s", what);
	for (size_t i = 0; i < WORLD_NODES; i++)
		ck_assert_msg(!w->update->nodes[i].image && w->update->nodes[i].part == NO_PART,
			"%s: node %zu", what, i);
	ck_assert_ptr_null(w->update->bundle);
	nftw(w->dir, no_temporary, 16, FTW_PHYS);
}

START_TEST(cancelled_anywhere_leaves_no_trace)
{
	unsigned cancelled = 0;

	for (int from_bundle = 0; from_bundle < 2; from_bundle++)
		for (uint64_t at = 0;; at++) {
			struct boot_state before;
			struct error e = {0};
			char what[64];
			world_free(w);
			setup();
			before = world_boot(w);
			if (from_bundle)
				install_bundle();
			else
				install("2.0.0");
			snprintf(what, sizeof(what), "cancelled at %llu", (unsigned long long)at);
			for (uint64_t i = 0; i < at; i++)
				ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
			if (update_cancel(w->update, &e)) {
				ck_assert_int_eq(e.reason, EF_REASON_TRIAL_RUNNING);
				break; /* activated */
			}
			world_run(w, 0, false);
			/* nodes that were told to end do so on their own time */
			for (int i = 0; i < 20; i++)
				ck_assert_int_ge(sd_event_run(w->event, 1000), 0);
			ck_assert_int_eq(ends(DEPLOYMENT_CANCELLED).reason, EF_REASON_CANCELLED);
			no_trace(&before, what);
			ck_assert_msg(story().ends == 1, "%s: %s", what, story().text);
			cancelled++;
			/* also not over a restart; and the next one works */
			world_kill(w);
			world_start(w);
			ck_assert_ptr_null(update_current(w->update));
			if (at % 8 == 0) {
				w->server_down = false;
				install("2.0.0");
				world_run(w, 0, false);
				ends(DEPLOYMENT_CONFIRMED);
			}
		}
	ck_assert_uint_gt(cancelled, 30);
}
END_TEST

/* S-12: the floor is absolute, also for whoever goes back on purpose; nothing is touched. */
START_TEST(no_rollback_below_the_floor)
{
	struct error e = {0};
	uint64_t id;

	world_publish(w, &(struct world_release){.version = "3.0.0", .sequence = 3, .security = 7});
	install("2.0.0");
	world_run(w, 0, false);
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	unsigned jobs = w->worker_jobs, uploads = w->nodes[0].uploads;
	ck_assert_int_eq(update_rollback(w->update, &id, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REFUSED).reason, EF_REASON_FLOOR);
	ck_assert_uint_eq(w->worker_jobs, jobs);
	ck_assert_uint_eq(w->nodes[0].uploads, uploads);
	fleet_runs("3.0.0", "floor");
}
END_TEST

/* F-21: the state is one daemon's; the second one is told so and has changed nothing. */
START_TEST(two_daemons_on_one_state)
{
	struct update_env env = w->update->env;
	struct update *second = NULL;
	struct error e = {0};

	for (int i = 0; i < 20; i++) {
		error_clear(&e);
		ck_assert_int_eq(update_new(&second, &env, &e), EF_REASON_BUSY);
		ck_assert_ptr_nonnull(strstr(e.detail, "another edgeferryd has"));
	}
	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

START_TEST(cancelled_while_looking)
{
	struct error e = {0};

	install("2.0.0");
	ck_assert_int_eq(update_cancel(w->update, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ends(DEPLOYMENT_CANCELLED);
	ck_assert_str_eq(check_now().version, "2.0.0");
}
END_TEST

START_TEST(rejected_or_confirmed_in_the_trial)
{
	struct error e = {0};
	uint64_t id;

	world_script(w, "10-wait", "exec sleep 20");
	install("2.0.0");
	run_until(DEPLOYMENT_TRIAL);
	ck_assert_int_eq(update_cancel(w->update, &e), EF_REASON_TRIAL_RUNNING);
	error_clear(&e);
	ck_assert_int_eq(update_rollback(w->update, &id, &e), EF_REASON_TRIAL_RUNNING);
	error_clear(&e);
	ck_assert_int_eq(update_reject(w->update, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_REJECTED);
	fleet_runs("1.0.0", "rejected");
	install("2.0.0");
	run_until(DEPLOYMENT_TRIAL);
	ck_assert_int_eq(update_confirm(w->update, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "confirmed by hand");
}
END_TEST

/* What is asked for by hand does in each state what the table says, and nothing where it has no
 * arrow. */
START_TEST(by_hand_in_every_state)
{
	static const enum deployment_state states[] = {DEPLOYMENT_OFFERED, DEPLOYMENT_FETCHING,
		DEPLOYMENT_STAGED, DEPLOYMENT_ACTIVATING, DEPLOYMENT_TRIAL, DEPLOYMENT_CONFIRMING,
		DEPLOYMENT_REVERTING};
	static const struct {
		enum deployment_event event;
		enum ef_reason (*ask)(struct update *u, struct error *e);
	} verbs[] = {{EVENT_CANCEL, update_cancel}, {EVENT_CONFIRM, update_confirm},
		{EVENT_REJECT, update_reject}};

	for (size_t s = 0; s < sizeof(states) / sizeof(*states); s++)
		for (size_t v = 0; v < sizeof(verbs) / sizeof(*verbs); v++) {
			struct transition t = {.next = states[s]};
			struct error e = {0};
			world_free(w);
			setup();
			if (states[s] == DEPLOYMENT_REVERTING)
				world_script(w, "10-fail", "exit 1");
			install("2.0.0");
			run_until(states[s]);
			bool arrow = machine_next(states[s], verbs[v].event, &t);
			bool done = verbs[v].ask(w->update, &e) == EF_REASON_OK;
			ck_assert_msg(done == arrow, "%s in %s: %s",
				deployment_event_word(verbs[v].event),
				deployment_state_word(states[s]), e.detail);
			ck_assert_int_eq(w->update->current->state, t.next);
			world_run(w, 0, false);
			ck_assert_uint_eq(story().ends, 1); /* I-8 */
		}
}
END_TEST

START_TEST(checks_that_do_not_end) /* S-20 */
{
	w->config.check_us = 700000;
	world_script(w, "10-wait", "exec sleep 20");
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_CHECK_FAILED);
	fleet_runs("1.0.0", "deadline");
}
END_TEST

START_TEST(nodes_only)
{
	world_publish(
		w, &(struct world_release){.version = "3.0.0", .sequence = 3, .no_rootfs = true});
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	ck_assert(node_has(0, "3.0.0") && node_has(1, "3.0.0") && gateway_runs("1.0.0"));
	ck_assert_uint_eq(w->worker_jobs, 0);
}
END_TEST

START_TEST(gateway_first_then_nodes)
{
	world_publish(w, &(struct world_release){.version = "3.0.0",
				 .sequence = 3,
				 .order = "[\"rootfs\", \"meter\", \"sensor\"]"});
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("3.0.0", "gateway first");
	world_publish(w, &(struct world_release){.version = "4.0.0",
				 .sequence = 4,
				 .order = "[\"rootfs\", \"meter\", \"sensor\"]"});
	w->nodes[1].bad_start = true;
	install("4.0.0");
	world_run(w, 0, false);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_NODE_REVERTED);
	fleet_runs("3.0.0", "gateway first, node back");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/run");
	TCase *t = tcase_create("run");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_release_reaches_everything);
	tcase_add_test(t, a_root_hash_is_handed_over);
	tcase_add_test(t, rollback_goes_back_and_stays);
	tcase_add_test(t, an_exchanged_node_is_brought_up);
	tcase_add_test(t, killed_anywhere_it_still_gets_there);
	tcase_add_test(t, killed_anywhere_a_bundle_still_gets_there);
	tcase_add_test(t, a_bundle_that_is_gone_after_a_restart);
	tcase_add_test(t, power_cut_anywhere_ends_old_or_new);
	tcase_add_test(t, killed_anywhere_on_the_way_back);
	tcase_add_test(t, a_failing_check_takes_everything_back);
	tcase_add_test(t, a_slot_that_does_not_boot);
	tcase_add_test(t, a_node_that_goes_back_at_once);
	tcase_add_test(t, a_node_that_goes_back_in_the_trial);
	tcase_add_test(t, a_self_test_that_fails);
	tcase_add_test(t, an_image_for_another_board_reaches_no_node);
	tcase_add_test(t, swapped_cables);
	tcase_add_test(t, a_key_that_the_node_does_not_know);
	tcase_add_test(t, a_release_signed_by_the_wrong_key);
	tcase_add_test(t, state_in_the_running_slot_is_refused);
	tcase_add_test(t, a_node_without_a_session_must_be_allowed);
	tcase_add_test(t, a_trust_file_that_is_gone_stops_it);
	tcase_add_test(t, trust_without_a_state_stops_it);
	tcase_add_test(t, a_swapped_cable_is_shown_F22);
	tcase_add_test(t, what_went_back_is_not_offered_again);
	tcase_add_test(t, a_look_asked_for_by_an_answer);
	tcase_add_test(t, floors_rise_on_confirmation_only);
	tcase_add_test(t, an_absent_node_is_waited_for_then_named);
	tcase_add_test(t, transient_faults_are_ridden_out);
	tcase_add_test(t, a_server_without_ranges_is_noted);
	tcase_add_test(t, a_server_that_stays_away);
	tcase_add_test(t, a_definite_slot_error_ends_it);
	tcase_add_test(t, the_server_must_be_reachable_after_as_before);
	tcase_add_test(t, what_was_away_before_is_not_blamed);
	tcase_add_test(t, cancelled_before_activation);
	tcase_add_test(t, cancelled_anywhere_leaves_no_trace);
	tcase_add_test(t, no_rollback_below_the_floor);
	tcase_add_test(t, two_daemons_on_one_state);
	tcase_add_test(t, cancelled_while_looking);
	tcase_add_test(t, rejected_or_confirmed_in_the_trial);
	tcase_add_test(t, by_hand_in_every_state);
	tcase_add_test(t, checks_that_do_not_end);
	tcase_add_test(t, nodes_only);
	tcase_add_test(t, gateway_first_then_nodes);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
