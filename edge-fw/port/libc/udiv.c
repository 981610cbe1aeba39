/* SPDX-License-Identifier: Apache-2.0 */
/* Division for cores without the instruction, by the names of the Arm ABI: 40 bytes, where libgcc's
 * is five times as large and several times as fast. */
#include <stdint.h>

uint64_t __aeabi_uidivmod(uint32_t n, uint32_t d);
uint32_t __aeabi_uidiv(uint32_t n, uint32_t d);

/* The quotient in the low half, the remainder in the high one. */
uint64_t __aeabi_uidivmod(uint32_t n, uint32_t d)
{
	uint32_t rest = 0;

	for (int i = 0; i < 32; i++) {
		rest = rest << 1 | n >> 31;
		n <<= 1;
		if (rest >= d) {
			rest -= d;
			n |= 1;
		}
	}
	return (uint64_t)rest << 32 | n;
}

uint32_t __aeabi_uidiv(uint32_t n, uint32_t d)
{
	return (uint32_t)__aeabi_uidivmod(n, d);
}
