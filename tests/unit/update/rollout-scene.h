/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the tests of rollout statements share: a publisher who says things, a gateway that is looked
 * at, release 2.0.0. The world begins on 2027-01-15 at eight and has real metadata.
 */
#include "../trust/repo.h"
#include "../unit.h"
#include "trust/key.h"
#include "trust/rollout.h"
#include "world.h"
#include <string.h>

#define SOON "2027-01-18T08:00:00Z" /* three days, as edgeferry-repo makes them */
#define DAY 86400

static struct world *w;

__attribute__((unused)) static void setup(void)
{
	w = world_new();
	world_repo_new(w);
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

__attribute__((unused)) static void teardown(void)
{
	world_repo_free(w);
	world_free(w);
}

/* --- the publisher --- */

struct entry {
	const char *version;
	unsigned sequence, share;
	bool halted;
	const char *salt;
};

__attribute__((unused)) static char *entry_text(const struct entry *x)
{
	char *text;

	ck_assert_int_gt(
		asprintf(&text,
			"{\"version\":\"%s\",\"sequence\":%u,\"share\":%u,\"salt\":\"%s%s\","
			"\"halted\":%s}",
			x->version, x->sequence, x->share, x->salt ? x->salt : "salt-of-",
			x->salt ? "" : x->version, x->halted ? "true" : "false"),
		0);
	return text;
}

__attribute__((unused)) static void say_until(
	const char *until, int64_t counter, const struct entry *list, size_t n)
{
	char text[8192];
	size_t at = (size_t)snprintf(text, sizeof(text),
		"{\"schema\":1,\"product\":\"demo\",\"counter\":%lld,\"expires\":\"%s\","
		"\"releases\":[",
		(long long)counter, until);

	for (size_t i = 0; i < n; i++) {
		char *one = entry_text(&list[i]);
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", i > 0 ? "," : "", one);
		free(one);
	}
	snprintf(text + at, sizeof(text) - at, "]}");
	world_rollout(w, "demo", text);
}

__attribute__((unused)) static void say(int64_t counter, struct entry x)
{
	say_until(SOON, counter, &x, 1);
}

#define TWO(of_share, is_halted) \
	((struct entry){.version = "2.0.0", .sequence = 2, .share = of_share, .halted = is_halted})

__attribute__((unused)) static unsigned my_place(void)
{
	unsigned place = 0;

	ck_assert(rollout_place("salt-of-2.0.0", "gw-test", &place));
	ck_assert_uint_gt(place, 0);
	return place;
}

/* --- the gateway --- */

__attribute__((unused)) static void install(const char *version)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install(w->update, version, &id, &e) == EF_REASON_OK, "%s", e.detail);
}

__attribute__((unused)) static struct error ends(enum deployment_state state)
{
	struct error why;

	world_run(w, 0, false);
	enum deployment_state got = world_outcome(w, &why);
	ck_assert_msg(got == state, "%s, not %s: %s: %s", deployment_state_word(got),
		deployment_state_word(state), reason_word(why.reason), why.detail);
	return why;
}

__attribute__((unused)) static void refused(const char *version, enum ef_reason reason)
{
	install(version);
	struct error why = ends(DEPLOYMENT_REFUSED);
	ck_assert_msg(why.reason == reason, "%s, not %s: %s", reason_word(why.reason),
		reason_word(reason), why.detail);
}

__attribute__((unused)) static void nothing_touched(void)
{
	ck_assert_uint_eq(w->worker_jobs, 0);
	ck_assert_uint_eq(w->nodes[0].uploads + w->nodes[1].uploads, 0);
	ck_assert_uint_eq(w->nodes[0].erases + w->nodes[1].erases, 0);
	ck_assert_int_eq(world_boot(w).mark[SLOT_B], SLOT_GOOD);
}

__attribute__((unused)) static void restart(void)
{
	world_kill(w);
	world_start(w);
}

