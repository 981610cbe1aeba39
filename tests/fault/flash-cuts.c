/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Power cuts, enumerated (F-18, I-1, I-2, I-4, E-05, E-06): the bootloader's and the agent's own
 *code on a flash that loses power at every operation of a story, before it, torn, with random bits,
 *and after it. After each cut the node must start exactly the old or the new image, whole, keep its
 * floor, and finish what was begun.
 *
 *	flash-cuts [--deep] [--large]
 *
 * --deep cuts every operation of the recovery as well; --large runs larger slots too.
 */
#include "boot/boot.h"
#include "flash-gateway.h"
#include "flash-sim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OLD = 1, NEW = 2, OLD_COUNTER = 3, NEW_COUNTER = 5 };

static struct {
	struct test_image old, fresh;
	EVP_PKEY *key;
	struct sim start;
	unsigned long cuts, failures;
	bool deep, asked_to_confirm;
	const char *(*afterwards)(void); /* what the story's gateway does after the cut */
	const char *story, *geometry;
} test;

static enum self_test passed(void)
{
	return SELF_TEST_PASSED;
}

static const struct agent_program application = {.self_test = passed};
static struct agent agent;

/* ---- what the gateway asks of the application ---- */

static bool ask_state(const uint8_t *hash, bool confirm)
{
	test.asked_to_confirm |= confirm;
	struct reply r = gateway_state(&agent, hash, confirm, 0);
	return reply_good(&r);
}

static bool ask_preflight(const struct test_image *i)
{
	struct reply r = gateway_preflight(&agent, i);
	return reply_good(&r);
}

static bool ask_upload(const struct test_image *i)
{
	struct reply r = gateway_upload(&agent, i, 211);
	return reply_good(&r) && r.match;
}

/* ---- power-up and what must hold ---- */

static void run_boot(void *ctx)
{
	(void)ctx;
	boot_main();
}

/* A step of a story has no other way to fail than a cut: that is a bug in the story or the code. */
static void must(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "%s, %s: %s does not work without a cut\n", test.story,
			test.geometry, what);
		exit(1);
	}
}

static void boot(void)
{
	enum sim_event e = sim_run(run_boot, NULL);

	if (e == SIM_CUT) /* to whoever enumerates the cuts */
		longjmp(*sim.end, SIM_CUT);
	must(e == SIM_STARTED, "the boot");
	agent_init(&agent, &application);
}

static bool slot_is(unsigned slot, const struct test_image *i)
{
	return memcmp(sim.flash + sim.board.slot[slot].offset, i->data, i->size) == 0;
}

static const char *check_after_boot(enum sim_event e)
{
	struct state s;
	bool old = slot_is(0, &test.old), fresh = slot_is(0, &test.fresh);

	if (e != SIM_STARTED)
		return "no image was started (I-1)";
	if (!old && !fresh)
		return "slot 0 holds neither image";
	if (!state_load(&s, 0))
		return "no state";
	if (s.phase != PHASE_CONFIRMED && s.phase != PHASE_TRIAL)
		return "neither confirmed nor on trial (I-2)";
	if (s.phase == PHASE_CONFIRMED && fresh && !test.asked_to_confirm)
		return "the new image is confirmed and nobody asked for it (E-05)";
	if (s.phase == PHASE_TRIAL && !fresh)
		return "the old image is on trial";
	if (s.phase == PHASE_TRIAL && s.attempts != 1)
		return "the trial is not used up";
	if (s.floor < OLD_COUNTER)
		return "the floor fell (I-4)";
	if (s.floor > OLD_COUNTER &&
		(s.floor != NEW_COUNTER || !fresh || s.phase != PHASE_CONFIRMED))
		return "the floor rose before the confirmation (E-06)";
	return NULL;
}

/* A trial that the cut interrupted ends at the next start: the old image, for good. */
static const char *check_end(void)
{
	struct state s;
	enum sim_event e = sim_run(run_boot, NULL);
	const char *wrong = check_after_boot(e);

	if (wrong)
		return wrong;
	state_load(&s, 0);
	if (s.phase != PHASE_CONFIRMED)
		return "a second start does not end the trial (E-05)";
	if (slot_is(0, &test.old) && s.floor != OLD_COUNTER)
		return "the floor is above the image that runs";
	e = sim_run(run_boot, NULL);
	wrong = check_after_boot(e);
	return wrong;
}

static void report(const char *wrong, uint32_t first, uint32_t second)
{
	if (!wrong || test.failures++ > 10)
		return;
	fprintf(stderr, "%s, %s: cut of kind %d at operation %u%s%.0u: %s\n", test.story,
		test.geometry, (int)sim.cut_kind, (unsigned)first, second ? " and then " : "",
		(unsigned)second, wrong);
}

/* What the power cut at `first` left is in sim: starts it, once whole and, if deep, cut everywhere.
 */
static void recover(uint32_t first)
{
	static struct sim left;
	enum sim_event e;
	uint32_t before;

	sim_power_on();
	left = sim;
	before = sim.operations;
	e = sim_run(run_boot, NULL);
	report(check_after_boot(e), first, 0);
	uint32_t operations = sim.operations - before;
	if (test.afterwards)
		report(test.afterwards(), first, 0);
	report(check_end(), first, 0);
	if (!test.deep)
		return;
	for (uint32_t at = 1; at <= operations; at++) {
		sim = left;
		sim.random += at;
		sim.cut_at = sim.operations + at;
		e = sim_run(run_boot, NULL);
		test.cuts++;
		sim_power_on();
		e = sim_run(run_boot, NULL);
		report(check_after_boot(e), first, at);
		report(check_end(), first, at);
	}
}

