/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Between the files of update/ only. Each state of a deployment has one advance function: it looks
 * at what is stored and at what was learned since, and starts whatever is missing; it is called
 * again after everything that ends. So going on after a restart is the same as going on.
 */
#include "bundle/bundle.h"
#include "trust/rollout.h"
#include "trust/time-floor.h"
#include "update/machine.h"
#include "update/plan.h"
#include "update/store.h"
#include "update/when.h"
#include "util/cleanup.h"
#include "util/hex.h"
#include "util/time-util.h"
#include "worker/client.h"

#define RETRIES_MAX 5
#define RETRY_US USEC_PER_SEC /* doubles each time */
#define RETRY_MAX_US (30 * USEC_PER_SEC)
#define BOOT_RETRIES 6 /* a boot loader that cannot be written to: every 30 s */
#define TRIALS_MAX 3
#define RELEASES_MAX 64 /* looked at; the newest */
#define MANIFESTS_MAX 8 /* fetched; the newest, and as many that the rollout statement holds */
#define MANIFEST_SIZE_MAX (1u << 20)
#define IMAGE_SIZE_MAX (16u << 20) /* of an MCU */
#define INDEX_SIZE_MAX (256u << 20)
#define TRUST_NAMES_MAX 4096
#define REBOOT_WAIT_US (300 * USEC_PER_SEC) /* then it is asked for again */
#define SPACE_MARGIN (1u << 20)		    /* left free on the state file system */

struct update;

/* --- one file of the source into memory; one at a time (reader.c) --- */
typedef void (*read_done)(
	struct update *u, const uint8_t *data, size_t size, const struct error *e);

struct reader {
	struct fetch *fetch;	  /* under way over the network */
	sd_event_source *deliver; /* or read from the bundle, to be handed over */
	uint8_t *data;
	size_t size;
	struct error error;
	read_done done;
};

/* A request to edgeferry-net that outlives whoever asked: its answer is dropped then. */
struct fetch {
	struct update *u;
	struct fetch *next;
	uint32_t id;
	bool dropped;
	size_t part;
};

/* --- looking at a source (look.c) --- */
enum look_phase {
	LOOK_IDLE,
	LOOK_REFRESH,
	LOOK_STATEMENT, /* rollout statement: found, fetched */
	LOOK_ROLE,
	LOOK_FIND,
	LOOK_MANIFEST,
};
enum look_for {
	LOOK_FOR_STATEMENT, /* the source's metadata and rollout statement, no more */
	LOOK_FOR_RELEASES,  /* and its releases */
	LOOK_IN_BUNDLE,	    /* releases; a bundle has no statement */
};

struct look_release {
	struct known_release known;
	char path[512];
	struct tuf_target target;
};

struct look {
	enum look_phase phase;
	enum look_for wanted;
	bool online;
	bool for_deployment; /* not for a check */
	bool reached;	     /* the server gave something */
	int64_t now;	     /* as of which metadata is judged */
	struct tuf_target statement;
	struct look_release *list;
	size_t n, at;
	unsigned fetched[2]; /* manifests, of releases that may go and of held ones */
	void (*done)(struct update *u, const struct error *e);
};

/* --- what the publisher lets go (statement.c) --- */
#define STATEMENT_ROLE "rollouts"

struct statement {
	bool ruled; /* targets delegates to the role by these keys, and its document is listed: */
	char keys[DIGEST_HEX_MAX];
	bool taken; /* and this is the last one taken: */
	struct rollout last;
	int64_t until;
	struct error error; /* why what is published now was not taken; nothing is let go then */
};

/* --- the current deployment's bundle, while it is looked at from afar (remote.c) --- */
struct remote {
	struct bundle *scan;
	struct fetch *fetch;
	struct error error; /* how it ended, to be said once */
};

/* --- nodes (nodes.c) --- */
#define NO_PART ((size_t)-1)

struct node_state;
typedef void (*node_part_done)(
	struct update *u, struct node_state *ns, size_t part, const struct error *e);

