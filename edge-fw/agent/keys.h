/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The command that brings the next key set (docs/SPEC-dfu.md, "Key sets"): for applications, as an
 * extra command. The bootloader has no room for it and needs none: it takes an image first.
 */
#include "agent/request.h"

extern const struct command keys_command;
