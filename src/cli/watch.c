/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/watch.h"
#include "cli/client.h"
#include "cli/show.h"
#include "cli/view.h"
#include "util/json.h"
#include "util/text.h"
#include "util/time-util.h"
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <systemd/sd-event.h>

#define DEPLOYMENTS BUS_PATH "/deployment/"
#define DRAW_US 250000u
#define GONE_US (60 * USEC_PER_SEC) /* a daemon that restarts is back by then */

struct watch {
	struct cli *cli;
	enum watch_mode mode;
	sd_event *event;
	sd_event_source *tick;
	struct view view;
	char *path;	  /* of the deployment followed; NULL: none yet */
	char *ended;	  /* of the one that ended last */
	json_t *document; /* what it last said of itself */
	char *told;	  /* JSON: the state printed last */
	bool asking, ask_again;
	bool settled;	  /* what was there at the beginning is known */
	uint64_t gone_us; /* since when the daemon is away; 0: it is there */
};

static bool json_lines(const struct watch *w)
{
	return w->cli->json != JSON_OFF && w->mode != WATCH_ONE;
}

static void finish(struct watch *w, int code)
{
	sd_event_exit(w->event, code);
}

/* A line that is not part of the block. */
static void say(struct watch *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct watch *w, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;

	va_start(ap, format);
	if (vasprintf(&text, format, ap) < 0)
		text = NULL;
	va_end(ap);
	if (w->cli->json != JSON_OFF || !text)
		return;
	view_erase(&w->view);
	fprintf(w->cli->out.file, "%s\n", text_clean(text));
	(void)fflush(w->cli->out.file);
	view_draw(&w->view, now_monotonic_us());
}

/* Prints a document as one of several kinds of JSON lines. */
static void tell(struct watch *w, const char *type, const json_t *document)
{
	_cleanup_json_ json_t *o = json_pack("{s:s}", "type", type);

	if (o && json_object_update(o, (json_t *)document) == 0)
		document_print(w->cli, o);
}

/* Nodes are brought up each for itself, and no failure of one ends that. */
static bool node_failed(const json_t *d)
{
	const json_t *c;
	size_t i;

	if (strcmp(text_of(d, "origin"), "catch-up") != 0)
		return false;
	json_array_foreach (json_object_get(d, "components"), i, c)
		if (strcmp(text_of(c, "state"), "failed") == 0 ||
			strcmp(text_of(c, "state"), "reverted") == 0)
			return true;
	return false;
}

static int outcome_code(const json_t *d)
{
	const char *state = text_of(d, "state");
	enum ef_reason r = EF_REASON_OK;

	reason_from_word(text_of(d, "reason"), &r);
	if (strcmp(state, "confirmed") == 0)
		return node_failed(d) ? EXIT_FAILED : EXIT_DONE;
	if (r == EF_REASON_ALREADY_INSTALLED)
		return EXIT_NOTHING;
	if (strcmp(state, "refused") != 0)
		return EXIT_FAILED;
	int code = reason_exit(r);
	return code == EXIT_FAILED || code == EXIT_DONE ? EXIT_REFUSED : code;
}

/* The components that are to blame, each with its own reason. */
static void say_components(struct watch *w, const json_t *d)
{
	const json_t *c;
	size_t i;

	json_array_foreach (json_object_get(d, "components"), i, c) {
		_cleanup_free_ char *name = part_name(c);
		_cleanup_free_ char *why =
			reason_sentence(text_of(c, "reason"), text_of(c, "detail"));
		if (name && why && *why)
			say(w, "  %s: %s: %s", name, text_of(c, "state"), why);
	}
}

