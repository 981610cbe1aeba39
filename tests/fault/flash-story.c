/* SPDX-License-Identifier: Apache-2.0 */
#include "flash-story.h"
#include "boot/boot.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world world;
static struct agent agent;

static enum self_test passed(void)
{
	return SELF_TEST_PASSED;
}

static const struct agent_program application = {.self_test = passed};

/* ---- what must hold ---- */

static bool slot_is(unsigned slot, const struct test_image *i)
{
	struct state s;

	state_load(&s);
	return memcmp(sim.flash + state_slot(&s, slot).offset, i->data, i->size) == 0;
}

/* No bit of it was left half way. */
static bool is_firm(unsigned slot, const struct test_image *i)
{
	struct state s;
	uint8_t bits = 0;

	state_load(&s);
	for (uint32_t at = 0; at < i->size; at++)
		bits |= sim.unstable[state_slot(&s, slot).offset + at];
	return bits == 0;
}

bool story_runs(const struct test_image *i)
{
	return slot_is(0, i);
}

const char *story_judge(enum sim_event e)
{
	struct factory f;
	struct state s;
	bool old = slot_is(0, &world.old), fresh = slot_is(0, &world.fresh);

	if (e != SIM_STARTED)
		return "no image was started (I-1)";
	if (!old && !fresh)
		return "what was started is neither image";
	if (!is_firm(0, old ? &world.old : &world.fresh))
		return "what was started may read differently the next time";
	if (sim.started != sim.board.slot[0].offset + 64)
		return "started at another place (E-04)";
	if (!state_load(&s))
		return "no state";
	if (s.phase != PHASE_CONFIRMED && s.phase != PHASE_TRIAL)
		return "neither confirmed nor on trial (I-2)";
	if (s.phase == PHASE_CONFIRMED && fresh && !world.confirmed)
		return "the new image is confirmed and nobody asked for it (E-05)";
	if (s.phase == PHASE_TRIAL && !fresh)
		return "the old image is on trial";
	if (s.phase == PHASE_TRIAL && s.attempts != 1)
		return "the trial is not used up";
	if (s.floor < world.floor)
		return "the floor fell (I-4)";
	if (s.floor > OLD_COUNTER &&
		(s.floor != NEW_COUNTER || !fresh || s.phase != PHASE_CONFIRMED))
		return "the floor rose before the confirmation (E-06)";
	world.floor = s.floor;
	keyset_load(&f);
	if (f.n_keys == 0 && world.teller == TELL_FAULTS)
		return NULL; /* no key is better than a wrong one */
	if (f.key_set < world.key_set)
		return "the key set fell (E-07)";
	if (f.n_keys != f.key_set + 1u)
		return "the keys are lost (E-06)";
	world.key_set = f.key_set;
	return NULL;
}

/* ---- steps ---- */

static void must(bool good, const char *what)
{
	if (good)
		return;
	if (world.teller == TELL_STRICTLY) {
		fprintf(stderr, "%s, %s: %s: does not work though nothing goes wrong\n",
			world.story->name, world.geometry->name, what);
		exit(1);
	}
	if (world.teller == TELL_AGAIN)
		world.wrong = what;
	longjmp(*sim.end, SIM_SERVING);
}

static void run_boot(void *ctx)
{
	(void)ctx;
	boot_main();
}

enum sim_event story_power_up(void)
{
	enum sim_event e = sim_run(run_boot, NULL);

	if (e == SIM_CUT) /* to whoever enumerates the cuts */
		longjmp(*sim.end, SIM_CUT);
	return e;
}

static void boot(void)
{
	enum sim_event e = story_power_up();
	const char *wrong = story_judge(e);

	/* with a fault an image need not start, but what starts is judged all the same */
	if (wrong && (e == SIM_STARTED || world.teller != TELL_FAULTS))
		world.wrong = wrong;
	must(!wrong, "the boot");
	agent_init(&agent, &application);
}

static void try_new(void)
{
	struct reply r = gateway_state(&agent, world.fresh.digest, false, 0);
	must(reply_good(&r), "the request for a trial");
}

static void confirm(void)
{
	world.confirmed = true;
	struct reply r = gateway_state(&agent, world.fresh.digest, true, 0);
	must(reply_good(&r), "the confirmation");
}

static void upload_new(void)
{
	struct reply r = gateway_preflight(&agent, &world.fresh);
	must(reply_good(&r), "the preflight");
	r = gateway_upload(&agent, &world.fresh, 211);
	must(reply_good(&r) && r.match && slot_is(1, &world.fresh), "the upload (E-10)");
	must(is_firm(1, &world.fresh), "an upload that reads the same every time");
}

/* ---- stories ---- */

static void nothing(void)
{
}

static void staged(void)
{
	boot();
	upload_new();
}

