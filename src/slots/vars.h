/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a boot loader remembers of two slots, and every decision about it, without I/O, so that all
 * back-ends, the simulated firmware (tests/lab/gateway.py) and the tests agree.
 */
#include "slots/boot.h"

struct slot_vars {
	enum slot_id primary; /* A or B */
	enum slot_id trial;   /* A, B or NONE */
	enum slot_mark mark[2];
};

struct slot_evidence {
	enum slot_id running; /* A or B */
	bool trial;	      /* started because of a trial */
};

/* Transitions; on refusal v is as before. */
enum ef_reason vars_try_next(
	struct slot_vars *v, enum slot_id running, enum slot_id slot, struct error *e);
enum ef_reason vars_mark_good(struct slot_vars *v, enum slot_id slot, struct error *e);
enum ef_reason vars_mark_bad(struct slot_vars *v, enum slot_id slot, struct error *e);

/*
 * The firmware's choice at power-on. v becomes what must be durable before anything is started, so
 * that a trial is used once whatever happens next. True: v changed.
 */
bool vars_choose(struct slot_vars *v, struct slot_evidence *ret);
