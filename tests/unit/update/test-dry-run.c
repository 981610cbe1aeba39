/* SPDX-License-Identifier: Apache-2.0 */
/* What a deployment would do: the same as it does, and nothing is touched by asking. */
#include "../unit.h"
#include "util/fdio.h"
#include "util/hex.h"
#include "world.h"
#include <fcntl.h>
#include <ftw.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/stat.h>

static struct world *w;

static void setup(void)
{
	w = world_new();
	world_repo_new(w);
	world_publish(w, &(struct world_release){.version = "1.0.0", .sequence = 1});
	world_publish(w, &(struct world_release){.version = "2.0.0", .sequence = 2});
	world_start(w);
}

static void teardown(void)
{
	world_repo_free(w);
	world_free(w);
}

/* --- everything there is, as one text --- */

static char lines[200][384];
static size_t n_lines;

static int note_file(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	uint8_t digest[32];
	char hex[DIGEST_HEX_MAX];
	uint8_t *data = NULL;
	size_t size = 0;

	if (flag == FTW_F)
		ck_assert_int_eq(file_read(path, 16 << 20, &data, &size), 0);
	ck_assert_int_eq(EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL), 1);
	free(data);
	ck_assert_uint_lt(n_lines, 200);
	snprintf(lines[n_lines++], sizeof(lines[0]), "%s %s\n", path, digest_hex(digest, hex));
	return 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Files of state, boot loader and slots; what the slots hold; nodes with their counters. */
static char *all_there_is(void)
{
	char *text = NULL;
	size_t size;

	n_lines = 0;
	nftw(w->dir, note_file, 16, FTW_PHYS);
	qsort(lines, n_lines, sizeof(lines[0]), by_text);
	FILE *f = open_memstream(&text, &size);
	for (size_t i = 0; i < n_lines; i++)
		fputs(lines[i], f);
	for (size_t i = 0; i < WORLD_NODES; i++) {
		const struct fake_node *n = &w->nodes[i];
		fprintf(f, "node %u %u %u %02x%02x\n", n->uploads, n->erases, n->resets,
			n->id.slots[0].hash[0], n->id.slots[1].hash[0]);
	}
	fprintf(f, "slots %02x %02x, %u jobs\n", w->slot_image[0][0], w->slot_image[1][0],
		w->worker_jobs);
	fclose(f);
	return text;
}

static void untouched(const char *before)
{
	_cleanup_free_ char *after = all_there_is();
	size_t i = 0;

	while (before[i] && before[i] == after[i])
		i++;
	while (i > 0 && before[i - 1] != '\n')
		i--;
	ck_assert_msg(strcmp(before, after) == 0, "%.300s\n%.300s", before + i, after + i);
}

/* --- asking --- */

struct answer {
	bool done, there;
	struct error error; /* of the call */
	enum deployment_state state;
	struct error why;
	struct part parts[8];
	size_t n_parts;
	struct plan_gate gates[8];
	size_t n_gates;
	struct plan_room room;
};

static void on_plan(void *ctx, const struct update_plan *p, const struct error *e)
{
	struct answer *a = ctx;

	a->done = true;
	a->error = *e;
	if (!p)
		return;
	a->there = true;
	a->state = p->deployment->state;
	a->why = p->deployment->error;
	a->n_parts = p->deployment->n_parts;
	for (size_t i = 0; i < a->n_parts; i++) {
		a->parts[i] = p->deployment->parts[i];
		a->parts[i].component = NULL; /* gone with the plan */
	}
	a->n_gates = p->n_gates;
	memcpy(a->gates, p->gates, p->n_gates * sizeof(*p->gates));
	a->room = p->room;
}

static void wait_for(const struct answer *a)
{
	while (!a->done)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
}

static struct answer plan(const char *what)
{
	struct answer a = {0};
	struct error e = {0};

	ck_assert_msg(
		update_plan(w->update, what, on_plan, &a, &e) == EF_REASON_OK, "%s", e.detail);
	ck_assert_ptr_null(update_current(w->update)); /* it is no deployment */
	wait_for(&a);
	return a;
}

static void install(const char *version)
{
	struct error e = {0};
	uint64_t id;

	ck_assert_msg(update_install(w->update, version, &id, &e) == EF_REASON_OK, "%s", e.detail);
}

