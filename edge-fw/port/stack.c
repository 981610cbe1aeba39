/* SPDX-License-Identifier: Apache-2.0 */
/* How much of the stack a program really uses: for cores whose stack grows down from stack_top. */
#include "port/port.h"

#define UNUSED 0x5afe57acu

extern uint32_t stack_top[], STACK_SIZE[]; /* the latter a number, by the linker's command line */

uint32_t port_stack_free(void)
{
	static bool filled;
	uint32_t *bottom = stack_top - (uintptr_t)STACK_SIZE / sizeof(*bottom), *at = bottom;
	const uint32_t *here = __builtin_frame_address(0);

	if (!filled)
		while (at < here - 16) /* with room for this very function */
			*at++ = UNUSED;
	filled = true;
	for (at = bottom; at < stack_top && *at == UNUSED;)
		at++;
	return (uint32_t)(at - bottom) * sizeof(*at);
}
