/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <stdbool.h>

/*
 * From now on this process and its children have a /dev with gpiochip0 to 2, spidev0.0 and
 * spidev10.0, and a /sys that knows of them, in a mount namespace of their own. False where that is
 * not allowed: skip the test. What the devices do is bus.c's.
 */
bool bus_enter(void);
