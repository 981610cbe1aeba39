/* SPDX-License-Identifier: Apache-2.0 */
/* edgeferryd: the core. Puts the parts together on one event loop; decides nothing itself. */
#include "daemon/daemon.h"
#include "daemon/journal.h"
#include "util/cleanup.h"
#include "util/log.h"
#include "util/time-util.h"
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <systemd/sd-daemon.h>

#define CONFIG_DIR "/etc/edgeferry"
#define EXIT_USAGE 64

void status_line(struct daemon *d, const struct deployment *dep)
{
	const char *release = update_release(d->update);

	if (dep && !deployment_over(dep->state))
		sd_notifyf(0, "STATUS=Release %s: %s", dep->release,
			deployment_state_word(dep->state));
	else
		sd_notifyf(0, "STATUS=Idle, release %s", *release ? release : "unknown");
}

/* What update observes, forwarded. The bus comes after update is up. */

static void on_changed(void *ctx, const struct deployment *dep)
{
	struct daemon *d = ctx;

	if (d->bus)
		bus_deployment_changed(d->bus, dep);
	if (d->update)
		status_line(d, dep);
	metrics_kick(d);
	if (deployment_over(dep->state))
		poll_over(d);
}

static void on_progress(void *ctx, const struct deployment *dep, const struct part *p)
{
	struct daemon *d = ctx;

	if (d->bus)
		bus_progress(d->bus, dep, p);
}

static void on_event(void *ctx, const struct event *ev)
{
	struct daemon *d = ctx;

	journal_event(ev,
		d->update && ev->deployment ? update_release_of(d->update, ev->deployment) : "");
	for (enum deployment_state s = 0; s < DEPLOYMENT_STATES; s++)
		if (strcmp(ev->word, "deployment") == 0 && deployment_over(s) &&
			strcmp(ev->to, deployment_state_word(s)) == 0)
			d->ended[s]++;
	metrics_kick(d);
	rest_soon(d);
	if (d->bus)
		bus_event(d->bus, ev);
}

static void on_node(void *ctx, size_t node)
{
	struct daemon *d = ctx;

	metrics_kick(d);
	if (d->bus)
		bus_node_changed(d->bus, node);
}

static void on_slots(void *ctx)
{
	struct daemon *d = ctx;

	if (d->bus)
		bus_slots_changed(d->bus);
}

static void on_report(void *ctx)
{
	outbox_kick(ctx);
}

static void on_resumed(void *ctx)
{
	poll_now(ctx, "resumed");
}

/* The init system ends us. In the simulated machine there is none: its launcher waits for our end.
 */
static void on_rebooting(void *ctx, const char *parameter)
{
	struct daemon *d = ctx;

	d->rebooting = true;
	if (strcmp(d->config->boot, "sim") == 0) {
		sd_notify(0, "STOPPING=1\nSTATUS=Rebooting");
		sd_event_exit(d->event, 0);
		return;
	}
	sd_notify(0, "STATUS=Rebooting");
	reboot_machine(d, parameter);
}

/* What edgeferry-net tells. */

static void on_offer(void *ctx)
{
	poll_now(ctx, "the broker said so");
}

static void on_broker(void *ctx, bool connected)
{
	struct daemon *d = ctx;

	d->broker = connected;
	metrics_kick(d);
	if (d->bus)
		bus_set_broker(d->bus, connected);
	if (connected && d->update)
		outbox_kick(d);
}

static void on_key(void *ctx, const struct error *fault)
{
	struct daemon *d = ctx;

	if (d->bus)
		bus_set_key(d->bus, fault);
}

static void on_net_ready(void *ctx)
{
	struct daemon *d = ctx;

	if (d->update)
		outbox_kick(d);
}

enum ef_reason net_start(struct daemon *d, struct error *e)
{
	const struct net_client_callbacks net = {d, on_offer, on_broker, on_key, on_net_ready};

	if (d->net || !(d->config->url || d->config->mqtt_host))
		return EF_REASON_OK;
	return net_client_new(&d->net, d->event, d->config, &net, e);
}

/* Once it is certain that the state directory is the one that both slots share. */
static void keep_id(const struct config *c)
{
	int r = config_keep_id(c);

	if (r < 0)
		log_warning("%s/id cannot be written: a slot with another machine id would have "
			    "another Id=: %s",
			c->state_dir, strerror(-r));
}

static enum ef_reason open_parts(struct daemon *d, struct error *e)
{
	enum ef_reason r = config_load(d->config_dir, &d->config, e);