static void run_story(void *ctx)
{
	void (*const *story)(void) = ctx;

	test.asked_to_confirm = false;
	(*story)();
}

static void enumerate(const char *name, void (*story)(void))
{
	struct sim *start = malloc(sizeof(*start));
	uint32_t operations;

	test.story = name;
	*start = sim;
	must(sim_run(run_story, &story) == SIM_NONE, "the story");
	operations = sim.operations - start->operations;
	for (int kind = 0; kind < CUT_KINDS; kind++)
		/* after one operation is before the next: only the last has an after of its own */
		for (uint32_t at = kind == CUT_AFTER ? operations : 1; at <= operations; at++) {
			sim = *start;
			sim.random = at * 2654435761u;
			sim.cut_kind = (enum sim_cut)kind;
			sim.cut_at = sim.operations + at;
			must(sim_run(run_story, &story) == SIM_CUT, "the cut");
			test.cuts++;
			recover(at);
		}
	sim = *start;
	free(start);
	printf("# %s, %s: %u operations\n", name, test.geometry, (unsigned)operations);
}

static void enumerate_with(const char *name, void (*story)(void), const char *(*afterwards)(void))
{
	test.afterwards = afterwards;
	enumerate(name, story);
	test.afterwards = NULL;
}

/* ---- stories ---- */

static void first_boot(void)
{
	boot();
	must(slot_is(0, &test.old), "the old image");
}

static void upload(void)
{
	boot();
	must(ask_preflight(&test.fresh), "the preflight");
	must(ask_upload(&test.fresh), "the upload");
}

/* The gateway comes again after the cut; what was noted must lead to the whole image all the same.
 */
static const char *upload_again(void)
{
	agent_init(&agent, &application);
	if (!ask_preflight(&test.fresh) || !ask_upload(&test.fresh) || !slot_is(1, &test.fresh))
		return "the upload cannot be finished after the cut (E-10)";
	return NULL;
}

static void install(void)
{
	boot();
	must(ask_state(test.fresh.digest, false), "the request for a trial");
	boot();
	must(slot_is(0, &test.fresh) && slot_is(1, &test.old), "the swap");
	must(ask_state(test.fresh.digest, true), "the confirmation");
	must(agent.state.floor == NEW_COUNTER, "the floor");
	boot();
	must(slot_is(0, &test.fresh), "the new image");
}

static void revert(void)
{
	boot();
	must(ask_state(test.fresh.digest, false), "the request for a trial");
	boot();
	must(slot_is(0, &test.fresh), "the swap");
	boot();
	must(slot_is(0, &test.old) && slot_is(1, &test.fresh), "the way back");
	must(agent.state.revert == EF_REASON_NOT_CONFIRMED, "the reason");
	boot();
}

static void put_image(unsigned slot, const struct test_image *i)
{
	memcpy(sim.flash + sim.board.slot[slot].offset, i->data, i->size);
}

/* Stands in for a life of updates: the record pages wrap within the story. */
static void age_state(unsigned records)
{
	struct state s;

	boot();
	state_load(&s, 0);
	while (records--)
		must(state_store(&s) == 0, "a record");
}

struct geometry {
	const char *name;
	uint32_t page, scratch, units, old_size, new_size;
	bool fast, large;
};

static const struct geometry geometries[] = {
	{"small, signature at boot", 512, 1, 5, 600, 1900, true, false},
	{"small, digest at boot", 512, 1, 5, 1900, 600, false, false},
	{"two pages a step", 512, 2, 3, 900, 2000, false, true},
	{"as the microbit", 1024, 4, 6, 9000, 17000, false, true},
};

static void run_geometry(const struct geometry *g, bool large)
{
	struct factory f;
	unsigned records = g->page / sizeof(struct state);

	test.geometry = g->name;
	sim_init(g->page, g->scratch, g->units, g->fast);
	test_image_make(&test.old, test.key, OLD, OLD_COUNTER, g->old_size);
	test_image_make(&test.fresh, test.key, NEW, NEW_COUNTER, g->new_size);
	test_factory_make(&f, test.key, 1);
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
	put_image(0, &test.old);
	sim_power_on();
	enumerate("first boot", first_boot);
	put_image(1, &test.fresh);
	/* checking signatures is what takes the time: all ages only where it is rare, or on request
	 */
	unsigned ages = g->fast && !large ? 1 : records;
	for (unsigned age = 0; age < ages; age++) {
		static struct sim young;
		young = sim;
		age_state(age);
		enumerate("install", install);
		enumerate("revert", revert);
		if (age == 0 && (large || !g->fast))
			enumerate_with("upload", upload, upload_again);
		sim = young;
	}
}

int main(int argc, char **argv)
{
	bool large = false;

	for (int i = 1; i < argc; i++) {
		test.deep |= strcmp(argv[i], "--deep") == 0;
		large |= strcmp(argv[i], "--large") == 0;
	}
	test.key = test_key_new();
	puts("1..1");
	for (size_t i = 0; i < sizeof(geometries) / sizeof(*geometries); i++)
		if (large || !geometries[i].large)
			run_geometry(&geometries[i], large);
	EVP_PKEY_free(test.key);
	printf("%s 1 - %lu power cuts, %lu wrong ends\n", test.failures ? "not ok" : "ok",
		test.cuts, test.failures);
	return test.failures != 0;
}
