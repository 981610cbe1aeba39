/* SPDX-License-Identifier: Apache-2.0 */
/* nodes discover: who is on the wires that no node's file covers. */
#include "cli/client.h"
#include "cli/show.h"
#include "cli/table.h"
#include "util/json.h"
#include "util/text.h"
#include <errno.h>
#include <string.h>

#define DISCOVER_US (200ull * 1000000)
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void add_number(struct table *t, const char *before, const json_t *f, const char *key)
{
	if (json_is_integer(json_object_get(f, key)))
		table_cellf(t, TONE_PLAIN, "%s%lld", before, (long long)number_of(f, key));
	else
		table_cell(t, TONE_PLAIN, "");
}

static void add_row(struct table *t, const json_t *f)
{
	const char *what = text_of(f, "compatible");
	bool stock = json_is_null(json_object_get(f, "bootloader"));

	table_cell(t, TONE_BOLD, text_of(f, "link"));
	table_cell(t, TONE_PLAIN, text_of(f, "device"));
	add_number(t, "", f, "address");
	table_cell(t, TONE_PLAIN, *what ? what : text_of(f, "board"));
	add_number(t, "", f, "hardware");
	table_cell(t, TONE_PLAIN, text_of(f, "running"));
	table_cell(t, TONE_PLAIN, text_of(f, "boot_version"));
	table_cell(t, TONE_DIM,
		stock			   ? "stock server"
		: bool_of(f, "bootloader") ? "bootloader"
					   : "application");
	table_cell(t, TONE_DIM, bool_of(f, "session") ? "in a session" : "anybody");
}

/* Line by line, since a device's own words are in it (S-35). */
static void print_file(const struct cli *cli, const json_t *f)
{
	_cleanup_free_ char *text = strdup(text_of(f, "file")), *name = strdup(text_of(f, "name"));
	char *rest = text, *line;

	fprintf(cli->out.file, "\n# /etc/edgeferry/nodes.d/%s.conf\n",
		name ? text_clean(name) : "");
	if (*text_of(f, "vendor") && !*text_of(f, "compatible"))
		fprintf(cli->out.file, "# vendor %s, class %s\n", text_of(f, "vendor"),
			text_of(f, "class"));
	while ((line = strsep(&rest, "\n")))
		if (*line)
			fprintf(cli->out.file, "%s\n", text_clean(line));
}

static void print_skipped(const struct cli *cli, const json_t *s)
{
	_cleanup_free_ char *why = reason_sentence(text_of(s, "reason"), text_of(s, "detail"));

	fprintf(cli->out.file, "%s%s %s:%s %s; %s\n", term_tone(&cli->out, TONE_WARN),
		text_of(s, "link"), text_of(s, "device"), term_plain(&cli->out, TONE_WARN),
		why ? text_clean(why) : "", reason_word_hint(text_of(s, "reason")));
}

static int print_discovery(const struct cli *cli, const json_t *d)
{
	static const struct column columns[] = {{"LINK", 0}, {"DEVICE", COLUMN_SHRINK},
		{"ADDRESS", COLUMN_RIGHT}, {"WHAT", COLUMN_SHRINK}, {"HW", COLUMN_RIGHT},
		{"RUNNING", 0}, {"BOOT", 0}, {"MODE", 0}, {"ANSWERS", 0}};
	_cleanup_table_ struct table *t = table_new(columns, COUNT(columns));
	const json_t *found = json_object_get(d, "found"), *skipped = json_object_get(d, "skipped");
	const json_t *f;
	size_t i;

	json_array_foreach (found, i, f)
		add_row(t, f);
	if (i && !table_print(t, &cli->out)) {
		complain("", "out of memory");
		return EXIT_FAILED;
	}
	json_array_foreach (found, i, f)
		print_file(cli, f);
	json_array_foreach (skipped, i, f)
		print_skipped(cli, f);
	if (json_array_size(found) == 0 && json_array_size(skipped) == 0)
		fprintf(cli->out.file, "Nobody answers who has no file yet.\n");
	return EXIT_DONE;
}

int verb_discover(struct cli *cli, const char *device)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_json_ json_t *d = NULL;
	char serial[300];
	const char *text;
	int r;

	if (device && *device == '/') {
		snprintf(serial, sizeof(serial), "uart:%s", device);
		device = serial;
	}
	r = client_call(cli, DISCOVER_US, "DiscoverNodes", &reply, "s", device ? device : "");
	if (r != EXIT_DONE)
		return r;
	if (sd_bus_message_read(reply, "s", &text) < 0 || !(d = document_parse(text)))
		return client_error(NULL, -EBADMSG);
	if (cli->json != JSON_OFF)
		document_print(cli, d);
	else
		r = print_discovery(cli, d);
	if (r == EXIT_DONE && json_array_size(json_object_get(d, "found")) == 0)
		return EXIT_NOTHING;
	return r;
}
