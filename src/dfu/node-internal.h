/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A node's operation is a list of steps (node-ops.c); this is what runs them (node.c). A step
 * starts something and returns; its end calls node_next or node_fail. Nothing below calls the user
 * back except the timer, so that a done callback may free the node or start the next operation.
 */
#include "dfu/node-messages.h"
#include "dfu/node.h"
#include "dfu/session.h"
#include "dfu/smp-client.h"
#include "dfu/smp-map.h"
#include "dfu/upload.h"
#include "links/shared.h"

/* Bytes of a small request's body. */
#define NODE_BODY_MAX 128u

struct node;
typedef void (*node_step)(struct node *n);

enum node_seen { NODE_WAIT_ON, NODE_ARRIVED };

struct node_plan {
	const char *name; /* "identify": stands in errors */
	const node_step *steps;
	/* For step_wait: looks at a fresh identity; may fail the operation and return WAIT_ON. */
	enum node_seen (*seen)(struct node *n);
	enum ef_reason late; /* when it answered, but seen never was content */
};

struct node_timing {
	uint64_t first_us; /* time-out of a first request */
	uint64_t ask_us;   /* how long a silent node is asked */
	uint64_t slow_us;  /* how long a command may take that checks signatures or erases */
	uint64_t look_us;  /* how long it is asked while it may be away */
	uint64_t poll_us;  /* between two such looks */
	uint64_t reset_us; /* a node that has not reset by then is told again */
};

/* Called with the body of an answer that is no error. */
typedef void (*node_answer)(struct node *n, const uint8_t *body, size_t size);

struct node_request {
	const char *what; /* stands in errors */
	uint8_t op;
	uint16_t group;
	uint8_t command;
	uint64_t least_us, total_us; /* as in struct smp_call */
	node_answer then;
	node_answer unsupported; /* NULL: that is an error */
	node_answer silent;	 /* NULL: that is an error */
	bool may_hang_up;	 /* a link lost meanwhile is silence */
	bool optional;		 /* and so is any error, whose body silent is given */
};

/* Where an operation is on its way into the bootloader and out again (node-entry.c). */
enum node_place { PLACE_AS_FOUND, PLACE_ENTERING, PLACE_INSIDE, PLACE_LEAVING };

struct node_op {
	const struct node_plan *plan; /* NULL: nothing under way */
	size_t at;
	node_done done;
	node_progress progress;
	void *ctx;
	struct node_identity *ret;
	const uint8_t *image;
	size_t image_size;
	const struct node_patch *patch; /* NULL: the image itself is sent */
	struct ef_image_info info;
	const uint8_t *file; /* what is sent: the image, or the patch */
	uint32_t file_size;
	uint8_t sha[32];  /* of these bytes */
	uint8_t hash[32]; /* of the image that the operation is about */
	uint32_t deadline_s;
	uint64_t until_us; /* end of step_wait */
	uint64_t wake_us;  /* when step_wait looks again, or the result is delivered */
	uint64_t reset_at_us;
	uint64_t made_until_us; /* when an image must have come out of the patch; 0: not begun */
	unsigned restarts, resets, cuts; /* cuts: of the link, with a request on its way */
	bool patient;			 /* the node may be restarting */
	bool stranger; /* it is asked what anybody may, and need not answer it all */
	enum node_place place;
	bool was_silent; /* it answered only in its bootloader */
	bool clear;	 /* outside of a session, although there is a key to be */
	bool waiting, heard, doubted, finished;
	struct error result;
};

/* What a node says of its missing blocks. */
struct node_missing {
	uint64_t from;
	struct smp_string missing;
};

/* The line's rate (node-rate.c). */
struct node_rate {
	uint32_t most;	 /* configured; 0: it is left alone */
	uint32_t next;	 /* to be tried next, or in use */
	bool raised;	 /* the link is at next */
	unsigned echoes; /* that came at it, of ECHOES */
};

struct node {
	char *name, *device, *ready;
	char *owner; /* the gateway on a shared line; NULL: nobody asks */
	uint32_t epoch;
	const struct link_ops *ops;
	struct link_spec spec;
	enum framing framing;
	struct node_timing timing;
	sd_event *event;
	sd_event_source *timer;
	struct link *link; /* NULL: closed */
	bool up;	   /* it carries what is sent */
	bool calm;	   /* nothing is urgent */
	void (*hung_up)(void *ctx);
	void *hung_up_ctx;
	struct smp_client client;
	char *key;		  /* where it is; NULL: the node is spoken to in the clear */
	bool key_next, key_other; /* the one beside it is tried; and the other one was */
	struct session session;
	/* body of the request under way, until there is a link, a session, or the turn for it */
	uint8_t held[SMP_MESSAGE_MAX];
	size_t held_size;
	struct upload upload;
	struct turn turn;	 /* on a shared line: spec.shared */
	uint64_t turn_us;	 /* since when it is ours */
	uint64_t again_until_us; /* the request under way is sent again until then; 0: not yet sent
				  */
	struct spread *spread;	 /* whom it may be sent an image with; NULL: nobody */
	struct spread_member member;
	struct node_rate rate;
	enum node_entry entry;
	struct entry_spec lines; /* texts are owned */
	struct entry *pulse;	 /* under way on the lines */
	/* What was uploaded last, for nodes that name no hashes. */
	uint8_t staged_hash[32];
	struct ef_version staged_version;
	uint32_t window_max, buf_max;  /* 0: what the node takes. buf_max is for benchmarks */
	struct node_identity identity; /* of the last answers */
	uint8_t nonce[NODE_NONCE_SIZE];
	struct node_request request; /* under way */
	struct node_op op;
};

