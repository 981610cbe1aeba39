/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The rate of the serial line (docs/SPEC-dfu.md, "Rate"): raised when asked to, once the answer is
 * out, and back at the first one by itself when nothing that can be read has come for a while.
 */
#include "agent/request.h"

#define RATE_SILENCE_MS 2000u

struct agent_rate {
	uint32_t next;	/* asked for and, from its answer on, in use; 0: the first one */
	uint32_t heard; /* milliseconds, when the last message came that was none by chance */
	bool asked;	/* to be set when the answer is out */
};

struct outcome ef_rate(struct agent *a, const struct value *v, struct cbor_writer *w);
/* A message came and its answer, if it has one, is out. sound: it was no noise. */
void agent_rate_answered(struct agent *a, bool sound);
void agent_rate_tick(struct agent *a);
