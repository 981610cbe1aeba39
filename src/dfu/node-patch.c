/* SPDX-License-Identifier: Apache-2.0 */
/* An image that the node makes out of what it runs (docs/SPEC-dfu.md, "Patch"). */
#include "dfu/node-internal.h"
#include <edgeferry/patch.h>
#include <string.h>

#define PATCH_MODEL_AT 3u /* docs/SPEC-patch.md, section 1 */

uint32_t node_patch_room(const struct node_identity *id, uint32_t image_size)
{
	uint32_t page = id->patch_page, pages;

	if (!id->patch_models || page == 0 || image_size > id->slot_size)
		return 0;
	pages = image_size / page + (image_size % page != 0);
	/* beside the image there always is a page for the swap */
	return pages < id->slot_size / page ? id->slot_size - pages * page : page;
}

static bool model_known(const struct node *n)
{
	uint8_t model = n->op.patch->data[PATCH_MODEL_AT];

	return model < 32 && n->identity.patch_models >> model & 1;
}

void step_patch(struct node *n)
{
	const struct node_patch *p = n->op.patch;
	uint32_t room = node_patch_room(&n->identity, n->op.info.total_size);

	if (!p)
		node_next(n);
	else if (!n->identity.patch_models)
		node_fail(n, EF_REASON_PATCH, "the node takes none");
	else if (p->size <= PATCH_MODEL_AT || !model_known(n))
		node_fail(n, EF_REASON_PATCH, "the node does not know its model");
	else if (!node_holds(n, 0, p->base))
		node_fail(n, EF_REASON_PATCH, "the node runs another image than it was made for");
	else if (p->size > room)
		node_fail(n, EF_REASON_PATCH, "patch of %zu bytes, room for %u", p->size, room);
	else
		node_next(n);
}
