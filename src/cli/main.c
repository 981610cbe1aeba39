/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/client.h"
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

enum option_id {
	OPT_HELP = 'h',
	OPT_MAX = 'n',
	OPT_FOLLOW = 'f',
	OPT_VERSION = 256,
	OPT_ADDRESS,
	OPT_JSON,
	OPT_WAIT,
	OPT_NO_WAIT,
	OPT_ONCE,
	OPT_DRY_RUN,
	OPT_CONFIG,
	OPT_ROOT,
	OPT_OFFLINE,
	OPT_FULL,
	OPT_PATCH,
};

/* What a verb takes besides --help and --address. */
enum {
	TAKES_JSON = 1,
	TAKES_MAX = 2,
	TAKES_WAIT = 4,
	TAKES_ONCE = 8,
	TAKES_DRY_RUN = 16,
	TAKES_PLACE = 32,
	TAKES_FOLLOW = 128,
	TAKES_TRANSFER = 256,
	NO_BUS = 64, /* no option: the verb needs no bus */
};

static const struct verb {
	const char *name;
	verb_func run;
	unsigned takes;
	int max_args;
	uint32_t max; /* default of --max */
	const char *args, *summary, *help;
} verbs[] = {
	{"status", verb_status, TAKES_JSON, 0, 0, "",
		"Show this gateway: release, state, server, slots, nodes",
		"Shows the installed release, what is going on, whether server and broker are\n"
		"reachable, both slots and all nodes."},
	{"check", verb_check, TAKES_JSON, 0, 0, "", "Look for releases now",
		"Looks at the server now, and says which releases are held back and why. Exit\n"
		"code 0 when a release can be installed, 2 when there is none."},
	{"list", verb_list, TAKES_JSON, 0, 0, "", "List the releases known",
		"Lists the releases that the last check has found, newest first, and why one\n"
		"of them would be refused or is held back."},
	{"install", verb_install, TAKES_JSON | TAKES_WAIT | TAKES_DRY_RUN | TAKES_TRANSFER, 1, 0,
		"[VERSION|BUNDLE]", "Install a release or a bundle",
		"Installs the release named, also before this gateway's turn, without a name the\n"
		"newest one whose turn it is, or the one in a bundle;\n"
		"shows its progress and ends when it is confirmed or has gone back. What consists\n"
		"of digits, dots and '+' is a version, what begins with https:// the address of a\n"
		"bundle on a web server, everything else is a file. With --dry-run nothing is\n"
		"changed: shows what would be done, what is skipped and why, and what it would\n"
		"wait for."},
	{"flash", verb_flash, TAKES_JSON | TAKES_WAIT | TAKES_TRANSFER, 0, 0, "",
		"Bring the nodes to the installed release",
		"Brings every node that does not run what the installed release says to it, now,\n"
		"also one on which that has failed before; shows the progress. Exit code 1 when\n"
		"that fails on one, 2 when all of them run it."},
	{"confirm", verb_confirm, 0, 0, 0, "", "Keep the release on trial",
		"Keeps the release that is on trial, without waiting for its checks."},
	{"reject", verb_reject, 0, 0, 0, "", "Go back from the release on trial",
		"Ends the trial: gateway and nodes go back to the release before."},
	{"rollback", verb_rollback, TAKES_JSON | TAKES_WAIT, 0, 0, "",
		"Go back to the release before",
		"Goes back to the release that was installed before, as a deployment of its\n"
		"own, and shows its progress. Never below the floor."},
	{"cancel", verb_cancel, 0, 0, 0, "", "Call off the deployment under way",
		"Calls off the deployment under way, as long as nothing of it is activated."},
	{"activate", verb_activate, 0, 0, 0, "", "Let what lies ready go now",
		"Activates the deployment under way as soon as it is staged, whatever the hour "
		"and\n"
		"whatever Reboot= says. Batteries, hours of nodes and interlocks still count."},
	{"pause", verb_pause, 0, 0, 0, "", "Begin nothing by itself any more",
		"Nothing is begun or activated by itself until 'edgeferry resume'. What is asked\n"
		"for by hand goes on."},
	{"resume", verb_resume, 0, 0, 0, "", "End a pause or postponement",
		"Ends a pause or a postponement, and looks at the server."},
	{"postpone", verb_postpone, 0, 1, 0, "DURATION", "Begin nothing by itself for a while",
		"Nothing is begun or activated by itself for a while, as in 8h or 2d; all in all "
		"at\n"
		"most PostponeMax= from the first time on."},
	{"nodes", verb_nodes, TAKES_JSON, 2, 0, "[ACTION [NODE]]",
		"List the nodes, find others, give one a key",
		"Lists the attached microcontrollers: what they are, what they run, and what is\n"
		"wrong with them. With 'discover' the wires are asked who else is there, or with\n"
		"'discover DEVICE' one serial port (/dev/NAME[,BAUD]) or the air (ble:); shows "
		"what\n"
		"answers, with a file that would make a node of it. Exit code 2 when nobody does.\n"
		"With 'provision NODE' the node gets its first key, in the "
		"clear:\n"
		"over a wire that is trusted at this moment. With 'rotate-key NODE' it gets\n"
		"another one under the one that it has. Either is stored where Key= of its file\n"
		"says."},
	{"deployments", verb_deployments, TAKES_JSON | TAKES_MAX, 1, 20, "[ID]",
		"List deployments, or show one",
		"Lists what was installed and how it ended, newest first; with ID, that one with\n"
		"its components."},
	{"history", verb_history, TAKES_JSON | TAKES_MAX, 0, 100, "",
		"Show what has happened, with its causes",
		"Shows the events on record, oldest first: every decision and its reason."},
	{"log", verb_log, TAKES_JSON | TAKES_MAX | TAKES_FOLLOW | NO_BUS, 0, 100, "",
		"Show what the service has said",
		"Shows the service's part of the journal, by journalctl: every event, and what\n"
		"went wrong besides. Root sees it, and members of systemd-journal and adm. With\n"
		"--json it is journalctl's."},
	{"monitor", verb_monitor, TAKES_JSON | TAKES_ONCE, 0, 0, "", "Show what goes on, live",
		"Shows deployments as they go on, with progress, rate and time left, and events\n"
		"as they happen, until interrupted."},
	{"reload", verb_reload, TAKES_JSON, 0, 0, "", "Have the configuration read anew",
		"Has the daemon read edgeferry.conf, conf.d and nodes.d anew, without an end of "
		"what\n"
		"goes on. A mistake is shown with file and line, and then nothing is changed. "
		"Says\n"
		"which changes have to wait, and for what."},
	{"doctor", verb_doctor, TAKES_JSON | TAKES_PLACE | NO_BUS, 0, 0, "",
		"Look for everything that can be wrong",
		"Looks at configuration, clock, trust, disk, slots, boot loader, watchdogs, "
		"server,\n"
		"broker and nodes, and says of each what is wrong and what to do. Changes "
		"nothing,\n"
		"and needs no daemon. Exit code 1 when there are errors. See edgeferry-doctor(8)."},
	{"config", verb_config, TAKES_JSON | TAKES_PLACE | NO_BUS, 1, 0, "show",
		"Show what the configuration comes to",
		"Shows every key with the value that counts, and the file and line that says so, "
		"or\n"
		"that it is the default. What the daemon goes by may be older: 'edgeferry "
		"reload'."},
};

