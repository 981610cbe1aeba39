/* SPDX-License-Identifier: Apache-2.0 */
/* status, list, nodes, deployments, history: what there is and what was. */
#include "cli/client.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "util/json.h"
#include "util/text.h"
#include <errno.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define MANAGER BUS_PATH, BUS_NAME ".Manager"

static int print_table(const struct cli *cli, const struct table *t)
{
	if (table_print(t, &cli->out))
		return EXIT_DONE;
	complain("", "out of memory");
	return EXIT_FAILED;
}

/* "  what to do" lines of everything that is not well, below a table. */
static void print_trouble(const struct cli *cli, const char *name, const json_t *o)
{
	const char *word = text_of(o, "reason"), *hint = reason_word_hint(word);
	_cleanup_free_ char *what = reason_sentence(word, text_of(o, "detail"));

	if (!*word || strcmp(word, "ok") == 0 || !what)
		return;
	fprintf(cli->out.file, "%s%s:%s %s%s%s\n", term_tone(&cli->out, TONE_WARN), name,
		term_plain(&cli->out, TONE_WARN), text_clean(what), *hint ? "; " : "", hint);
}

/* nodes */

/* Where it is: in the air also under which address it was seen, and how well. */
static void add_device(struct table *t, const json_t *n)
{
	const char *device = text_of(n, "device"), *address = text_of(n, "address");
	long long signal = (long long)number_of(n, "signal");
	bool known = strcmp(device, address) == 0;

	if (signal)
		table_cellf(t, TONE_DIM, "%s%s%s %lld dBm", device, known ? "" : " ",
			known ? "" : address, signal);
	else
		table_cellf(t, TONE_DIM, "%s%s%s", device, known || !*address ? "" : " ",
			known ? "" : address);
}

static void add_node(struct table *t, const json_t *n)
{
	const char *state = !bool_of(n, "present") ? "absent"
			    : bool_of(n, "trial")  ? "trial"
						   : "present";
	bool identified = *text_of(n, "board");
	int64_t saved = number_of(n, "saved");
	char seen[STAMP_MAX], figure[FIGURE_MAX];

	table_cell(t, TONE_BOLD, text_of(n, "name"));
	table_cell(t, strcmp(state, "present") ? state_tone(state) : TONE_GOOD, state);
	table_cell(t, TONE_PLAIN, text_of(n, "running"));
	table_cell(t, TONE_DIM, text_of(n, "other"));
	table_cell(t, TONE_PLAIN, identified ? text_of(n, "board") : text_of(n, "compatible"));
	if (identified)
		table_cellf(t, TONE_PLAIN, "%lld", (long long)number_of(n, "hardware"));
	else
		table_cell(t, TONE_PLAIN, "");
	table_cell(t, TONE_PLAIN, text_of(n, "boot_version"));
	table_cell(t, TONE_PLAIN, text_of(n, "link"));
	add_device(t, n);
	table_cell(t, TONE_DIM, saved > 0 ? size_format((uint64_t)saved, figure) : "");
	table_cell(t, TONE_DIM,
		bool_of(n, "present") ? "" : ago_format(text_of(n, "last_seen"), seen));
}

static int print_nodes(const struct cli *cli, const json_t *nodes)
{
	static const struct column columns[] = {{"NODE", COLUMN_SHRINK}, {"STATE", 0},
		{"RUNNING", 0}, {"OTHER", 0}, {"BOARD", COLUMN_SHRINK}, {"HW", COLUMN_RIGHT},
		{"BOOT", 0}, {"LINK", 0}, {"DEVICE", COLUMN_SHRINK}, {"SAVED", COLUMN_RIGHT},
		{"LAST SEEN", 0}};
	_cleanup_table_ struct table *t = table_new(columns, COUNT(columns));
	const json_t *n;
	size_t i;

	json_array_foreach (nodes, i, n)
		add_node(t, n);
	int r = print_table(cli, t);
	json_array_foreach (nodes, i, n) {
		print_trouble(cli, text_of(n, "name"), n);
		if (*text_of(n, "wanted"))
			fprintf(cli->out.file, "%s%s:%s does not run %s, which the release says\n",
				term_tone(&cli->out, TONE_WARN), text_of(n, "name"),
				term_plain(&cli->out, TONE_WARN), text_of(n, "wanted"));
	}
	return r;
}

