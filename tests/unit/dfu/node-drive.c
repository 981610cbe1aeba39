/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A node's operations from a script: commands on standard input, one line of outcome for each.
 *
 *   node-drive uart|spi|udp|ble|sim DEVICE [BAUD[-MAX] [KEY COMPATIBLE]]
 *
 * In the environment: READY, and what ENTRY (smp, lines) needs: RESET, BOOT; for ble BUS (an
 * address) and ADAPTER, and QUICK for shorter patience. identify | stage FILE | activate FILE
 * DEADLINE TIMEOUT | patch FILE PATCH (for the image that was in slot 0 at the last identify) |
 * self-test FILE TIMEOUT | confirm FILE | revert TIMEOUT
 */
#include "dfu/image-openssl.h"
#include "dfu/node.h"
#include "links/bluez.h"
#include "util/cleanup.h"
#include "util/fdio.h"
#include "util/hex.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct drive {
	sd_event *event;
	struct node *node;
	struct bluez *bluez;
	struct node_identity identity;
	uint8_t *image, *patch_data, hash[32];
	size_t size;
	struct node_patch patch;
	uint64_t progress; /* what was said last */
	bool done;
	struct error result;
};

static void on_done(void *ctx, const struct error *e)
{
	struct drive *d = ctx;

	d->done = true;
	d->result = *e;
}

static bool load(struct drive *d, const char *path)
{
	struct image_memory m;
	struct ef_image_source src;
	struct ef_image_info info;

	free(d->image);
	d->image = NULL;
	if (file_read(path, 16 << 20, &d->image, &d->size) < 0)
		return false;
	m = (struct image_memory){d->image, d->size};
	image_source_memory(&src, &m);
	ef_image_inspect(&src, &info);
	memcpy(d->hash, info.digest, 32);
	return true;
}

static void on_progress(void *ctx, uint64_t done, uint64_t total)
{
	struct drive *d = ctx;

	d->progress = done;
	if (done > total)
		abort();
}

static int begin_patch(struct drive *d, const char *path)
{
	free(d->patch_data);
	d->patch_data = NULL;
	if (file_read(path, 16 << 20, &d->patch_data, &d->patch.size) < 0)
		return -1;
	d->patch.data = d->patch_data;
	memcpy(d->patch.base, d->identity.slots[0].hash, sizeof d->patch.base);
	return node_stage(d->node, d->image, d->size, &d->patch, on_progress, on_done, d);
}

/* words: what stands behind the file */
static int begin(struct drive *d, const char *verb, const char *file, const char *words)
{
	unsigned a = 0, b = 0;

	sscanf(words, "%u %u", &a, &b);
	if (!strcmp(verb, "identify"))
		return node_identify(d->node, &d->identity, on_done, d);
	if (!strcmp(verb, "revert"))
		return node_revert(d->node, (unsigned)atoi(file), on_done, d);
	if (!strcmp(verb, "provision") || !strcmp(verb, "rotate-key")) {
		bool first = verb[0] == 'p';
		struct error e = {0};

		if (!node_key_admit(d->node, first, &e))
			return first ? node_provision(d->node, on_done, d)
				     : node_rotate_key(d->node, on_done, d);
		on_done(d, &e);
		return 0;
	}
	if (!load(d, file))
		return -1;
	if (!strcmp(verb, "stage"))
		return node_stage(d->node, d->image, d->size, NULL, on_progress, on_done, d);
	if (!strcmp(verb, "patch"))
		return begin_patch(d, words);
	if (!strcmp(verb, "activate"))
		return node_activate(d->node, d->hash, a, b, on_done, d);
	if (!strcmp(verb, "self-test"))
		return node_self_test(d->node, d->hash, a, on_done, d);
	if (!strcmp(verb, "confirm"))
		return node_confirm(d->node, d->hash, on_done, d);
	return -1;
}

static void tell(const struct drive *d, const char *verb)
{
	const struct node_identity *id = &d->identity;
	char version[EF_VERSION_TEXT_MAX];

	printf("%s", reason_word(d->result.reason));
	if (!strcmp(verb, "identify") && d->result.reason == EF_REASON_OK) {
		ef_version_format(&id->slots[0].version, version);
		printf(" %s%s %s trial=%d test=%d revert=%s floor=%u",
			id->bootloader ? "bootloader " : "", id->board, version, id->trial,
			id->self_test, reason_word(id->reverted), id->floor);
	}
	if (!strcmp(verb, "patch") && d->result.reason == EF_REASON_OK)
		printf(" done=%llu of %zu + %zu", (unsigned long long)d->progress, d->patch.size,
			d->size);
	printf("%s%s\n", d->result.reason ? " | " : "", d->result.reason ? d->result.detail : "");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	struct drive d = {0};
	struct error e = {0};
	char line[8300];
	struct node_config config = {.name = "node"};
	static const struct bluez_timing quick = {.find_us = 2000000,
		.connect_us = 2000000,
		.attempt_us = 4000000,
		.resolve_us = 2000000,
		.call_us = 2000000,
		.retry_us = 100000,
		.grace_us = 2000000,
		.rest_us = 5000000,
		.turn_us = 2000000};
	struct bluez_config bluez = {
		.bus = getenv("BUS"), .adapter = getenv("ADAPTER"), .connections = 1};

	if (argc < 3 || !(config.link = link_find(argv[1])))
		return 64;
	config.spec = (struct link_spec){
		.device = argv[2], .baud = argc > 3 ? (uint32_t)atoi(argv[3]) : 115200};
	if (argc > 3 && strchr(argv[3], '-'))
		config.baud_max = (uint32_t)atoi(strchr(argv[3], '-') + 1);
	config.spec.ready = getenv("READY");
	if (getenv("ENTRY"))
		config.entry = strcmp(getenv("ENTRY"), "smp") ? NODE_ENTRY_LINES : NODE_ENTRY_SMP;
	config.lines = (struct entry_spec){getenv("RESET"), getenv("BOOT"), 20000, 100000};
	if (getenv("FRAMING"))
		config.framing =
			!strcmp(getenv("FRAMING"), "console") ? FRAMING_CONSOLE : FRAMING_RAW;
	if (argc > 5) {
		config.key = argv[4];
		config.compatible = argv[5];
	}
	if (getenv("QUICK"))
		bluez.timing = quick;
	if (sd_event_new(&d.event) < 0 ||
		(config.link == &link_ble && bluez_new(&d.bluez, d.event, &bluez, &e)))
		return EXIT_FAILURE;
	config.spec.bluez = d.bluez;
	if (node_new(&d.node, d.event, &config, &e))
		return EXIT_FAILURE;
	while (fgets(line, sizeof line, stdin)) {
		char verb[16] = "", file[4096] = "", words[4096] = "";

		sscanf(line, "%15s %4095s %4095[^\n]", verb, file, words);
		d.done = false;
		d.progress = 0;
		if (begin(&d, verb, file, words) < 0)
			return EXIT_FAILURE;
		while (!d.done)
			sd_event_run(d.event, UINT64_MAX);
		tell(&d, verb);
	}
	node_free(d.node);
	bluez_free(d.bluez);
	sd_event_unref(d.event);
	free(d.image);
	free(d.patch_data);
	return EXIT_SUCCESS;
}
