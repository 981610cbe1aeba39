/* SPDX-License-Identifier: Apache-2.0 */
/* What a small bootloader can do that takes patches, too. */
#include "agent/request.h"

const struct command_group *const agent_groups[] = {
	&os_group,
	&image_group,
	&patch_group, /* its preflight before that of edgeferry_group */
	&edgeferry_group,
	NULL,
};
