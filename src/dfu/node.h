/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One attached node: identify it, bring an image into its slot 1, try it, confirm it or take it
 * back. Asynchronous on the caller's event loop; one operation at a time a node; every operation
 * ends in exactly one done callback, also after node_cancel (CANCELLED) and when the link is lost.
 * The protocol engine below (dfu/smp-client.h, dfu/upload.h) does no I/O.
 */
#include "dfu/spread.h"
#include "links/entry.h"
#include "links/link.h"
#include "util/reason.h"
#include <edgeferry/image.h>
#include <edgeferry/version.h>
#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

struct node_slot {
	bool present; /* holds a valid image */
	struct ef_version version;
	uint8_t hash[32]; /* zero: a plain node did not name it */
	bool pending, confirmed, active;
};

/* Versions of the node protocol that this program speaks (docs/SPEC-dfu.md, identify). */
#define NODE_PROTOCOL_MIN 1u
#define NODE_PROTOCOL_MAX 1u

/* What the node said of itself last. Every text is bounded and stripped (S-35, F-32). */
struct node_identity {
	uint32_t protocol; /* version that it answered with; 0: plain */
	bool plain; /* no group 239: a plain SMP device; fields below up to slots are empty */
	char board[33];
	uint8_t vendor[16], class_id[16], id[16];
	uint32_t hardware;
	bool bootloader; /* mode: in the bootloader rather than in the application */
	char boot_version[EF_VERSION_TEXT_MAX];
	uint32_t buf, window, ahead, slot_size, floor, attempts, cause;
	uint32_t address,
		spread;	 /* on a shared line, and the largest block of a broadcast; 0: none */
	uint8_t battery; /* percent left; 100 where there is none */
	bool external;	 /* it does not run on the battery */
	bool trial;
	uint8_t self_test;	 /* 0 running or absent, 1 passed, 2 failed */
	enum ef_reason reverted; /* why the last trial went back; OK: none did */
	struct node_slot slots[2];
	uint32_t patch_models; /* that it takes patches of: bit per number (docs/SPEC-patch.md); 0:
				  it takes none */
	uint32_t patch_page;   /* bytes of flash that it erases at once */
	uint32_t patch_memory; /* bytes that its decoder has */
	bool reserved; /* of a stranger (node_discover): it says the rest in a session only */
	char info[97]; /* one line for people, from the running program itself; "" when it has none
			*/
};
bool node_identity_same(const struct node_identity *a, const struct node_identity *b);

struct node;

/*
 * Who takes an image: the application's own agent; or the bootloader, which the node enters by SMP
 * reset with boot_mode 1, or by its reset and boot lines. What entered it leaves it again.
 */
enum node_entry { NODE_ENTRY_AGENT, NODE_ENTRY_SMP, NODE_ENTRY_LINES };

struct node_config {
	const char *name;
	const struct link_ops *link;
	struct link_spec spec;
	uint32_t baud_max; /* uart: an upload's rate, if the node can; 0: the rate of spec */
	enum node_entry entry;
	struct entry_spec lines; /* with NODE_ENTRY_LINES only; copied */
	enum framing framing;	 /* COBS where there is a key */
	const char *key;	 /* session_key_load; NULL: no session */
	const char *compatible;	 /* "vendor.example,class"; with key only */
	struct spread *spread;	 /* the group of its shared line; NULL: it is sent images alone */
	const char *owner; /* on a shared line: this gateway, for others to be told (F-20); may be
			      NULL */
	uint32_t epoch;	   /* of its start: rises */
	/* Its wire is gone while nothing is under way: it may be asked. A wire that connects comes
	 * and goes, and is not spoken of. NULL: nobody wants to know. */
	void (*hung_up)(void *ctx);
	void *ctx;
};

enum ef_reason node_new(
	struct node **ret, sd_event *event, const struct node_config *config, struct error *e);
void node_free(struct node *n); /* ends what is under way without a callback */
const char *node_name(const struct node *n);

typedef void (*node_done)(void *ctx, const struct error *e);
/* Bytes of the image file; must not free the node. */
typedef void (*node_progress)(void *ctx, uint64_t done, uint64_t total);

/* Asks identify and image state; fills *ret before done. Opens the link when it is closed. */
int node_identify(struct node *n, struct node_identity *ret, node_done done, void *ctx);