static const struct {
	unsigned takes;
	const char *text;
} option_help[] = {
	{0, "  -h, --help             Show this help, or that of a verb\n"},
	{0, "      --address=ADDRESS  Bus address instead of the system bus\n"},
	{TAKES_JSON,
		"      --json[=MODE]      Print JSON: pretty (default on a terminal) or short\n"},
	{TAKES_MAX, "  -n, --max=N            Show at most N entries, 0 for all\n"},
	{TAKES_WAIT, "      --wait             Wait for the end and show the progress (default)\n"
		     "      --no-wait          End as soon as the deployment has begun\n"},
	{TAKES_DRY_RUN, "      --dry-run          Show what would be done, and change nothing\n"},
	{TAKES_TRANSFER, "      --full             Send nodes full images, no patches\n"
			 "      --patch            Send nodes patches; one that gets none fails, "
			 "and says why\n"},
	{TAKES_FOLLOW, "  -f, --follow           Go on with what comes\n"},
	{TAKES_ONCE,
		"      --once             End with the deployment under way, or the next one,\n"
		"                         with its exit code\n"},
	{TAKES_PLACE, "      --config=DIR       Configuration, /etc/edgeferry when not given\n"
		      "      --root=DIR         Look at the system below DIR instead of this one\n"
		      "      --offline          Ask neither server nor broker\n"},
};

