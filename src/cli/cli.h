/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * edgeferry, the program: one table of verbs, each a function of struct cli. It speaks D-Bus only
 * (docs/io.github.edgeferry1.xml).
 */
#include "cli/term.h"
#include "util/reason.h"
#include <jansson.h>
#include <stdint.h>
#include <systemd/sd-bus.h>

#define BUS_NAME "io.github.edgeferry1"
#define BUS_PATH "/io/github/edgeferry1"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_NOTHING = 2,
	EXIT_NOT_FOUND = 3,
	EXIT_REBOOT = 4,
	EXIT_REFUSED = 5,
	EXIT_DENIED = 6,
	EXIT_NO_DAEMON = 7,
	EXIT_USAGE = 64,
	EXIT_INTERRUPTED = 130,
};

enum json_mode { JSON_OFF, JSON_PRETTY, JSON_SHORT };

struct cli {
	const char *address; /* of the bus; NULL: the system bus */
	enum json_mode json;
	bool no_wait;
	bool once, follow;
	bool dry_run;
	uint64_t transfer; /* flags of Install: 1 full images, 2 patches, 0 what is best */
	const char *config_dir, *root; /* of doctor; NULL: not given */
	bool offline;
	uint32_t max;
	struct term out;
	sd_bus *bus;
};

/* A verb: its arguments, NULL-terminated, without its own name. Returns an exit code. */
typedef int (*verb_func)(struct cli *cli, char **args);

int verb_status(struct cli *cli, char **args);
int verb_check(struct cli *cli, char **args);
int verb_list(struct cli *cli, char **args);
int verb_install(struct cli *cli, char **args);
int verb_flash(struct cli *cli, char **args);
int verb_confirm(struct cli *cli, char **args);
int verb_reject(struct cli *cli, char **args);
int verb_rollback(struct cli *cli, char **args);
int verb_cancel(struct cli *cli, char **args);
int verb_activate(struct cli *cli, char **args);
int verb_pause(struct cli *cli, char **args);
int verb_resume(struct cli *cli, char **args);
int verb_postpone(struct cli *cli, char **args);
int verb_nodes(struct cli *cli, char **args);
int verb_discover(struct cli *cli, const char *device); /* NULL: all wires */
int verb_node_key(struct cli *cli, char **args);
int verb_deployments(struct cli *cli, char **args);
int verb_history(struct cli *cli, char **args);
int verb_log(struct cli *cli, char **args);
int verb_monitor(struct cli *cli, char **args);
int verb_reload(struct cli *cli, char **args);
int verb_doctor(struct cli *cli, char **args);
int verb_config(struct cli *cli, char **args);
