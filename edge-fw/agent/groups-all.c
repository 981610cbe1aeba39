/* SPDX-License-Identifier: Apache-2.0 */
/* What the application can do, and the host's process, which is both. */
#include "agent/request.h"

const struct command_group *const agent_groups[] = {
	&os_more_group, /* its info before that of os_info_group */
	&os_group,
	&os_info_group,
	&image_group,
	&slot_info_group,
	&patch_group, /* its preflight before that of edgeferry_group */
	&edgeferry_group,
	&data_group,
	&lease_group,
	&spread_group,
	&datetime_group,
	&stat_group,
	&settings_group,
	&monitor_group,
	&keys_group,
	NULL,
};
