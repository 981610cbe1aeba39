/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

#define CFI_LINE 2048u

/* While a bank works it cannot be read: whoever calls these does not run out of it. 0 or negative.
 */
int cfi_erase(uint32_t address);
/* Words that lie in one line of CFI_LINE bytes; data is in another bank or in RAM. */
int cfi_program(uint32_t address, const uint32_t *data, uint32_t words);