static void say_outcome(struct watch *w, const json_t *d)
{
	static const struct {
		const char *state, *phrase;
	} phrases[] = {
		{"confirmed", "is confirmed"},
		{"reverted", "did not stay; what ran before runs again"},
		{"refused", "was refused; nothing was touched"},
		{"failed", "failed; what ran before still runs"},
		{"cancelled", "was cancelled; what ran before still runs"},
	};
	const char *state = text_of(d, "state"), *phrase = state;
	_cleanup_free_ char *why = reason_sentence(text_of(d, "reason"), text_of(d, "detail"));
	_cleanup_free_ char *release = release_phrase(d);
	char took[STAMP_MAX];

	for (size_t i = 0; i < sizeof(phrases) / sizeof(phrases[0]); i++)
		if (strcmp(phrases[i].state, state) == 0)
			phrase = phrases[i].phrase;
	took_format(text_of(d, "started"), text_of(d, "ended"), took);
	say_components(w, d);
	if (strcmp(state, "confirmed") == 0) {
		say(w, "%s %s%s%s%s", release ? release : "", phrase, *took ? " (took " : "", took,
			*took ? ")" : "");
		return;
	}
	if (w->cli->json == JSON_OFF)
		complain(reason_word_hint(text_of(d, "reason")), "%s %s%s%s",
			release ? release : "", phrase, why && *why ? ": " : "", why ? why : "");
}

static void deployment_over(struct watch *w)
{
	int code = outcome_code(w->document);

	view_draw(&w->view, now_monotonic_us());
	view_clear(&w->view); /* the last block stays as it is */
	say_outcome(w, w->document);
	if (w->mode == WATCH_ONE && w->cli->json != JSON_OFF)
		document_print(w->cli, w->document);
	free(w->ended);
	w->ended = TAKE_PTR(w->path);
	json_decref(TAKE_PTR(w->document));
	free(TAKE_PTR(w->told));
	if (w->mode != WATCH_ALL)
		finish(w, code);
}

static void nothing_yet(struct watch *w)
{
	w->settled = true;
	say(w, "nothing is under way; waiting for what comes (Ctrl-C ends)");
}

static void take_document(struct watch *w, json_t *d)
{
	const char *state = text_of(d, "state");

	if (!w->settled && w->mode != WATCH_ONE && state_over(state)) {
		/* It ended before anybody watched: not the next one. */
		free(w->ended);
		w->ended = TAKE_PTR(w->path);
		json_decref(d);
		return nothing_yet(w);
	}
	w->settled = true;
	json_decref(w->document);
	w->document = d;
	if (json_lines(w) && (!w->told || strcmp(w->told, state) != 0)) {
		tell(w, "deployment", d);
		free(w->told);
		w->told = strdup(state);
	}
	view_update(&w->view, d, now_monotonic_us());
	if (state_over(state))
		deployment_over(w);
	else
		view_draw(&w->view, now_monotonic_us());
}

static void ask(struct watch *w);

static int on_describe(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct watch *w = userdata;
	const char *text;
	json_t *d = NULL;

	w->asking = false;
	if (sd_bus_message_is_method_error(m, SD_BUS_ERROR_UNKNOWN_OBJECT) &&
		w->mode == WATCH_ONE) {
		complain("'edgeferry deployments' lists what there is",
			"the deployment is not there any more");
		finish(w, EXIT_NOT_FOUND);
		return 0;
	}
	/* Another error is a daemon that goes or is not yet back: its signals tell. */
	if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "s", &text) >= 0)
		d = document_parse(text);
	if (d && w->path)
		take_document(w, d);
	else
		json_decref(d);
	if (w->ask_again)
		ask(w);
	return 0;
}

static void ask(struct watch *w)
{
	w->ask_again = w->asking;
	if (w->asking || !w->path || w->gone_us > 0)
		return;
	w->asking = sd_bus_call_method_async(w->cli->bus, NULL, BUS_NAME, w->path,
			    BUS_NAME ".Deployment", "Describe", on_describe, w, NULL) >= 0;
}

/* In the modes that take what comes: a deployment that shows itself is the one to follow. */
static void adopt(struct watch *w, const char *path)
{
	bool ours = strncmp(path, DEPLOYMENTS, strlen(DEPLOYMENTS)) == 0;

	if (!w->path && ours && w->mode != WATCH_ONE && !(w->ended && strcmp(w->ended, path) == 0))
		w->path = strdup(path);
	if (w->path && strcmp(w->path, path) == 0)
		ask(w);
}

