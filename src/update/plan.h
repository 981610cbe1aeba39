/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a release means for this gateway, without any I/O: whether it fits (admit), and which parts
 * it comes to (plan). Everything they need to know is handed in.
 */
#include "update/update.h"

/* What is known of one configured node. */
struct plan_node {
	const struct config_node *config;
	bool present; /* it answered just now */
	struct node_identity identity;
	struct error last; /* why it is not present */
};

/* What stands in for a component of the manifest once its objects are there. */
struct plan_image {
	bool known;	   /* it was looked into: */
	uint8_t hash[32];  /* how a node names the image */
	uint32_t security; /* from the image itself */
	bool has_vendor, has_class;
	uint8_t vendor[16], class_id[16];
};

struct plan_gateway {
	const struct config *config;
	bool slots; /* the gateway has slots */
	enum slot_id running, target;
	bool known; /* what the running slot holds is on record: */
	uint8_t running_image[32];
	char running_version[EF_VERSION_TEXT_MAX];
	uint64_t slot_size[2]; /* bytes; 0 unknown */
	bool boots;	       /* each slot has a boot partition of its own: */
	uint64_t boot_size[2];
	uint32_t protocol_min,
		protocol_max; /* versions of the node protocol that this program speaks */
};

struct admit_input {
	const struct plan_gateway *gateway;
	uint64_t sequence; /* highest that was ever confirmed here */
	bool going_back;   /* rollback on purpose: older is what is wanted */
	void *ctx;
	uint32_t (*floor)(void *ctx, const char *compatible);
	/* installed version of a component that is not in the release; false when there is none */
	bool (*installed)(void *ctx, const char *component, struct ef_version *ret);
};

/* Before any object is fetched: order, floor, hardware, requirements, slot size, places. */
enum ef_reason plan_admit(const struct manifest *m, const struct admit_input *in, struct error *e);

/* The image of an mcu component against what the manifest says of it, before any node hears of it.
 */
enum ef_reason plan_admit_image(
	const struct component *c, const struct plan_image *image, struct error *e);

/* Whether a node is what its file says; a swapped cable ends here (F-22). Only for one that is
 * present. */
enum ef_reason plan_admit_identity(
	const struct config_node *config, const struct node_identity *identity, struct error *e);

/*
 * I-3: gateway and nodes understand each other whoever of them is still, or again, at its old
 * version. plan_admit has compared what is in the release, and its nodes' images with this gateway,
 * to which a boot loader may fall back; this compares its gateway with what a node runs. PROTOCOL.
 * Only for nodes that are present.
 */
enum ef_reason plan_admit_protocol(
	const struct manifest *m, const struct plan_node *node, struct error *e);

/* One node against its configuration and the component meant for it. Only for nodes that are
 * present. */
enum ef_reason plan_admit_node(
	const struct component *c, const struct plan_node *node, struct error *e);

/*
 * Whether a node may be written to or reset now: its power, and the hours that its file allows, in
 * minutes of the day. NODE_BATTERY, HELD.
 */
enum ef_reason plan_may_touch(const struct config_node *config,
	const struct node_identity *identity, unsigned minute, struct error *e);

/*
 * The parts in the manifest's order; for one component, nodes in the order of the configuration.
 * images: one for each component of the manifest. Every place exactly once. Negative errno.
 */
int plan_make(const struct manifest *m, const struct plan_image *images,
	const struct plan_gateway *g, const struct plan_node *nodes, size_t n_nodes,
	struct part **ret, size_t *n);

/* A part of a plan for nodes that are behind: one that fails does not stop the others, slots stay.
 */
void plan_catch_up(struct part *p);

/* Whether node takes component c by the configuration. */
bool plan_takes(const struct component *c, const struct config_node *node);
/* The running image of a node; NULL when it says none. */
const struct node_slot *plan_running(const struct node_identity *identity);
