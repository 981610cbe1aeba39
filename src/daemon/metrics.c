/* SPDX-License-Identifier: Apache-2.0 */
/* For the textfile collector of node_exporter: what 'edgeferry status' says, as samples. */
#include "daemon/daemon.h"
#include "util/atomic-file.h"
#include "util/cleanup.h"
#include "util/log.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_US 1000000u /* changes come in crowds */

static void head(FILE *f, const char *name, const char *help, const char *type)
{
	fprintf(f, "# HELP edgeferry_%s %s\n# TYPE edgeferry_%s %s\n", name, help, name, type);
}

/* Within quotes. */
static void label(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			fputc('\\', f);
		fputc(*text == '\n' ? ' ' : *text, f);
	}
}

static void info(FILE *f, const char *name, const char *help, const char *key, const char *value)
{
	head(f, name, help, "gauge");
	fprintf(f, "edgeferry_%s{%s=\"", name, key);
	label(f, value);
	fputs("\"} 1\n", f);
}

static void number(FILE *f, const char *name, const char *help, int64_t value)
{
	head(f, name, help, "gauge");
	fprintf(f, "edgeferry_%s %" PRId64 "\n", name, value);
}

enum of_node { NODE_PRESENT, NODE_SEEN, NODE_BEHIND, NODE_SAVED };

static void of_nodes(
	FILE *f, const struct daemon *d, enum of_node what, const char *name, const char *help)
{
	const struct config *c = d->config;

	head(f, name, help, what == NODE_SAVED ? "counter" : "gauge");
	for (size_t i = 0; i < c->n_nodes; i++) {
		struct error last;
		int64_t seen;
		bool present;

		update_node(d->update, i, &present, &seen, &last);
		fprintf(f, "edgeferry_%s{node=\"%s\"} %" PRId64 "\n", name, c->nodes[i].name,
			what == NODE_PRESENT ? present
			: what == NODE_SEEN  ? seen
			: what == NODE_SAVED ? (int64_t)update_node_saved(d->update, i)
					     : update_node_behind(d->update, i) != NULL);
	}
}

static void of_server(FILE *f, const struct daemon *d)
{
	struct error e = {0};
	int64_t last = update_last_check(d->update, &e);

	number(f, "check_timestamp_seconds",
		"When the server was last asked for releases; 0: never.", last);
	number(f, "check_failed", "Whether that went wrong.", e.reason != EF_REASON_OK);
	number(f, "metadata_stale", "Whether what the server has is too old to be followed.",
		update_stale(d->update));
	if (d->config->mqtt_host)
		number(f, "broker_connected", "Whether the broker is connected.", d->broker);
}

static void of_deployments(FILE *f, const struct daemon *d)
{
	number(f, "deployment_active", "Whether a deployment is under way.",
		update_current(d->update) != NULL);
	head(f, "deployments_ended_total", "Deployments that ended since edgeferryd started.",
		"counter");
	for (enum deployment_state s = 0; s < DEPLOYMENT_STATES; s++)
		if (deployment_over(s))
			fprintf(f, "edgeferry_deployments_ended_total{state=\"%s\"} %u\n",
				deployment_state_word(s), d->ended[s]);
}

static void everything(FILE *f, const struct daemon *d)
{
	info(f, "build_info", "The version of edgeferryd.", "version", EF_VERSION);
	info(f, "release_info", "The release that is installed and confirmed.", "release",
		update_release(d->update));
	info(f, "state_info", "What edgeferryd is doing.", "state", update_state_word(d->update));
	of_deployments(f, d);
	of_server(f, d);
	of_nodes(f, d, NODE_PRESENT, "node_present", "Whether the node answers.");
	of_nodes(
		f, d, NODE_SEEN, "node_seen_timestamp_seconds", "When it last answered; 0: never.");
	of_nodes(f, d, NODE_BEHIND, "node_behind",
		"Whether it does not run what the installed release says.");
	of_nodes(f, d, NODE_SAVED, "node_patch_saved_bytes_total",
		"Bytes that patches have saved on the way to it.");
}

static int on_metrics(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct daemon *d = userdata;
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *f = d->config->metrics_file ? open_memstream(&text, &size) : NULL;

	if (!f)
		return 0;
	everything(f, d);
	int r = fclose(f) == 0 ? atomic_file_write(d->config->metrics_file, text, size, 0644)
			       : -ENOMEM;
	if (r < 0 && r != d->metrics_error)
		log_warning("%s: %s", d->config->metrics_file, strerror(-r));
	d->metrics_error = r;
	return 0;
}

void metrics_kick(struct daemon *d)
{
	int on = SD_EVENT_OFF;

	if (!d->config || !d->config->metrics_file || !d->update)
		return;
	if (!d->metrics)
		sd_event_add_time_relative(
			d->event, &d->metrics, CLOCK_MONOTONIC, SETTLE_US, 0, on_metrics, d);
	else if (sd_event_source_get_enabled(d->metrics, &on) >= 0 && on == SD_EVENT_OFF) {
		sd_event_source_set_time_relative(d->metrics, SETTLE_US);
		sd_event_source_set_enabled(d->metrics, SD_EVENT_ONESHOT);
	}
}