__attribute__((unused)) static void turn(void)
{
	if (w->rebooting) {
		world_kill(w);
		world_reboot(w);
		world_start(w);
	}
	ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
}

__attribute__((unused)) static void run_until(enum deployment_state state)
{
	for (int i = 0; i < 5000; i++) {
		const struct deployment *d = update_current(w->update);
		if (d && d->state == state && !w->rebooting)
			return;
		ck_assert_ptr_nonnull(w->update->current);
		turn();
	}
	ck_abort_msg("never %s", deployment_state_word(state));
}

struct checked {
	bool done;
	char version[32];
	struct error error;
};

__attribute__((unused)) static void on_checked(
	void *ctx, const char *version, const struct error *e)
{
	struct checked *c = ctx;

	c->done = true;
	strcpy(c->version, version);
	c->error = *e;
}

/* As the broker's wake does it: again when the reader is in use. */
__attribute__((unused)) static struct checked look(void)
{
	static struct checked c;
	struct error e = {0};

	c = (struct checked){.done = false};
	while (update_check(w->update, on_checked, &c, &e) == EF_REASON_BUSY) {
		error_clear(&e);
		turn();
	}
	ck_assert_int_eq(e.reason, EF_REASON_OK);
	while (!c.done && !w->rebooting)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	return c;
}

__attribute__((unused)) static void offers(const char *version)
{
	struct checked c = look();

	ck_assert_int_eq(c.error.reason, EF_REASON_OK);
	ck_assert_str_eq(c.version, version);
}

__attribute__((unused)) static const struct known_release *known(const char *version)
{
	size_t n;
	const struct known_release *k = update_known(w->update, &n);

	for (; n > 0; n--, k++)
		if (strcmp(k->version, version) == 0)
			return k;
	ck_abort_msg("%s is not known", version);
}

__attribute__((unused)) static void held(const char *version, enum ef_reason reason)
{
	const struct known_release *k = known(version);

	ck_assert(k->held);
	ck_assert_msg(k->error.reason == reason, "%s, not %s: %s", reason_word(k->error.reason),
		reason_word(reason), k->error.detail);
}

/* The counter that counts; 0 while there is none. */
__attribute__((unused)) static uint64_t counter(void)
{
	uint64_t n;
	int64_t until;
	struct error e = {0};

	update_statement(w->update, &n, &until, &e);
	return n;
}

struct tale {
	const char *word;
	enum ef_reason reason;
	unsigned n;
};

__attribute__((unused)) static int tell(void *ctx, const struct event *ev)
{
	struct tale *t = ctx;

	t->n += strcmp(ev->word, t->word) == 0 && ev->error.reason == t->reason;
	return 0;
}

__attribute__((unused)) static unsigned events(const char *word, enum ef_reason reason)
{
	struct tale t = {word, reason, 0};

	ck_assert_int_eq(update_history(w->update, 0, tell, &t), 0);
	return t.n;
}

__attribute__((unused)) static bool gateway_runs(const char *version)
{
	uint8_t image[32];

	world_rootfs(version, image);
	return memcmp(w->slot_image[world_boot(w).running], image, 32) == 0;
}

__attribute__((unused)) static bool node_runs(size_t i, const char *version)
{
	uint8_t hash[32];

	world_hash(w, version, i, hash);
	return memcmp(w->nodes[i].id.slots[0].hash, hash, 32) == 0;
}

__attribute__((unused)) static void fleet_runs(const char *version, const char *what)
{
	struct boot_state b = world_boot(w);

	ck_assert_msg(!b.on_trial && b.running == b.primary && b.trial == SLOT_NONE, "%s", what);
	ck_assert_msg(gateway_runs(version), "%s", what);
	for (size_t i = 0; i < WORLD_NODES; i++)
		ck_assert_msg(
			node_runs(i, version) && !w->nodes[i].id.trial, "%s: node %zu", what, i);
}
