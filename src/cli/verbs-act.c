/* SPDX-License-Identifier: Apache-2.0 */
/* check, install, confirm, reject, rollback, cancel, monitor: what changes things, and watching it.
 */
#include "cli/client.h"
#include "cli/plan.h"
#include "cli/show.h"
#include "cli/watch.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/text.h"
#include "util/time-util.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* A person may have to answer polkit; a check waits for the network. */
#define ACT_US (150ull * 1000000)
#define CHECK_US (600ull * 1000000)

/* Releases that are newer than what is offered or installed, and held. */
static json_t *held_releases(const json_t *releases, const char *offered)
{
	json_t *held = json_array(), *r;
	size_t i;

	json_array_foreach (releases, i, r) {
		const char *state = text_of(r, "state");
		if (strcmp(state, "installed") == 0 || strcmp(text_of(r, "version"), offered) == 0)
			break;
		if (strcmp(state, "held") == 0)
			json_array_append(held, r);
	}
	return held;
}

static void print_check(const struct cli *cli, const char *version, const json_t *held)
{
	const json_t *r;
	size_t i;

	json_array_foreach (held, i, r) {
		const char *word = text_of(r, "reason"), *hint = reason_word_hint(word);
		_cleanup_free_ char *why = reason_sentence(word, text_of(r, "detail"));
		_cleanup_free_ char *name = strdup(text_of(r, "version"));
		if (why && name)
			fprintf(cli->out.file, "Release %s is held back: %s%s%s.\n",
				text_clean(name), text_clean(why), *hint ? "; " : "", hint);
	}
	if (*version)
		fprintf(cli->out.file, "Release %s can be installed: 'edgeferry install'.\n",
			version);
	else if (json_array_size(held) == 0)
		fprintf(cli->out.file,
			"Nothing newer than what is installed; 'edgeferry list' shows all.\n");
}

int verb_check(struct cli *cli, char **args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_json_ json_t *releases = NULL, *held = NULL;
	const char *version;

	int r = client_call(cli, CHECK_US, "Check", &reply, NULL);
	if (r != EXIT_DONE)
		return r;
	if (sd_bus_message_read(reply, "s", &version) < 0)
		return client_error(NULL, -EBADMSG);
	r = client_document(cli, BUS_PATH, BUS_NAME ".Manager", "ListReleases", &releases, NULL);
	if (r != EXIT_DONE)
		return r;
	held = held_releases(releases, version);
	if (cli->json != JSON_OFF) {
		_cleanup_json_ json_t *o = json_pack("{s:o, s:O}", "version",
			*version ? json_string(version) : json_null(), "held", held);
		document_print(cli, o);
	} else {
		print_check(cli, version, held);
	}
	return *version ? EXIT_DONE : EXIT_NOTHING;
}

static int simple(struct cli *cli, const char *member, const char *done)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r = client_call(cli, ACT_US, member, &reply, NULL);

	if (r == EXIT_DONE)
		fprintf(cli->out.file, "%s\n", done);
	return r;
}

int verb_confirm(struct cli *cli, char **args)
{
	return simple(cli, "Confirm", "The release on trial is being kept.");
}

int verb_reject(struct cli *cli, char **args)
{
	return simple(
		cli, "Reject", "Going back to the release before: 'edgeferry monitor' shows it.");
}

int verb_cancel(struct cli *cli, char **args)
{
	return simple(cli, "Cancel", "The deployment is being called off.");
}

int verb_activate(struct cli *cli, char **args)
{
	return simple(
		cli, "Activate", "It goes as soon as it is staged: 'edgeferry monitor' shows it.");
}

int verb_pause(struct cli *cli, char **args)
{
	return simple(cli, "Pause", "Nothing is begun by itself until 'edgeferry resume'.");
}

int verb_resume(struct cli *cli, char **args)
{
	return simple(cli, "Resume", "What is due is begun by itself again.");
}

