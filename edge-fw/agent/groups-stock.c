/* SPDX-License-Identifier: Apache-2.0 */
/* What a bootloader can do that serves stock clients where there is no room for more. */
#include "agent/request.h"

const struct command_group *const agent_groups[] = {
	&os_group,
	&os_info_group,
	&image_group,
	&slot_info_group,
	&edgeferry_group,
	&data_group,
	NULL,
};
