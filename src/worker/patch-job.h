/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "worker/job-io.h"

/* The job `patch`: m is its PATCH message. Limits this process for good, and lets SIGTERM end it.
 */
enum ef_reason patch_run(const struct job_message *m, struct error *e);
