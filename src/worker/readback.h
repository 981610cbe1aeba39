/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reads a target back from the medium, front to back (S-10): a thread takes what is complete while
 * the rest is still written, readback_finish the rest. What was read before the last write is
 * looked at once more then, in samples. docs/DESIGN.md says what that proves.
 */
#include "worker/control.h"
#include "worker/target.h"

struct readback;

/* image_size bytes with that SHA-256 are wanted, and zeros behind them. t stays the caller's. */
enum ef_reason readback_open(struct readback **ret, struct target *t, uint64_t image_size,
	const uint8_t sha256[32], struct error *e);
void readback_close(struct readback *b);
/* All before end is in the target and will not be written again. Does not wait. */
void readback_allow(struct readback *b, uint64_t end);
/* After the last target_sync. Waits, and tells the core so (JOB_READING_BACK). SLOT_READ_BACK;
 * CANCELLED as in control_check. */
enum ef_reason readback_finish(
	struct readback *b, struct control *control, struct job_progress *p, struct error *e);
