/* SPDX-License-Identifier: Apache-2.0 */
/* What a bootloader can do that has room to serve stock clients. */
#include "agent/request.h"

const struct command_group *const agent_groups[] = {
	&os_group,
	&os_info_group,
	&image_group,
	&slot_info_group,
	&patch_group, /* its preflight before that of edgeferry_group */
	&edgeferry_group,
	&data_group,
	&lease_group,
	&spread_group,
	NULL,
};
