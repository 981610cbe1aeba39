/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What one start of the board tells the next through RAM that a reset does not clear. */
#include "port/port.h"
#include <edgeferry/version.h>

/* Of which image was started and has not shown yet that it works (agent/health.c). */
enum started { STARTED_NONE, STARTED_SLOT, STARTED_RECOVERY };

struct retained {
	uint8_t next_cause;    /* what the reset to come will have been (enum port_cause) */
	uint8_t cause;	       /* what the last one was */
	uint8_t boots;	       /* of the running image since power-up or install; saturates */
	uint8_t started;       /* enum started */
	uint8_t reason;	       /* enum ef_reason: why no slot was started */
	uint8_t lease;	       /* whose it was: 1 + the gateway's number modulo 15; 0: nobody's */
	bool stay;	       /* the bootloader does not start the application this time */
	bool self_test_failed; /* of the image on trial */
};

/* False after a loss of power: *r is then all zero. */
bool retained_load(struct retained *r);
void retained_store(const struct retained *r);
void retained_set_cause(enum port_cause cause);

/* The bootloader's version, for the application to report. */
void retained_store_boot_version(const struct ef_version *v);
void retained_load_boot_version(struct ef_version *v);
