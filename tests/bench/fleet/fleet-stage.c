/* SPDX-License-Identifier: Apache-2.0 */
/*
 * node_stage of one image on many serial ports at once, in one thread. One line of JSON: how long,
 * what of the processor, and how much memory.
 */
#include "dfu/node.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/time-util.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct fleet {
	sd_event *event;
	unsigned left, failed;
	uint64_t first_us, last_us; /* when the first and the last one was through */
};

static void on_done(void *ctx, const struct error *e)
{
	struct fleet *f = ctx;

	f->last_us = now_monotonic_us();
	if (!f->first_us)
		f->first_us = f->last_us;
	if (e->reason) {
		fprintf(stderr, "fleet-stage: %s\n", e->detail);
		f->failed++;
	}
	if (--f->left == 0)
		sd_event_exit(f->event, 0);
}

/* Bytes that this process has for itself. */
static long memory(void)
{
	long size, resident, shared;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%ld %ld %ld", &size, &resident, &shared) != 3)
		exit(EXIT_FAILURE);
	fclose(f);
	return (resident - shared) * sysconf(_SC_PAGESIZE);
}

int main(int argc, char **argv)
{
	unsigned n = argc > 4 ? (unsigned)(argc - 4) : 0;
	_cleanup_free_ uint8_t *image = NULL;
	struct fleet f = {.left = n};
	struct node **nodes = calloc(n + 1, sizeof(struct node *));
	struct error e = {0};
	struct rusage used;
	uint64_t start;
	long before, after = 0;
	size_t size;

	if (!n || !nodes) {
		fprintf(stderr, "Usage: fleet-stage IMAGE BAUD KEY DEVICE…\n");
		return 64;
	}
	if (file_read(argv[1], 16 << 20, &image, &size) < 0 || sd_event_new(&f.event) < 0)
		return EXIT_FAILURE;
	before = memory();
	start = now_monotonic_us();
	for (unsigned i = 0; i < n; i++) {
		struct node_config config = {
			.name = argv[4 + i],
			.link = &link_uart,
			.spec = {.device = argv[4 + i],
				.baud = (uint32_t)strtoul(argv[2], NULL, 10)},
			.key = argv[3],
			.compatible = "edgeferry.github.io,host",
		};

		if (node_new(&nodes[i], f.event, &config, &e) ||
			node_stage(nodes[i], image, size, NULL, NULL, on_done, &f) < 0)
			return EXIT_FAILURE;
	}
	sd_event_loop(f.event);
	after = memory();
	getrusage(RUSAGE_SELF, &used);
	printf("{\"nodes\": %u, \"failed\": %u, \"seconds\": %.3f, \"first\": %.3f, \"cpu\": %.3f, "
	       "\"memory\": %ld, \"mib\": %.3f}\n",
		n, f.failed, (double)(f.last_us - start) / 1e6, (double)(f.first_us - start) / 1e6,
		(double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
			(double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6,
		after - before, (double)size * n / (1 << 20));
	for (unsigned i = 0; i < n; i++)
		node_free(nodes[i]);
	free(nodes);
	sd_event_unref(f.event);
	return f.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