static int on_deployment_property(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct watch *w = userdata;
	const char *path;

	if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "v", "o", &path) < 0)
		return 0;
	adopt(w, path);
	/* there is none: the next one is what is waited for, however soon it is over */
	if (!w->path && !w->settled)
		nothing_yet(w);
	return 0;
}

static void find_deployment(struct watch *w)
{
	sd_bus_call_method_async(w->cli->bus, NULL, BUS_NAME, BUS_PATH,
		"org.freedesktop.DBus.Properties", "Get", on_deployment_property, w, "ss",
		BUS_NAME ".Manager", "Deployment");
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct watch *w = userdata;
	const char *path = sd_bus_message_get_path(m);

	if (strcmp(path, BUS_PATH) != 0)
		adopt(w, path);
	else if (!w->path)
		find_deployment(w);
	else
		ask(w);
	return 0;
}

static int on_progress(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct watch *w = userdata;
	const char *component, *phase, *path = sd_bus_message_get_path(m);
	uint64_t done, total;

	if (sd_bus_message_read(m, "sstt", &component, &phase, &done, &total) < 0)
		return 0;
	if (!w->path || strcmp(w->path, path) != 0) {
		adopt(w, path);
		return 0;
	}
	if (json_lines(w)) {
		_cleanup_json_ json_t *o = json_pack("{s:I, s:s, s:s, s:I, s:I}", "deployment",
			(json_int_t)number_of(w->document, "id"), "component", component, "phase",
			phase, "done", (json_int_t)done, "total", (json_int_t)total);
		if (o)
			tell(w, "progress", o);
		return 0;
	}
	if (!view_progress(&w->view, component, phase, done, total, now_monotonic_us()))
		ask(w);
	return 0;
}

static int on_event(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct watch *w = userdata;
	const char *text;

	if (w->mode != WATCH_ALL || sd_bus_message_read(m, "s", &text) < 0)
		return 0;
	_cleanup_json_ json_t *e = document_parse(text);
	if (!e)
		return 0;
	if (json_lines(w)) {
		tell(w, "event", e);
		return 0;
	}
	const char *word = text_of(e, "event"), *from = text_of(e, "from"), *to = text_of(e, "to");
	if (strcmp(word, "deployment") == 0 || strcmp(word, "component") == 0)
		return 0; /* seen in the view already */
	_cleanup_free_ char *why = reason_sentence(text_of(e, "reason"), text_of(e, "detail"));
	const char *who = *text_of(e, "component") ? text_of(e, "component") : text_of(e, "place");
	char when[STAMP_MAX];
	say(w, "%s %s%s%s%s%s%s%s%s%s", stamp_format(text_of(e, "time"), when), word,
		*who ? " " : "", who, *from || *to ? ": " : "", from, *from && *to ? " > " : "", to,
		why && *why ? ": " : "", why ? why : "");
	return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct watch *w = userdata;
	const char *name, *old, *new;

	if (sd_bus_message_read(m, "sss", &name, &old, &new) < 0)
		return 0;
	if (!*new && w->gone_us == 0) {
		w->gone_us = now_monotonic_us();
		w->asking = false;
		say(w, "the daemon went away; waiting for it to come back");
	} else if (*new) {
		bool was_gone = w->gone_us > 0;
		w->gone_us = 0;
		if (was_gone)
			say(w, "the daemon is back");
		if (w->path)
			ask(w);
		else
			find_deployment(w);
	}
	return 0;
}

static int on_disconnected(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
	struct watch *w = userdata;
	const char *state = text_of(w->document, "state");

	if (strcmp(state, "activating") == 0 || strcmp(state, "reverting") == 0) {
		complain("look with 'edgeferry status' when it is up", "the gateway restarts");
		finish(w, EXIT_REBOOT);
		return 0;
	}
	complain("look whether dbus and edgeferryd run", "the connection to the bus ended");
	finish(w, EXIT_NO_DAEMON);
	return 0;
}