/* For tests: shorter patience. */
void node_set_timing(struct node *n, const struct node_timing *t);

/* -EBUSY while an operation is under way. */
int node_begin(struct node *n, const struct node_plan *plan, node_done done, void *ctx);
void node_next(struct node *n);
void node_goto(struct node *n, node_step step);
void node_done_now(struct node *n); /* ends OK, whatever steps are left */
void node_wake(struct node *n);	    /* what another source than link and timer did is noticed */
void node_fail(struct node *n, enum ef_reason reason, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void node_fail_with(struct node *n, const struct error *e);

/*
 * Opens the link if need be and sends one request. then, unsupported or silent is called with the
 * outcome, or the operation fails. size 0 (the body did not fit) is an internal error.
 */
void node_send(
	struct node *n, const struct node_request *request, const uint8_t *body, size_t size);

/* The same for n->request, in its turn. */
void node_send_now(struct node *n);

/* The request under way, when the link is open and the session, if it needs one, too. */
void node_call(struct node *n, const uint8_t *body, size_t size);
/* It ends without an answer. */
void node_silent(struct node *n);

/* Sessions (node-session.c): node_call with what is held, by way of one. */
enum ef_reason node_session_init(struct node *n, const struct node_config *config, struct error *e);
void node_session_call(struct node *n);

/* Turns on a shared line (node-turn.c); anywhere else it is always one's turn. */
void node_turn_init(struct node *n);
/* False: node_send_now is called when it is this node's turn. */
bool node_turn(struct node *n);
/* The request had no answer. True: it waits for another turn. */
bool node_turn_again(struct node *n);
void node_turn_heard(struct node *n); /* the node has said something */
void node_turn_leave(struct node *n);
bool node_turn_upload(void *ctx, uint32_t under_way); /* may_send of an upload */

/* Which gateway has it (node-lease.c). Without an owner in the configuration none is asked for. */
void node_take_lease(struct node *n, node_answer then, node_answer silent);
/* The session was refused since another one has it: the operation ends BUSY and says who. */
void node_ask_owner(struct node *n);

/* Broadcast (node-spread.c). */
void node_spread_come(struct node *n);	    /* the image of the operation is known */
void node_spread_preflight(struct node *n); /* it was answered */
void step_spread(struct node *n); /* as much as it can; what is missing is then uploaded */

/* node-ops.c */
void node_again(struct node *n, const struct error *e); /* the node lost what it was sent */
void node_progressed(struct node *n, uint64_t done);

/* Patches (node-patch.c). Steps that do nothing where the image itself is sent. */
void step_patch(struct node *n); /* PATCH: the one of the operation is none for this node */
void step_made(struct node *n);	 /* until the node has made the image */

/* Steps that several operations share (node-steps.c). */
void step_ask(struct node *n);	 /* identify and image state into n->identity */
void step_reset(struct node *n); /* told once; whether it did is for step_wait to find out */
void step_info(struct node *n);	 /* the line for people, when there is one */
void step_wait(struct node *n);	 /* asks until plan->seen is content, or op.until_us */

/* The rate (node-rate.c, SPEC-dfu "Rate"). Raising and lowering never fail an operation. */
void step_raise(struct node *n);
void step_lower(struct node *n);
void node_rate_reset(struct node *n); /* the link was opened: all is as it was */
/* Back to the first rate at once: what was at the raised one has ended. The next try is at half. */
void node_rate_drop(struct node *n);

/*
 * Into the bootloader and out again (node-entry.c), where the node's file says so. step_return
 * waits until the node answers from there; plan->seen is then entry_seen.
 */
void step_enter(struct node *n);
void step_return(struct node *n);
void step_leave(struct node *n);
enum node_seen entry_seen(struct node *n);
/* A silent node is started in its bootloader by its lines. False: that is no way for it. */
bool entry_from_silence(struct node *n);
/* The operation failed inside: the node is told to leave first. False: it is not inside. */
bool entry_abandon(struct node *n);
enum ef_reason entry_init(struct node *n, const struct node_config *config, struct error *e);
void entry_stop(struct node *n);

/* For plan->seen: the node answers as if it had not been reset. Tells it again after a while. */
enum node_seen not_reset_yet(struct node *n);
bool node_runs(const struct node *n, const uint8_t hash[32]);
/* Slot 0 or 1 holds the image, as far as the node can tell. */
bool node_holds(const struct node *n, unsigned slot, const uint8_t hash[32]);
/* The serial recovery of a bootloader that is not ours: it writes over the image that would run. */
bool node_in_recovery(const struct node *n);