int verb_nodes(struct cli *cli, char **args)
{
	_cleanup_json_ json_t *nodes = NULL;

	if (args[0])
		return verb_node_key(cli, args);
	int r = client_document(cli, MANAGER, "ListNodes", &nodes, NULL);
	if (r != EXIT_DONE)
		return r;
	if (cli->json != JSON_OFF)
		document_print(cli, nodes);
	else if (json_array_size(nodes) == 0)
		fprintf(cli->out.file, "No nodes are configured; a node is a file in nodes.d, "
				       "see edgeferry-nodes.conf(5).\n");
	else
		return print_nodes(cli, nodes);
	return EXIT_DONE;
}

/* status */

static void label(const struct cli *cli, const char *name)
{
	fprintf(cli->out.file, "%s%12s%s  ", term_tone(&cli->out, TONE_BOLD), name,
		term_plain(&cli->out, TONE_BOLD));
}

static void line(const struct cli *cli, const char *name, enum tone tone, const char *value)
{
	_cleanup_free_ char *copy = strdup(value);

	label(cli, name);
	fprintf(cli->out.file, "%s%s%s\n", term_tone(&cli->out, tone), copy ? text_clean(copy) : "",
		term_plain(&cli->out, tone));
}

static void print_server(const struct cli *cli, const json_t *server)
{
	const char *url = text_of(server, "url"), *word = text_of(server, "reason");
	bool well = !*word || strcmp(word, "ok") == 0;
	_cleanup_free_ char *why = reason_sentence(word, text_of(server, "detail"));
	_cleanup_free_ char *value = NULL;
	char when[STAMP_MAX];

	if (!*url) {
		line(cli, "Server", TONE_DIM, "none: bundles only");
		return;
	}
	if (asprintf(&value, "%s (looked: %s)", url,
		    ago_format(text_of(server, "last_check"), when)) < 0)
		value = NULL;
	line(cli, "Server", TONE_PLAIN, value ? value : url);
	if (well)
		return;
	line(cli, "", TONE_BAD, why ? why : word);
	line(cli, "", TONE_DIM, reason_word_hint(word));
}

static void print_state(const struct cli *cli, const json_t *s)
{
	const char *state = text_of(s, "state");
	char value[160];

	if (json_is_integer(json_object_get(s, "deployment")))
		snprintf(value, sizeof(value), "%s, deployment %lld (see 'edgeferry monitor')",
			state, (long long)number_of(s, "deployment"));
	else
		snprintf(value, sizeof(value), "%s", state);
	line(cli, "State", state_tone(state), value);
	if (strcmp(state, "stale") == 0)
		line(cli, "", TONE_WARN,
			"what the server says is too old to be trusted: nothing is installed from "
			"it");
	if (bool_of(s, "trial"))
		line(cli, "", TONE_DIM,
			"on trial: 'edgeferry confirm' keeps it, 'edgeferry reject' goes back");
	if (bool_of(s, "reboot_needed"))
		line(cli, "", TONE_WARN, "a reboot is needed to go on");
}

/* Why nothing happens now, and when it will. */
static void print_when(const struct cli *cli, const json_t *w)
{
	const json_t *waiting = json_object_get(w, "waiting");
	const char *until = text_of(waiting, "until");
	char when[STAMP_MAX];

	if (!json_is_object(waiting))
		return;
	line(cli, "Waiting", TONE_WARN, text_of(waiting, "detail"));
	if (*until) {
		_cleanup_free_ char *value = NULL;
		if (asprintf(&value, "until %s", stamp_format(until, when)) > 0)
			line(cli, "", TONE_DIM, value);
	}
}

static void print_trust(const struct cli *cli, const json_t *trust)
{
	char when[STAMP_MAX], value[64];

	if (!json_is_object(trust)) {
		line(cli, "Trust", TONE_BAD, "no trusted root: install the product's root.json");
		return;
	}
	snprintf(value, sizeof(value), "root %lld, until %s", (long long)number_of(trust, "root"),
		stamp_format(text_of(trust, "expires"), when));
	line(cli, "Trust", TONE_PLAIN, value);
}

