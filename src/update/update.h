/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Deployments: one release applied to this gateway and its nodes as one transaction
 * (docs/DESIGN.md, "A deployment"). Asynchronous on the caller's event loop; never blocks for long;
 * nothing here knows D-Bus. Every transition is stored, with fsync, before its action;
 * update_resume picks up whatever the last run left, also after kill -9 at any point.
 *
 *   update_new → update_resume → (update_check | update_install | … | events of nodes, boot, net)
 */
#include "bundle/manifest.h"
#include "config/config.h"
#include "dfu/node.h"
#include "links/bluez.h"
#include "net/client.h"
#include "slots/boot.h"
#include "trust/tuf.h"
#include "util/reason.h"
#include <systemd/sd-event.h>

enum deployment_state {
	DEPLOYMENT_OFFERED,    /* chosen; nothing fetched */
	DEPLOYMENT_FETCHING,   /* objects come in; slot and nodes are staged as soon as theirs are
				  there */
	DEPLOYMENT_STAGED,     /* every component lies ready; nothing runs yet */
	DEPLOYMENT_ACTIVATING, /* in the manifest's order */
	DEPLOYMENT_TRIAL,      /* everything new runs, nothing is permanent */
	DEPLOYMENT_CONFIRMED,
	DEPLOYMENT_REVERTED,
	DEPLOYMENT_REFUSED, /* before anything was touched */
	DEPLOYMENT_FAILED,  /* before activation; slots and nodes run what they ran */
	DEPLOYMENT_CANCELLED,
	DEPLOYMENT_REVERTING,  /* on the way to REVERTED */
	DEPLOYMENT_CONFIRMING, /* on the way to CONFIRMED: decided, being made permanent */
};
const char *deployment_state_word(enum deployment_state s); /* "offered" … */
bool deployment_over(enum deployment_state s);

enum component_state {
	COMPONENT_PENDING,
	COMPONENT_FETCHING,
	COMPONENT_STAGING,
	COMPONENT_STAGED,
	COMPONENT_ACTIVATING,
	COMPONENT_TRIAL,
	COMPONENT_CONFIRMED,
	COMPONENT_REVERTED,
	COMPONENT_FAILED,
	COMPONENT_SKIPPED, /* already installed, or an optional node is absent */
};
const char *component_state_word(enum component_state s);

/* CATCH_UP: nodes that do not run what the installed release says, brought to it (desired.c) */
enum deployment_origin { ORIGIN_SOURCE, ORIGIN_BUNDLE, ORIGIN_ROLLBACK, ORIGIN_CATCH_UP };

/* What nodes are sent: a patch where there is one that is worth it, or what was asked for. */
enum deployment_transfer { TRANSFER_BEST, TRANSFER_FULL, TRANSFER_PATCH };

/* One component on one place (a slot or a node). A component for several nodes is several parts. */
struct part {
	const struct component *component; /* in the deployment's manifest */
	char place[33];			   /* name of the node, or of the slot "A", "B" */
	char from[EF_VERSION_TEXT_MAX];	   /* version that ran there before, "" unknown */
	enum component_state state;
	struct error error;   /* why it failed, was skipped or went back */
	bool required;	      /* its failure fails the deployment */
	uint8_t hash[32];     /* what the place says when it runs this: image digest */
	unsigned wave;	      /* in which it is activated, among those of its component; from 0 */
	unsigned step;	      /* how often activation was begun; stored */
	const char *phase;    /* "fetching", "scanning", "writing", "reading-back", "patching",
				 "uploading", "" */
	uint64_t done, total; /* bytes of the phase */
};

struct deployment {
	uint64_t id;
	enum deployment_state state;
	enum deployment_origin origin;
	struct error error;
	char release[EF_VERSION_TEXT_MAX];
	uint64_t sequence;
	int64_t started, ended;	   /* seconds since 1970; ended 0 while it runs */
	struct manifest *manifest; /* NULL until the manifest is verified */
	struct part *parts;
	size_t n_parts;
	uint8_t manifest_sha256[32];
	char wanted[EF_VERSION_TEXT_MAX]; /* version asked for, "" for the newest */
	char before[EF_VERSION_TEXT_MAX]; /* release that was installed when it began */
	char bundle[4096];  /* path of the bundle file, to find it again after a restart */
	bool server_before; /* the server was reachable before */
	char *nodes_before; /* names of the nodes that answered before, one a line */
	unsigned trials;    /* how often the checks were begun; a crash loop ends (F-25) */
	char by[65];	    /* who asked for it: "itself", "root" …; "" for one that is over */
	bool itself;	    /* nobody did */
	enum deployment_transfer transfer;
	bool let_go; /* and somebody said that it goes now, whatever the hour */
	bool dry;    /* looked at only: nothing is stored or touched (update_plan) */
};