/* One copy of an image, for all nodes that take it at the same time (nodes.c). */
struct image_share {
	unsigned users;
	uint8_t sha256[32];
	uint8_t *data;
};

/* One patch, for all nodes that get it: made, being made, or why there is none (patches.c). */
struct patch_share {
	struct update *u;
	struct patch_share *next; /* in the run */
	unsigned users;		  /* the run, and nodes that are sent it */
	uint8_t base[32];	  /* hash of the image that it is applied to */
	uint8_t image[32];	  /* SHA-256 of the object that comes out */
	uint8_t key[32];	  /* under which it is kept */
	uint32_t models;
	struct worker *worker; /* making it */
	struct error error;
	uint8_t *data;
	size_t size;
};

/* node-keys.c: what was asked for, until it is over */
struct node_key_job {
	bool first;
	update_key_done done; /* NULL: nothing */
	void *ctx;
};

struct node_state {
	struct update *u;
	size_t index; /* in the configuration */
	const struct config_node *config;
	struct node *node;
	struct shared *shared; /* the line, when it has an address on one */
	struct spread *spread; /* with whom it may be sent an image there */
	bool owns_shared;      /* the first one of that line */
	struct node_identity identity, incoming;
	bool present;
	int64_t last_seen;
	struct error last;
	uint64_t asked_us; /* monotonic: when the last answered (or failed) question was put */
	uint64_t asking_us;
	uint64_t ended_us;   /* when the last operation for a part ended */
	uint64_t changed_us; /* when it was last another one than before, or something was done to
				it */
	unsigned misses;     /* questions in a row without an answer */
	sd_event_source *timer;
	bool busy;   /* an operation runs: the poll, or one for a part */
	bool again;  /* and it is to be asked once more right after it */
	size_t part; /* whose, or NO_PART */
	node_part_done done;
	struct image_share *image; /* what node_stage reads */
	struct patch_share *patch; /* what it sends in its place: */
	struct node_patch sent;
	struct node_key_job key;
};

/* --- what is under way for the current state of the deployment; gone with the state --- */
struct part_run {
	bool busy;
	unsigned attempts;
	uint64_t wait_until; /* monotonic: not before */
	size_t payload;	     /* of the slot: which of component_payloads is written */
	struct worker *worker;
	bool worker_over;
	struct error worker_error, fetch_error;
	struct fetch *fetch;
	struct fetch *context;	   /* what the worker's callbacks are handed */
	uint64_t told_us;	   /* progress */
	unsigned redo;		   /* confirm.c: step of bringing up a node anew */
	struct error held;	   /* gate.c: what was waited for last */
	struct patch_share *patch; /* for its node; NULL: none, or not yet */
	bool no_patch;		   /* and that is settled, and on record */
	unsigned patch_tries;	   /* that the line ended */
};

/* --- what may hold a deployment up (gate.c) --- */
struct gate {
	struct checks *checks; /* the site's interlocks, while they run */
	uint64_t passed_us;    /* monotonic: when they said yes last; 0: never */
	uint64_t wait_until;
	struct error held;
	struct error when; /* the hour, a pause …: */
	int64_t when_until;
};

/* --- what the operator has asked for (policy-state.c) --- */
struct when_state {
	bool paused;
	int64_t postponed_until, postponed_since; /* since: for the cap */
};

/* --- the services of this machine (services.c) --- */
struct services_told {
	bool known, starting; /* as of the last answer in this state: */
	char *failed;	      /* NULL: there was none yet */
	bool good;	      /* they came up as they were before; not asked again */
	uint64_t wait_until;  /* monotonic: not asked before */
};

enum acquire_phase { ACQUIRE_LOOK, ACQUIRE_ADMIT, ACQUIRE_OBJECTS, ACQUIRE_IMAGES, ACQUIRE_NODES };

