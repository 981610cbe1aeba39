/* SPDX-License-Identifier: Apache-2.0 */
/* Boot=auto: what the configuration leaves open of the gateway's slots. */
#include "slots/detect.h"
#include "update/internal.h"
#include <string.h>

/* from "": nothing was found. */
static bool fill(char **to, const char *from)
{
	return *to || !*from || (*to = strdup(from));
}

enum ef_reason update_find_slots(const char *root, struct config *c, struct error *e)
{
	struct slots_found found;
	struct error why = {0};

	if (strcmp(c->boot, "auto") != 0)
		return EF_REASON_OK;
	if (slots_detect(root, &found, &why) && (!found.boot || !c->slot_a))
		return error_set(e, EF_REASON_CONFIG,
			"[Slots] Boot=auto: %s; 'edgeferry doctor' says what to write where",
			why.detail);
	free(c->boot);
	c->boot = strdup(found.boot);
	if (!c->boot || !fill(&c->boot_dir, found.boot_dir) || !fill(&c->slot_a, found.a) ||
		!fill(&c->slot_b, found.b) || !fill(&c->boot_a, found.boot_a) ||
		!fill(&c->boot_b, found.boot_b))
		return error_set(e, EF_REASON_NO_MEMORY, "[Slots]");
	return EF_REASON_OK;
}
