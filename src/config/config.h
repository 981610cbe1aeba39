/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Configuration: edgeferry.conf, conf.d drop-ins and nodes.d of a directory, over built-in defaults
 * (edgeferry.conf(5), edgeferry-nodes.conf(5)). Read whole, then used: a file with an error changes
 * nothing (F-27).
 */
#include "util/reason.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum config_automatic { AUTOMATIC_NO, AUTOMATIC_SECURITY, AUTOMATIC_ALL };
enum config_framing { CONFIG_COBS, CONFIG_CONSOLE, CONFIG_RAW };
enum config_security { SECURITY_SESSION, SECURITY_NONE };
/* How an image gets to the program that takes it (edgeferry-nodes.conf(5), Entry=). */
enum config_entry { ENTRY_AGENT, ENTRY_SMP, ENTRY_LINES };

/* Id= as a file says; as STATE/id says, from the first start on; of the machine id; NULL, for
 * STATE/id is there and not for the caller to read. */
enum config_id { ID_SET, ID_KEPT, ID_DERIVED, ID_HIDDEN };
/* When what lies ready is activated. */
enum config_reboot { REBOOT_WINDOW, REBOOT_NOW, REBOOT_REQUEST };

/* Minutes of the day, local time; from may be above to. Equal: always. */
struct config_window {
	uint16_t from, to;
};

struct config_node {
	char *name;	       /* of the file without .conf; [a-z0-9-], at most 32 */
	char *compatible;      /* "vendor.example,class" */
	char *link;	       /* "uart" | "spi" | "udp" | "ble" | "sim" */
	char *device;	       /* /dev/…; a socket's path for sim; "ADDRESS[:PORT]" for udp;
				  "C0:11:22:33:44:55" or "name:NAME" for ble */
	uint32_t address;      /* on a line that several nodes share; 0: it is alone on its line */
	unsigned address_line; /* where in its file that stands */
	uint32_t baud;	       /* 115200 */
	uint32_t baud_max;     /* what it is raised to once the node is known; 0: not at all */
	bool rs485;	       /* the driver turns the direction of the line */
	uint32_t clock;	       /* of spi, Hz: ClockRate=1000000 */
	char *ready;	       /* of spi: ReadyLine=, a line as links/lines.h has it */
	bool exposed;	       /* udp without session is what the administrator wants */
	enum config_entry entry;
	char *reset_line, *boot_line; /* ResetLine=, BootLine=; NULL: none */
	uint64_t reset_us;	      /* ResetSec=20ms: how long reset is held */
	uint64_t boot_us;	      /* BootSec=100ms: how long boot is held after it */
	enum config_framing framing;  /* of a serial line */
	enum config_security security;
	char *key;   /* of the session: a path or "credential:NAME"; NULL with SECURITY_NONE only */
	char *group; /* RedundancyGroup=: never activated in one wave with another of it; NULL: none
		      */
	bool required;		     /* Optional=yes turns it off */
	bool no_patch;		     /* Patch=no: it is sent full images only */
	uint32_t battery;	     /* MinimumBattery=20: percent, on battery */
	bool external;		     /* ExternalPower=yes: never on battery */
	struct config_window window; /* Window= */
};