static void print_rollout(const struct cli *cli, const json_t *rollout)
{
	_cleanup_free_ char *why =
		reason_sentence(text_of(rollout, "reason"), text_of(rollout, "detail"));
	char when[STAMP_MAX], value[64];

	if (!json_is_object(rollout))
		return;
	if (number_of(rollout, "counter") > 0) {
		snprintf(value, sizeof(value), "statement %lld, until %s",
			(long long)number_of(rollout, "counter"),
			stamp_format(text_of(rollout, "expires"), when));
		line(cli, "Rollout", TONE_PLAIN, value);
	}
	if (why && *why)
		line(cli, number_of(rollout, "counter") > 0 ? "" : "Rollout", TONE_BAD, why);
}

static int print_slots(const struct cli *cli, const json_t *slots)
{
	static const struct column columns[] = {{"SLOT", 0}, {"RELEASE", 0}, {"MARK", 0},
		{"STATE", 0}, {"IMAGE", COLUMN_SHRINK}, {"PATH", COLUMN_SHRINK}};
	_cleanup_table_ struct table *t = table_new(columns, COUNT(columns));
	const json_t *s;
	size_t i;

	json_array_foreach (slots, i, s) {
		bool running = bool_of(s, "running");
		const char *mark = text_of(s, "mark");

		table_cell(t, TONE_BOLD, text_of(s, "slot"));
		table_cell(t, TONE_PLAIN, text_of(s, "release"));
		table_cell(t, state_tone(mark), mark);
		table_cellf(t, running ? TONE_GOOD : TONE_PLAIN, "%s%s%s%s%s",
			running ? "running" : "", running && bool_of(s, "primary") ? ", " : "",
			bool_of(s, "primary") ? "primary" : "",
			running || bool_of(s, "primary") ? (bool_of(s, "trial") ? ", " : "") : "",
			bool_of(s, "trial") ? "trial" : "");
		table_cellf(t, TONE_DIM, "%.12s", text_of(s, "image"));
		table_cell(t, TONE_DIM, text_of(s, "path"));
	}
	return print_table(cli, t);
}

int verb_status(struct cli *cli, char **args)
{
	_cleanup_json_ json_t *s = NULL;
	int r = client_document(cli, MANAGER, "GetStatus", &s, NULL);
	char who[128];

	if (r != EXIT_DONE)
		return r;
	if (cli->json != JSON_OFF) {
		document_print(cli, s);
		return EXIT_DONE;
	}
	snprintf(who, sizeof(who), "%s on gateway %s", text_of(s, "product"), text_of(s, "id"));
	line(cli, "Product", TONE_PLAIN, who);
	const char *release = text_of(s, "release");
	line(cli, "Release", *release ? TONE_GOOD : TONE_DIM, *release ? release : "unknown");
	print_state(cli, s);
	print_when(cli, json_object_get(s, "when"));
	print_server(cli, json_object_get(s, "server"));
	line(cli, "Broker", state_tone(text_of(s, "broker")), text_of(s, "broker"));
	const json_t *key = json_object_get(s, "client_key");
	if (json_is_object(key))
		line(cli, "Client key", TONE_BAD, text_of(key, "detail"));
	print_trust(cli, json_object_get(s, "trust"));
	print_rollout(cli, json_object_get(s, "rollout"));
	if (json_array_size(json_object_get(s, "slots")) > 0) {
		fputc('\n', cli->out.file);
		r = print_slots(cli, json_object_get(s, "slots"));
	}
	if (r == EXIT_DONE && json_array_size(json_object_get(s, "nodes")) > 0) {
		fputc('\n', cli->out.file);
		r = print_nodes(cli, json_object_get(s, "nodes"));
	}
	return r;
}

/* list */

static void add_release(struct table *t, const json_t *r)
{
	const char *state = text_of(r, "state");
	const json_t *components = json_object_get(r, "components"), *c;
	_cleanup_free_ char *why = reason_sentence(text_of(r, "reason"), text_of(r, "detail"));
	char list[512] = "";
	size_t i, n = 0;

	json_array_foreach (components, i, c) {
		int more = snprintf(list + n, sizeof(list) - n, "%s%s %s", n ? ", " : "",
			text_of(c, "name"), text_of(c, "version"));
		if (more < 0 || (n += (size_t)more) >= sizeof(list))
			break;
	}
	table_cell(t, TONE_BOLD, text_of(r, "version"));
	table_cell(t, state_tone(state), state);
	table_cell(t, TONE_PLAIN, text_of(r, "kind"));
	table_cell(t, TONE_PLAIN, list);
	bool trouble = strcmp(state, "refused") == 0 || strcmp(state, "held") == 0;
	table_cell(t, TONE_PLAIN, trouble && why ? why : text_of(r, "notes"));
}