static void on_checked(void *ctx, const char *version, const struct error *e)
{
	*(bool *)ctx = true;
}

/* So that metadata is there already: what any look leaves behind. */
static void look(void)
{
	struct error e = {0};
	bool done = false;

	ck_assert_int_eq(update_check(w->update, on_checked, &done, &e), EF_REASON_OK);
	while (!done)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
}

START_TEST(asking_touches_nothing)
{
	look();
	_cleanup_free_ char *before = all_there_is();
	struct answer a = plan("");
	ck_assert_int_eq(a.state, DEPLOYMENT_FETCHING);
	ck_assert_uint_eq(a.n_parts, 3);
	ck_assert_uint_eq(a.n_gates, 5); /* two nodes, the hour, and the site at two steps */
	ck_assert_uint_gt(a.room.need, 0);
	untouched(before);
	/* nor do a refusal, or the end of the daemon on the way */
	a = plan("9.9.9");
	ck_assert_int_eq(a.why.reason, EF_REASON_NOT_FOUND);
	struct error e = {0};
	struct answer cut = {0};
	ck_assert_int_eq(update_plan(w->update, "", on_plan, &cut, &e), EF_REASON_OK);
	ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	world_kill(w);
	ck_assert(cut.done && !cut.there);
	ck_assert_int_eq(cut.error.reason, EF_REASON_CANCELLED);
	world_start(w); /* which notes its start */
	ck_assert_ptr_null(w->update->current);
	ck_assert_uint_eq(w->nodes[0].uploads + w->nodes[1].uploads + w->worker_jobs, 0);
}
END_TEST

/* Of a bundle: not even a look at the source; no network at all. */
START_TEST(asking_about_a_bundle)
{
	struct answer a = {0};
	struct error e = {0};

	look();
	int fd = world_bundle(w);
	_cleanup_free_ char *before = all_there_is();
	ck_assert_int_eq(
		update_plan_bundle(w->update, fd, "demo.ferry", on_plan, &a, &e), EF_REASON_OK);
	wait_for(&a);
	ck_assert_msg(a.state == DEPLOYMENT_FETCHING, "%s", a.why.detail);
	ck_assert_uint_eq(a.n_parts, 3);
	untouched(before);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ne(update_plan_bundle(w->update, fd, "null", on_plan, &a, &e), EF_REASON_OK);
	untouched(before); /* the refusal is no event */
}
END_TEST

/* --- it is what happens --- */

static void same_parts(const struct answer *a)
{
	const struct deployment *d = update_current(w->update);

	ck_assert_uint_eq(a->n_parts, d->n_parts);
	for (size_t i = 0; i < a->n_parts; i++) {
		const struct part *x = &a->parts[i], *y = &d->parts[i];
		ck_assert_str_eq(x->place, y->place);
		ck_assert_str_eq(x->from, y->from);
		ck_assert_int_eq(x->required, y->required);
		ck_assert_mem_eq(x->hash, y->hash, 32);
		ck_assert_int_eq(x->state == COMPONENT_SKIPPED, y->state == COMPONENT_SKIPPED);
		ck_assert_str_eq(x->error.detail, y->error.detail);
	}
}

START_TEST(the_plan_is_what_is_done)
{
	struct answer a;

	world_hash(w, "2.0.0", 1, w->nodes[1].id.slots[0].hash); /* one has it already */
	nodes_poll(w->update);
	a = plan("2.0.0");
	ck_assert_int_eq(a.parts[1].state, COMPONENT_SKIPPED);
	ck_assert_int_eq(a.parts[1].error.reason, EF_REASON_ALREADY_INSTALLED);
	install("2.0.0");
	while (update_current(w->update)->state == DEPLOYMENT_OFFERED)
		ck_assert_int_ge(sd_event_run(w->event, UINT64_MAX), 0);
	same_parts(&a);
	world_run(w, 0, false);
	ck_assert_int_eq(world_outcome(w, &a.why), DEPLOYMENT_CONFIRMED);
	a = plan("2.0.0");
	ck_assert_int_eq(a.why.reason, EF_REASON_ALREADY_INSTALLED);
	ck_assert_uint_eq(a.n_parts, 3); /* shown all the same */
}
END_TEST

static void not_answering(void)
{
	w->nodes[1].unreachable = true;
}

static void another_board(void)
{
	memset(w->nodes[0].id.vendor, 0x55, 16);
}

