/* SPDX-License-Identifier: Apache-2.0 */
/* What a bootloader can do that must be small: say who it is and take an image. */
#include "agent/request.h"

const struct command_group *const agent_groups[] = {
	&os_group,
	&image_group,
	&edgeferry_group,
	NULL,
};
