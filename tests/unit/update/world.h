/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The world around the engine, for its tests: nodes, a server, a worker and a gateway that
 * restarts. It stands at the link-time seams dfu/node.h, net/client.h, worker/client.h and
 * trust/tuf.h; store, objects, manifests, images, chunk indexes, the simulated boot loader and the
 * checks are real. Whatever happens to the engine, the world goes on from where it was.
 */
#include "update/internal.h"

/* The first is meter-1, the second sensor-1, more are meters. */
#ifndef WORLD_NODES
#define WORLD_NODES 2
#endif

struct fake_node {
	const char *name, *compatible;
	struct node_identity id; /* slots[0] is the running one */
	uint8_t uploaded[32];	 /* hash of what slot 1 is to hold */

	/* what it is going to do */
	bool unreachable;
	bool mute;	   /* what it is asked has no end until it speaks again */
	bool reject_image; /* refuses it at preflight: IMAGE_KEY */
	bool bad_start;	   /* goes back at its first start */
	bool bad_self_test;
	bool bad_patches;   /* what it makes of one is another image: PATCH */
	unsigned line_cuts; /* so many uploads end NODE_UNREACHABLE first */
	bool back_in_trial; /* goes back when asked the nth time in a trial */
	unsigned back_after;
	unsigned uploads, erases, resets, patches;
	unsigned starts[64], n_starts; /* of a new image: when, by a count of all nodes */
};

struct world {
	char dir[128];
	sd_event *event;
	struct config config;
	struct config_node config_nodes[WORLD_NODES];
	struct update *update;
	uint64_t iterations;
	unsigned starts;
	bool rebooting;
	unsigned start_tries; /* of world_start; 0: one */
	uint64_t patience_us; /* of a plan, from world_start on; 0: as it is */
	int64_t clock;	      /* the wall clock */
	bool unsynchronised;

	struct fake_node nodes[WORLD_NODES];
	uint8_t slot_image[2][32]; /* what lies in the slots */
	uint8_t boot_image[2][32]; /* what lies in their boot partitions, where they have them */
	bool slot_unbootable[2];
	enum ef_reason worker_error;   /* the next job ends with it */
	unsigned worker_deaths;	       /* so many jobs die first */
	unsigned worker_jobs, workers; /* begun; at work now */
	uint64_t verity_offset;	       /* of the last job */
	unsigned patch_jobs;
	size_t patch_size;	    /* of what comes out of one; 0: 100 bytes */
	enum ef_reason patch_error; /* all of them end with it */

	struct update_services services;  /* who knows of them; ask NULL: nobody */
	sd_event_source *services_answer; /* on its way; dropped when the engine ends */

	/* the server */
	bool server_down, server_lost_after_reboot;
	enum ef_reason trust_error;
	struct ipc_range last_range; /* asked for of a pack */
	bool medium_gone;	     /* the bundle's: reading it is EIO */
	unsigned fetch_errors;	     /* so many fetches of the pack fail first */
	const char *fetch_note;	     /* what is said of one that went well */
	struct {
		char path[160];
		uint8_t *data;
		size_t size;
	} files[512];
	size_t n_files;
	struct {
		char version[25], path[160], file[256];
		uint64_t sequence;
		uint32_t security;
		enum release_kind kind;
		uint8_t sha256[32];
		size_t size;
		json_t *custom;
	} releases[8];
	size_t n_releases;
	struct repo *repo; /* who signs, where trust/tuf.h is the real one */
	bool rollouts;	   /* targets delegates to the role of statements */
};

extern struct world *the_world;
extern bool world_client_freed;
extern int world_harness; /* above 0: what is called is the world, not the engine */

struct world *world_new(void);
void world_free(struct world *w);

/* What the server has under a path, instead of what was there. */
void world_put(struct world *w, const char *path, const void *data, size_t size);
void world_remove(struct world *w, const char *path);

/* What a release is made of here. */
#define WORLD_VERITY 8192
struct world_release {
	const char *version;
	uint64_t sequence;
	uint32_t security;
	bool no_rootfs;
	bool boot;	       /* brings a boot partition */
	const char *same_root; /* the root file system is that of another release; NULL: its own */
	bool verity; /* a tree at WORLD_VERITY, with the digest of the pack for a root hash */
	unsigned gateway_protocol[2], node_protocol[2]; /* min and max; 0: not said */
	const char *sensor_policy;			/* NULL: "required" */
	unsigned sensor_budget, meter_budget, meter_soak;
	const char *meter_policy;
	const char *wrong_board; /* class in the image of node 0 */
	const char *order;	 /* JSON array; NULL: meter, sensor, rootfs */
};
void world_publish(struct world *w, const struct world_release *r);
/* A false patch: its beginning says what it is for. The world's nodes do not look at the rest. */
#define WORLD_PATCH 100
/* Hash of the image that release version has for node i. */
void world_hash(const struct world *w, const char *version, size_t node, uint8_t out[32]);
void world_rootfs(const char *version, uint8_t out[32]);
void world_boot_image(const char *version, uint8_t out[32]);
/* From the next start on. */
void world_boot_partitions(struct world *w);

/*
 * Real metadata (world-repo.c): root, and a role for releases, trusted from the start. What was
 * published is signed for as the repository stands.
 */
void world_repo_new(struct world *w);
void world_repo_free(struct world *w);
void world_repo_sign(struct world *w);
void world_repo_copy(struct world *w); /* what the repository has, to the server */
/* The rollout statement of the product, as its text; signed by key WORLD_ROLLOUTS_KEY, and then as
 * the role's signers are. There is such a role from the first one on. */
#define WORLD_ROLLOUTS_KEY 6
void world_rollout(struct world *w, const char *product, const char *text);

/* The newest release as a bundle file; the server has nothing. Opened for reading. */
int world_bundle(struct world *w);

void world_start(struct world *w); /* the engine, as after a start of the daemon */
void world_kill(struct world *w);  /* kill -9 of the engine */
/* Runs until no deployment is under way, restarting the gateway when asked for. At iteration
 * kill_at (0: never) the engine is killed and started again; power_cut: the gateway and the nodes
 * too. */
void world_run(struct world *w, uint64_t kill_at, bool power_cut);
void world_script(struct world *w, const char *name, const char *body); /* into the checks folder */

/* Power cut: nodes reset (an unconfirmed trial goes back), the gateway boots what the loader says.
 */
void world_power_cut(struct world *w);
void world_reboot(struct world *w); /* of the gateway alone */
void world_fall_back(
	struct world *w); /* the confirmed slot does not come up any more: the other one runs */
struct boot_state world_boot(struct world *w);
/* The last deployment's state and reason. */
enum deployment_state world_outcome(struct world *w, struct error *why);
