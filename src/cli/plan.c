/* SPDX-License-Identifier: Apache-2.0 */
/* install --dry-run: what a deployment would do, as the daemon's own planner says. */
#include "cli/plan.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/table.h"
#include "util/text.h"
#include <string.h>

static const struct {
	const char *outcome, *text;
	enum tone tone;
} outcomes[] = {
	{"install", "would be installed now", TONE_GOOD},
	{"wait", "would be fetched, and wait", TONE_WARN},
	{"record", "runs everywhere already, which would be put on record", TONE_GOOD},
	{"nothing", "is installed: nothing to do", TONE_DIM},
};

static void print_outcome(const struct cli *cli, const json_t *p)
{
	const char *outcome = text_of(p, "outcome"), *hint = text_of(p, "hint"), *text = outcome;
	const char *release = text_of(p, "release");
	enum tone tone = TONE_BAD;
	_cleanup_free_ char *why = reason_sentence(text_of(p, "reason"), text_of(p, "detail"));
	_cleanup_free_ char *name = strdup(*release ? release : "that was asked for");

	for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
		if (strcmp(outcomes[i].outcome, outcome) == 0) {
			text = outcomes[i].text;
			tone = outcomes[i].tone;
		}
	fprintf(cli->out.file, "Release %s %s%s%s", name ? text_clean(name) : "",
		term_tone(&cli->out, tone), tone == TONE_BAD ? "would be " : "", text);
	fprintf(cli->out.file, "%s%s%s%s%s.\n", term_plain(&cli->out, tone),
		tone == TONE_BAD && why && *why ? ": " : "",
		tone == TONE_BAD && why ? text_clean(why) : "",
		tone == TONE_BAD && *hint ? "; " : "", tone == TONE_BAD ? hint : "");
}

static int print_parts(const struct cli *cli, const json_t *parts)
{
	static const struct column columns[] = {{"COMPONENT", COLUMN_SHRINK}, {"ACTION", 0},
		{"FROM", 0}, {"TO", 0}, {"POLICY", 0}, {"BYTES", COLUMN_RIGHT},
		{"WHY", COLUMN_SHRINK}};
	_cleanup_table_ struct table *t = table_new(columns, 7);
	const json_t *c;
	size_t i;

	json_array_foreach (parts, i, c) {
		const char *action = text_of(c, "action");
		_cleanup_free_ char *name = part_name(c);
		_cleanup_free_ char *why =
			reason_sentence(text_of(c, "reason"), text_of(c, "detail"));

		table_cell(t, TONE_BOLD, name);
		table_cell(t, strcmp(action, "skip") ? TONE_GOOD : TONE_DIM, action);
		table_cell(t, TONE_PLAIN, text_of(c, "from"));
		table_cell(t, TONE_PLAIN, text_of(c, "version"));
		table_cell(t, TONE_PLAIN, text_of(c, "policy"));
		table_cellf(t, TONE_PLAIN, "%lld", (long long)number_of(c, "size"));
		table_cell(t, TONE_PLAIN, why);
	}
	if (json_array_size(parts) == 0)
		return EXIT_DONE;
	fputc('\n', cli->out.file);
	if (table_print(t, &cli->out))
		return EXIT_DONE;
	complain("", "out of memory");
	return EXIT_FAILED;
}

static void print_order(const struct cli *cli, const json_t *p)
{
	const json_t *order = json_object_get(p, "order"), *name, *q;
	size_t i;

	if (json_array_size(order) == 0)
		return;
	fprintf(cli->out.file, "\nOrder: ");
	json_array_foreach (order, i, name)
		fprintf(cli->out.file, "%s%s", i ? ", then " : "", json_string_value(name));
	fputc('\n', cli->out.file);
	json_array_foreach (json_object_get(p, "requires"), i, q)
		fprintf(cli->out.file, "%s needs %s %s or newer, which is %s.\n",
			text_of(q, "name"), text_of(q, "needs"), text_of(q, "min"),
			bool_of(q, "in_release") ? "in the release" : "installed");
	if (strcmp(text_of(p, "reason"), "ok") == 0)
		fprintf(cli->out.file,
			"Gateway and nodes understand each other, the new ones with the "
			"old ones, both ways.\n");
}

static void print_gates(const struct cli *cli, const json_t *p)
{
	const json_t *space = json_object_get(p, "space"), *g;
	size_t i, closed = 0;

	if (number_of(space, "needed") > 0)
		fprintf(cli->out.file, "Room: %lld bytes needed, %lld free, ObjectQuota= %lld.\n",
			(long long)number_of(space, "needed"), (long long)number_of(space, "free"),
			(long long)number_of(space, "quota"));
	json_array_foreach (json_object_get(p, "gates"), i, g) {
		_cleanup_free_ char *why =
			reason_sentence(text_of(g, "reason"), text_of(g, "detail"));
		if (bool_of(g, "open"))
			continue;
		closed++;
		fprintf(cli->out.file, "%sWaits%s (%s): %s\n", term_tone(&cli->out, TONE_WARN),
			term_plain(&cli->out, TONE_WARN), text_of(g, "gate"),
			why ? text_clean(why) : "");
	}
	if (i > 0 && closed == 0)
		fprintf(cli->out.file, "Batteries, hours and interlocks let it go now.\n");
}

int plan_show(struct cli *cli, const json_t *p)
{
	enum ef_reason reason = EF_REASON_OK;
	int r = EXIT_DONE;

	if (cli->json != JSON_OFF) {
		document_print(cli, p);
	} else {
		print_outcome(cli, p);
		r = print_parts(cli, json_object_get(p, "components"));
		print_order(cli, p);
		print_gates(cli, p);
	}
	if (r == EXIT_DONE && reason_from_word(text_of(p, "reason"), &reason))
		r = reason_exit(reason);
	return r;
}
