/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdint.h>

void watchdog_init(void);
/* ms: about, a millisecond more or less in a hundred. */
void watchdog_start(uint32_t ms);