/* One record of the history: what was decided or happened, with its cause. */
struct event {
	uint64_t id;
	int64_t time;
	char word[33]; /* "deployment", "component", "check", "refused", "node", "patch", "start",
			  "fell-back", "reload" */
	uint64_t deployment; /* 0: none */
	char component[33], place[33];
	char from[33], to[33]; /* states or versions */
	struct error error;
};

/* What the last look at the source found. */
struct known_release {
	char version[EF_VERSION_TEXT_MAX];
	uint64_t sequence;
	enum release_kind kind;
	uint8_t manifest_sha256[32];
	struct manifest *manifest; /* NULL: not fetched */
	uint8_t *bytes;		   /* of the manifest, as signed */
	size_t size;
	struct error error; /* why it would not be installed; OK: it would */
	bool installed;
	bool held;	       /* the rollout statement does not let it go */
	bool placed;	       /* the statement names it: */
	unsigned share, place; /* of the fleet, and this gateway's in it, in thousandths */
};

struct update_observer {
	void *ctx;
	void (*changed)(void *ctx, const struct deployment *d); /* any state, also of a part */
	void (*progress)(void *ctx, const struct deployment *d, const struct part *p);
	void (*event)(void *ctx, const struct event *ev); /* already stored */
	void (*node_changed)(void *ctx, size_t node);	  /* index in the configuration */
	void (*slots_changed)(void *ctx);
	void (*reported)(void *ctx); /* something new lies in the outbox */
	void (*resumed)(void *ctx);  /* what is due may be begun by itself again */
	/*
	 * The machine is to be restarted now, parameter (or NULL) handed to its firmware: end soon,
	 * touch nothing. When nothing comes of it, it is asked for again later.
	 */
	void (*rebooting)(void *ctx, const char *parameter);
};

struct update;

/* known: the service manager answered. failed: names of units that failed, one a line. */
typedef void (*update_services_done)(void *ctx, bool known, bool starting, const char *failed);

/* What is out of order among the services of this machine (F-24). */
struct update_services {
	void *ctx;
	/* done comes once, from the event loop; not after update_free(). */
	void (*ask)(void *ctx, update_services_done done, void *done_ctx);
};

struct update_env {
	sd_event *event;
	const struct config *config;
	struct net_client *net;		 /* NULL: no source configured */
	int64_t (*now)(void);		 /* the wall clock, seconds since 1970 */
	bool (*synchronised)(void *ctx); /* whether it counts (S-19); NULL: the kernel says */
	void *synchronised_ctx;
	const char *bus_address; /* where BlueZ is; NULL: the system bus */
	const char *root_file;	 /* root.json to begin with while none is stored; may be NULL */
	uint64_t retry_us;	 /* first back-off of retries; 0: 1 s */
	uint64_t patience_us;	 /* of a plan, with nodes that nobody needs; 0: 10 s */
	struct update_services services; /* ask NULL: nobody knows */
	struct update_observer observer;
};

/* With [Slots] Boot=auto, puts what slots/detect.h finds where the configuration says nothing;
 * CONFIG with what is missing. To be called before update_new. root: see struct boot_place. */
enum ef_reason update_find_slots(const char *root, struct config *c, struct error *e);

/* Opens state.db, the trust store, the object store, the boot loader and the nodes. The net client
 * is freed before update_free: answers to questions put here come from it. */
enum ef_reason update_new(struct update **ret, const struct update_env *env, struct error *e);
void update_free(struct update *u);
/* Takes up an interrupted deployment; begins to ask the nodes who they are. */
enum ef_reason update_resume(struct update *u, struct error *e);

/* --- another configuration (reload.c) --- */

/* Nothing is being done to a node, nor is one looked for: nodes can be opened anew. */
bool update_nodes_idle(const struct update *u);
/*
 * Opens the nodes of next in place of those that there are: only when they are idle, and then the
 * configuration has to take them from next at once (config_take). An error changes nothing.
 */
enum ef_reason update_nodes_take(struct update *u, const struct config *next, struct error *e);
/* The configuration has changed; so may have edgeferry-net's client and who knows of services. */
void update_reconfigured(struct update *u, struct net_client *net, struct update_services services);
/* On record: why it was not taken, or that it was, with what is left for later in e's detail. */
void update_note_reload(struct update *u, const struct error *e);