int verb_list(struct cli *cli, char **args)
{
	static const struct column columns[] = {{"RELEASE", 0}, {"STATE", 0}, {"KIND", 0},
		{"COMPONENTS", COLUMN_SHRINK}, {"NOTES", COLUMN_SHRINK}};
	_cleanup_table_ struct table *t = table_new(columns, COUNT(columns));
	_cleanup_json_ json_t *releases = NULL;
	const json_t *release;
	size_t i;

	int r = client_document(cli, MANAGER, "ListReleases", &releases, NULL);
	if (r != EXIT_DONE)
		return r;
	if (cli->json != JSON_OFF) {
		document_print(cli, releases);
		return EXIT_DONE;
	}
	if (json_array_size(releases) == 0) {
		fprintf(cli->out.file,
			"No releases are known; 'edgeferry check' looks for them.\n");
		return EXIT_DONE;
	}
	json_array_foreach (releases, i, release)
		add_release(t, release);
	return print_table(cli, t);
}

/* deployments */

static void add_deployment(struct table *t, const json_t *d)
{
	const char *state = text_of(d, "state"), *ended = text_of(d, "ended");
	_cleanup_free_ char *why = reason_sentence(text_of(d, "reason"), text_of(d, "detail"));
	char started[STAMP_MAX], took[STAMP_MAX];

	table_cellf(t, TONE_BOLD, "%lld", (long long)number_of(d, "id"));
	table_cell(t, TONE_PLAIN, text_of(d, "release"));
	table_cell(t, state_tone(state), state);
	table_cell(t, TONE_PLAIN, text_of(d, "origin"));
	table_cell(t, TONE_PLAIN, stamp_format(text_of(d, "started"), started));
	table_cell(t, TONE_PLAIN, took_format(text_of(d, "started"), ended, took));
	table_cell(t, TONE_PLAIN, why);
}

static int print_deployment(const struct cli *cli, const json_t *d)
{
	static const struct column columns[] = {{"COMPONENT", COLUMN_SHRINK}, {"TYPE", 0},
		{"FROM", 0}, {"TO", 0}, {"STATE", 0}, {"WHY", COLUMN_SHRINK}};
	_cleanup_table_ struct table *t = table_new(columns, COUNT(columns));
	const char *state = text_of(d, "state"), *hint = reason_word_hint(text_of(d, "reason"));
	_cleanup_free_ char *why = reason_sentence(text_of(d, "reason"), text_of(d, "detail"));
	char stamp[STAMP_MAX], title[48];
	const json_t *c;
	size_t i;

	snprintf(title, sizeof(title), "%lld", (long long)number_of(d, "id"));
	line(cli, "Deployment", TONE_PLAIN, title);
	line(cli, "Release", TONE_PLAIN, text_of(d, "release"));
	line(cli, "State", state_tone(state), state);
	if (why && *why)
		line(cli, "Why", TONE_PLAIN, why);
	if (*hint)
		line(cli, "What to do", TONE_PLAIN, hint);
	line(cli, "Origin", TONE_PLAIN, text_of(d, "origin"));
	line(cli, "Started", TONE_PLAIN, stamp_format(text_of(d, "started"), stamp));
	line(cli, "Ended", TONE_PLAIN, stamp_format(text_of(d, "ended"), stamp));
	if (json_array_size(json_object_get(d, "components")) == 0)
		return EXIT_DONE;
	fputc('\n', cli->out.file);
	json_array_foreach (json_object_get(d, "components"), i, c) {
		_cleanup_free_ char *name = part_name(c);
		_cleanup_free_ char *sentence =
			reason_sentence(text_of(c, "reason"), text_of(c, "detail"));

		table_cell(t, TONE_BOLD, name);
		table_cell(t, TONE_PLAIN, text_of(c, "type"));
		table_cell(t, TONE_PLAIN, text_of(c, "from"));
		table_cell(t, TONE_PLAIN, text_of(c, "version"));
		table_cell(t, state_tone(text_of(c, "state")), text_of(c, "state"));
		table_cell(t, TONE_PLAIN, sentence);
	}
	return print_table(cli, t);
}