struct config {
	/* [Gateway] */
	char *product;	   /* the releases/<product>/ it takes */
	char *compatible;  /* "vendor.example,class" of the gateway itself */
	uint32_t hardware; /* revision */
	char *id;	   /* default: STATE/id, or derived from the machine id */
	enum config_id id_from;
	char *state_dir;   /* /var/lib/edgeferry */
	char *runtime_dir; /* /run/edgeferry */
	/* [Source] */
	char *url;	       /* https://…, of the published repository; NULL: bundles only */
	char *ca_file;	       /* PEM; NULL: the system's */
	char *cert, *cert_key; /* ClientCertificate=, ClientKey=: a path or "credential:NAME", both
				  or neither; the key also "pkcs11:…" (util/token-uri.h) */
	uint64_t poll_us;      /* PollSec=1h; each wait is drawn from [0.8, 1.2] times this */
	/* [Mqtt] */
	char *mqtt_host;    /* Broker=host[:port]; NULL: no broker */
	uint16_t mqtt_port; /* 8883 */
	char *mqtt_ca_file;
	char *mqtt_cert, *mqtt_cert_key; /* as cert and cert_key */
	char *mqtt_username, *mqtt_password_file;
	char *mqtt_prefix; /* TopicPrefix=edgeferry */
	/* [Network] */
	char *network_user; /* User=edgeferry-net: what edgeferry-net becomes when started as root
			     */
	char *token_socket; /* TokenSocket=/run/edgeferry-token/pkcs11: of the p11-kit server with
			       the token */
	/* [Metrics] */
	char *metrics_file; /* File=, for node_exporter; NULL: none */
	/* [Bluetooth] */
	char *adapter;	      /* Adapter=, a name or an address; NULL: the first that is on */
	uint32_t connections; /* MaxConnections=4: nodes connected at a time */
	/* [Slots] */
	char *boot;	       /* Boot=sim: name of the boot_ops, or "auto": update_find_slots */
	char *boot_dir;	       /* BootDirectory=, for sim */
	char *slot_a, *slot_b; /* A=, B=: block devices or image files; NULL: no gateway slots */
	char *boot_a,
		*boot_b; /* BootA=, BootB=: the slots' own boot partitions; NULL: they have none */
	/* [Update] */
	enum config_automatic automatic; /* Automatic=security */
	struct config_window
		window;	     /* Window=: of what is begun by itself, and of activation by reboot */
	uint8_t window_days; /* WindowDays=: bit 0 is Sunday; 0: all */
	enum config_reboot reboot; /* Reboot=window */
	uint64_t postpone_max;	   /* PostponeMax=7d */
	bool catch_up; /* CatchUp=yes: nodes that do not run what the release says are brought to it
			*/
	bool check_services;   /* CheckServices=yes: units that fail on trial, and did not before,
				  take it back */
	char *checks_dir;      /* ChecksDirectory=/etc/edgeferry/checks.d */
	char *interlock;       /* InterlockDirectory=/etc/edgeferry/interlock.d */
	uint64_t object_quota; /* ObjectQuota=64M: bytes of objects kept beyond need, and admitted
				  at most */
	uint64_t check_us;     /* ConfirmSec=5min: deadline for all checks of a trial */

	struct config_node *nodes;
	size_t n_nodes;
};

/* dir: /etc/edgeferry. Returns OK and a new *ret, or CONFIG with "FILE:LINE: what" in e. */
enum ef_reason config_load(const char *dir, struct config **ret, struct error *e);
/* Of the system below root, which dir has in front; other paths in it are without. */
enum ef_reason config_load_below(
	const char *root, const char *dir, struct config **ret, struct error *e);
void config_free(struct config *c);
/*
 * Writes an id that was derived to STATE/id, from where it is taken from then on: the other slot
 * may have another machine id. 0, also when there is nothing to keep, or negative errno. Blocks for
 * an fsync.
 */
int config_keep_id(const struct config *c);

/* --- reading it anew (change.c) --- */

#define CONFIG_AT_START_MAX 16 /* of the keys of [Gateway] and [Slots] */

struct config_place {
	const char *section, *key;
};

/* How a configuration differs from the one in use, by what it takes to go by it. */
struct config_change {
	bool now;   /* nothing */
	bool net;   /* edgeferry-net started anew */
	bool nodes; /* the nodes opened anew, with no deployment under way */
	struct config_place at_start[CONFIG_AT_START_MAX]; /* the daemon started anew: these keys */
	size_t n_at_start;
};
void config_compare(const struct config *c, const struct config *next, struct config_change *ret);
/* c, which stays where it is, takes all but at_start from next; without nodes also not what those
 * need, but of nodes that are wired as before what may be changed at any time. next holds what was.
 */
void config_take(struct config *c, struct config *next, bool nodes);
/* One node by name and all that its link and its node_config are made of. */
bool config_same_wiring(const struct config_node *a, const struct config_node *b);

/* One key as it counts: from "FILE:LINE" or "default"; Id= from "derived" or STATE/id, with value
 * "" when that cannot be read. node NULL: of the gateway. */
struct config_value {
	const char *node, *section, *key, *value, *from;
};

/* As config_load, to show it: every key in the order of the manual pages, with value "" where there
 * is none; then those of each node. Texts live as long as the call. */
enum ef_reason config_show(const char *root, const char *dir,
	void (*show)(void *ctx, const struct config_value *v), void *ctx, struct error *e);
