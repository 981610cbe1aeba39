/* SPDX-License-Identifier: Apache-2.0 */
/* Of a program that is never an application, which so leaves out all that only one of those does.
 */
#include "agent/agent.h"

bool agent_in_bootloader(const struct agent *a)
{
	(void)a;
	return true;
}