static void print_options(unsigned takes)
{
	printf("\nOptions:\n");
	for (size_t i = 0; i < COUNT(option_help); i++)
		if (option_help[i].takes == 0 || (option_help[i].takes & takes))
			fputs(option_help[i].text, stdout);
}

static void print_help(const struct verb *v)
{
	if (v) {
		printf("edgeferry %s [OPTIONS]%s%s\n\n%s\n", v->name, *v->args ? " " : "", v->args,
			v->help);
		print_options(v->takes);
	} else {
		printf("edgeferry [OPTIONS] VERB [ARGUMENTS]\n\n"
		       "Updates of this gateway and of the microcontrollers attached to "
		       "it.\n\nVerbs:\n");
		for (size_t i = 0; i < COUNT(verbs); i++)
			printf("  %-11s %-16s  %s\n", verbs[i].name, verbs[i].args,
				verbs[i].summary);
		print_options(~0u);
		printf("      --version          Show the version of this program\n"
		       "\nExit codes: 0 done, 1 failed, 2 nothing to do, 3 not found, 4 reboot "
		       "needed,\n"
		       "5 refused, 6 no permission, 7 no daemon, 64 wrong usage. See "
		       "edgeferry(1).\n");
	}
}

static const struct verb *find_verb(const char *name)
{
	for (size_t i = 0; i < COUNT(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

struct parsed {
	struct cli cli;
	unsigned given; /* TAKES_… of the options that were there */
	bool help, version, max_given;
};

static int usage(const struct verb *v, const char *what, const char *which)
{
	complain(v ? "look at 'edgeferry VERB --help'" : "look at 'edgeferry --help'", "%s%s", what,
		which);
	return EXIT_USAGE;
}

static bool parse_max(const char *text, uint32_t *ret)
{
	size_t n = strlen(text);

	if (n == 0 || n > 9 || text[strspn(text, "0123456789")])
		return false;
	*ret = (uint32_t)strtoul(text, NULL, 10);
	return true;
}

static bool parse_json(const char *text, enum json_mode *ret)
{
	if (!text)
		*ret = isatty(STDOUT_FILENO) ? JSON_PRETTY : JSON_SHORT;
	else if (strcmp(text, "pretty") == 0)
		*ret = JSON_PRETTY;
	else if (strcmp(text, "short") == 0)
		*ret = JSON_SHORT;
	else
		return false;
	return true;
}

static int parse_option(struct parsed *p, int c)
{
	switch (c) {
	case OPT_HELP:
		p->help = true;
		break;
	case OPT_VERSION:
		p->version = true;
		break;
	case OPT_ADDRESS:
		p->cli.address = optarg;
		break;
	case OPT_JSON:
		p->given |= TAKES_JSON;
		if (!parse_json(optarg, &p->cli.json))
			return usage(NULL, "--json= takes pretty or short, not ", optarg);
		break;
	case OPT_MAX:
		p->given |= TAKES_MAX;
		p->max_given = true;
		if (!parse_max(optarg, &p->cli.max))
			return usage(NULL, "--max= takes a number, not ", optarg);
		break;
	case OPT_WAIT:
	case OPT_NO_WAIT:
		p->given |= TAKES_WAIT;
		p->cli.no_wait = c == OPT_NO_WAIT;
		break;
	case OPT_DRY_RUN:
		p->given |= TAKES_DRY_RUN;
		p->cli.dry_run = true;
		break;
	case OPT_FULL:
	case OPT_PATCH:
		if (p->cli.transfer)
			return usage(NULL, "it is --full or --patch, once", "");
		p->given |= TAKES_TRANSFER;
		p->cli.transfer = c == OPT_FULL ? 1 : 2;
		break;
	case OPT_ONCE:
		p->given |= TAKES_ONCE;
		p->cli.once = true;
		break;
	case OPT_CONFIG:
	case OPT_ROOT:
		p->given |= TAKES_PLACE;
		*(c == OPT_ROOT ? &p->cli.root : &p->cli.config_dir) = optarg;
		break;
	case OPT_FOLLOW:
		p->given |= TAKES_FOLLOW;
		p->cli.follow = true;
		break;
	case OPT_OFFLINE:
		p->given |= TAKES_PLACE;
		p->cli.offline = true;
		break;
	default:
		return EXIT_USAGE; /* getopt has said it */
	}
	return EXIT_DONE;
}

static int parse(struct parsed *p, int argc, char **argv)
{
	static const struct option options[] = {
		{"help", no_argument, NULL, OPT_HELP},
		{"version", no_argument, NULL, OPT_VERSION},
		{"address", required_argument, NULL, OPT_ADDRESS},
		{"json", optional_argument, NULL, OPT_JSON},
		{"max", required_argument, NULL, OPT_MAX},
		{"wait", no_argument, NULL, OPT_WAIT},
		{"no-wait", no_argument, NULL, OPT_NO_WAIT},
		{"once", no_argument, NULL, OPT_ONCE},
		{"config", required_argument, NULL, OPT_CONFIG},
		{"root", required_argument, NULL, OPT_ROOT},
		{"offline", no_argument, NULL, OPT_OFFLINE},
		{"dry-run", no_argument, NULL, OPT_DRY_RUN},
		{"full", no_argument, NULL, OPT_FULL},
		{"patch", no_argument, NULL, OPT_PATCH},
		{"follow", no_argument, NULL, OPT_FOLLOW},
		{0},
	};
	int c, r = EXIT_DONE;

	while (r == EXIT_DONE && (c = getopt_long(argc, argv, "hn:f", options, NULL)) != -1)
		r = parse_option(p, c);
	return r;
}

static int run(struct parsed *p, const struct verb *v, char **args, int n_args)
{
	if (n_args > v->max_args)
		return usage(v, "too many arguments, from ", args[v->max_args]);
	if (p->given & ~v->takes)
		return usage(v, v->name, " does not take all of these options");
	if (p->cli.dry_run && (p->given & TAKES_WAIT))
		return usage(v, "--dry-run begins nothing that could be waited for", "");
	if (p->cli.dry_run && p->cli.transfer)
		return usage(v, "--dry-run sends nothing", "");
	if (!p->max_given)
		p->cli.max = v->max;
	term_init(&p->cli.out, stdout);
	int r = v->takes & NO_BUS ? EXIT_DONE : client_connect(&p->cli);
	if (r == EXIT_DONE)
		r = v->run(&p->cli, args);
	sd_bus_flush_close_unref(p->cli.bus);
	/* What could not be written was not shown: a full disk behind > is a failure. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		complain("", "writing the output failed");
		return r == EXIT_DONE ? EXIT_FAILED : r;
	}
	return r;
}

int main(int argc, char **argv)
{
	struct parsed p = {0};

	(void)setlocale(LC_ALL, "");
	int r = parse(&p, argc, argv);
	if (r != EXIT_DONE)
		return r;
	const struct verb *v = optind < argc ? find_verb(argv[optind]) : NULL;
	if (p.version) {
		printf("edgeferry %s\n", EF_VERSION);
		return EXIT_DONE;
	}
	if (optind < argc && !v)
		return usage(NULL, "there is no verb ", argv[optind]);
	if (p.help) {
		print_help(v);
		return EXIT_DONE;
	}
	if (!v)
		return usage(NULL, "a verb is missing", "");
	return run(&p, v, argv + optind + 1, argc - optind - 1);
}
