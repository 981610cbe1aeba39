/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "worker/control.h"

/* The job `stage`: m is its STAGE message. OK only after the whole image was read back. */
enum ef_reason stage_run(struct control *control, const struct job_message *m, struct error *e);