static int show_one(const struct cli *cli, const json_t *all, const char *id)
{
	const json_t *d;
	size_t i;
	char text[24];

	json_array_foreach (all, i, d) {
		snprintf(text, sizeof(text), "%lld", (long long)number_of(d, "id"));
		if (strcmp(text, id) != 0)
			continue;
		if (cli->json == JSON_OFF)
			return print_deployment(cli, d);
		document_print(cli, d);
		return EXIT_DONE;
	}
	complain("'edgeferry deployments' lists what there is", "no deployment %s", id);
	return EXIT_NOT_FOUND;
}

int verb_deployments(struct cli *cli, char **args)
{
	static const struct column columns[] = {{"ID", COLUMN_RIGHT}, {"RELEASE", 0}, {"STATE", 0},
		{"ORIGIN", 0}, {"STARTED", 0}, {"TOOK", 0}, {"WHY", COLUMN_SHRINK}};
	_cleanup_table_ struct table *t = table_new(columns, COUNT(columns));
	_cleanup_json_ json_t *all = NULL;
	const json_t *d;
	size_t i;

	int r = client_document(cli, MANAGER, "ListDeployments", &all, "u", args[0] ? 0 : cli->max);
	if (r != EXIT_DONE)
		return r;
	if (args[0])
		return show_one(cli, all, args[0]);
	if (cli->json != JSON_OFF) {
		document_print(cli, all);
		return EXIT_DONE;
	}
	if (json_array_size(all) == 0) {
		fprintf(cli->out.file, "Nothing was installed yet; 'edgeferry install' begins.\n");
		return EXIT_DONE;
	}
	json_array_foreach (all, i, d)
		add_deployment(t, d);
	return print_table(cli, t);
}

/* history */

static void add_event(struct table *t, const json_t *e)
{
	const char *component = text_of(e, "component"), *place = text_of(e, "place");
	const char *from = text_of(e, "from"), *to = text_of(e, "to");
	_cleanup_free_ char *why = reason_sentence(text_of(e, "reason"), text_of(e, "detail"));
	bool both = *place && strcmp(place, component) != 0;
	char when[STAMP_MAX];

	table_cell(t, TONE_DIM, stamp_format(text_of(e, "time"), when));
	table_cell(t, TONE_PLAIN, text_of(e, "event"));
	if (json_is_integer(json_object_get(e, "deployment")))
		table_cellf(t, TONE_PLAIN, "%lld", (long long)number_of(e, "deployment"));
	else
		table_cell(t, TONE_PLAIN, "");
	table_cellf(t, TONE_BOLD, "%s%s%s", component, both && *component ? " on " : "",
		both ? place : "");
	table_cellf(t, state_tone(to), "%s%s%s", from, *from && *to ? " > " : "", to);
	table_cell(t, TONE_PLAIN, why);
}

int verb_history(struct cli *cli, char **args)
{
	static const struct column columns[] = {{"TIME", 0}, {"EVENT", 0},
		{"DEPLOYMENT", COLUMN_RIGHT}, {"COMPONENT", COLUMN_SHRINK},
		{"CHANGE", COLUMN_SHRINK}, {"WHY", COLUMN_SHRINK}};
	_cleanup_table_ struct table *t = table_new(columns, COUNT(columns));
	_cleanup_json_ json_t *events = NULL;
	const json_t *e;
	size_t i;

	int r = client_document(cli, MANAGER, "GetHistory", &events, "u", cli->max);
	if (r != EXIT_DONE)
		return r;
	if (cli->json != JSON_OFF) {
		document_print(cli, events);
		return EXIT_DONE;
	}
	if (json_array_size(events) == 0) {
		fprintf(cli->out.file, "Nothing has happened yet.\n");
		return EXIT_DONE;
	}
	json_array_foreach (events, i, e)
		add_event(t, e);
	return print_table(cli, t);
}