	if (!r && !d->config->id)
		r = error_set(e, EF_REASON_STATE_UNREADABLE, "%s/id: %s", d->config->state_dir,
			strerror(EACCES));
	if (!r)
		r = update_find_slots("", d->config, e);
	if (!r && asprintf(&d->root_file, "%s/root.json", d->config_dir) < 0)
		return error_set(e, EF_REASON_NO_MEMORY, "%s", d->config_dir);
	if (!r)
		r = net_start(d, e);
	if (r)
		return r;
	const struct update_env env = {
		.event = d->event,
		.config = d->config,
		.net = d->net,
		.now = now_real_s,
		.synchronised = clock_counts,
		.synchronised_ctx = d,
		.bus_address = d->bus_address,
		.root_file = d->root_file,
		.services = services_of(d),
		.observer = {d, on_changed, on_progress, on_event, on_node, on_slots, on_report,
			on_resumed, on_rebooting},
	};

	r = update_new(&d->update, &env, e);
	if (!r)
		keep_id(d->config);
	if (!r)
		r = bus_new(&d->bus, d->event, d->bus_address, d->config, d->update, e);
	if (!r) {
		bus_on_reload(d->bus, reload, d);
		r = update_resume(d->update, e);
	}
	return r;
}

static void close_parts(struct daemon *d)
{
	sd_event_source_disable_unref(d->poll);
	sd_event_source_disable_unref(d->outbox);
	sd_event_source_disable_unref(d->retry_outbox);
	sd_event_source_disable_unref(d->later);
	sd_event_source_disable_unref(d->rest);
	sd_event_source_disable_unref(d->metrics);
	reboot_close(d);
	services_close(d);
	clock_close(d);
	bus_free(d->bus);
	net_client_free(d->net);
	update_free(d->update);
	config_free(d->config);
	free(d->root_file);
	sd_event_unref(d->event);
}

static int open_loop(struct daemon *d)
{
	sigset_t mask;
	int r;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigaddset(&mask, SIGINT);
	sigaddset(&mask, SIGCHLD);
	sigaddset(&mask, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	r = sd_event_default(&d->event);
	if (r >= 0)
		r = sd_event_add_signal(d->event, NULL, SIGTERM, NULL, NULL);
	if (r >= 0)
		r = sd_event_add_signal(d->event, NULL, SIGINT, NULL, NULL);
	if (r >= 0)
		r = reload_on_hangup(d);
	if (r >= 0)
		r = sd_event_set_watchdog(d->event, 1);
	return r;
}

static int run(struct daemon *d)
{
	struct error e = {0};
	char text[512];
	int r = open_loop(d);

	if (r < 0) {
		log_error("event loop: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	if (open_parts(d, &e)) {
		error_format(&e, text, sizeof text);
		log_error("%s", text);
		sd_notifyf(0, "STATUS=%s", text);
		/* systemd tries again, but for a file's sake: a slot or a port may appear yet */
		return e.reason == EF_REASON_CONFIG && !d->config ? EX_CONFIG : EXIT_FAILURE;
	}
	sd_notify(0, "READY=1");
	status_line(d, NULL);
	r = poll_start(d);
	if (r >= 0 && !d->rebooting)
		r = sd_event_loop(d->event);
	if (r < 0)
		log_error("event loop: %s", strerror(-r));
	sd_notify(0, "STOPPING=1");
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void help(void)
{
	puts("edgeferryd [--config=DIR] [--bus=ADDRESS] [--debug]\n\n"
	     "Updates this gateway and the microcontrollers attached to it. Started by\n"
	     "systemd (edgeferry.service); 'edgeferry' is the command to talk to it.\n\n"
	     "  --config=DIR   configuration, " CONFIG_DIR " when not given\n"
	     "  --bus=ADDRESS  D-Bus address, the system bus when not given\n"
	     "  --debug        log more\n"
	     "  --help, --version");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"bus", required_argument, NULL, 'b'},
		{"debug", no_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	struct daemon d = {.config_dir = CONFIG_DIR};
	int level = LOG_INFO, o, rc;

	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (o) {
		case 'c':
			d.config_dir = optarg;
			break;
		case 'b':
			d.bus_address = optarg;
			break;
		case 'd':
			level = LOG_DEBUG;
			break;
		case 'h':
			help();
			return EXIT_SUCCESS;
		case 'v':
			puts("edgeferryd " EF_VERSION);
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	if (optind < argc) {
		fprintf(stderr, "edgeferryd: no arguments are taken; see --help\n");
		return EXIT_USAGE;
	}
	log_open("edgeferryd", level);
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* nodes' keys may be in memory (S-31) */
	rc = run(&d);
	close_parts(&d);
	return rc;
}