/* From the next operation on: nothing is urgent, so the machine is woken seldom (links/link.h). */
void node_set_calm(struct node *n, bool calm);

/* Opens the link now, rather than with the first request; nothing when it is open. */
enum ef_reason node_open(struct node *n, struct error *e);
/* From the next request on, over the link as it is; between operations. */
void node_set_framing(struct node *n, enum framing framing);

/*
 * Asks a stranger who it is, in the clear, for ask_us at most or once on a shared line, and takes
 * no lease of it: OK with what it tells anybody, NODE_UNREACHABLE when nobody answers. For a node
 * made for this.
 */
int node_discover(
	struct node *n, uint64_t ask_us, struct node_identity *ret, node_done done, void *ctx);

/* How the image comes out of what the node runs. Bytes are the caller's until done. */
struct node_patch {
	const uint8_t *data; /* docs/SPEC-patch.md */
	size_t size;
	uint8_t base[32]; /* hash of the image in slot 0, as the node said it */
};

/* Bytes of the longest patch for an image of so many bytes; 0: none, or it takes none at all. */
uint32_t node_patch_room(const struct node_identity *id, uint32_t image_size);

/*
 * Preflight, then windowed upload into slot 1, then the node's own verdict. image stays the
 * caller's until done. Resumes where the node says. Goes by way of the bootloader where
 * config.entry says so, and ends in the application again. A node that already holds the image is
 * OK at once.
 *
 * patch NULL: the image itself is sent. Else the patch is, and the node makes the image of it;
 * progress then counts the bytes of the patch, and on behind them those of the image as they are
 * made. PATCH: it is the patch that cannot be used on this node, and the image may be sent in its
 * place; the detail says why. A node that runs another image than base, knows no such model or has
 * no room is sent nothing.
 */
int node_stage(struct node *n, const uint8_t *image, size_t size, const struct node_patch *patch,
	node_progress progress, node_done done, void *ctx);

/*
 * Marks the staged image for trial, resets the node, waits until it runs the image with this hash:
 * OK when it answers from it, NODE_REVERTED (or the node's reason) when it answers from another,
 * NODE_UNREACHABLE after timeout_s. deadline_s: how long the node stays on trial.
 */
int node_activate(struct node *n, const uint8_t hash[32], uint32_t deadline_s, uint32_t timeout_s,
	node_done done, void *ctx);

/*
 * Waits until the application's self-test passed: OK. SELF_TEST when it failed or did not end
 * within timeout_s, NODE_UNREACHABLE when the node never answered in that time, NODE_REVERTED (or
 * the node's reason) when it went back meanwhile.
 */
int node_self_test(
	struct node *n, const uint8_t hash[32], uint32_t timeout_s, node_done done, void *ctx);

/* Makes the running image permanent. OK also when it already is; NODE_REVERTED when another runs.
 */
int node_confirm(struct node *n, const uint8_t hash[32], node_done done, void *ctx);

/*
 * Takes a trial back: resets the node and waits until its old image runs and is confirmed. An image
 * that is to be tried at the next reset is erased instead. OK when there is nothing to take back.
 */
int node_revert(struct node *n, uint32_t timeout_s, node_done done, void *ctx);

/* Whether its key can be made (first) or replaced at all: OK, CONFIG, NODE_KEY, ALREADY_INSTALLED.
 */
enum ef_reason node_key_admit(const struct node *n, bool first, struct error *e);

/*
 * Gives a node without a key its first one, in the clear, over a wire that is trusted at this
 * moment; then it does nothing outside of a session any more. Or, in a session, another one in
 * place of the one that it has. The file that the configuration names holds it afterwards
 * (session-key.h). NODE_KEY: the node has a key, another one or still the old one. Interrupted,
 * both can be done again.
 */
int node_provision(struct node *n, node_done done, void *ctx);
int node_rotate_key(struct node *n, node_done done, void *ctx);

/* The operation under way ends CANCELLED, soon: a node that was led into its bootloader is told to
 * leave it. */
void node_cancel(struct node *n);

/* Vendor and class UUID of "vendor.example,class" (SPEC-dfu section 4). False when malformed. */
bool compatible_uuids(const char *compatible, uint8_t vendor[16], uint8_t class_id[16]);