typedef void (*update_done)(void *ctx, const char *version, const struct error *e);

/* A look or a deployment is reading: update_check joins the one, and is BUSY for the other. */
bool update_reading(const struct update *u);
/* Looks at the source: done with the newest version that would be installed, "" when none. */
enum ef_reason update_check(struct update *u, update_done done, void *ctx, struct error *e);
/*
 * Begins a deployment. what: NULL or "" for the newest release that the rollout statement lets go;
 * a version, which is taken although it is not this gateway's turn; or "https://…/NAME.ferry", a
 * bundle anywhere, read by ranges and verified like any other. BUSY, TRIAL_RUNNING, NOT_FOUND … at
 * once.
 */
enum ef_reason update_install(struct update *u, const char *what, uint64_t *id, struct error *e);
/* Takes over fd of a bundle file. */
enum ef_reason update_install_bundle(
	struct update *u, int fd, const char *name, uint64_t *id, struct error *e);
enum ef_reason update_cancel(struct update *u, struct error *e);
enum ef_reason update_confirm(
	struct update *u, struct error *e); /* by hand, without waiting for checks */
enum ef_reason update_reject(struct update *u, struct error *e);
enum ef_reason update_rollback(struct update *u, uint64_t *id, struct error *e);

/*
 * Begins a deployment that brings the nodes to the installed release, also those on which that has
 * failed as often as it is tried by itself. REFUSED with ALREADY_INSTALLED when all of them run it.
 */
enum ef_reason update_flash(struct update *u, uint64_t *id, struct error *e);

/*
 * Who asks for what is begun from now on, for the record and for those who are told BUSY; NULL:
 * nobody does, so that windows, pause and postponement hold.
 */
void update_ask_as(struct update *u, const char *who);
/*
 * What nodes are sent by what is begun from now on. FULL: images. PATCH: patches, and PATCH is the
 * reason why a node that gets none fails.
 */
void update_transfer(struct update *u, enum deployment_transfer transfer);

/* --- when (policy-state.c) --- */

/* Nothing is begun or activated by itself until update_unpause, which also ends a postponement. */
enum ef_reason update_pause(struct update *u, struct error *e);
enum ef_reason update_unpause(struct update *u, struct error *e);
/* The same for some seconds from now. HELD when that is beyond PostponeMax= since it was first
 * postponed; that counts anew once something was installed by itself. */
enum ef_reason update_postpone(struct update *u, int64_t seconds, int64_t *until, struct error *e);
/* The deployment under way is activated as soon as it is staged, whatever the hour. */
enum ef_reason update_activate(struct update *u, struct error *e);
/* Whether anything may be begun by itself now: OK, or HELD. until: when that changes by itself, 0:
 * it does not. */
enum ef_reason update_may_begin(const struct update *u, int64_t *until, struct error *e);
/* What is waited for, by the deployment under way or before one: OK: nothing. */
enum ef_reason update_waiting(struct update *u, int64_t *until, struct error *e);
bool update_paused(const struct update *u, int64_t *postponed_until);

/* --- what a deployment would do (dry-run.c) --- */

/* What may hold a deployment up, as it stands now. */
struct plan_gate {
	const char *word;   /* "node": power and hours of one; "hour": of activation; "transfer",
			       "activate": interlocks */
	char place[33];	    /* name of the node; "" for the site */
	struct error error; /* OK: open */
};

/* Objects that are held whole, in bytes. */
struct plan_room {
	uint64_t need;	      /* not there yet */
	uint64_t kept, quota; /* what is there and must stay; ObjectQuota= */
	uint64_t free;	      /* on the file system, with what may go */
	unsigned files;	      /* how many are not there yet */
};

/*
 * state FETCHING: it would go, the parts are what they would be then. Otherwise how it would end
 * and why (deployment->error); there are parts only when it came that far.
 */
struct update_plan {
	const struct deployment *deployment;
	const struct plan_gate *gates;
	size_t n_gates;
	struct plan_room room;
};
/* p: until the callback ends; NULL: there is none, see e. Must not call update_*. */
typedef void (*update_plan_done)(void *ctx, const struct update_plan *p, const struct error *e);

/*
 * As update_install and update_install_bundle, by the same code, up to where a slot or a node would
 * be written; the source, the nodes and the site's interlocks are asked. Stores nothing but what
 * any look does: metadata that was verified. Images are read into memory, one at a time. OK: done
 * comes once. Gives way to a deployment that begins meanwhile: BUSY.
 */
