/* SPDX-License-Identifier: Apache-2.0 */
/* edgeferry-doctor: what `edgeferry doctor` runs and shows. One JSON document on standard output.
 */
#include "doctor/bus.h"
#include "doctor/doctor.h"
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define CONFIG_DIR "/etc/edgeferry"
#define EXIT_USAGE 64
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* In the order in which they are shown. edgeferry-doctor(8) explains each. */
static const struct {
	const char *name;
	bool needs_config;
	check_func run;
} checks[] = {
	{"config", false, check_config},
	{"id", true, check_id},
	{"daemon", false, check_daemon},
	{"service", false, check_service},
	{"dbus", false, check_dbus},
	{"polkit", false, check_polkit},
	{"clock", true, check_clock},
	{"state", true, check_state},
	{"space", true, check_space},
	{"trust", true, check_trust},
	{"found", false, check_found},
	{"boot", true, check_boot},
	{"slots", true, check_slots},
	{"shared", true, check_shared},
	{"watchdog", true, check_watchdog},
	{"panic", true, check_panic},
	{"confirm", true, check_confirm},
	{"user", true, check_user},
	{"server", true, check_server},
	{"broker", true, check_broker},
	{"nodes", true, check_nodes},
	{"keys", true, check_keys},
	{"ports", true, check_ports},
	{"lines", true, check_lines},
	{"bluetooth", true, check_bluetooth},
};

static void find_slots(struct doctor *d)
{
	const struct config *c = d->config;

	slots_detect(d->root, &d->found, &d->found_error);
	if (!c)
		return;
	d->boot = c->boot;
	d->boot_dir = c->boot_dir;
	d->a = c->slot_a;
	d->b = c->slot_b;
	d->boot_a = c->boot_a;
	d->boot_b = c->boot_b;
	if (strcmp(c->boot, "auto") != 0)
		return;
	d->boot = d->found.boot ? d->found.boot : "auto";
	if (!d->boot_dir && d->found.boot)
		d->boot_dir = d->found.boot_dir;
	if (!d->a && d->found.a[0]) {
		d->a = d->found.a;
		d->b = d->found.b;
	}
	if (!d->boot_a && d->found.boot_a[0]) {
		d->boot_a = d->found.boot_a;
		d->boot_b = d->found.boot_b;
	}
}

static void examine(struct doctor *d)
{
	for (size_t i = 0; i < COUNT(checks); i++) {
		d->check = checks[i].name;
		if (d->config || !checks[i].needs_config)
			checks[i].run(d);
	}
}

static int print(struct doctor *d)
{
	_cleanup_json_ json_t *o = json_pack("{s:O, s:i, s:i}", "findings", d->findings, "errors",
		(int)d->count[LEVEL_ERROR], "warnings", (int)d->count[LEVEL_WARNING]);

	if (!o || json_dumpf(o, stdout, JSON_COMPACT) < 0 || puts("") < 0 || fflush(stdout) != 0)
		return EXIT_FAILURE;
	return d->count[LEVEL_ERROR] ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void show_value(void *ctx, const struct config_value *v)
{
	json_array_append_new(
		ctx, json_pack("{s:s?, s:s, s:s, s:s, s:s}", "node", v->node, "section", v->section,
			     "key", v->key, "value", v->value, "from", v->from));
}

/* Of 'edgeferry config show'. */
static int show_config(const char *root, const char *dir)
{
	_cleanup_json_ json_t *values = json_array();
	struct error e = {0};

	config_show(root, dir, show_value, values, &e);
	_cleanup_json_ json_t *o = json_pack("{s:O, s:s, s:s}", "values", values, "reason",
		reason_word(e.reason), "detail", e.detail);
	if (!o || json_dumpf(o, stdout, JSON_COMPACT) < 0 || puts("") < 0 || fflush(stdout) != 0)
		return EXIT_FAILURE;
	return e.reason ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void help(void)
{
	puts("edgeferry-doctor [--config=DIR] [--root=DIR] [--bus=ADDRESS] [--offline]\n"
	     "edgeferry-doctor --show-config [--config=DIR] [--root=DIR]\n\n"
	     "What 'edgeferry doctor' and 'edgeferry config show' run; prints one JSON document, "
	     "see\nedgeferry-doctor(8).");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"config", required_argument, NULL, 'c'},
		{"root", required_argument, NULL, 'r'},
		{"bus", required_argument, NULL, 'b'},
		{"offline", no_argument, NULL, 'o'},
		{"show-config", no_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{"version", no_argument, NULL, 'v'},
		{NULL, 0, NULL, 0},
	};
	struct doctor d = {.root = "", .findings = json_array()};
	const char *config_dir = CONFIG_DIR;
	char path[PATH_MAX];
	bool only_config = false;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (o) {
		case 'c':
			config_dir = optarg;
			break;
		case 'r':
			d.root = strcmp(optarg, "/") == 0 ? "" : optarg;
			break;
		case 'b':
			d.bus_address = optarg;
			break;
		case 'o':
			d.offline = true;
			break;
		case 's':
			only_config = true;
			break;
		case 'h':
			help();
			return EXIT_SUCCESS;
		case 'v':
			puts("edgeferry-doctor " EF_VERSION);
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	if (optind < argc || !d.findings)
		return EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN);			/* a server that hangs up */
	setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}); /* it reads nodes' keys (S-31) */
	d.config_dir = below(&d, config_dir, path);
	if (only_config) {
		json_decref(d.findings);
		return show_config(d.root, d.config_dir);
	}
	config_load_below(d.root, d.config_dir, &d.config, &d.config_error);
	find_slots(&d);
	if (!*d.root || d.bus_address)
		bus_status(&d);
	examine(&d);
	int r = print(&d);
	json_decref(d.findings);
	json_decref(d.status);
	config_free(d.config);
	return r;
}
