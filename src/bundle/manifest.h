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
/* Of a node that takes it: its failure fails the release; does not; or does, but it may be away and is brought up later. */
enum component_policy { POLICY_REQUIRED, POLICY_OPTIONAL, POLICY_DEFERRED };
enum release_kind { KIND_FEATURE, KIND_SECURITY };

const char *component_type_word(enum component_type t);		/* "rootfs", "mcu" */
const char *component_policy_word(enum component_policy p);
const char *release_kind_word(enum release_kind k);

struct object {
	uint8_t sha256[32];
	uint64_t size;		/* bytes */
};

struct component {
	char name[33];		/* [a-z0-9-] */
	enum component_type type;
	char compatible[96];	/* "vendor.example,class" */
	uint32_t hardware_min, hardware_max;	/* inclusive */
	struct ef_version version;
	uint32_t security;	/* security version; >= the floor */
	enum component_policy policy;
	uint32_t soak_s;	/* between two waves of its nodes; mcu only, absent: 0 */
	uint32_t budget;	/* so many nodes may fail although they are required; mcu only, absent: 0 */
	/* of the node protocol: what the nodes' image answers with, what the gateway's edgeferryd speaks; absent: 1 */
	uint32_t protocol_min, protocol_max;
	struct object image;	/* rootfs: the whole uncompressed image; mcu: the MCUboot image */
	struct object index, pack;	/* rootfs only: chunk index and pack of compressed chunks */
	struct verity verity;	/* rootfs only, may be absent */
	uint32_t self_test_s, confirm_s;	/* deadlines */
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
	char *notes;		/* "" when absent */
	struct component *components;
	size_t n_components;
	size_t *order;		/* n_components indexes: order of activation */
};

enum ef_reason manifest_parse(const void *data, size_t size, struct manifest **ret, struct error *e);
void manifest_free(struct manifest *m);
/* NULL when there is none. */
const struct component *manifest_component(const struct manifest *m, const char *name);

/* 1 to 32 of [a-z0-9-]: names of products and components. */
bool manifest_name_valid(const char *text);
/* "vendor.example,class", at most 95 characters. */
bool manifest_compatible_valid(const char *text);