static void no_quota(void)
{
	w->config.object_quota = 100;
}

static void wrong_hardware(void)
{
	w->config.hardware = 7;
}

static void other_image(void)
{
	world_publish(w, &(struct world_release){
				 .version = "3.0.0", .sequence = 3, .wrong_board = "toaster"});
}

/* I-3: its gateway does not speak with nodes that had to stay as they are; and not with this one.
 */
static void nodes_left_behind(void)
{
	world_publish(w, &(struct world_release){.version = "3.0.0",
				 .sequence = 3,
				 .gateway_protocol = {2, 2},
				 .node_protocol = {1, 2}});
}

static void gateway_left_behind(void)
{
	world_publish(w, &(struct world_release){.version = "3.0.0",
				 .sequence = 3,
				 .gateway_protocol = {1, 2},
				 .node_protocol = {2, 2}});
}

static void server_away(void)
{
	w->server_down = true;
}

START_TEST(a_refusal_is_the_same_refusal)
{
	static void (*const wrong[])(void) = {not_answering, another_board, no_quota,
		wrong_hardware, other_image, nodes_left_behind, gateway_left_behind, server_away};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct error why;
		teardown();
		setup();
		wrong[i]();
		struct answer a = plan("");
		install("");
		world_run(w, 0, false);
		enum deployment_state end = world_outcome(w, &why);
		ck_assert_msg(a.state == end && a.why.reason == why.reason, "%zu: %s, not %s", i,
			reason_word(a.why.reason), reason_word(why.reason));
		ck_assert_int_ne(why.reason, EF_REASON_OK);
		ck_assert_str_eq(a.why.detail, why.detail);
	}
}
END_TEST

START_TEST(gates_as_they_stand)
{
	w->config_nodes[0].battery = 30;
	w->nodes[0].id.battery = 29;
	w->config.interlock = w->config.checks_dir;
	world_script(w, "10-plant", "[ $EDGEFERRY_STEP = transfer ] || { echo moving; exit 1; }");
	struct answer a = plan("");
	ck_assert_int_eq(a.state, DEPLOYMENT_FETCHING); /* they hold up, they do not refuse */
	ck_assert_uint_eq(a.n_gates, 5);
	ck_assert_str_eq(a.gates[0].place, "meter-1");
	ck_assert_int_eq(a.gates[0].error.reason, EF_REASON_NODE_BATTERY);
	ck_assert_int_eq(a.gates[1].error.reason, EF_REASON_OK);
	ck_assert_str_eq(a.gates[3].word, "transfer");
	ck_assert_int_eq(a.gates[3].error.reason, EF_REASON_OK);
	ck_assert_str_eq(a.gates[4].word, "activate");
	ck_assert_ptr_nonnull(strstr(a.gates[4].error.detail, "moving"));
}
END_TEST

START_TEST(a_deployment_goes_first) /* F-21 */
{
	struct answer a = {0}, second = {0};
	struct error e = {0};
	uint64_t id;

	ck_assert_int_eq(update_plan(w->update, "", on_plan, &a, &e), EF_REASON_OK);
	ck_assert_int_eq(update_plan(w->update, "", on_plan, &second, &e), EF_REASON_BUSY);
	ck_assert(!a.done);
	error_clear(&e);
	ck_assert_int_eq(update_install(w->update, "2.0.0", &id, &e), EF_REASON_OK);
	ck_assert(a.done && !a.there);
	ck_assert_int_eq(a.error.reason, EF_REASON_BUSY);
	ck_assert_int_eq(update_plan(w->update, "", on_plan, &second, &e), EF_REASON_BUSY);
	world_run(w, 0, false);
	ck_assert_int_eq(world_outcome(w, &e), DEPLOYMENT_CONFIRMED);
	ck_assert(!second.done);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("update/dry-run");
	TCase *t = tcase_create("dry-run");

	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, asking_touches_nothing);
	tcase_add_test(t, asking_about_a_bundle);
	tcase_add_test(t, the_plan_is_what_is_done);
	tcase_add_test(t, a_refusal_is_the_same_refusal);
	tcase_add_test(t, gates_as_they_stand);
	tcase_add_test(t, a_deployment_goes_first);
	suite_add_tcase(s, t);
	return s;
}

UNIT_MAIN(suite())