struct run {
	uint64_t since_us;	/* when the state was entered (or taken up again) */
	sd_event_source *timer; /* the next retry, or the deadline */
	uint64_t wait_until;
	unsigned attempts;
	bool busy;
	struct part_run *parts;
	size_t n_parts;
	struct patch_share *patches;

	enum acquire_phase phase;
	size_t at, held;   /* component, and which of the objects that it holds; or script */
	uint8_t *manifest; /* bytes */
	size_t manifest_size;
	struct plan_image *images;
	size_t heard;	   /* nodes that have answered since since_us */
	uint64_t heard_us; /* the last one did */

	bool asked; /* the source was, for its statement */
	bool begun, server_ok, confirmed_by_hand;
	uint64_t soak_since_us; /* a wave is up, and the next one waits; 0: none does */
	bool soak_over;		/* and its nodes are asked once more */
	struct checks *checks;
	bool checks_ok;
	struct gate gate;
	struct services_told services;
};

/* --- a look at what a deployment would do (dry-run.c); current is it meanwhile --- */
struct dry {
	update_plan_done done;
	void *ctx;
	struct plan_gate *gates;
	size_t n_gates;
	struct checks *checks; /* interlocks, while they run */
	unsigned asked;	       /* steps for which they were asked */
	struct plan_room room;
};

/* --- what nodes should run (desired.c) --- */
struct desired {
	bool known;	       /* it was looked for: */
	struct deployment *of; /* the last one of the installed release; NULL: none is on record */
	unsigned tries;
	uint64_t wait_until; /* monotonic */
};

struct discover; /* discover.c */

struct waiter {
	update_done done;
	void *ctx;
};

struct update {
	struct update_env env;
	struct bluez *bluez; /* NULL: no node is reached by it */
	struct store *store;
	int objects_fd;
	struct tuf_store_dir trust_dir;
	struct tuf_store trust_files,
		trust_store;		   /* the folder; and with a record of what is in it */
	char trust_noted[TRUST_NAMES_MAX]; /* names of what must be there, one a line */
	struct tuf *tuf;
	struct time_floor time_floor;
	struct boot *boot;
	bool rebooting;
	uint64_t reboot_asked_us;

	struct node_state *nodes;
	size_t n_nodes;

	char release[EF_VERSION_TEXT_MAX]; /* confirmed and installed */
	struct known_release *known;
	size_t n_known;
	int64_t last_check;
	bool server_reachable; /* at the last look */
	struct error check_error;
	struct waiter waiters[16];
	size_t n_waiters;

	struct reader reader;
	struct fetch *fetches;
	struct look look;
	struct statement statement;
	struct bundle *bundle; /* of the current deployment */
	struct remote remote;

	struct deployment *current;
	struct run run;
	struct dry dry;
	struct desired desired;
	struct discover *discover; /* NULL: none is under way */
	struct when_state when;
	bool asking_services;
	bool in_doubt;	/* storing a transition failed: it may be there all the same */
	char asker[65]; /* "": itself */
	enum deployment_transfer transfer; /* of what is begun */
	sd_event_source *kick;
	bool resumed;
};

/* trust-state.c */
int64_t update_now(
	const struct update *u); /* the best time known: what expiry counts against (S-19) */
/* For records: the wall clock, unless it is certainly wrong. */
int64_t update_stamp(const struct update *u);
struct tuf_store trust_store_of(struct update *u);
enum ef_reason state_lost(struct update *u, struct error *e); /* before store_open */
enum ef_reason trust_open(
	struct update *u, struct error *e);	/* after store_open; again after NO_TRUST */
void trust_note(struct update *u, int64_t now); /* a look at the source as of now ended well */

