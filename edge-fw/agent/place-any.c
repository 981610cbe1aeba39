/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"

bool agent_in_bootloader(const struct agent *a)
{
	return a->program->bootloader;
}
