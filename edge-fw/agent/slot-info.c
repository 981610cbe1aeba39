/* SPDX-License-Identifier: Apache-2.0 */
/* Group 1, slot info. */
#include "agent/agent.h"

/* Geometry: what fits where, and which slot an upload to image 0 goes to. */
static struct outcome image_slot_info(struct agent *a, const struct value *v, struct cbor_writer *w)
{
	(void)a;
	(void)v;
	cbor_put_text(w, "images");
	cbor_open_array(w);
	cbor_open_map(w);
	put_uint(w, "image", 0);
	cbor_put_text(w, "slots");
	cbor_open_array(w);
	for (unsigned slot = 0; slot < 2; slot++) {
		cbor_open_map(w);
		put_uint(w, "slot", slot);
		put_uint(w, "size", port_board()->slot[0].size);
		if (slot == 1)
			put_uint(w, "upload_image_id", 0);
		cbor_close(w);
	}
	cbor_close(w);
	put_uint(w, "max_image_size", port_board()->slot[0].size);
	cbor_close(w);
	cbor_close(w);
	return DONE;
}

static const struct command commands[] = {
	{EF_IMAGE_SLOT_INFO, EF_SMP_READ, true, "", image_slot_info},
};
const struct command_group slot_info_group = COMMAND_GROUP(EF_GROUP_IMAGE, false, commands);