int verb_postpone(struct cli *cli, char **args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	char utc[21], when[STAMP_MAX];
	uint64_t us;
	int64_t until;

	if (!args[0] || !timespan_parse(args[0], &us) || us < USEC_PER_SEC) {
		complain("say for how long, as in 8h or 2d", "postpone for how long?");
		return EXIT_USAGE;
	}
	int r = client_call(cli, ACT_US, "Postpone", &reply, "t", us / USEC_PER_SEC);
	if (r != EXIT_DONE)
		return r;
	if (sd_bus_message_read(reply, "x", &until) < 0)
		return client_error(NULL, -EBADMSG);
	fprintf(cli->out.file, "Nothing is begun by itself before %s.\n",
		stamp_format(time_format_utc(until, utc), when));
	return r;
}

/* The call's reply names a deployment: follow it, or say which it is. */
static int follow(struct cli *cli, struct watch *w, sd_bus_message *reply)
{
	const char *path;

	if (sd_bus_message_read(reply, "o", &path) < 0)
		return client_error(NULL, -EBADMSG);
	if (w)
		return watch_run(w, path);
	const char *id = strrchr(path, '/');
	fprintf(cli->out.file, "Deployment %s has begun: 'edgeferry monitor' shows it.\n",
		id && id[1] == '_' ? id + 2 : path);
	return EXIT_DONE;
}

/* Watching begins before the call, so that a deployment that ends at once is seen to end. */
static int begin_watch(struct cli *cli, struct watch **ret)
{
	return cli->no_wait ? EXIT_DONE : watch_new(cli, WATCH_ONE, ret);
}

/* A version is digits, dots and a plus; everything else names a file. */
static bool is_version(const char *text)
{
	return *text && text[strspn(text, "0123456789.+")] == 0;
}

static int open_bundle(const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;
		complain(r == -ENOENT
				 ? "name a release as 'edgeferry list' shows it, or a bundle file"
				 : "",
			"%s: %s", path, strerror(-r));
		return r;
	}
	if (!S_ISREG(st.st_mode)) {
		complain("name a bundle file, NAME.ferry", "%s is not a file", path);
		ef_close(fd);
		return -EINVAL;
	}
	return fd;
}

/* The document that the reply to Plan or PlanBundle is. */
static int show_plan(struct cli *cli, sd_bus_message *reply)
{
	_cleanup_json_ json_t *plan = NULL;
	const char *text;

	if (sd_bus_message_read(reply, "s", &text) < 0 || !(plan = document_parse(text)))
		return client_error(NULL, -EBADMSG);
	return plan_show(cli, plan);
}

static int install_bundle(struct cli *cli, const char *path)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(watch_freep) struct watch *w = NULL;
	const char *slash = strrchr(path, '/');
	_cleanup_close_ int fd = open_bundle(path);

	if (fd < 0)
		return fd == -ENOENT ? EXIT_NOT_FOUND : fd == -EACCES ? EXIT_DENIED : EXIT_USAGE;
	const char *name = slash ? slash + 1 : path;
	if (cli->dry_run) {
		int r = client_call(
			cli, CHECK_US, "PlanBundle", &reply, "hst", fd, name, (uint64_t)0);
		return r == EXIT_DONE ? show_plan(cli, reply) : r;
	}
	int r = begin_watch(cli, &w);
	if (r == EXIT_DONE)
		r = client_call(
			cli, ACT_US, "InstallBundle", &reply, "hst", fd, name, cli->transfer);
	return r == EXIT_DONE ? follow(cli, w, reply) : r;
}

static int install_version(struct cli *cli, const char *version)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(watch_freep) struct watch *w = NULL;
	int r;

	if (cli->dry_run) {
		r = client_call(cli, CHECK_US, "Plan", &reply, "st", version, (uint64_t)0);
		return r == EXIT_DONE ? show_plan(cli, reply) : r;
	}
	r = begin_watch(cli, &w);
	if (r == EXIT_DONE)
		r = client_call(cli, ACT_US, "Install", &reply, "st", version, cli->transfer);
	return r == EXIT_DONE ? follow(cli, w, reply) : r;
}

