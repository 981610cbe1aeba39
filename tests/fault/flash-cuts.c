/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that can go wrong with flash, enumerated (F-18, F-19, I-1, I-2, I-4, E-04, E-05, E-06,
 * E-10, E-14). Power is lost at every operation of every story: before it, torn, with random bits,
 * with bits that then read as they like, after it. After each cut the node must start exactly the
 * old or the new image, whole, keep its floor, and finish what was begun. Faults of every kind
 * strike at every operation and every read, once or in one page for good: nothing else may start,
 * and what was a passing fault must leave no trace.
 *
 *	flash-cuts [--deep] [--jobs N] [STORY]
 *
 * --deep: every read, every age of the record pages, and every operation of the recovery is cut as
 * well, where that leaves something new. --jobs: so many processes.
 */
#include "boot/retained.h"
#include "flash-states.h"
#include "flash-story.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct geometry geometries[] = {
	{"nrf51-microbit scaled", 1024, 1, 6, 1500, 3500, false},
	{"nrf51-microbit scaled, shrinking", 1024, 1, 6, 3500, 1500, false},
	{"mps2-an385 scaled", 4096, 1, 4, 3000, 7500, true},
	{"two pages a unit", 512, 2, 4, 900, 2000, true},
};
#define N_GEOMETRIES (sizeof(geometries) / sizeof(*geometries))

static const char *const cut_names[CUT_KINDS] = {"before", "torn", "random", "unstable", "after"};
static const char *const fault_names[FAULT_KINDS] = {
	"silent", "reported", "bit", "failed read", "misread"};

/* A board and what has been seen on it. */
struct point {
	struct sim sim;
	bool confirmed;
	uint32_t floor;
	unsigned key_set;
};

struct counts {
	unsigned long cuts, recoveries, faults, served, failures; /* some cuts leave the same */
};

static struct {
	bool deep;
	struct counts counts;
} run;

static void keep(struct point *p)
{
	sim_copy(&p->sim, &sim);
	p->confirmed = world.confirmed;
	p->floor = world.floor;
	p->key_set = world.key_set;
}

static void back_to(const struct point *p)
{
	sim_copy(&sim, &p->sim);
	world.confirmed = p->confirmed;
	world.floor = p->floor;
	world.key_set = p->key_set;
	world.wrong = NULL;
}

__attribute__((format(printf, 2, 3))) static void report(const char *wrong, const char *how, ...)
{
	va_list ap;

	if (!wrong || run.counts.failures++ >= 200)
		return;
	fprintf(stderr, "%s, %s: ", world.story->name, world.geometry->name);
	va_start(ap, how);
	vfprintf(stderr, how, ap);
	va_end(ap);
	fprintf(stderr, ": %s\n", wrong);
}

static void call(void *ctx)
{
	void (*const *f)(void) = ctx;
	(*f)();
}

static enum sim_event tell(enum teller teller, void (*f)(void))
{
	world.teller = teller;
	return sim_run(call, &f);
}

/* Where bits read as they like, a recovery is gone through so many times. */
#define UNSTABLE_RECOVERIES 8u

/* ---- after something went wrong ---- */

static void wrong_if(const char *wrong)
{
	if (wrong && !world.wrong)
		world.wrong = wrong;
}

static void recover(void)
{
	wrong_if(story_judge(story_power_up()));
	if (!world.wrong && world.story->again)
		world.story->again();
}

/* A trial that was interrupted ends at the next start: the old image, for good. */
static void two_more_starts(void)
{
	struct state s;

	sim_power_on();
	wrong_if(story_judge(story_power_up()));
	state_load(&s);
	if (s.phase != PHASE_CONFIRMED)
		wrong_if("a second start does not end the trial (E-05)");
	if (story_runs(&world.old) && s.floor != OLD_COUNTER)
		wrong_if("the floor is above the image that runs");
	sim_power_on();
	wrong_if(story_judge(story_power_up()));
}

/* What was left is in sim. Returns what is wrong after it. */
static const char *recovery(void)
{
	world.wrong = NULL;
	sim_power_on();
	tell(TELL_AGAIN, recover);
	tell(TELL_AGAIN, two_more_starts);
	return world.wrong;
}

/* ---- power cuts ---- */

/* What is left to chance is tried more than once. */
static unsigned chances(enum sim_cut kind)
{
	return kind == CUT_UNSTABLE ? 3 : 1;
}

