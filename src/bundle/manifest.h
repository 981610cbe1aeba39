/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Release manifest, releases/<product>/<version>.json (docs/SPEC-repository.md). A closed list of
 * components: unknown fields, types and versions of the schema are refused (S-05). Parse only after
 * the bytes were checked against signed metadata.
 */
#include "bundle/verity.h"
#include "util/reason.h"
#include <edgeferry/version.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum component_type { COMPONENT_ROOTFS, COMPONENT_MCU };
/* Of a node that takes it: its failure fails the release; does not; or does, but it may be away and
 * is brought up later. */
enum component_policy { POLICY_REQUIRED, POLICY_OPTIONAL, POLICY_DEFERRED };
enum release_kind { KIND_FEATURE, KIND_SECURITY };

const char *component_type_word(enum component_type t); /* "rootfs", "mcu" */
const char *component_policy_word(enum component_policy p);
const char *release_kind_word(enum release_kind k);

struct object {
	uint8_t sha256[32];
	uint64_t size; /* bytes */
};

/* The image of a partition, cut into chunks. */
struct payload {
	struct object image;	   /* the whole uncompressed image; size 0: there is none */
	struct object index, pack; /* chunk index, and pack of compressed chunks */
};

struct component {
	char name[33]; /* [a-z0-9-] */
	enum component_type type;
	char compatible[96];		     /* "vendor.example,class" */
	uint32_t hardware_min, hardware_max; /* inclusive */
	struct ef_version version;
	uint32_t security; /* security version; >= the floor */
	enum component_policy policy;
	uint32_t soak_s; /* between two waves of its nodes; mcu only, absent: 0 */
	uint32_t
		budget; /* so many nodes may fail although they are required; mcu only, absent: 0 */
	/* of the node protocol: what the nodes' image answers with, what the gateway's edgeferryd
	 * speaks; absent: 1 */
	uint32_t protocol_min, protocol_max;
	struct object image; /* rootfs: the whole uncompressed image; mcu: the MCUboot image */
	struct object index, pack; /* rootfs only: chunk index and pack of compressed chunks */
	struct verity verity;	   /* rootfs only, may be absent */
	struct payload boot; /* rootfs only, may be absent: of the slot's own boot partition */
	uint32_t self_test_s, confirm_s; /* deadlines */
	struct {
		char name[33];
		struct ef_version min;
	} requires[8];
	size_t n_requires;
};

struct manifest {
	char product[33];
	char version[EF_VERSION_TEXT_MAX];
	struct ef_version parsed_version;
	uint64_t sequence;
	enum release_kind kind;
	char *notes; /* "" when absent */
	struct component *components;
	size_t n_components;
	size_t *order; /* n_components indexes: order of activation */
};

enum ef_reason manifest_parse(
	const void *data, size_t size, struct manifest **ret, struct error *e);
void manifest_free(struct manifest *m);
/* What a rootfs brings for its slot, in the order of writing: for its boot partition, if anything,
 * and then for itself. Returns how many; 0 for an mcu. */
#define PAYLOADS_MAX 2u
size_t component_payloads(const struct component *c, struct payload ret[PAYLOADS_MAX]);
/* The objects that it is published as, in the order of a bundle: how many. They are c's. */
#define COMPONENT_OBJECTS_MAX (2 * PAYLOADS_MAX)
size_t component_objects(
	const struct component *c, const struct object *ret[COMPONENT_OBJECTS_MAX]);
/* The nth of the objects that a gateway holds whole: an mcu's image, a rootfs's chunk indexes.
 * NULL: no nth. */
const struct object *component_held(const struct component *c, size_t n);
/* Tells what a slot or node has from what it would get: the image's digest, and bit by bit added to
 * it that of the boot partition's, if there is one. */
void component_hash(const struct component *c, uint8_t ret[32]);
/* NULL when there is none. */
const struct component *manifest_component(const struct manifest *m, const char *name);

/* 1 to 32 of [a-z0-9-]: names of products and components. */
bool manifest_name_valid(const char *text);
/* "vendor.example,class", at most 95 characters. */
bool manifest_compatible_valid(const char *text);