enum ef_reason update_plan(
	struct update *u, const char *what, update_plan_done done, void *ctx, struct error *e);
enum ef_reason update_plan_bundle(struct update *u, int fd, const char *name, update_plan_done done,
	void *ctx, struct error *e);

typedef void (*update_key_done)(void *ctx, const struct error *e);

/*
 * Gives a node its first key, in the clear, or another one in place of the one that it has
 * (dfu/node.h). OK: done comes once. NOT_FOUND, BUSY, and what node_key_admit says at once.
 */
enum ef_reason update_node_key(struct update *u, const char *name, bool first, update_key_done done,
	void *ctx, struct error *e);

/* --- who else is on the wires (discover.c) --- */

/* A device that answers and that no node's file covers. */
struct discovered {
	const char *link, *device; /* as in a node's file */
	enum framing framing;
	uint32_t address, baud; /* 0: none */
	bool rs485;
	char name[33];		/* in the air; "" */
	const char *compatible; /* by its vendor and class, as the configuration or a release names
				   it; NULL: unknown */
	struct node_identity identity;
};
/* What was not asked, and why. */
struct undiscovered {
	const char *link, *device;
	struct error error;
};
struct discovery {
	const struct discovered *found;
	size_t n_found;
	const struct undiscovered *skipped;
	size_t n_skipped;
	size_t n_wires; /* asked or skipped */
};
/* d: until the callback ends; NULL: there is none, see e. */
typedef void (*update_discover_done)(void *ctx, const struct discovery *d, const struct error *e);

/*
 * Asks every address of shared lines that no file has and, when a node is reached through BlueZ,
 * everybody in the air who has the SMP service; or, unless device is "", that one only:
 * "uart:/dev/…[,BAUD]", "sim:SOCKET", or "ble:" for the air. In the clear, and for about two
 * minutes at most. A wire on which a deployment is at work is left alone. OK: done comes once, from
 * the event loop. BUSY, NOT_FOUND, USAGE at once.
 */
enum ef_reason update_discover(struct update *u, const char *device, update_discover_done done,
	void *ctx, struct error *e);

/* Views. Pointers live until the next event-loop iteration. */
const struct deployment *update_current(const struct update *u); /* NULL: none under way */
const char *update_release_of(
	const struct update *u, uint64_t deployment); /* the one under way or just over; else "" */
const char *update_release(const struct update *u);   /* confirmed and installed, "" unknown */
const struct known_release *update_known(struct update *u, size_t *n);
const struct node_identity *update_node(
	const struct update *u, size_t node, bool *present, int64_t *last_seen, struct error *last);
/* Of a node on Link=ble, false for others. */
bool update_node_sight(const struct update *u, size_t node, struct bluez_sight *ret);
/* Bytes that patches have saved on the way to a node so far. */
uint64_t update_node_saved(struct update *u, size_t node);
/* What a node should run by the installed release and does not, NULL: it does, or it is not known.
 */
const struct component *update_node_behind(const struct update *u, size_t node);
bool update_boot_state(const struct update *u, struct boot_state *ret);
/* What a slot was left with by the last confirmed deployment that wrote it; false: unknown. */
bool update_slot_release(const struct update *u, enum slot_id s, char release[EF_VERSION_TEXT_MAX],
	uint8_t image[32]);
const struct tuf *update_trust(const struct update *u);
/* The rollout statement that counts, as of the last look; false: the source has none. counter 0:
 * none was taken. e: why nothing is let go by it. */
bool update_statement(const struct update *u, uint64_t *counter, int64_t *until, struct error *e);
/* Freeze (S-21): what the source says last is older than it may be, or a look at it found that. */
bool update_stale(const struct update *u);
/* Of the deployment under way; otherwise "stale" or "idle". */
const char *update_state_word(const struct update *u);
int64_t update_last_check(const struct update *u, struct error *e); /* 0: never */

/* From the state database, newest first (deployments) or oldest first (events). cb != 0 ends. */
int update_deployments(struct update *u, unsigned max,
	int (*cb)(void *ctx, const struct deployment *d), void *ctx);
int update_history(
	struct update *u, unsigned max, int (*cb)(void *ctx, const struct event *ev), void *ctx);

/* Reports not yet acknowledged, as JSON, oldest first; and: the cloud has everything up to id. */
int update_outbox(struct update *u, unsigned max,
	int (*cb)(void *ctx, uint64_t id, const char *json), void *ctx);
enum ef_reason update_outbox_done(struct update *u, uint64_t id, struct error *e);