static void set_cut(enum sim_cut kind, uint32_t at, unsigned chance)
{
	sim.random = at * 2654435761u + kind + chance * 40503u;
	sim.cut_kind = kind;
	sim.cut_at = sim.operations + at;
	run.counts.cuts++;
}

static void recover_here(void)
{
	tell(TELL_AGAIN, recover);
}

/* The recovery from what was left is cut at each of its operations. Where bits read as they like it
 * may go this way or that. */
static void cut_recovery(enum sim_cut first, uint32_t at, const struct point *left)
{
	struct collection cuts = {0};

	back_to(left);
	for (uint32_t i = 0, n = states_unstable() ? UNSTABLE_RECOVERIES : 1; i < n; i++) {
		back_to(left);
		sim_power_on();
		sim.random += i * 2246822519u;
		states_collect(&cuts, i, recover_here);
		report(world.wrong, "cut %s %u, recovery %u", cut_names[first], at, i);
	}
	for (const struct left *l = cuts.first; l; l = l->next) {
		back_to(left);
		states_put(l);
		run.counts.recoveries++;
		report(recovery(), "cut %s %u and %s %u", cut_names[first], at, cut_names[l->kind],
			l->at);
	}
	run.counts.cuts += cuts.cuts;
	states_free(&cuts);
}

static void cut_story(const struct point *start, uint32_t operations, bool twice)
{
	static struct point left;

	states_forget();
	for (enum sim_cut kind = 0; kind < CUT_KINDS; kind++)
		for (uint32_t i = 0; i < operations * chances(kind); i++) {
			uint32_t at = i % operations + 1;

			back_to(start);
			set_cut(kind, at, i / operations);
			if (tell(TELL_STRICTLY, world.story->run) != SIM_CUT)
				report("nothing was cut", "%s %u", cut_names[kind], at);
			report(world.wrong, "before the cut at %u", at);
			keep(&left);
			run.counts.recoveries++;
			report(recovery(), "cut %s %u", cut_names[kind], at);
			if (twice)
				cut_recovery(kind, at, &left);
		}
}

/* ---- faults ---- */

/* The node may serve from the bootloader, and then knows why. */
static void judge_service(enum sim_event e)
{
	struct retained r;

	if (e == SIM_STARTED) {
		wrong_if(story_judge(e));
		return;
	}
	run.counts.served++;
	retained_load(&r);
	if (e != SIM_SERVING)
		wrong_if("neither started nor serving");
	else if (r.reason == EF_REASON_OK)
		wrong_if("serves and does not know why (F-19)");
}

static void power_up_with_fault(void)
{
	judge_service(story_power_up());
}

static void fault_once(const struct point *start, enum sim_fault kind, uint32_t at)
{
	back_to(start);
	sim.random = at * 2246822519u + kind;
	sim.fault = kind;
	sim.fault_at = (kind < FAULT_READ ? sim.operations : sim.reads) + at;
	run.counts.faults++;
	tell(TELL_FAULTS, world.story->run);
	report(world.wrong, "fault %s %u", fault_names[kind], at);
	report(recovery(), "after fault %s %u", fault_names[kind], at);
}

/* One page is worn out for good: whatever still starts is whole, and the rest is said. */
static void bad_page(const struct point *start, enum sim_fault kind, uint32_t page)
{
	back_to(start);
	sim.fault = kind;
	sim.bad_page = page + 1;
	run.counts.faults++;
	tell(TELL_FAULTS, world.story->run);
	for (int i = 0; i < 3; i++) {
		sim_power_on();
		sim.fault = kind;
		sim.bad_page = page + 1;
		tell(TELL_FAULTS, power_up_with_fault);
	}
	report(world.wrong, "page %u bad, %s", page, fault_names[kind]);
}

static void fault_story(const struct point *start, uint32_t operations, uint32_t reads)
{
	/* reads are many; which of them are taken moves with the story */
	uint32_t step = run.deep ? 1 : 1 + reads / 200;

	for (enum sim_fault kind = 0; kind < FAULT_READ; kind++)
		for (uint32_t at = 1; at <= operations; at++)
			fault_once(start, kind, at);
	for (enum sim_fault kind = FAULT_READ; kind < FAULT_KINDS; kind++)
		for (uint32_t at = 1 + operations % step; at <= reads; at += step)
			fault_once(start, kind, at);
	for (enum sim_fault kind = 0; kind < FAULT_MISREAD; kind++)
		for (uint32_t page = 0; page < sim.size / sim.board.page; page++)
			bad_page(start, kind, page);
}

