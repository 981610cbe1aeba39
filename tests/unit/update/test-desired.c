/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes are brought to what the installed release says whenever they appear (ARCHITECTURE "Desired
 * state"). */
#include "../unit.h"
#include "world.h"
#include <string.h>

static struct world *w;

static const struct world_release one = {.version = "1.0.0", .sequence = 1},
				  two = {.version = "2.0.0", .sequence = 2};

static void setup(void)
{
	w = world_new();
	world_publish(w, &one);
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
	world_run(w, 0, false);
}

static bool node_has(size_t i, const char *version)
{
	uint8_t hash[32];

	world_hash(w, version, i, hash);
	return memcmp(w->nodes[i].id.slots[0].hash, hash, 32) == 0;
}

static void set_node(size_t i, const char *version)
{
	world_hash(w, version, i, w->nodes[i].id.slots[0].hash);
}

/* Until it has been asked often enough for anything that is to come of it. */
static void let_time_pass(unsigned ms)
{
	uint64_t end = now_monotonic_us() + ms * USEC_PER_MSEC, asked = 0;

	while (now_monotonic_us() < end) {
		if (now_monotonic_us() > asked + 20 * USEC_PER_MSEC) {
			nodes_poll(w->update);
			asked = now_monotonic_us();
		}
		sd_event_run(w->event, 1000);
	}
}

struct seen {
	unsigned catch_ups, confirmed, cancelled;
};

static int see(void *ctx, const struct deployment *d)
{
	struct seen *s = ctx;

	if (d->origin != ORIGIN_CATCH_UP)
		return 0;
	s->catch_ups++;
	s->confirmed += d->state == DEPLOYMENT_CONFIRMED;
	s->cancelled += d->state == DEPLOYMENT_CANCELLED;
	return 0;
}

static struct seen seen(void)
{
	struct seen s = {0};

	ck_assert_int_eq(update_deployments(w->update, 0, see, &s), 0);
	return s;
}

/* It was off during the update, and comes back as it was. */
START_TEST(a_node_that_was_away)
{
	w->config_nodes[1].required = false;
	w->nodes[1].unreachable = true;
	world_publish(w, &two);
	install("2.0.0");
	ck_assert(node_has(0, "2.0.0") && node_has(1, "1.0.0"));
	unsigned uploads = w->nodes[0].uploads, jobs = w->worker_jobs;
	let_time_pass(100);
	ck_assert_uint_eq(seen().catch_ups, 0);
	w->nodes[1].unreachable = false;
	let_time_pass(400);
	ck_assert(node_has(1, "2.0.0"));
	ck_assert(w->nodes[1].id.slots[0].confirmed && !w->nodes[1].id.trial);
	ck_assert_uint_eq(seen().confirmed, 1);
	ck_assert_uint_eq(w->nodes[0].uploads, uploads);
	ck_assert_uint_eq(w->worker_jobs, jobs);
	ck_assert_str_eq(update_release(w->update), "2.0.0");
	let_time_pass(200);
	ck_assert_uint_eq(seen().catch_ups, 1);
}
END_TEST

/* A spare part with old firmware; the gateway was restarted in between, and the server is away. */
START_TEST(a_spare_part_after_a_restart)
{
	world_publish(w, &two);
	install("2.0.0");
	set_node(0, "1.0.0");
	w->server_down = true;
	world_kill(w);
	world_start(w);
	let_time_pass(400);
	ck_assert(node_has(0, "2.0.0"));
	ck_assert_uint_eq(seen().confirmed, 1);
}
END_TEST

/* F-30: a node that is ahead, because the gateway fell back, is brought back. */
START_TEST(a_node_that_is_ahead_F30)
{
	install("1.0.0");
	world_publish(w, &two);
	set_node(1, "2.0.0");
	let_time_pass(400);
	ck_assert(node_has(1, "1.0.0"));
}
END_TEST

/* F-32: one that does not take it is not tried again and again, and does not stop the other. */
START_TEST(a_node_that_refuses_F32)
{
	world_publish(w, &two);
	install("2.0.0");
	set_node(0, "1.0.0");
	set_node(1, "1.0.0");
	w->nodes[0].reject_image = true;
	let_time_pass(500);
	ck_assert(node_has(0, "1.0.0") && node_has(1, "2.0.0"));
	ck_assert_uint_eq(seen().catch_ups, 1);
}
END_TEST

/* One on a trial that somebody else began, and one that is another board, are left alone. */
START_TEST(left_alone)
{
	install("1.0.0");
	set_node(0, "2.0.0");
	w->nodes[0].id.trial = true;
	let_time_pass(150);
	ck_assert_uint_eq(seen().catch_ups, 0);
	w->nodes[0].id.trial = false;
	w->nodes[0].id.class_id[0] ^= 1;
	let_time_pass(150);
	ck_assert_uint_eq(seen().catch_ups, 0);
}
END_TEST

/* A deployment that somebody wants comes first. */
START_TEST(gives_way)
{
	struct error e = {0};
	uint64_t id;

	install("1.0.0");
	world_publish(w, &two);
	set_node(0, "2.0.0");
	w->config_nodes[0].external = true; /* so that it waits for power */
	w->nodes[0].id.external = true;
	ck_assert_int_eq(update_catch_up(w->update, &id, &e), EF_REASON_OK);
	ck_assert_int_eq(update_current(w->update)->origin, ORIGIN_CATCH_UP);
	install("2.0.0");
	ck_assert(node_has(0, "2.0.0") && node_has(1, "2.0.0"));
	ck_assert_uint_eq(seen().cancelled, 1);
	ck_assert_str_eq(update_release(w->update), "2.0.0");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("desired");
	TCase *t = tcase_create("desired");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_node_that_was_away);
	tcase_add_test(t, a_spare_part_after_a_restart);
	tcase_add_test(t, a_node_that_is_ahead_F30);
	tcase_add_test(t, a_node_that_refuses_F32);
	tcase_add_test(t, left_alone);
	tcase_add_test(t, gives_way);
	suite_add_tcase(s, t);
	return s;
}
UNIT_MAIN(suite())
