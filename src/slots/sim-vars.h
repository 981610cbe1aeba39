/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The simulated boot loader's variables and every decision about them, without I/O, so that the
 * core's side (sim.c), the simulated firmware (tests/lab/gateway.py) and the tests agree.
 *
 * The folder holds, each file replaced whole:
 *   state.json        what is to be started: {"schema":1,"primary":"A","trial":"none",
 *                     "mark":{"A":"good","B":"good"}}; written by the core, and by the firmware
 *                     when it uses up a trial
 *   running.json      what was started: {"schema":1,"running":"A","trial":false}; the firmware only
 *   reboot-requested  the core asks for a reboot; the firmware takes it away
 */
#include "slots/boot.h"
#include <stddef.h>

#define SIM_STATE_FILE "state.json"
#define SIM_RUNNING_FILE "running.json"
#define SIM_REBOOT_FILE "reboot-requested"
#define SIM_FILE_MAX 4096u

struct sim_vars {
	enum slot_id primary;	/* A or B */
	enum slot_id trial;	/* A, B or NONE */
	enum slot_mark mark[2];
};

struct sim_evidence {
	enum slot_id running;	/* A or B */
	bool trial;		/* started because of a trial */
};

/* Anything but the exact form is BOOT_STATE (S-14). */
enum ef_reason sim_vars_parse(const void *data, size_t size, struct sim_vars *ret, struct error *e);
enum ef_reason sim_evidence_parse(const void *data, size_t size, struct sim_evidence *ret,
	struct error *e);
/* NUL-terminated; out holds SIM_FILE_MAX. */
size_t sim_vars_format(const struct sim_vars *v, char *out);
size_t sim_evidence_format(const struct sim_evidence *v, char *out);

/* Transitions; on refusal v is as before. */
enum ef_reason sim_try_next(struct sim_vars *v, enum slot_id running, enum slot_id slot, struct error *e);
enum ef_reason sim_mark_good(struct sim_vars *v, enum slot_id slot, struct error *e);
enum ef_reason sim_mark_bad(struct sim_vars *v, enum slot_id slot, struct error *e);

/*
 * The firmware's choice at power-on. v becomes what must be durable before anything is started, so
 * that a trial is used once whatever happens next. True: v changed.
 */
bool sim_choose(struct sim_vars *v, struct sim_evidence *ret);