/* ---- all of it ---- */

static void enumerate(unsigned age, bool chosen)
{
	static struct point start;
	uint32_t operations, reads;

	story_age(age);
	keep(&start);
	if (tell(TELL_STRICTLY, world.story->run) != SIM_NONE)
		report(world.wrong ? world.wrong : "unknown", "without anything wrong");
	operations = sim.operations - start.sim.operations;
	reads = sim.reads - start.sim.reads;
	/* E-14: with a flash so slow that only feeding after each page is in time */
	back_to(&start);
	sim.slow_ms = sim.board.watchdog_ms / (sim.board.page / 256 + 4);
	if (tell(TELL_STRICTLY, world.story->run) != SIM_NONE)
		report("not fed in time (E-14)", "slow flash");
	cut_story(&start, operations, run.deep && chosen);
	if (age == 0)
		fault_story(&start, operations, reads);
}

static unsigned long tried(void)
{
	return run.counts.cuts + run.counts.faults;
}

/* The pages are empty, and full in the middle of a story. */
static bool is_chosen(unsigned age, unsigned records)
{
	return age == 0 || age + 4 == records;
}

static void run_story(const struct geometry *g, const struct story *s)
{
	unsigned records = g->page / 112;
	unsigned long before = tried(), failed = run.counts.failures;

	/* the record pages fill up and change within the story, at another place each time; the
	 * bigger ones have room for more than happens in one */
	for (unsigned age = 0; age < records; age++)
		if (run.deep || is_chosen(age, records)) {
			story_node(g, s);
			enumerate(age, is_chosen(age, records));
		}
	printf("# %s, %s: %lu tried%s\n", s->name, g->name, tried() - before,
		run.counts.failures == failed ? "" : ", WRONG");
	fflush(stdout);
}

/* Every jobs-th story and geometry, from the one with this number on. */
static void run_job(const char *name, unsigned number, unsigned jobs)
{
	for (size_t i = number; i < N_GEOMETRIES * n_stories; i += jobs)
		if (!name || strcmp(name, stories[i / N_GEOMETRIES].name) == 0)
			run_story(&geometries[i % N_GEOMETRIES], &stories[i / N_GEOMETRIES]);
}

/* A process for each job, with this one's keys. */
static void run_jobs(const char *name, unsigned jobs)
{
	struct counts *counts = mmap(NULL, jobs * sizeof(*counts), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;

	if (counts == MAP_FAILED)
		abort();
	for (unsigned i = 0; i < jobs; i++)
		if (fork() == 0) {
			run_job(name, i, jobs);
			counts[i] = run.counts;
			_exit(0);
		}
	for (unsigned i = 0; i < jobs; i++)
		if (wait(&status) < 0 || status != 0)
			run.counts.failures++;
	for (unsigned i = 0; i < jobs; i++) {
		run.counts.cuts += counts[i].cuts;
		run.counts.recoveries += counts[i].recoveries;
		run.counts.faults += counts[i].faults;
		run.counts.served += counts[i].served;
		run.counts.failures += counts[i].failures;
	}
}

int main(int argc, char **argv)
{
	const struct counts *c = &run.counts;
	const char *name = NULL;
	unsigned jobs = 1;

	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--deep") == 0)
			run.deep = true;
		else if (strcmp(argv[i], "--jobs") == 0 && i + 1 < argc)
			jobs = (unsigned)atoi(argv[++i]);
		else
			name = argv[i];
	world.key = test_key_new();
	world.new_key = test_key_new();
	puts("1..1");
	fflush(stdout);
	run_jobs(name, jobs ? jobs : 1);
	EVP_PKEY_free(world.key);
	EVP_PKEY_free(world.new_key);
	printf("%s 1 - %lu power cuts (%lu recoveries, as many leave the same flash), %lu faults "
	       "(%lu "
	       "served from the bootloader), %lu wrong ends\n",
		c->failures || !tried() ? "not ok" : "ok", c->cuts, c->recoveries, c->faults,
		c->served, c->failures);
	return c->failures || !tried();
}
