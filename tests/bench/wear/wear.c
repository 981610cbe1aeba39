/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an update costs in erases: the bootloader and agent themselves on a board as large as
 * nrf51-microbit, and beside them MCUboot's strategies as its documents describe them, run on the
 * numbers of pages. An update is upload, swap and confirmation, forth and forth again.
 */
#include "boot/boot.h"
#include "flash-gateway.h"
#include "flash-sim.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PAGE = 1024, SLOT = 96, SCRATCH = 4, UPDATES = 40, ENDURANCE = 10000 };

static void require(bool good, const char *what)
{
	if (!good) {
		fprintf(stderr, "wear: %s does not work\n", what);
		exit(1);
	}
}

/* ---- what was counted ---- */

struct wear {
	double primary, secondary, other; /* erases of the page that wears most, per update */
	double total;
};

static void print(const char *name, const struct wear *w)
{
	double most = w->primary > w->secondary ? w->primary : w->secondary;

	if (w->other > most)
		most = w->other;
	printf("| %s | %.2f | %.2f | %.2f | %.1f | %.0f |\n", name, w->primary, w->secondary,
		w->other, w->total, ENDURANCE / most);
}

/* ---- MCUboot's strategies on pages that are numbers ---- */

static struct model {
	int at[3][SLOT + 1]; /* what lies in each page of primary, secondary and scratch */
	unsigned erases[3][SLOT + 1];
} model;

enum { PRIMARY, SECONDARY, OTHER };

static void copy(int to, int to_page, int from, int from_page)
{
	model.erases[to][to_page]++;
	model.at[to][to_page] = model.at[from][from_page];
}

static void upload(int pages, int first, int version)
{
	for (int i = 0; i < pages; i++) {
		model.erases[SECONDARY][first + i]++;
		model.at[SECONDARY][first + i] = version * 1000 + i;
	}
}

/* As much at a time as the scratch area holds, from the end. */
static void by_scratch(int pages, int version)
{
	upload(pages, 0, version);
	for (int end = pages; end > 0; end -= SCRATCH) {
		int from = end > SCRATCH ? end - SCRATCH : 0;

		for (int i = from; i < end; i++)
			copy(OTHER, i - from, SECONDARY, i);
		for (int i = from; i < end; i++)
			copy(SECONDARY, i, PRIMARY, i);
		for (int i = from; i < end; i++)
			copy(PRIMARY, i, OTHER, i - from);
	}
}

/* The primary image moves up by a page, then the two exchange, page by page. */
static void by_move(int pages, int version)
{
	upload(pages, 0, version);
	for (int i = pages; i > 0; i--)
		copy(PRIMARY, i, PRIMARY, i - 1);
	for (int i = 0; i < pages; i++) {
		copy(PRIMARY, i, SECONDARY, i);
		copy(SECONDARY, i, PRIMARY, i + 1);
	}
}

/* The new image was uploaded one page further up in the secondary slot. */
static void by_offset(int pages, int version)
{
	upload(pages, 1, version);
	for (int i = 0; i < pages; i++) {
		copy(SECONDARY, i, PRIMARY, i);
		copy(PRIMARY, i, SECONDARY, i + 1);
	}
}

static double most(int area)
{
	unsigned n = 0;

	for (int i = 0; i <= SLOT; i++)
		if (model.erases[area][i] > n)
			n = model.erases[area][i];
	return (double)n / UPDATES;
}

static void run_model(const char *name, void (*strategy)(int pages, int version), int pages)
{
	struct wear w = {0};

	memset(&model, 0, sizeof(model));
	for (int v = 1; v <= UPDATES; v++) {
		strategy(pages, v);
		for (int i = 0; i < pages; i++)
			require(model.at[PRIMARY][i] == v * 1000 + i &&
					model.at[SECONDARY][i] == (v == 1 ? 0 : (v - 1) * 1000 + i),
				name);
	}
	for (int a = 0; a < 3; a++)
		for (int i = 0; i <= SLOT; i++)
			w.total += (double)model.erases[a][i] / UPDATES;
	w.primary = most(PRIMARY);
	w.secondary = most(SECONDARY);
	w.other = most(OTHER);
	print(name, &w);
}

/* ---- ours, as it is ---- */

static enum self_test passed(void)
{
	return SELF_TEST_PASSED;
}

static struct agent agent;

static void run_boot(void *ctx)
{
	(void)ctx;
	boot_main();
}

static void boot(void)
{
	static const struct agent_program application = {.self_test = passed};

	require(sim_run(run_boot, NULL) == SIM_STARTED, "the boot");
	agent_init(&agent, &application);
}

static void update(const struct test_image *i)
{
	struct reply r = gateway_preflight(&agent, i);

	require(reply_good(&r), "the preflight");
	r = gateway_upload(&agent, i, 400);
	require(reply_good(&r) && r.match, "the upload");
	r = gateway_state(&agent, i->digest, false, 0);
	require(reply_good(&r), "the request for a trial");
	boot();
	r = gateway_state(&agent, i->digest, true, 0);
	require(reply_good(&r), "the confirmation");
}

static double worn(const struct port_area *a, double *total)
{
	unsigned n = 0;

	for (uint32_t i = a->offset / PAGE; i < (a->offset + a->size) / PAGE; i++) {
		if (sim.wear[i] > n)
			n = sim.wear[i];
		*total += (double)sim.wear[i] / UPDATES;
	}
	return (double)n / UPDATES;
}

/* same: percent of the image that the next one has at its beginning, too. */
static void run_ours(const char *name, EVP_PKEY *key, uint32_t payload, uint32_t same)
{
	static struct test_image image[2];
	struct factory f;
	struct wear w = {0};
	double journal, state;

	sim_init(PAGE, 1, SLOT, true);
	for (uint8_t v = 0; v < 2; v++)
		test_image_make_like(
			&image[v], key, (uint8_t)(v + 2), 1, payload, payload / 100 * same);
	test_factory_make(&f, key, 1);
	memcpy(sim.flash + sim.board.factory.offset, &f, sizeof(f));
	memcpy(sim.flash, image[0].data, image[0].size);
	sim_power_on();
	boot();
	for (int u = 0; u < UPDATES; u++)
		update(&image[!(u % 2)]);
	w.primary = worn(&sim.board.slot[0], &w.total);
	w.secondary = worn(&sim.board.slot[1], &w.total);
	journal = worn(&sim.board.journal, &w.total);
	state = worn(&sim.board.state, &w.total);
	w.other = journal > state ? journal : state;
	print(name, &w);
}

int main(void)
{
	EVP_PKEY *key = test_key_new();
	const int pages = 88;
	uint32_t payload = pages * PAGE - 512;

	printf("Erases per update: slots of %d pages of %d bytes, an image of %d pages, mean of %d "
	       "updates.\nThe most worn page of each area; MCUboot without its trailers; updates "
	       "at "
	       "%d erases a page.\n\n",
		SLOT, PAGE, pages, UPDATES, ENDURANCE);
	puts("| strategy | slot 0 | slot 1 | elsewhere | all pages | updates "
	     "|\n|---|---|---|---|---|---|");
	run_model("MCUboot, scratch of 4 pages", by_scratch, pages);
	run_model("MCUboot, move", by_move, pages);
	run_model("MCUboot, offset", by_offset, pages);
	run_ours("edgeferry, nothing in common", key, payload, 0);
	run_ours("edgeferry, first 60 % in common", key, payload, 60);
	EVP_PKEY_free(key);
	return 0;
}
