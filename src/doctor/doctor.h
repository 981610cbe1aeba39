/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * edgeferry-doctor: looks at everything that can be wrong on a gateway, one check a function, and
 * says what to do. It changes nothing, needs no daemon, and works on the tree of another system
 * (root) as far as files tell.
 */
#include "config/config.h"
#include "slots/detect.h"
#include "util/cleanup.h"
#include "util/json.h"
#include "util/reason.h"
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>

enum level { LEVEL_OK, LEVEL_WARNING, LEVEL_ERROR, LEVELS };

struct doctor {
	const char *root;	 /* stands before every path: "", or another system's tree */
	const char *config_dir;	 /* root included */
	const char *bus_address; /* NULL: the system bus */
	bool offline;		 /* asks neither server nor broker */
	struct config *config;	 /* NULL: cannot be read; then no check that needs it is made */
	struct error config_error;
	/* with [Slots] and Boot=auto: what was found; a NULL: the gateway is not updated itself */
	const char *boot, *boot_dir, *a, *b, *boot_a, *boot_b;
	struct slots_found found;
	struct error found_error;
	json_t *status; /* what the daemon says; NULL: it does not answer */
	char daemon_error[256];
	const char *check; /* the one that runs */
	json_t *findings;
	unsigned count[LEVELS];
};

typedef void (*check_func)(struct doctor *d);

/* A finding of the check that runs. advice: what to do; "": nothing. */
void say(struct doctor *d, enum level level, const char *advice, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* path below root. */
const char *below(const struct doctor *d, const char *path, char out[PATH_MAX]);
bool there(const struct doctor *d, const char *path);
/* A small file below root as text; NULL when it is not there or cannot be read. */
char *text_below(const struct doctor *d, const char *path);
/* Where path leads, without root; "" when there is nothing. */
void leads_to(const struct doctor *d, const char *path, char out[PATH_MAX]);
/* What a drop-in or unit of the init system says of a key last; false: nothing. unit:
 * "NAME.service". */
bool unit_says(const struct doctor *d, const char *unit, const char *key, char *out, size_t size);
/* Whether a unit or its drop-ins have this text anywhere. */
bool unit_has(const struct doctor *d, const char *unit, const char *text);
/* For slots: what is only a warning where nothing is at stake. */
enum level with_slots(const struct doctor *d, enum level with, enum level without);

void check_config(struct doctor *d);
void check_id(struct doctor *d);
void check_daemon(struct doctor *d);
void check_service(struct doctor *d);
void check_dbus(struct doctor *d);
void check_polkit(struct doctor *d);
void check_clock(struct doctor *d);
void check_state(struct doctor *d);
void check_space(struct doctor *d);
void check_trust(struct doctor *d);
void check_found(struct doctor *d);
void check_boot(struct doctor *d);
void check_copies(struct doctor *d); /* of U-Boot's environment, within check_boot */
void check_slots(struct doctor *d);
void check_shared(struct doctor *d);
void check_watchdog(struct doctor *d);
void check_panic(struct doctor *d);
void check_confirm(struct doctor *d);
void check_user(struct doctor *d);
void check_server(struct doctor *d);
void check_broker(struct doctor *d);
void check_nodes(struct doctor *d);
void check_keys(struct doctor *d);
void check_ports(struct doctor *d);
void check_lines(struct doctor *d);
void check_bluetooth(struct doctor *d);