/* update.c */
void look_note(struct update *u, const struct error *e); /* a look at the source ended so */
void update_kick(struct update *u);			 /* advance soon */
uint64_t update_backoff(const struct update *u, unsigned attempts);
/* Kicks at the given monotonic time at the latest. */
void update_kick_at(struct update *u, uint64_t when_us);
/* Whether trying again may help: network, time-outs, absent nodes, a child that died. */
bool reason_passes(enum ef_reason r);
enum ef_reason update_boot(struct update *u, struct boot_state *ret, struct error *e);
const char *update_slot_path(const struct update *u, enum slot_id s);
const char *update_boot_path(
	const struct update *u, enum slot_id s); /* "" when slots have no boot partition */
enum slot_id slot_from_word(const char *word);

void note_refusal(struct update *u, const char *version, const struct error *e);

/* dry-run.c */
void dry_begin(struct update *u, struct deployment *d, update_plan_done done, void *ctx);
void dry_advance(struct update *u);
/* deployment_move of one that is only looked at. */
bool dry_move(struct update *u, enum deployment_event ev, const struct error *cause);
void dry_cancel(struct update *u, enum ef_reason reason,
	const char *detail); /* nothing when there is none */

/* discover.c */
void discover_stop(struct update *u); /* CANCELLED; before nodes_close */

/* policy-state.c */
enum ef_reason when_load(struct update *u, struct error *e);
enum ef_reason when_lets_activate(const struct update *u, int64_t *until, struct error *e);
/* Something was installed by itself: with it, and after it. */
enum ef_reason when_settle(struct update *u, struct error *e);
void when_settled(struct update *u);

/* begin.c */
const char *update_asker(const struct update *u);
enum ef_reason deployment_asked_save(struct update *u, const struct deployment *d, struct error *e);
enum ef_reason deployment_asked_load(struct update *u, struct deployment *d, struct error *e);

/* desired.c */
void desired_advance(struct update *u); /* while no deployment is under way */
void desired_ended(
	struct update *u); /* a deployment to catch up is over: what was learned of nodes */
void desired_forget(struct update *u); /* the release is another one */
/* Another slot runs than was left, with no deployment knowing: its release is the installed one
 * again. */
enum ef_reason desired_resume(struct update *u, const struct boot_state *boot, struct error *e);
enum ef_reason update_catch_up(struct update *u, uint64_t *id, struct error *e);

/* moves.c: everything that is stored about the deployment under way */
/* Stores the arrow with its event and report in one transaction, then the new state's work begins.
 * more (may be NULL) stores what belongs to it. False: not stored; it will be tried again. */
bool deployment_move(struct update *u, enum deployment_event ev, const struct error *cause,
	enum ef_reason (*more)(struct update *u, struct error *e));
bool part_move(struct update *u, size_t part, enum component_state to, const struct error *cause);
void part_progress(struct update *u, size_t part, const char *phase, uint64_t done, uint64_t total);
bool part_step(struct update *u, size_t part); /* counts and stores one more begin of activation */
enum ef_reason deployment_begin(struct update *u, struct deployment *d, struct error *e);
void record_event(struct update *u, struct event *ev, bool report);
void run_reset(struct update *u);
bool part_is_mcu(const struct part *p);
struct part_run *run_of(struct update *u, size_t part);
/* Counts an attempt and sets the next one's time; false when there were enough. */
bool run_retry(struct update *u, struct part_run *r);
bool run_ready(struct update *u, struct part_run *r); /* not busy and not waiting */

/* reader.c */
/* path below the repository's folder; from the bundle when there is one and online is false. */
void reader_start(struct update *u, bool online, const char *path, uint64_t max, read_done done);
void reader_cancel(struct update *u);
struct fetch *fetch_new(struct update *u, size_t part);
void fetch_free(struct fetch *f);
void fetch_drop(struct fetch *f); /* cancels; the answer will be dropped */

/* look.c */
void look_start(struct update *u, enum look_for wanted,
	void (*done)(struct update *u, const struct error *e));
void look_clear(struct update *u);
/*
 * The newest release of the list that would be installed, NULL when there is none: what the rollout
 * statement holds is passed over, anything else that is newer and refused is not. *refused is the
 * first one that was.
 */
