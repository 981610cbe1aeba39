/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The last fault, or bite of the watchdog, in RAM that a reset does not clear: written by a handler
 * that trusts nothing but its registers, read over SMP afterwards. It stays until it is cleared,
 * another one comes, or the power goes.
 */
#include "port/port.h"
#include <edgeferry/version.h>

/* Where the program stood. What a core does not tell is 0. */
struct crash_site {
	uint32_t pc, lr, psr;
	uint32_t exception; /* number of the exception that was taken; on RISC-V mcause */
	uint32_t status[2]; /* ARMv7-M and later: CFSR, HFSR */
	uint32_t address;   /* that was accessed, if the core knows */
};

struct crash {
	struct crash_site site;
	uint32_t uptime; /* seconds that the program had run */
	struct ef_version version;
	enum port_cause cause;
	bool bootloader;
};

/* By the bootloader: which program runs from now on. */
void crash_running(const struct ef_version *version, bool bootloader);
/* By the program: how long it has run. */
void crash_uptime(uint32_t seconds);

/* Called by a port's handlers, before the reset. */
void crash_record(enum port_cause cause, const struct crash_site *site);

/* False when there is none. */
bool crash_load(struct crash *ret);
void crash_clear(void);
