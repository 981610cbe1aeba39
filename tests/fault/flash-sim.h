/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A board that lives in memory: implements port.h over a NOR flash that can lose power at any
 * operation, wear out and read wrongly. Programming can only clear bits, and twice into the same
 * place is allowed (the swap's marks need it); whole words only.
 */
#include "port/port.h"
#include <setjmp.h>

#define SIM_SIZE_MAX (320u * 1024u)
#define SIM_PAGE_MAX 65536u
#define SIM_PAGES_MAX (SIM_SIZE_MAX / 512u)

/* What the operation that the power cut hits leaves behind. */
enum sim_cut {
	CUT_BEFORE,
	CUT_TORN,     /* its beginning was done */
	CUT_RANDOM,   /* each bit that it would change has changed or not */
	CUT_UNSTABLE, /* all bits but two, or none but two; these read as they like until written
			 anew */
	CUT_AFTER,
	CUT_KINDS
};

/* What goes wrong while the power stays (F-19). The first three are about one operation or, with a
 * bad page, every one there; the others about reads. */
enum sim_fault {
	FAULT_SILENT,	/* nothing is done, success is reported */
	FAULT_REPORTED, /* a half is done, and failure reported */
	FAULT_BIT,	/* one bit stays as it was */
	FAULT_READ,	/* reported */
	FAULT_MISREAD,	/* one bit comes out wrong, this once */
	FAULT_KINDS
};

enum sim_event {
	SIM_NONE,
	SIM_STARTED, /* the bootloader started an image */
	SIM_SERVING, /* somebody sleeps until the next interrupt: the agent serves */
	SIM_RESET,
	SIM_CUT,
	SIM_WATCHDOG, /* not fed in time, going by slow_ms */
};

struct sim {
	struct port_board board;
	uint32_t size;
	uint32_t retained[PORT_RETAINED_WORDS];
	enum port_cause chip_cause; /* what the chip knows of the last reset */
	uint32_t operations, erases, reads;
	uint32_t cut_at; /* number of the operation, from 1; 0: never */
	enum sim_cut cut_kind;
	enum sim_fault fault;
	uint32_t fault_at;  /* number of the operation or read, from 1; 0: never */
	uint32_t bad_page;  /* its number + 1: the fault is there for good; 0: none */
	bool unstable_bits; /* there are some */
	uint32_t random;
	struct port_power power;
	uint32_t baud;
	uint32_t millis;	   /* what port_millis says */
	uint32_t slow_ms, busy_ms; /* that each operation takes; since the watchdog was fed */
	uint32_t started;	   /* flash offset of what was started */
	void (*watch)(void);	   /* called before each operation; NULL: nobody is */
	/* changes what a read has brought; NULL: nobody does */
	void (*spoil)(uint32_t offset, uint8_t *data, size_t size);
	uint8_t input[4096], output[4096];
	size_t in_at, in_size, out_size;
	jmp_buf *end;		      /* where SIM_* events go */
	uint16_t wear[SIM_PAGES_MAX]; /* erases of each page */
	uint8_t flash[SIM_SIZE_MAX];
	uint8_t unstable[SIM_SIZE_MAX]; /* bits that read as they like */
};
extern struct sim sim;

/* Two slots of units * unit bytes, everything else behind them. Flash erased, no cut set. */
void sim_init(uint32_t page, uint32_t pages_in_unit, uint32_t units, bool fast);

/* Copies a board, flash as far as it goes. */
void sim_copy(struct sim *to, const struct sim *from);

/* Runs f until one of the events ends it; SIM_NONE: it returned. */
enum sim_event sim_run(void (*f)(void *), void *ctx);

/* Only within watch: the board as a cut of the operation that is about to be done would leave it,
 * in sim while take looks at it, and then as before. offset, size: what may differ. */
void sim_left_by_cut(enum sim_cut kind, uint32_t random,
	void (*take)(enum sim_cut kind, uint32_t offset, uint32_t size));

/* Power comes back: RAM is lost, no cut or fault is set any more. */
void sim_power_on(void);