int verb_install(struct cli *cli, char **args)
{
	if (!args[0])
		return install_version(cli, "");
	if (!*args[0]) {
		complain("name a release as 'edgeferry list' shows it, or a bundle file",
			"the name of the release or bundle is empty");
		return EXIT_USAGE;
	}
	return is_version(args[0]) || strstr(args[0], "://") ? install_version(cli, args[0])
							     : install_bundle(cli, args[0]);
}

int verb_flash(struct cli *cli, char **args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(watch_freep) struct watch *w = NULL;
	int r = begin_watch(cli, &w);

	if (r == EXIT_DONE)
		r = client_call(cli, ACT_US, "Flash", &reply, "t", cli->transfer);
	return r == EXIT_DONE ? follow(cli, w, reply) : r;
}

int verb_rollback(struct cli *cli, char **args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(watch_freep) struct watch *w = NULL;
	int r = begin_watch(cli, &w);

	if (r == EXIT_DONE)
		r = client_call(cli, ACT_US, "Rollback", &reply, NULL);
	return r == EXIT_DONE ? follow(cli, w, reply) : r;
}

int verb_node_key(struct cli *cli, char **args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	bool first = strcmp(args[0], "provision") == 0;

	if (strcmp(args[0], "discover") == 0)
		return verb_discover(cli, args[1]);
	if (!first && strcmp(args[0], "rotate-key") != 0) {
		complain("it is discover, provision or rotate-key", "nodes does not know %s",
			args[0]);
		return EXIT_USAGE;
	}
	if (!args[1] || !*args[1]) {
		complain("name a node as 'edgeferry nodes' shows it", "which node?");
		return EXIT_USAGE;
	}
	int r = client_call(
		cli, ACT_US, first ? "ProvisionNode" : "RotateNodeKey", &reply, "s", args[1]);
	if (r == EXIT_DONE)
		fprintf(cli->out.file,
			first ? "Node %s has its key.\n" : "Node %s has another key.\n", args[1]);
	return r;
}

static void print_reload(const struct cli *cli, const json_t *o)
{
	const json_t *keys = json_object_get(o, "at_start"), *k;
	size_t i;

	fputs("The configuration is taken.\n", cli->out.file);
	if (json_array_size(keys) > 0)
		fputs("Not before 'systemctl restart edgeferry':\n", cli->out.file);
	json_array_foreach (keys, i, k) {
		_cleanup_free_ char *section = strdup(text_of(k, "section"));
		_cleanup_free_ char *key = strdup(text_of(k, "key"));

		if (section && key)
			fprintf(cli->out.file, "  [%s] %s=\n", text_clean(section),
				text_clean(key));
	}
	if (json_is_true(json_object_get(o, "nodes_wait")))
		fputs("Changes of nodes are taken when what is being done to nodes is over.\n",
			cli->out.file);
}

int verb_reload(struct cli *cli, char **args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_json_ json_t *o = NULL;
	const char *text;
	int r = client_call(cli, ACT_US, "Reload", &reply, NULL);

	if (r != EXIT_DONE)
		return r;
	if (sd_bus_message_read(reply, "s", &text) < 0 || !(o = document_parse(text)))
		return client_error(NULL, -EBADMSG);
	if (cli->json != JSON_OFF)
		document_print(cli, o);
	else
		print_reload(cli, o);
	return EXIT_DONE;
}

int verb_monitor(struct cli *cli, char **args)
{
	_cleanup_(watch_freep) struct watch *w = NULL;
	json_t *status = NULL;
	int r = watch_new(cli, cli->once ? WATCH_NEXT : WATCH_ALL, &w);

	if (r == EXIT_DONE) /* whether there is a daemon to watch at all */
		r = client_document(cli, BUS_PATH, BUS_NAME ".Manager", "GetStatus", &status, NULL);
	if (r != EXIT_DONE)
		return r;
	json_decref(status);
	return watch_run(w, NULL);
}
