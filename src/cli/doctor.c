/* SPDX-License-Identifier: Apache-2.0 */
/* doctor, config: run edgeferry-doctor, which sees the core's modules, and show what it says. */
#include "cli/client.h"
#include "cli/show.h"
#include "util/child.h"
#include "util/fdio.h"
#include "util/json.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#define DOCUMENT_MAX (4u << 20)
#define ARGS_MAX 8

/* Its document; NULL with *r, a negative errno, when there is none. */
static json_t *run(const char *program, const char *const *argv, int *r)
{
	_cleanup_free_ char *text = calloc(1, DOCUMENT_MAX + 1);
	int fds[2], status;

	if (!text || pipe2(fds, O_CLOEXEC) < 0) {
		*r = -errno;
		return NULL;
	}
	pid_t pid = child_start(
		&(struct child_spec){.path = program, .argv = argv, .stdout_fd = fds[1]});
	close(fds[1]);
	ssize_t n = pid < 0 ? pid : fd_read_some(fds[0], text, DOCUMENT_MAX);
	close(fds[0]);
	if (pid > 0)
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	*r = n < 0 ? (int)n : 0;
	return n > 0 ? document_parse(text) : NULL;
}

static void show(const struct cli *cli, const json_t *o)
{
	const struct term *t = &cli->out;
	const json_t *finding;
	size_t i;

	json_array_foreach (json_object_get(o, "findings"), i, finding) {
		const char *level = text_of(finding, "level"), *advice = text_of(finding, "advice");
		enum tone tone = strcmp(level, "ok") == 0	 ? TONE_GOOD
				 : strcmp(level, "warning") == 0 ? TONE_WARN
								 : TONE_BAD;
		fprintf(t->file, "%s%-7s%s  %s%-9s%s  %s\n", term_tone(t, tone), level,
			term_plain(t, tone), term_tone(t, TONE_DIM), text_of(finding, "check"),
			term_plain(t, TONE_DIM), text_of(finding, "text"));
		if (*advice)
			fprintf(t->file, "%20s%s%s\n", "", t->utf8 ? "→ " : "-> ", advice);
	}
	int64_t errors = number_of(o, "errors"), warnings = number_of(o, "warnings");
	fprintf(t->file, "%lld error%s, %lld warning%s\n", (long long)errors,
		errors == 1 ? "" : "s", (long long)warnings, warnings == 1 ? "" : "s");
}

/* Its document, as the options of the verb ask for it; NULL: the message is printed. */
static json_t *ask(const struct cli *cli, const char *what)
{
	/* this system's bus says nothing of another one */
	const char *own = cli->root ? NULL : getenv("DBUS_SYSTEM_BUS_ADDRESS");
	const char *bus = cli->address ? cli->address : own;
	char program[PATH_MAX], options[3][PATH_MAX];
	const char *argv[ARGS_MAX] = {"edgeferry-doctor"};
	json_t *found = NULL;
	size_t n = 1;
	int r = -ENAMETOOLONG;
	const struct {
		const char *name, *value;
	} given[] = {{"bus", bus}, {"config", cli->config_dir}, {"root", cli->root}};

	for (size_t i = 0; i < 3; i++)
		if (given[i].value && *given[i].value) {
			snprintf(options[i], sizeof(options[i]), "--%s=%s", given[i].name,
				given[i].value);
			argv[n++] = options[i];
		}
	if (cli->offline)
		argv[n++] = "--offline";
	argv[n] = what;
	if (child_program("edgeferry-doctor", program, sizeof(program)))
		found = run(program, argv, &r);
	if (!found)
		complain("install the package edgeferry anew", "%s cannot be run: %s", program,
			r < 0 ? strerror(-r) : "it gave no answer");
	return found;
}

int verb_doctor(struct cli *cli, char **args)
{
	_cleanup_json_ json_t *found = ask(cli, NULL);

	if (!found)
		return EXIT_FAILED;
	if (cli->json != JSON_OFF)
		document_print(cli, found);
	else
		show(cli, found);
	return number_of(found, "errors") > 0 ? EXIT_FAILED : EXIT_DONE;
}

/* config show */

static int show_values(const struct cli *cli, const json_t *values)
{
	static const struct column columns[] = {{"NODE", 0}, {"SECTION", 0}, {"KEY", 0},
		{"VALUE", COLUMN_SHRINK}, {"FROM", COLUMN_SHRINK}};
	_cleanup_table_ struct table *t = table_new(columns, 5);
	const json_t *v;
	size_t i;

	json_array_foreach (values, i, v) {
		const char *from = text_of(v, "from");
		enum tone tone = strcmp(from, "default") == 0 ? TONE_DIM : TONE_PLAIN;

		table_cell(t, TONE_BOLD, text_of(v, "node"));
		table_cell(t, TONE_DIM, text_of(v, "section"));
		table_cell(t, tone, text_of(v, "key"));
		table_cell(t, tone, text_of(v, "value"));
		table_cell(t, TONE_DIM, from);
	}
	return table_print(t, &cli->out) ? EXIT_DONE : EXIT_FAILED;
}

int verb_config(struct cli *cli, char **args)
{
	if (!args[0] || strcmp(args[0], "show") != 0) {
		complain("say 'edgeferry config show'", "config has one action: show");
		return EXIT_USAGE;
	}
	_cleanup_json_ json_t *o = ask(cli, "--show-config");
	if (!o)
		return EXIT_FAILED;
	const json_t *values = json_object_get(o, "values");
	if (*text_of(o, "detail")) {
		complain("mend that file; the daemon does not start with it", "%s",
			text_of(o, "detail"));
		return EXIT_FAILED;
	}
	if (cli->json == JSON_OFF)
		return show_values(cli, values);
	document_print(cli, values);
	return EXIT_DONE;
}
