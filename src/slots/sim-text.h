/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The files of the simulated boot loader. Its folder holds, each file replaced whole:
 *   state.json        what is to be started: {"schema":1,"primary":"A","trial":"none",
 *                     "mark":{"A":"good","B":"good"}}; written by the core, and by the firmware
 *                     when it uses up a trial
 *   running.json      what was started: {"schema":1,"running":"A","trial":false}; the firmware only
 *   reboot-requested  the core asks for a reboot; the firmware takes it away
 *   kernel-A, -B      what a kernel of the slot would be told; only once a release had a root hash
 */
#include "slots/vars.h"
#include <stddef.h>

#define SIM_STATE_FILE "state.json"
#define SIM_RUNNING_FILE "running.json"
#define SIM_REBOOT_FILE "reboot-requested"
#define SIM_KERNEL_FILES               \
	{                              \
		"kernel-A", "kernel-B" \
	}
#define SIM_FILE_MAX 4096u

/* Anything but the exact form is BOOT_STATE (S-14). */
enum ef_reason sim_vars_parse(
	const void *data, size_t size, struct slot_vars *ret, struct error *e);
enum ef_reason sim_evidence_parse(
	const void *data, size_t size, struct slot_evidence *ret, struct error *e);
/* NUL-terminated; out holds SIM_FILE_MAX. */
size_t sim_vars_format(const struct slot_vars *v, char *out);
size_t sim_evidence_format(const struct slot_evidence *v, char *out);