static void shift(void)
{
	struct state s;

	boot();
	state_load(&s);
	s.flags ^= STATE_SHIFTED;
	must(state_store(&s) == 0, "the record");
}

static void staged_shifted(void)
{
	shift();
	staged();
}

static void install(void)
{
	boot();
	try_new();
	boot();
	must(slot_is(0, &world.fresh) && slot_is(1, &world.old), "the swap");
	confirm();
	boot();
	must(slot_is(0, &world.fresh), "the new image");
}

static void revert(void)
{
	boot();
	try_new();
	boot();
	must(slot_is(0, &world.fresh), "the swap");
	boot();
	must(slot_is(0, &world.old) && slot_is(1, &world.fresh), "the way back");
	boot();
}

static void first_boot(void)
{
	boot();
	must(slot_is(0, &world.old), "the old image");
}

static void upload(void)
{
	boot();
	upload_new();
}

/* The new image is confirmed and the old one in reserve. */
static void installed(void)
{
	staged();
	install();
}

static void failing(void)
{
	installed();
	for (unsigned i = 1; i < BOOT_FAILURES_MAX; i++) {
		retained_set_cause(PORT_CAUSE_FAULT);
		boot();
	}
}

static void escape(void)
{
	retained_set_cause(PORT_CAUSE_FAULT);
	boot();
	must(slot_is(0, &world.old), "the escape");
	boot();
}

static void damaged(void)
{
	installed();
	sim.flash[sim.board.slot[0].offset + 200] ^= 4;
}

static void restore(void)
{
	boot();
	must(slot_is(0, &world.old), "the old image");
	boot();
}

static void erase(void)
{
	boot();
	struct reply r =
		gateway_ask(&agent, EF_SMP_WRITE, EF_GROUP_IMAGE, EF_IMAGE_ERASE, "\xa0", 1);
	must(reply_good(&r), "the erase");
	boot();
}

/* Brings the set, and what it brought is in force; where it is already that is well, too. */
static void rotate(void)
{
	uint8_t buf[PORT_MESSAGE_MAX - EF_SMP_HEADER_SIZE];
	struct cbor_writer w;
	struct reply r;

	boot();
	cbor_write_init(&w, buf, sizeof(buf));
	cbor_open_map(&w);
	cbor_put_text(&w, "doc");
	cbor_put_bytes(&w, world.keys.data, world.keys.size);
	cbor_close(&w);
	r = gateway_ask(&agent, EF_SMP_WRITE, EF_GROUP_EDGEFERRY, EF_EF_KEYS, buf, w.used);
	must(reply_good(&r) || r.reason == EF_REASON_METADATA_ROLLBACK, "the key set");
	boot();
	must(world.key_set == 1, "the new keys");
}

const struct story stories[] = {
	{"first boot", NEW_COUNTER, nothing, first_boot, NULL},
	{"upload", NEW_COUNTER, first_boot, upload, upload},
	{"upload, shifted", NEW_COUNTER, shift, upload, upload},
	{"install", NEW_COUNTER, staged, install, NULL},
	{"install, shifted", NEW_COUNTER, staged_shifted, install, NULL},
	{"revert", NEW_COUNTER, staged, revert, NULL},
	{"revert, shifted", NEW_COUNTER, staged_shifted, revert, NULL},
	{"escape", OLD_COUNTER, failing, escape, NULL},
	{"restore", OLD_COUNTER, damaged, restore, NULL},
	{"erase", OLD_COUNTER, installed, erase, NULL},
	{"key rotation", OLD_COUNTER, first_boot, rotate, rotate},
};
const size_t n_stories = sizeof(stories) / sizeof(*stories);

/* ---- start ---- */

static void make_keys(void)
{
	struct test_keyset factory = {.keys = {world.key}, .n = 1, .threshold = 1};
	struct test_keyset both = {
		.keys = {world.key, world.new_key}, .n = 2, .threshold = 1, .number = 1};

	test_document_whole(&world.keys, &both, &factory, 1, 1);
}

void story_node(const struct geometry *g, const struct story *s)
{
	struct factory f;

	world.geometry = g;
	world.story = s;
	world.teller = TELL_STRICTLY;
	world.wrong = NULL;
	world.confirmed = false;
	world.floor = 0;
	world.key_set = 0;
	make_keys();
	sim_init(g->page, g->pages_in_unit, g->units, g->fast);
	test_image_make(&world.old, world.key, OLD, OLD_COUNTER, g->old_size);
	test_image_make(&world.fresh, world.key, NEW, s->counter, g->new_size);
	test_factory_make(&f, world.key, 1);
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
	memcpy(sim.flash + sim.board.slot[0].offset, world.old.data, world.old.size);
	sim_power_on();
	s->prepare();
}

void story_age(unsigned records)
{
	struct state s;

	state_load(&s);
	while (s.sequence && records--)
		must(state_store(&s) == 0, "a record");
}