const struct known_release *look_candidate(
	const struct known_release *list, size_t n, const struct known_release **refused);
void known_clear(struct known_release *list, size_t n);
/* Fills k->error and k->installed from what is known here. */
enum ef_reason look_judge(
	struct update *u, struct known_release *k, bool remember, struct error *e);
enum ef_reason admit_prepare(struct update *u, struct plan_gateway *g, struct admit_input *in,
	bool going_back, struct error *e);

/* statement.c */
enum ef_reason statement_open(struct update *u, struct error *e); /* as it was stored */
/* After an online refresh: whether there is a statement to be looked at. */
enum ef_reason statement_expected(struct update *u, bool *ret, struct error *e);
/* The bytes found under target: the statement from now on, or the reason why nothing is let go. */
void statement_take(
	struct update *u, const struct tuf_target *target, const void *data, size_t size);
void statement_refuse(struct update *u, const struct error *e);
/* OK: a release is let go or not by its entry. Otherwise why none is. */
enum ef_reason statement_in_force(const struct update *u, struct error *e);
/* Why the release is not let go on this gateway. */
enum ef_reason statement_judge(
	const struct update *u, const char *version, uint64_t sequence, struct error *e);
/* False: it does not name the release. */
bool statement_share(const struct update *u, const char *version, uint64_t sequence,
	unsigned *share, unsigned *place);
/* Why the deployment under way must not go on, whoever began it; OK although it is not its turn. */
enum ef_reason statement_stops(const struct update *u, struct error *e);
/* True: its release is halted, and it is being ended. */
bool statement_halts(struct update *u);
/* Looks at the source once for the current state of the deployment; false: not over yet, it kicks.
 */
bool statement_asked(struct update *u);

/* services.c (F-24) */
/* What has failed by now is known, or nobody knows; false: not yet, it kicks. */
bool services_asked(struct update *u);
enum ef_reason services_note(
	struct update *u, struct error *e); /* stores that, before a new slot is started */
enum services_result { SERVICES_WAIT, SERVICES_GOOD, SERVICES_FAILED };
/* On trial: whether anything fails that did not before; e: what. Until a time, for a machine that
 * is still starting. */
enum services_result services_look(struct update *u, uint64_t until_us, struct error *e);

/* carried.c: everything in the bundle is named by what was verified, before anything of it is used
 */
enum ef_reason bundle_judge(struct update *u, const struct look_release *r, struct error *e);

/* remote.c */
bool remote_reopen(struct update *u, struct error *e); /* as bundle_reopen */
void remote_cancel(struct update *u);

/* nodes.c */
enum ef_reason nodes_open(struct update *u, struct error *e);
enum ef_reason nodes_bluez(
	struct update *u, struct error *e); /* what reaches them in the air is set up */
/* Others in their place, as c has them; nothing is done to any. An error leaves them as they are.
 */
enum ef_reason nodes_reopen(struct update *u, const struct config *c, struct error *e);
void nodes_close(struct update *u);
void nodes_poll(struct update *u); /* all of them, as soon as they are idle */
struct node_state *nodes_find(struct update *u, const char *name);
/* Claims the node for an operation of a part: false while another one runs. Ends in done exactly
 * once, unless nodes_orphan came first. */
bool nodes_claim(struct node_state *ns, size_t part, node_part_done done);
void nodes_started(struct node_state *ns, int r);  /* of the call that followed */
void nodes_done(void *ctx, const struct error *e); /* a node_done; ctx is the node_state */
void nodes_progress(void *ctx, uint64_t done, uint64_t total);
void nodes_orphan(struct update *u);
/* Reads the object from the store, or finds it with another node. ns->image until the node is done.
 */
