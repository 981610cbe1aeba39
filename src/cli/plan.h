/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include "cli/cli.h"

/* Shows the document of Manager.Plan. Returns the exit code that the deployment would begin with:
 * EXIT_DONE also when it would wait, EXIT_NOTHING, or why it would be refused. */
int plan_show(struct cli *cli, const json_t *plan);
