/* SPDX-License-Identifier: Apache-2.0 */
/* The decoder, one model and nothing else: its code is what a node has more with it. */
#include <edgeferry/patch.h>

void start(void);
extern const struct ef_patch_io sized_io; /* somewhere */
struct ef_patch sized_patch;

void start(void)
{
	static const struct ef_patch_model *const models[] = {&MODEL, NULL};

	ef_patch_begin(&sized_patch, &sized_io, models);
	while (!ef_patch_done(&sized_patch))
		ef_patch_step(&sized_patch);
}
