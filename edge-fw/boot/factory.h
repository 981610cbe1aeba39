/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who this device is and whose images it runs: written once when it is made (docs/SPEC-dfu.md,
 * "Factory page"), so that one bootloader binary serves every product. A later key set is the same
 * record with other keys, in two copies elsewhere (boot/keyset.h); the flags in force stay those
 * of the factory page.
 */
#include <edgeferry/image.h>

#define FACTORY_MAGIC 0x50464645u /* "EFFP" */
#define FACTORY_VERSION 1u
#define FACTORY_KEYS_MAX 4u

enum {
	FACTORY_PLAIN_CLIENTS = 1, /* stock SMP clients, which know no preflight, may update it */
	FACTORY_ADDRESS_SHIFT = 8, /* bits 8 to 15: its address on a shared line; 0: it has none */
};

struct factory {
	uint32_t magic;
	uint16_t version;
	uint16_t size; /* of the whole struct, crc included */
	uint8_t device_id[16], vendor[16], class_id[16];
	uint32_t hardware_revision;
	uint32_t floor; /* where security counters start */
	uint8_t n_keys;
	uint8_t threshold; /* of them must sign the next set; 0: more than half */
	uint16_t key_set;  /* the number of the set that these keys are */
	struct ef_image_key keys[FACTORY_KEYS_MAX];
	uint32_t flags;
	uint32_t crc; /* CRC-32 of everything before it */
};

/* False when no valid record lies there: *f is then all zero, without keys nothing verifies. */
bool factory_read(uint32_t offset, struct factory *f);