enum ef_reason nodes_image(struct node_state *ns, const struct object *o, struct error *e);
void nodes_release(struct node_state *ns); /* it is idle again, and asked who it is now */
/* node-keys.c. False: nothing was asked for. */
bool node_key_start(struct node_state *ns);
void node_key_forget(struct node_state *ns);
/* It answered a question that was put after since. */
bool nodes_fresh(const struct node_state *ns, uint64_t since_us);
/* Everything known of the nodes is from after the last thing that was done to them. */
bool nodes_settled(const struct update *u);
bool nodes_runs(const struct node_state *ns, const uint8_t hash[32]);

/* images.c: images of nodes among the objects, by the hash that nodes say; false: there is none */
bool image_find(struct update *u, const uint8_t hash[32], struct object *ret);
bool image_hash(struct update *u, const uint8_t sha256[32], uint64_t *size, uint8_t hash[32]);

/* patches.c */
/*
 * What the node of a part is sent is settled: r->patch, or the full image, with an event that says
 * why. False: it is being made, and it kicks; or nothing else than a patch may be sent, and e says
 * why it is not.
 */
bool patch_settle(struct update *u, struct node_state *ns, size_t part, struct error *e);
/* For node_stage; the node has it until patch_put. NULL: the full image. */
const struct node_patch *patch_get(struct node_state *ns, struct part_run *r);
void patch_put(struct node_state *ns);
/* Staging failed so: true when that is the patch's, and the full image is to be sent now. */
bool patch_failed(struct update *u, struct node_state *ns, size_t part, const struct error *e);
/* A part was staged: what that has saved is counted, and said in *note (OK). */
void patch_note(struct update *u, size_t part, struct error *note);
void patch_count(struct update *u, size_t part);
void patches_drop(struct update *u); /* with the run */

/* acquire.c, stage.c, activate.c, trial.c, confirm.c, revert.c: one advance function a state */
void acquire_advance(struct update *u);
void stage_advance(struct update *u);
void release_advance(struct update *u);
void activate_advance(struct update *u);
void trial_advance(struct update *u);
void confirm_advance(struct update *u);
void revert_advance(struct update *u);
/* node_stage for a part: reads the image from the object store. */
enum ef_reason stage_node(
	struct update *u, struct node_state *ns, size_t part, node_part_done done, struct error *e);
void ask_reboot(struct update *u);

/* gate.c. False: not now; it kicks when it is time to ask again. */
bool gate_transfer(struct update *u, size_t part); /* an image to the node of a part */
bool gate_activate(struct update *u);
void gate_clear(struct gate *g);
bool gate_wave(struct update *u, const struct component *c,
	unsigned wave);			      /* the next one, after the first */
void gate_retry(struct gate *g);	      /* what was waited for may have changed */
unsigned gate_minute(const struct update *u); /* of the day, local */
/* Runs the site's interlocks for step, "transfer" or "activate": ctx of the callbacks is u. */
enum ef_reason gate_ask_site(struct update *u, const char *step,
	void (*done)(void *ctx, const struct error *e), struct checks **ret, struct error *e);

/* acquire.c */
/* False and no error: it is being looked at and will kick. */
bool bundle_reopen(struct update *u, struct error *e);
void bundle_lost(struct update *u, const struct error *e);    /* reading from it failed so */
void acquire_failed(struct update *u, const struct error *e); /* again later, or the end */
void acquire_ask_nodes(struct update *u);		      /* who they are, before the plan */

/* acquire-objects.c: two phases, each until it is over */
void acquire_objects(struct update *u);
void acquire_images(struct update *u);

/* space.c */
/* What the release lacks fits: into the quota, once what nobody needs is gone, and on the disk. */
/* Changes nothing: OK, or NO_SPACE, TOO_LARGE. *ret: as far as it was looked at. */
enum ef_reason objects_room(
	struct update *u, const struct manifest *m, struct plan_room *ret, struct error *e);
enum ef_reason objects_make_room(struct update *u, const struct plan_room *room, struct error *e);
void objects_sweep(struct update *u); /* back below the quota */
/* Whether there is room for so many bytes that nobody needs; what is older and not needed either
 * goes. */
bool objects_spare(struct update *u, uint64_t size);
