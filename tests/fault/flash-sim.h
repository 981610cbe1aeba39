/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A board that lives in memory: implements port.h over a NOR flash that can lose power at any
 * operation. Programming can only clear bits, and twice into the same place is allowed (the swap's
 * marks need it); whole words only.
 */
#include "port/port.h"
#include <setjmp.h>

#define SIM_SIZE_MAX (256u * 1024u)

/* What the operation that the power cut hits leaves behind. */
enum sim_cut { CUT_BEFORE, CUT_TORN, CUT_RANDOM, CUT_AFTER, CUT_KINDS };

enum sim_event {
	SIM_NONE,
	SIM_STARTED, /* the bootloader started the image in slot 0 */
	SIM_SERVING, /* somebody sleeps until the next interrupt: the agent serves */
	SIM_RESET,
	SIM_CUT,
};

struct sim {
	struct port_board board;
	uint8_t flash[SIM_SIZE_MAX];
	uint32_t size;
	uint32_t retained[PORT_RETAINED_WORDS];
	uint32_t operations, erases;
	uint32_t cut_at; /* number of the operation, from 1; 0: never */
	enum sim_cut cut_kind;
	uint32_t fail_at; /* this operation silently does nothing; 0: never (F-19) */
	uint32_t random;
	struct port_power power;
	uint32_t millis, baud;
	uint32_t started; /* flash offset of what was started */
	uint8_t input[4096], output[4096];
	size_t in_at, in_size, out_size;
	jmp_buf *end; /* where SIM_* events go */
};
extern struct sim sim;

/* Two slots of units * scratch bytes, everything else behind them. Flash erased, no cut set. */
void sim_init(uint32_t page, uint32_t pages_in_scratch, uint32_t units, bool fast);

/* Runs f until one of the events ends it; SIM_NONE: it returned. */
enum sim_event sim_run(void (*f)(void *), void *ctx);

/* Power comes back: RAM is lost. */
void sim_power_on(void);