static int on_tick(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct watch *w = userdata;
	uint64_t now = now_monotonic_us();

	if (w->gone_us > 0 && now - w->gone_us > GONE_US && w->mode != WATCH_ALL) {
		complain("look at 'systemctl status edgeferry' and its journal",
			"the daemon did not come back");
		finish(w, EXIT_NO_DAEMON);
		return 0;
	}
	view_draw(&w->view, now);
	sd_event_source_set_time_relative(s, DRAW_US);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static int on_interrupt(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	struct watch *w = userdata;

	if (w->mode == WATCH_ALL) {
		finish(w, EXIT_DONE);
		return 0;
	}
	if (w->path)
		complain("'edgeferry monitor' shows it again, 'edgeferry cancel' calls it off",
			"the deployment goes on without being watched");
	finish(w, EXIT_INTERRUPTED);
	return 0;
}

static int on_resize(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	struct watch *w = userdata;

	term_resize(&w->cli->out);
	return 0;
}

static int add_sources(struct watch *w)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int r = sd_event_new(&w->event);
	if (r >= 0)
		r = sd_event_add_signal(w->event, NULL, SIGINT, on_interrupt, w);
	if (r >= 0)
		r = sd_event_add_signal(w->event, NULL, SIGTERM, on_interrupt, w);
	if (r >= 0)
		r = sd_event_add_signal(w->event, NULL, SIGWINCH, on_resize, w);
	if (r >= 0)
		r = sd_event_add_time_relative(
			w->event, &w->tick, CLOCK_MONOTONIC, DRAW_US, 10000, on_tick, w);
	return r < 0 ? r : sd_bus_attach_event(w->cli->bus, w->event, SD_EVENT_PRIORITY_NORMAL);
}

static int add_matches(struct watch *w)
{
	static const struct {
		const char *match;
		sd_bus_message_handler_t handler;
	} matches[] = {
		{"type='signal',sender='" BUS_NAME "',path_namespace='" BUS_PATH "',"
		 "interface='org.freedesktop.DBus.Properties',member='PropertiesChanged'",
			on_changed},
		{"type='signal',sender='" BUS_NAME "',interface='" BUS_NAME
		 ".Deployment',member='Progress'",
			on_progress},
		{"type='signal',sender='" BUS_NAME "',interface='" BUS_NAME
		 ".Manager',member='Event'",
			on_event},
		{"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',"
		 "member='NameOwnerChanged',arg0='" BUS_NAME "'",
			on_owner},
		{"type='signal',path='/org/freedesktop/DBus/"
		 "Local',interface='org.freedesktop.DBus.Local',"
		 "member='Disconnected'",
			on_disconnected},
	};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sizeof(matches) / sizeof(matches[0]); i++)
		r = sd_bus_add_match(w->cli->bus, NULL, matches[i].match, matches[i].handler, w);
	return r;
}

int watch_new(struct cli *cli, enum watch_mode mode, struct watch **ret)
{
	_cleanup_(watch_freep) struct watch *w = calloc(1, sizeof(*w));

	if (!w) {
		complain("", "out of memory");
		return EXIT_FAILED;
	}
	w->cli = cli;
	w->mode = mode;
	view_init(&w->view, &cli->out);
	w->view.silent = cli->json != JSON_OFF;
	int r = add_matches(w);
	if (r >= 0)
		r = add_sources(w);
	if (r < 0)
		return client_error(NULL, r);
	*ret = TAKE_PTR(w);
	return EXIT_DONE;
}

void watch_free(struct watch *w)
{
	if (!w)
		return;
	sd_bus_detach_event(w->cli->bus);
	view_clear(&w->view);
	sd_event_source_unref(w->tick);
	sd_event_unref(w->event);
	json_decref(w->document);
	free(w->path);
	free(w->ended);
	free(w->told);
	free(w);
}

int watch_run(struct watch *w, const char *path)
{
	if (path) {
		w->path = strdup(path);
		ask(w);
	} else {
		find_deployment(w);
	}
	int r = sd_event_loop(w->event);
	return r < 0 ? client_error(NULL, r) : r;
}
