/* SPDX-License-Identifier: Apache-2.0 */
/*
 * F-26 in what decides: one call of the boot loader, of the store or for memory fails while a
 * deployment is on trial, confirmed or taken back. It ends where it would have ended, or with
 * everything back; and once only (I-5, I-8).
 */
#include "../unit.h"
#include "run.h"
#include "update/checks.h"
#include <string.h>

void world_node_reset(struct fake_node *f);

static struct {
	const char *name;
	enum deployment_state state; /* in which it fails */
	unsigned after;		     /* so many calls of it go well there first */
	unsigned times;
} fault;

static bool fails(const char *name)
{
	if (world_harness > 0 || !fault.name || strcmp(fault.name, name) != 0 || !w->update ||
		!w->update->current || w->update->current->state != fault.state)
		return false;
	if (fault.after > 0) {
		fault.after--;
		return false;
	}
	if (fault.times == 0)
		return false;
	fault.times--;
	return true;
}

/* What the boot loader says, as somebody else has left it. */
static void (*boot_as)(struct boot_state *s);
static unsigned marked_bad, slots_changed;

/* The linker leads calls of ours here (--wrap). */
#define WRAPS(name, params, args)                                                     \
	enum ef_reason __real_##name params;                                          \
	enum ef_reason __wrap_##name params;                                          \
	enum ef_reason __wrap_##name params                                           \
	{                                                                             \
		if (fails(#name))                                                     \
			return error_set(e, EF_REASON_STATE_UNREADABLE, "%s", #name); \
		return __real_##name args;                                            \
	}

WRAPS(boot_mark_good, (struct boot * b, enum slot_id slot, struct error *e), (b, slot, e))
WRAPS(store_set, (struct store * s, const char *key, const char *value, struct error *e),
	(s, key, value, e))
WRAPS(store_get, (struct store * s, const char *key, char *value, size_t size, struct error *e),
	(s, key, value, size, e))
WRAPS(store_floor_raise,
	(struct store * s, const char *compatible, uint32_t security, struct error *e),
	(s, compatible, security, e))
WRAPS(store_installed_put, (struct store * s, const struct installed *i, struct error *e),
	(s, i, e))
WRAPS(store_deployment_save, (struct store * s, const struct deployment *d, struct error *e),
	(s, d, e))
WRAPS(store_part_save, (struct store * s, const struct deployment *d, size_t part, struct error *e),
	(s, d, part, e))
WRAPS(when_settle, (struct update * u, struct error *e), (u, e))
WRAPS(checks_start,
	(struct checks * *ret, sd_event *event, const struct checks_spec *spec, struct error *e),
	(ret, event, spec, e))
WRAPS(stage_node,
	(struct update * u, struct node_state *ns, size_t part, node_part_done done,
		struct error *e),
	(u, ns, part, done, e))

enum ef_reason __real_store_deployment_of(struct store *s, const char *release,
	struct deployment **ret, uint8_t **manifest, size_t *size, struct error *e);
enum ef_reason __wrap_store_deployment_of(struct store *s, const char *release,
	struct deployment **ret, uint8_t **manifest, size_t *size, struct error *e);
enum ef_reason __wrap_store_deployment_of(struct store *s, const char *release,
	struct deployment **ret, uint8_t **manifest, size_t *size, struct error *e)
{
	*ret = NULL;
	if (fails("no deployment"))
		return EF_REASON_OK;
	if (fails("store_deployment_of"))
		return error_set(e, EF_REASON_STATE_UNREADABLE, "store_deployment_of");
	return __real_store_deployment_of(s, release, ret, manifest, size, e);
}

bool __real_nodes_claim(struct node_state *ns, size_t part, node_part_done done);
bool __wrap_nodes_claim(struct node_state *ns, size_t part, node_part_done done);
bool __wrap_nodes_claim(struct node_state *ns, size_t part, node_part_done done)
{
	return !(ns->index == 0 && fails("nodes_claim")) && __real_nodes_claim(ns, part, done);
}

enum ef_reason __real_boot_mark_bad(struct boot *b, enum slot_id slot, struct error *e);
enum ef_reason __wrap_boot_mark_bad(struct boot *b, enum slot_id slot, struct error *e);
enum ef_reason __wrap_boot_mark_bad(struct boot *b, enum slot_id slot, struct error *e)
{
	if (fails("boot_mark_bad"))
		return error_set(e, EF_REASON_BOOT_STATE, "boot_mark_bad");
	marked_bad += w->update->current && w->update->current->state == fault.state;
	return __real_boot_mark_bad(b, slot, e);
}

enum ef_reason __real_update_boot(struct update *u, struct boot_state *ret, struct error *e);
enum ef_reason __wrap_update_boot(struct update *u, struct boot_state *ret, struct error *e);
enum ef_reason __wrap_update_boot(struct update *u, struct boot_state *ret, struct error *e)
{
	if (fails("update_boot"))
		return error_set(e, EF_REASON_BOOT_STATE, "update_boot");
	enum ef_reason r = __real_update_boot(u, ret, e);
	if (!r && fails("boot_as"))
		boot_as(ret);
	return r;
}

/* Of the list of parts alone. */
void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return size == sizeof(struct part) && fails("calloc") ? NULL : __real_calloc(n, size);
}

static void on_slots(void *ctx)
{
	slots_changed++;
}

enum ef_reason __real_update_new(
	struct update **ret, const struct update_env *env, struct error *e);
enum ef_reason __wrap_update_new(
	struct update **ret, const struct update_env *env, struct error *e);
enum ef_reason __wrap_update_new(struct update **ret, const struct update_env *env, struct error *e)
{
	struct update_env watched = *env;

	watched.observer.slots_changed = on_slots;
	return __real_update_new(ret, &watched, e);
}

static void prepare(void)
{
	memset(&fault, 0, sizeof(fault));
	marked_bad = slots_changed = 0;
	w = world_new();
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_publish(
		w, &(struct world_release){.version = "3.0.0", .sequence = 3, .sensor_budget = 1});
	world_start(w);
}

static void run_until_trial(void)
{
	while (!w->update->current || w->update->current->state != DEPLOYMENT_TRIAL ||
		w->rebooting) {
		if (w->rebooting) {
			world_kill(w);
			world_reboot(w);
			world_start(w);
		}
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	}
}

static int count_end(void *ctx, const struct event *ev)
{
	enum deployment_state to;

	if ((strcmp(ev->word, "deployment") == 0 || strcmp(ev->word, "refused") == 0) &&
		deployment_state_from_word(ev->to, &to) && deployment_over(to))
		++*(unsigned *)ctx;
	return 0;
}

/* script: of a check; what the world is to do besides */
static const struct {
	const char *name;
	enum deployment_state state;
	unsigned after;
	const char *script;
	bool goes_back; /* the sensor, in the trial */
	enum deployment_state end;
	enum ef_reason why;
} rows[] = {
	{"update_boot", DEPLOYMENT_TRIAL, 0, NULL, false, DEPLOYMENT_REVERTED,
		EF_REASON_BOOT_STATE},
	/* what the site's checks are told of the slot; they are asked all the same */
	{"update_boot", DEPLOYMENT_TRIAL, 1, "exit 0", false, DEPLOYMENT_CONFIRMED, EF_REASON_OK},
	{"store_deployment_save", DEPLOYMENT_TRIAL, 0, NULL, false, DEPLOYMENT_CONFIRMED,
		EF_REASON_OK},
	{"store_deployment_save", DEPLOYMENT_TRIAL, 1, NULL, false, DEPLOYMENT_CONFIRMED,
		EF_REASON_OK},
	{"store_part_save", DEPLOYMENT_TRIAL, 0, "exec sleep 1", true, DEPLOYMENT_REVERTED,
		EF_REASON_NODE_REVERTED},
	{"checks_start", DEPLOYMENT_TRIAL, 0, NULL, false, DEPLOYMENT_REVERTED,
		EF_REASON_STATE_UNREADABLE},
	{"update_boot", DEPLOYMENT_CONFIRMING, 0, NULL, false, DEPLOYMENT_CONFIRMED, EF_REASON_OK},
	{"boot_mark_good", DEPLOYMENT_CONFIRMING, 0, NULL, false, DEPLOYMENT_CONFIRMED,
		EF_REASON_OK},
	{"store_part_save", DEPLOYMENT_CONFIRMING, 0, NULL, false, DEPLOYMENT_CONFIRMED,
		EF_REASON_OK},
	{"store_part_save", DEPLOYMENT_CONFIRMING, 1, NULL, false, DEPLOYMENT_CONFIRMED,
		EF_REASON_OK},
	/* what is recorded together with the end */
	{"store_installed_put", DEPLOYMENT_CONFIRMED, 0, NULL, false, DEPLOYMENT_CONFIRMED,
		EF_REASON_OK},
	{"store_installed_put", DEPLOYMENT_CONFIRMED, 2, NULL, false, DEPLOYMENT_CONFIRMED,
		EF_REASON_OK},
	{"store_floor_raise", DEPLOYMENT_CONFIRMED, 1, NULL, false, DEPLOYMENT_CONFIRMED,
		EF_REASON_OK},
	{"store_get", DEPLOYMENT_CONFIRMED, 0, NULL, false, DEPLOYMENT_CONFIRMED, EF_REASON_OK},
	{"store_set", DEPLOYMENT_CONFIRMED, 0, NULL, false, DEPLOYMENT_CONFIRMED, EF_REASON_OK},
	{"store_set", DEPLOYMENT_CONFIRMED, 1, NULL, false, DEPLOYMENT_CONFIRMED, EF_REASON_OK},
	{"store_set", DEPLOYMENT_CONFIRMED, 2, NULL, false, DEPLOYMENT_CONFIRMED, EF_REASON_OK},
	{"update_boot", DEPLOYMENT_CONFIRMED, 0, NULL, false, DEPLOYMENT_CONFIRMED, EF_REASON_OK},
	{"when_settle", DEPLOYMENT_CONFIRMED, 0, NULL, false, DEPLOYMENT_CONFIRMED, EF_REASON_OK},
	{"store_deployment_save", DEPLOYMENT_CONFIRMED, 0, NULL, false, DEPLOYMENT_CONFIRMED,
		EF_REASON_OK},
	/* on the way back */
	{"update_boot", DEPLOYMENT_REVERTING, 0, "exit 1", false, DEPLOYMENT_REVERTED,
		EF_REASON_CHECK_FAILED},
	{"boot_mark_bad", DEPLOYMENT_REVERTING, 0, "exit 1", false, DEPLOYMENT_REVERTED,
		EF_REASON_CHECK_FAILED},
	{"store_part_save", DEPLOYMENT_REVERTING, 0, "exit 1", false, DEPLOYMENT_REVERTED,
		EF_REASON_CHECK_FAILED},
	{"store_deployment_save", DEPLOYMENT_REVERTED, 0, "exit 1", false, DEPLOYMENT_REVERTED,
		EF_REASON_CHECK_FAILED},
};

START_TEST(one_call_fails)
{
	unsigned over = 0;

	if (rows[_i].script)
		world_script(w, "10-check", rows[_i].script);
	fault.name = rows[_i].name;
	fault.state = rows[_i].state;
	fault.after = rows[_i].after;
	fault.times = 1;
	install("2.0.0");
	if (rows[_i].goes_back) {
		run_until_trial();
		world_node_reset(&w->nodes[1]);
	}
	world_run(w, 0, false);
	ck_assert_msg(fault.times == 0, "%s in %s was not called", rows[_i].name,
		deployment_state_word(rows[_i].state));
	ck_assert_int_eq(ends(rows[_i].end).reason, rows[_i].why);
	bool confirmed = rows[_i].end == DEPLOYMENT_CONFIRMED;
	fleet_runs(confirmed ? "2.0.0" : "1.0.0", "at the end");
	ck_assert_str_eq(update_release(w->update), confirmed ? "2.0.0" : "");
	ck_assert_int_eq(update_history(w->update, 0, count_end, &over), 0);
	ck_assert_uint_eq(over, 1);
	ck_assert_uint_ge(slots_changed, 1); /* whoever shows them is told */
}
END_TEST

static void on_looked(void *ctx, const char *version, const struct error *e)
{
	snprintf(ctx, 32, "%s", version[0] ? version : "none");
}

/* The newest release that a look at the source would install. */
static void offered(char version[32])
{
	struct error e = {0};

	version[0] = 0;
	ck_assert_int_eq(update_check(w->update, on_looked, version, &e), EF_REASON_OK);
	while (!version[0])
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
}

/* What is left does not come back by itself, also when looking it up failed once; when it is not on
 * record at all, there is nothing to remember it by. */
START_TEST(what_a_rollback_leaves)
{
	struct error e = {0};
	char version[32];
	uint64_t id;

	install("2.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	install("3.0.0");
	world_run(w, 0, false);
	ends(DEPLOYMENT_CONFIRMED);
	fault.name = _i ? "no deployment" : "store_deployment_of";
	fault.state = DEPLOYMENT_CONFIRMED;
	fault.times = 1;
	ck_assert_int_eq(update_rollback(w->update, &id, &e), EF_REASON_OK);
	world_run(w, 0, false);
	ck_assert_uint_eq(fault.times, 0);
	ends(DEPLOYMENT_CONFIRMED);
	fleet_runs("2.0.0", "at the end");
	offered(version);
	ck_assert_str_eq(version, _i ? "3.0.0" : "none");
}
END_TEST

START_TEST(a_part_that_has_failed_is_not_recorded_at_once)
{
	world_publish(
		w, &(struct world_release){.version = "4.0.0", .sequence = 4, .no_rootfs = true});
	fault.name = "store_part_save";
	fault.state = DEPLOYMENT_CONFIRMING;
	fault.times = 1;
	install("4.0.0");
	while (w->update->current->state != DEPLOYMENT_CONFIRMING)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	world_node_reset(&w->nodes[0]);
	world_run(w, 0, false);
	ck_assert_uint_eq(fault.times, 0);
	ck_assert_int_eq(ends(DEPLOYMENT_REVERTED).reason, EF_REASON_NODE_REVERTED);
	fleet_runs("1.0.0", "at the end");
}
END_TEST

/* A question to a node is under way when something is to be done to it: afterwards, then. */
static const struct {
	enum deployment_state state;
	unsigned after;
	const char *script;
	bool redone; /* the meter has gone back, and is brought up again */
	enum deployment_state end;
} busy[] = {
	{DEPLOYMENT_CONFIRMING, 0, NULL, false, DEPLOYMENT_CONFIRMED},
	{DEPLOYMENT_CONFIRMING, 1, NULL, true, DEPLOYMENT_CONFIRMED},
	{DEPLOYMENT_CONFIRMING, 2, NULL, true, DEPLOYMENT_CONFIRMED},
	{DEPLOYMENT_CONFIRMING, 3, NULL, true, DEPLOYMENT_CONFIRMED},
	{DEPLOYMENT_REVERTING, 0, "exit 1", false, DEPLOYMENT_REVERTED},
};

START_TEST(a_node_that_is_being_asked)
{
	if (busy[_i].script)
		world_script(w, "10-check", busy[_i].script);
	install("2.0.0");
	run_until_trial();
	fault.name = "nodes_claim";
	fault.state = busy[_i].state;
	fault.after = busy[_i].after;
	fault.times = 1;
	while (busy[_i].redone && w->update->current->state != DEPLOYMENT_CONFIRMING)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	if (busy[_i].redone)
		world_node_reset(&w->nodes[0]);
	world_run(w, 0, false);
	ck_assert_uint_eq(fault.times, 0);
	ends(busy[_i].end);
	fleet_runs(busy[_i].end == DEPLOYMENT_CONFIRMED ? "2.0.0" : "1.0.0", "at the end");
}
END_TEST

START_TEST(without_memory_nobody_is_given_up) /* for now: the next look has it, or the deadline */
{
	w->config.check_us = 4 * USEC_PER_SEC;
	fault.name = "calloc";
	fault.state = DEPLOYMENT_TRIAL;
	fault.times = 1;
	world_script(w, "10-check", "exit 0");
	install("3.0.0");
	run_until_trial();
	w->nodes[1].unreachable = true; /* which is within its budget */
	world_run(w, 0, false);
	ck_assert_uint_eq(fault.times, 0);
	ends(DEPLOYMENT_CONFIRMED);
}
END_TEST

static void made_primary(struct boot_state *s)
{
	s->running = SLOT_A;
	s->primary = SLOT_B;
	s->trial = SLOT_NONE;
	s->on_trial = false;
}

static void bad_and_to_be_tried(struct boot_state *s)
{
	s->mark[SLOT_B] = SLOT_BAD;
	s->trial = SLOT_B;
}

static void bad_already(struct boot_state *s)
{
	s->mark[SLOT_B] = SLOT_BAD;
	s->trial = SLOT_NONE;
}

/* What the boot loader's state is when somebody else has changed it. */
static const struct {
	void (*as)(struct boot_state *s);
	enum deployment_state state;
	unsigned times;
	const char *script;
	enum deployment_state end;
	unsigned marked_bad;
} states[] = {
	/* permanent already, and not running yet */
	{made_primary, DEPLOYMENT_CONFIRMING, 1, NULL, DEPLOYMENT_CONFIRMED, 0},
	/* the primary slot is never marked bad */
	{made_primary, DEPLOYMENT_REVERTING, 1, "exit 1", DEPLOYMENT_REVERTED, 0},
	/* a slot that is bad is not marked once more, but for one that is to be tried */
	{bad_already, DEPLOYMENT_REVERTING, 1, "exit 1", DEPLOYMENT_REVERTED, 1},
	{bad_and_to_be_tried, DEPLOYMENT_REVERTING, 2, "exit 1", DEPLOYMENT_REVERTED, 2},
};

START_TEST(boot_loader_changed_by_others)
{
	if (states[_i].script)
		world_script(w, "10-check", states[_i].script);
	boot_as = states[_i].as;
	fault.name = "boot_as";
	fault.state = states[_i].state;
	fault.times = states[_i].times;
	install("2.0.0");
	world_run(w, 0, false);
	ck_assert_uint_eq(fault.times, 0);
	ends(states[_i].end);
	ck_assert_uint_eq(marked_bad, states[_i].marked_bad);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/calls");
	TCase *t = tcase_create("calls");

	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, prepare, teardown);
	tcase_add_loop_test(t, one_call_fails, 0, (int)(sizeof(rows) / sizeof(rows[0])));
	tcase_add_loop_test(t, what_a_rollback_leaves, 0, 2);
	tcase_add_test(t, a_part_that_has_failed_is_not_recorded_at_once);
	tcase_add_loop_test(
		t, a_node_that_is_being_asked, 0, (int)(sizeof(busy) / sizeof(busy[0])));
	tcase_add_test(t, without_memory_nobody_is_given_up);
	tcase_add_loop_test(
		t, boot_loader_changed_by_others, 0, (int)(sizeof(states) / sizeof(states[0])));
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
