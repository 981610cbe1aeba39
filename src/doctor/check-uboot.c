/* SPDX-License-Identifier: Apache-2.0 */
/* That a power cut leaves one copy of U-Boot's environment whole. */
#include "doctor/doctor.h"
#include "slots/uboot-copies.h"
#include <stdio.h>

void check_copies(struct doctor *d)
{
	struct uboot_copy copies[2] = {0};
	char dir[PATH_MAX], path[PATH_MAX + 16];
	unsigned n;

	snprintf(path, sizeof(path), "%s/fw_env.config", below(d, d->boot_dir, dir));
	n = uboot_copies(path, copies);
	if (n == 1)
		say(d, LEVEL_WARNING,
			"build U-Boot with CONFIG_SYS_REDUNDAND_ENVIRONMENT and name both places "
			"in fw_env.config",
			"U-Boot's environment is a single one: a power cut while it is written can "
			"lose it");
	if (n < 2)
		return;
	if (!uboot_copies_apart(copies))
		say(d, LEVEL_ERROR,
			"name in fw_env.config the two places that U-Boot was built for "
			"(CONFIG_ENV_OFFSET, CONFIG_ENV_OFFSET_REDUND)",
			"both copies of U-Boot's environment are in one place: %s at %#llx",
			copies[1].device, copies[1].offset);
	for (unsigned i = 0; i < 2; i++)
		if (!copies[i].valid)
			say(d, LEVEL_WARNING,
				"a power cut while it was written, or an environment that was "
				"saved once only: the next change writes it. If not even U-Boot's "
				"saveenv, said twice, does, fw_env.config names another place "
				"than U-Boot has",
				"one of the two copies of U-Boot's environment is not valid: %s at "
				"%#llx",
				copies[i].device, copies[i].offset);
}
